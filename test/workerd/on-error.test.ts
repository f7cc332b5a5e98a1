import { describe, expect, onTestFinished, test } from "vitest";

import { faults, Gate, heal, seen } from "./faults.ts";
import { becomes, call, json, killSubtask, run, until } from "./harness.ts";
import type { Tally, Verdict } from "./programs.ts";
import { forkOf } from "./savepoints.ts";

const patient = { timeout: 60_000 };

interface Partition {
  readonly partition: number;
  readonly next: number;
}

const topics = async (): Promise<{ topic: string; partitions: Partition[] }[]> =>
  (await json<{ topics: { topic: string; partitions: Partition[] }[] }>(await call("/topics")))
    .topics;

describe("rows that user code throws on", () => {
  test(
    "are in the dead letter topic once each, whatever is killed, and another job reads them",
    patient,
    async () => {
      const job = await run("squeamish");
      const coroner = await run("coroner");
      onTestFinished(async () => {
        heal();
        await job.cancel();
        await coroner.cancel();
      });
      await job.running();
      const sent: { key: string; n: number; place: string }[] = [];
      const send = async (records: number): Promise<void> => {
        const events = Array.from({ length: records }, (_, at) => {
          const n = sent.length + at + 1;
          return { key: `key-${n % 5}`, n };
        });
        const body = JSON.stringify(events);
        const { partitions } = await json<{ partitions: { partition: number; first: number }[] }>(
          await call("/topics/squeamish/records", { method: "POST", body }),
        );
        const [{ partition, first }] = partitions as [{ partition: number; first: number }];
        events.forEach((event, at) => sent.push({ ...event, place: `${partition} ${first + at}` }));
      };

      for (const title of ["events/0", "tally/1", "events/1", "tally/0"]) {
        // Letters arrive, and their sender dies before it hears of it; or they wait, and it dies.
        const gate = new Gate();
        faults.onAppend = async (append, _, { idempotencyKey }) => {
          if (idempotencyKey === undefined) return append();
          const isFirst = gate.arrived === 0;
          const outcome = isFirst ? await append() : undefined;
          await gate.pass();
          return outcome ?? append();
        };
        await send(30);
        await until("a letter is under way", () => gate.arrived > 0);
        const attempt = await job.attempt();
        await killSubtask(job.id, await job.task(title));
        heal();
        gate.open();
        await send(30);
        await job.running(attempt + 1);
      }
      // A topic that fails, before and after it has taken the letters.
      let failures = 0;
      faults.onAppend = async (append, _, { idempotencyKey }) => {
        if (idempotencyKey === undefined || failures >= 4) return append();
        if (failures++ % 2 === 1) await append();
        throw new Error("The disk is full.");
      };
      const attempt = await job.attempt();
      await send(40);
      await until("letters were refused", () => failures >= 4);
      await job.completes(2);

      const isBad = ({ n }: { n: number }): boolean => n % 7 === 0 || n % 11 === 0;
      const tallies = new Map<string, Tally>();
      for (const { key, n } of sent.filter((event) => !isBad(event))) {
        const { rows, sum, squares } = tallies.get(key) ?? { rows: 0, sum: 0, squares: 0 };
        tallies.set(key, { key, rows: rows + 1, sum: sum + n, squares: squares + n ** 2 });
      }
      const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);
      expect(await job.attempt()).toBe(attempt);
      await job.settlesAt("tallies", [...tallies.values()].sort(byKey));
      const verdicts = sent
        .filter(isBad)
        .map(({ n, place }): Verdict => {
          const [uid, error] = n % 7 === 0 ? ["picky", "TypeError"] : ["tally", "RangeError"];
          return { key: `${uid} squeamish ${place} ${n} ${error}`, letters: 1 };
        })
        .sort(byKey);
      await coroner.settlesAt("verdicts", verdicts);

      const dead = (await topics()).find(({ topic }) => topic === "unreadable");
      expect(dead?.partitions.reduce((sum, { next }) => sum + next, 0)).toBe(verdicts.length);
    },
  );
});

test("letters that a job and its fork both go on with are sent once", patient, async () => {
  const job = await run("squeamish");
  onTestFinished(async () => {
    heal();
    await job.cancel();
  });
  await job.running();
  const letters = async (): Promise<number> => {
    const dead = (await topics()).find(({ topic }) => topic === "unreadable");
    return dead!.partitions.reduce((sum, { next }) => sum + next, 0);
  };
  const send = async (): Promise<void> => {
    const body = JSON.stringify(Array.from({ length: 14 }, (_, n) => ({ key: "a", n: n + 1 })));
    await json(await call("/topics/squeamish/records", { method: "POST", body }));
  };
  const isBad = 3; // 7, 11 and 14
  // What is in the topic already has letters, too.
  let before = -1;
  for (let now = await letters(); now !== before; now = await letters()) {
    before = now;
    await job.completes(3);
  }
  const gate = new Gate();
  const appends = new Map<string, number>();
  faults.onAppend = async (append, _, { idempotencyKey: key }) => {
    if (key === undefined) return append();
    appends.set(key, (appends.get(key) ?? 0) + 1);
    await gate.pass();
    return append();
  };
  await send();
  await until("letters are under way", () => gate.arrived > 0);
  await job.completes(2);
  const fork = await forkOf(job);
  await fork.completes(2);
  await until("both send what was prepared", () => [...appends.values()].every((n) => n > 1));
  expect(await letters()).toBe(before);
  gate.open();
  heal();
  await until("the letters are there", async () => (await letters()) === before + isBad);
  // From here on each has letters of its own.
  await send();
  await until("both sent theirs", async () => (await letters()) === before + 3 * isBad);
  await job.completes(2);
  await fork.completes(2);
  expect(await letters()).toBe(before + 3 * isBad);
});

test("a topic that takes no letters fails the attempt by its name", patient, async () => {
  const job = await run("squeamish");
  onTestFinished(async () => {
    heal();
    await job.cancel();
  });
  await job.running();
  faults.onAppend = async (append, _, { idempotencyKey }) =>
    idempotencyKey === undefined ? append() : { kind: "conflict" };
  const before = seen.failures.length;
  const body = JSON.stringify([{ key: "a", n: 7 }]);
  await call("/topics/squeamish/records", { method: "POST", body });
  await until("the attempt fails", () => seen.failures.length > before);
  expect(seen.failures[before]).toMatchObject({
    name: "TopicUnwritable",
    message: expect.stringMatching(
      /^Partition \d of topic "unreadable" takes no append: .* holds something else/,
    ),
  });
});

describe("a processing-time timer", () => {
  test("fires after the topic went quiet, and after its subtask was lost", async () => {
    const job = await run("patient");
    onTestFinished(() => job.cancel());
    await job.running();
    const send = async (key: string, n: number): Promise<void> => {
      const init = { method: "POST", body: JSON.stringify([{ key, n }]) };
      await json(await call("/topics/patient/records", init));
    };
    for (let n = 0; n < 3; n++) await send("soon", 1_000);
    await send("later", 4_000);
    await until("the first has rung", async () => (await job.rows("rung"))?.length);
    await job.completes();
    await killSubtask(job.id, await job.task("clock/0"));
    await killSubtask(job.id, await job.task("clock/1"));
    await becomes(
      () => job.rows("rung"),
      [
        { key: "later", seen: 1 },
        { key: "soon", seen: 3 },
      ],
    );
  });
});
