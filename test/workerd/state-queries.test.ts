// Looking into state over HTTP: of a job that runs or rests, of a checkpoint, of a savepoint.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { heal, seen } from "./faults.ts";
import {
  becomes,
  call,
  json,
  run,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";
import { savepoint } from "./savepoints.ts";

afterEach(heal);

interface KeyState {
  readonly job: string;
  readonly asOf: {
    readonly read: string;
    readonly committed: boolean;
    readonly checkpoint: number | null;
    readonly savepoint?: string;
  };
  readonly holds: string;
  readonly key: unknown;
  readonly keyGroup: number;
  readonly value: unknown;
  readonly entries?: readonly { readonly key: unknown; readonly value: unknown }[];
}

interface Elements {
  readonly redistribution: string;
  readonly subtasks: readonly {
    readonly subtask: number;
    readonly count: number;
    readonly elements: readonly unknown[];
  }[];
}

const look = async <T = KeyState>(job: TestJob, path: string): Promise<T> =>
  json(await call(`/jobs/${job.id}/state${path}`));

const refused = async (path: string): Promise<[number, string]> => {
  const response = await call(path);
  const { errors } = await response.json<{ errors: string[] }>();
  return [response.status, errors[0] ?? ""];
};

const idOf = (location: string): string =>
  encodeURIComponent(location.replace(/^savepoints\//, ""));

const send = async (topic: string, records: readonly unknown[]): Promise<void> => {
  await json(
    await call(`/topics/${topic}/records`, { method: "POST", body: JSON.stringify(records) }),
  );
};

/** What the tally of a key holds: one accumulator for each of its aggregates. */
const accumulators = async (job: TestJob, key: string): Promise<readonly unknown[]> => {
  const rows = await job.rows<{ key: string; rows: number; sum: number; squares: number }>(
    "tallies",
  );
  const row = rows!.find((each) => each.key === key)!;
  return [row.rows, row.sum, row.squares];
};

describe.each([
  ["in memory", stateInFiles],
  ["on sqlite", { ...stateInFiles, "state.backend": "sqlite" }],
  ["with inline storage", { "execution.checkpointing.storage": "jobmanager" }],
] as const)("%s", (_, settings) => {
  test("a key is told as it is now, as of a checkpoint and as of a savepoint", async () => {
    const configuration = { ...settings, "state.checkpoints.num-retained": "3" };
    const { job, producer, stop } = await streaming(configuration);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const before = await accumulators(job, "key-5");
    const location = await savepoint(job);
    const { latest } = await job.completes(1).catch(() => job.checkpoints());
    const checkpoint = latest.completed!.id;
    await producer.send(200);
    await becomes(() => job.rows("tallies", "latest"), producer.expected);
    const live = await look(job, "/tally/accumulators/key-5");
    expect(live).toMatchObject({
      job: job.id,
      asOf: { read: "live", committed: false, checkpoint: null },
      holds: "value",
      key: "key-5",
    });
    await job.settlesAt("tallies", producer.expected);
    expect(live.value).toEqual(await accumulators(job, "key-5"));
    expect(live.value).not.toEqual(before);
    const then = await look(job, `/tally/accumulators/key-5?savepoint=${idOf(location)}`);
    expect(then).toMatchObject({
      asOf: { read: "savepoint", committed: true, savepoint: location.slice("savepoints/".length) },
      value: before,
      keyGroup: live.keyGroup,
    });
    const gone = await refused(
      `/jobs/${job.id}/state/tally/accumulators/key-5?checkpoint=${checkpoint}`,
    );
    if (gone[0] === 404)
      expect(gone[1]).toMatch(/does not retain checkpoint \d+\. Retained are: \d+/);
    const { latest: now } = await job.checkpoints();
    const path = `/tally/accumulators/key-5?checkpoint=${now.completed!.id}`;
    expect(await look(job, path)).toMatchObject({
      asOf: { read: "checkpoint", checkpoint: now.completed!.id, committed: true },
      value: live.value,
    });
  });

  test("nothing has to run: what is left of a job is read all the same", async () => {
    const { job, producer, stop } = await streaming({
      ...settings,
      "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    });
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const expected = await accumulators(job, "key-7");
    const location = await savepoint(job);
    await job.cancel();
    const [status, why] = await refused(`/jobs/${job.id}/state/tally/accumulators/key-7`);
    expect([status, why]).toEqual([
      409,
      expect.stringMatching(/CANCELED.*checkpoint=N.*savepoint=ID/),
    ]);
    const { latest } = await job.checkpoints();
    for (const of of [`checkpoint=${latest.completed!.id}`, `savepoint=${idOf(location)}`]) {
      expect(await look(job, `/tally/accumulators/key-7?${of}`)).toMatchObject({ value: expected });
      expect(await look(job, `?${of}`)).toMatchObject({
        operators: [
          { operator: "events", states: [{ state: "offsets", kind: "operator" }] },
          { operator: "out", states: [{ state: "rows", kind: "keyed", holds: "value" }] },
          { operator: "tally", states: [{ state: "accumulators", kind: "keyed" }] },
        ],
      });
    }
  });
});

describe("a savepoint", () => {
  test("is listed and described, wherever it is", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const location = await savepoint(job, { "target-directory": "before/upgrade" });
    const newer = await savepoint(job);
    const id = location.slice("savepoints/".length);
    interface List {
      readonly savepoints: readonly { readonly id: string; readonly bytes: number }[];
      readonly total: number;
      readonly next: string | null;
    }
    const list = await json<List>(await call("/savepoints"));
    expect(list.total).toBe(list.savepoints.length);
    expect(list.savepoints[0]).toMatchObject({ location: newer, job: job.id });
    expect(list.savepoints[1]).toMatchObject({ id, location });
    const page = await json<List>(await call("/savepoints?limit=1"));
    expect(page).toMatchObject({ savepoints: [{ location: newer }], next: page.savepoints[0]!.id });
    const next = await json<List>(
      await call(`/savepoints?limit=1&after=${encodeURIComponent(page.next!)}`),
    );
    expect(next.savepoints).toMatchObject([{ id }]);
    expect((await refused("/savepoints?after=none"))[0]).toBe(404);

    interface Description {
      readonly operators: readonly {
        readonly uid: string;
        readonly states: readonly {
          readonly entries: number;
          readonly keyGroups: readonly { readonly entries: number; readonly bytes: number }[];
        }[];
      }[];
    }
    const one = await json<Description>(await call(`/savepoints/${encodeURIComponent(id)}`));
    expect(one).toMatchObject({
      id,
      location,
      job: job.id,
      isSavepoint: true,
      maxParallelism: 128,
      isWhole: true,
      problems: [],
      operators: [
        { uid: "events", parallelism: 2, states: [{ state: "offsets", redistribution: "union" }] },
        { uid: "out", states: [{ state: "rows", entries: 23 }] },
        { uid: "tally", parallelism: 2, states: [{ state: "accumulators", entries: 23 }] },
      ],
    });
    const { keyGroups } = one.operators[2]!.states[0]!;
    expect(keyGroups.reduce((sum, { entries }) => sum + entries, 0)).toBe(23);
    for (const { bytes } of keyGroups) expect(bytes).toBeGreaterThan(0);
  });

  test("that is damaged is told to be so, and where", async () => {
    const { job, stop } = await streaming(stateInFiles);
    const location = await savepoint(job);
    await stop();
    const { objects } = await env.BUCKET.list({ prefix: `${location}/` });
    const file = objects.find(({ key, size }) => !key.endsWith("_metadata") && size > 1_000)!;
    const bytes = new Uint8Array(await (await env.BUCKET.get(file.key))!.arrayBuffer());
    bytes[200]! ^= 1;
    await env.BUCKET.put(file.key, bytes);
    const one = await json<{ isWhole: boolean; problems: string[] }>(
      await call(`/savepoints/${idOf(location)}`),
    );
    expect(one.isWhole).toBe(false);
    expect(one.problems[0]).toMatch(
      new RegExp(`^State file ${file.key}, bytes \\d+ to \\d+ \\(operator "`),
    );
    await env.BUCKET.delete(file.key);
    const without = await json<{ isWhole: boolean; problems: string[] }>(
      await call(`/savepoints/${idOf(location)}`),
    );
    expect(without).toMatchObject({
      isWhole: false,
      problems: [`State file ${file.key} is not in the bucket.`],
    });
    const statuses = await Promise.all(
      Array.from({ length: 23 }, async (_, n) => {
        const path = `/jobs/${job.id}/state/tally/accumulators/key-${n}?savepoint=${idOf(location)}`;
        return (await call(path)).status;
      }),
    );
    expect(new Set(statuses)).toContain(422);
  });

  test("is not found by another id", async () => {
    for (const id of ["none", "..%2F..%2Fjobs", "a%2F%2Fb", "%00"]) {
      expect(await refused(`/savepoints/${id}`)).toEqual([
        404,
        expect.stringMatching(/GET \/savepoints/),
      ]);
    }
  });
});

test("state of every kind is told, with keys of any type", async () => {
  const job = await run("remembering", stateInFiles);
  await job.running();
  const records = [1, "1", true, "a b/c"].flatMap((key) => [
    { key, n: 1 },
    { key, n: 5 },
  ]);
  await send("remembering", records);
  await until("all is processed", async () => (await job.rows("seen"))?.length === 8);
  const location = await savepoint(job);
  for (const of of ["", `savepoint=${idOf(location)}`]) {
    const at = (path: string, more = ""): string => `/memory/${path}?${[of, more].join("&")}`;
    const value = async (path: string, more?: string) => (await look(job, at(path, more))).value;
    expect(await value("last/1")).toEqual({ n: 5, big: { $bigint: "10" } });
    expect((await look(job, at("last/1"))).key).toBe(1);
    expect((await look(job, at("last/%221%22"))).key).toBe("1");
    expect((await look(job, at("last/true"))).key).toBe(true);
    expect((await look(job, at("last/a%20b%2Fc"))).key).toBe("a b/c");
    expect(await look(job, at("all/1"))).toMatchObject({ holds: "list", value: [1, 5] });
    expect(await value("most/1")).toBe(5);
    expect(await value("mean/1")).toEqual(expect.anything());
    expect(await look(job, at("visits/1"))).toMatchObject({
      count: 2,
      entries: [
        { key: 1, value: 1 },
        { key: 5, value: 1 },
      ],
    });
    expect(await value("visits/1", "mapKey=5")).toBe(1);
    const expiring = await look<KeyState & { expires: number }>(job, at("recent/1"));
    expect(expiring.value).toBe(5);
    expect(expiring.expires).toBeGreaterThan(Date.now());
  }
  expect(await look(job, "/memory")).toMatchObject({
    operators: [
      {
        operator: "memory",
        states: ["all", "last", "mean", "most", "recent", "visits"].map((state) => ({ state })),
      },
    ],
  });
  const path = `/jobs/${job.id}/state`;
  expect(await refused(`${path}/memory/last/2`)).toEqual([
    404,
    expect.stringMatching(/looked for were 2 and "2"/),
  ]);
  expect(await refused(`${path}/memory/visits/1?mapKey=7`)).toEqual([
    404,
    expect.stringMatching(/in its map 7 and "7"/),
  ]);
  expect((await refused(`${path}/memory/last/1?mapKey=7`))[0]).toBe(400);
  expect(await refused(`${path}/memory/first/1`)).toEqual([
    404,
    expect.stringMatching(/has no state "first". Its states: "all", "last", /),
  ]);
  expect(await refused(`${path}/nobody/last/1`)).toEqual([
    404,
    expect.stringMatching(/"nobody" has no state. Those that have some: "memory"/),
  ]);
  expect(await refused(`${path}/memory/last`)).toEqual([
    404,
    expect.stringMatching(/is kept by key/),
  ]);
  expect((await refused(`${path}?checkpoint=1&savepoint=x`))[0]).toBe(400);
  await job.cancel();
});

test("state that no key owns is told by subtask", async () => {
  const job = await run("rated", stateInFiles);
  await job.running();
  await send("rated-rates", [{ name: "all", factor: 2 }]);
  await send(
    "rated-events",
    Array.from({ length: 13 }, (_, n) => ({ key: "k", n })),
  );
  await until("ten are handed on", async () => (await job.rows("totals"))?.length === 1);
  const location = await savepoint(job);
  for (const of of ["", `?savepoint=${idOf(location)}`]) {
    expect(await look<Elements>(job, `/tens/held${of}`)).toMatchObject({
      redistribution: "split",
      subtasks: [{ subtask: 0, count: 3, elements: [{ key: "k", n: 10 }, { n: 11 }, { n: 12 }] }],
    });
    const { subtasks, redistribution } = await look<Elements>(job, `/totals/factors${of}`);
    expect(redistribution).toBe("broadcast");
    expect(subtasks.map(({ elements }) => elements)).toEqual([[["all", 2]], [["all", 2]]]);
    const offsets = await look<Elements>(job, `/events/offsets${of}`);
    expect(offsets.subtasks[0]!.elements).toHaveLength(1);
  }
  await job.cancel();
});

test.each(["hashmap", "sqlite"])(
  "a job that rests answers and rests on (%s)",
  { timeout: 90_000 },
  async (backend) => {
    const { job, producer, stop } = await streaming({ ...stateInFiles, "state.backend": backend });
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const restingSince = async () => (await job.details()).restingSince;
    await expect.poll(restingSince, { timeout: 30_000, interval: 200 }).toBeDefined();
    const since = await restingSince();
    const failures = seen.failures.length;
    const expected = await accumulators(job, "key-3");
    for (let time = 0; time < 3; time++) {
      expect(await look(job, "/tally/accumulators/key-3")).toMatchObject({ value: expected });
      await look(job, "");
    }
    expect(await restingSince()).toBe(since);
    await producer.send(100);
    await job.settlesAt("tallies", producer.expected);
    expect([seen.failures.length, await job.attempt()]).toEqual([failures, 1]);
  },
);
