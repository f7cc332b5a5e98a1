// Savepoints that are deleted: only they, only where no job needs them, and whole whatever happens.

import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { objectName } from "../../format/ids.ts";
import { faults, Gate, heal } from "./faults.ts";
import { call, json, killDispatcher, stateInFiles, streaming, until } from "./harness.ts";
import { post, programOf, runFrom, savepoint } from "./savepoints.ts";

afterEach(heal);

interface Result {
  readonly status: { readonly id: string };
  readonly operation: { readonly "failure-cause"?: { readonly "stack-trace": string } } | null;
}

const dispose = (path: string, more: object = {}): Promise<Response> =>
  post("/savepoint-disposal", { "savepoint-path": path, ...more });

const errorOf = async (response: Response): Promise<string> =>
  (await response.json<{ errors: string[] }>()).errors[0]!;

const result = async (trigger: string): Promise<Result> =>
  json(await call(`/savepoint-disposal/${trigger}`));

/** What became of an accepted request. */
async function disposed(response: Response): Promise<NonNullable<Result["operation"]>> {
  const { "request-id": trigger } = await json<{ "request-id": string }>(response);
  return until("the disposal is over", async () => (await result(trigger)).operation ?? false);
}

const filesIn = async (prefix: string): Promise<string[]> =>
  (await env.BUCKET.list({ prefix })).objects.map(({ key }) => key);

async function copied(from: string, to: string): Promise<void> {
  for (const path of await filesIn(`${from}/`)) {
    const found = await env.BUCKET.get(path);
    await env.BUCKET.put(path.replace(from, to), await found!.arrayBuffer());
  }
}

describe("a savepoint is deleted", () => {
  test("with all that is its own, and nothing else", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const inside = `${location}/copy`;
    const beside = `${location}0`;
    await copied(location, beside);
    await copied(location, inside);
    const kept = [...(await filesIn(`${inside}/`)), ...(await filesIn(`${beside}/`))].sort();
    expect(await disposed(await dispose(location))).toEqual({});
    expect(await filesIn(location)).toEqual(kept);
    expect(await disposed(await dispose(`${inside}/_metadata`))).toEqual({});
    expect(await disposed(await dispose(`${beside}/`))).toEqual({});
    expect(await filesIn(location)).toEqual([]);
    await job.completes();
  });

  test("once under one trigger id, however often it is asked for", async () => {
    const { job } = await streaming(stateInFiles);
    const [location, other] = [await savepoint(job), await savepoint(job)];
    const triggerId = "00ff".repeat(8);
    for (let time = 0; time < 3; time++) {
      expect(await disposed(await dispose(location, { triggerId }))).toEqual({});
    }
    expect((await dispose(other, { triggerId })).status).toBe(409);
    expect((await dispose(location)).status).toBe(404);
    expect(await filesIn(`${other}/`)).not.toEqual([]);
  });

  test("also what a failed one may have left", async () => {
    const { job } = await streaming(stateInFiles);
    const leftover = `savepoints/savepoint-${job.id}-999999`;
    await env.BUCKET.put(`${leftover}/a-0`, "left");
    expect(await disposed(await dispose(leftover))).toEqual({});
    expect(await filesIn(leftover)).toEqual([]);
  });
});

describe("nothing is deleted", () => {
  test("where there is no savepoint", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job, { "target-directory": "keep/these" });
    await env.BUCKET.put("savepoints/mine/notes", "mine");
    const before = await filesIn("");
    for (const path of ["savepoints/keep", "savepoints/keep/these", "savepoints/mine"]) {
      expect([path, (await dispose(path)).status]).toEqual([path, 404]);
    }
    const { latest } = await job.checkpoints();
    for (const path of [
      "savepoints",
      "savepoints/",
      "",
      "..",
      "savepoints/..",
      `${location}/../..`,
      "s3://bucket/savepoints/a",
      `jobs/${job.id}`,
      latest.completed!.external_path!,
    ]) {
      expect([path, (await dispose(path)).status]).toEqual([path, 400]);
    }
    for (const body of [{}, { "savepoint-path": 1 }, { "savepoint-path": location, more: 1 }]) {
      expect((await post("/savepoint-disposal", body)).status).toBe(400);
    }
    expect((await dispose(location, { triggerId: "x" })).status).toBe(400);
    expect((await call(`/savepoint-disposal/${"a".repeat(32)}`)).status).toBe(404);
    expect(await filesIn("savepoints/")).toEqual(
      before.filter((path) => path.startsWith("savepoints/")),
    );
  });

  test("while a job begins with it, and it is told which", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const program = await programOf(job);
    const next = await runFrom(program, location, {
      flinkConfiguration: { "execution.checkpointing.interval": "1 h" },
    });
    const refused = await dispose(location);
    expect(refused.status).toBe(409);
    expect(await errorOf(refused)).toBe(
      `${location} is needed: job ${next.id} begins with it, and has no checkpoint of its own yet.`,
    );
    await next.cancel();
    const other = await runFrom(program, location);
    await other.completes();
    expect(await disposed(await dispose(location))).toEqual({});
  });
});

describe("whatever happens meanwhile", () => {
  test("the manifest goes first, and a dispatcher that comes back does the rest", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const program = await programOf(job);
    const gate = new Gate();
    faults.onDelete = async (paths, remove) => {
      if (Array.isArray(paths) && paths.some((path) => path.includes(location))) {
        const isManifest = paths.every((path) => path.endsWith("/_metadata"));
        if (!isManifest) await gate.pass();
      }
      return remove();
    };
    const { "request-id": trigger } = await json<{ "request-id": string }>(await dispose(location));
    await until("the files are about to go", () => gate.arrived > 0);
    const left = await filesIn(`${location}/`);
    expect(left).not.toEqual([]);
    expect(left).not.toContain(`${location}/_metadata`);
    expect((await result(trigger)).status.id).toBe("IN_PROGRESS");
    expect((await dispose(location)).status).toBe(409);
    expect((await post(`/jars/${program}/run`, { savepointPath: location })).status).toBe(422);
    await killDispatcher();
    heal();
    // Only its alarm can do it now.
    const stub = env.DISPATCHER.getByName(objectName.dispatcher());
    expect(await runDurableObjectAlarm(stub as never)).toBe(true);
    await until("it is deleted", async () => (await result(trigger)).status.id === "COMPLETED");
    expect(await filesIn(location)).toEqual([]);
    gate.open();
  });

  test("a store that fails for a while is asked again", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    let broken = 0;
    faults.onDelete = (paths, remove) => {
      const isOurs = [paths].flat().some((path) => path.startsWith(location));
      if (!isOurs || ++broken > 2) return remove();
      return Promise.reject(new Error("delete: the store is down (injected)"));
    };
    expect(await disposed(await dispose(location))).toEqual({});
    expect(broken).toBeGreaterThan(2);
    expect(await filesIn(location)).toEqual([]);
  });

  test("a job that is registered meanwhile is refused", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const gate = new Gate();
    faults.onDelete = async (paths, remove) => {
      if ([paths].flat().some((path) => path.startsWith(location))) await gate.pass();
      return remove();
    };
    const asked = await dispose(location);
    await until("the manifest is about to go", () => gate.arrived > 0);
    const response = await post(`/jars/${await programOf(job)}/run`, { savepointPath: location });
    expect(response.status).toBe(422);
    expect(await errorOf(response)).toMatch(/is being deleted/);
    gate.open();
    expect(await disposed(asked)).toEqual({});
  });
});
