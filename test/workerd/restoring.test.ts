// Jobs that begin with a savepoint: at another size, in another program, or not at all.

import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { objectName } from "../../format/ids.ts";
import { faults, Gate, heal, seen } from "./faults.ts";
import {
  call,
  json,
  killSubtask,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";
import { outcome, post, programOf, runFrom, savepoint, stopped, triggered } from "./savepoints.ts";

afterEach(heal);

const sqlite = { ...stateInFiles, "state.backend": "sqlite" };

const deleted = async (folder: string): Promise<void> => {
  const { objects } = await env.BUCKET.list({ prefix: `${folder}/` });
  await env.BUCKET.delete(objects.map(({ key }) => key));
};

const parallelismOf = async (job: TestJob): Promise<number[]> =>
  (await job.details()).plan.vertices.map(({ parallelism }) => parallelism);

test("a state that takes long to load is no loss of its subtask", { timeout: 60_000 }, async () => {
  const { job, producer, stop } = await streaming(stateInFiles);
  const before = await job.attempt();
  const gate = new Gate();
  faults.onGet = async (_, get) => {
    await gate.pass();
    return get();
  };
  const task = await job.task("tally/0");
  await killSubtask(job.id, task);
  await until("its state is being read", () => gate.arrived > 0);
  const failed = seen.failures.length;
  // By which it would notice that it has lost its memory.
  const stub = env.SUBTASK.getByName(objectName.subtask(job.id, task));
  expect(await runDurableObjectAlarm(stub as never)).toBe(true);
  gate.open();
  await job.running(before + 1);
  expect(seen.failures.slice(failed)).toEqual([]);
  await stop();
  await job.settlesAt("tallies", producer.expected);
});

describe("a job that begins with a savepoint", () => {
  for (const [title, configuration, later] of [
    ["in memory", stateInFiles],
    ["on sqlite", sqlite],
    ["unaligned", { ...stateInFiles, "execution.checkpointing.unaligned.enabled": "true" }],
    ["SavepointStateBackendSwitchTestBase: from memory to sqlite", stateInFiles, sqlite],
  ] as const) {
    test(
      `RescalingITCase, SavepointITCase: counts as one that never stopped, 1 to 3 to 2, ${title}`,
      { timeout: 60_000 },
      async () => {
        const first = await streaming({ ...configuration, "parallelism.default": "1" });
        const program = await programOf(first.job);
        const options = { flinkConfiguration: later ?? configuration };
        const three = await runFrom(program, await stopped(first.job), {
          ...options,
          parallelism: 3,
        });
        expect(await parallelismOf(three)).toEqual([3, 3, 3]);
        await three.completes(2);
        await killSubtask(three.id, await three.task("tally/2"));
        await three.running(2);
        await three.completes(2);
        const two = await runFrom(program, await stopped(three), { ...options, parallelism: 2 });
        await two.completes(2);
        await first.stop();
        await two.settlesAt("tallies", first.producer.expected);
        // Nothing more comes: what is in the last savepoint is all there is.
        const last = await runFrom(program, await stopped(two), { ...options, parallelism: 1 });
        await last.settlesAt("tallies", first.producer.expected);
      },
    );
  }

  test("StopWithSavepointITCase: a stop commits what is in the savepoint, and nothing more", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const before = producer.expected;
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (path.startsWith("savepoints/")) await gate.pass();
      return put();
    };
    const trigger = await triggered(await post(`/jobs/${job.id}/stop`));
    await until("both tallies have frozen", () => gate.arrived === 2);
    // What comes behind the barrier is not even read.
    await producer.send(100);
    await scheduler.wait(200);
    expect(await job.rows("tallies", "latest")).toEqual(before);
    gate.open();
    const { location } = await outcome(job, trigger);
    await until("the job is finished", async () => (await job.state()) === "FINISHED");
    heal();
    faults.onAcknowledge = () => new Promise(() => {});
    const next = await runFrom(await programOf(job), location!);
    expect(await until("the table is served", () => next.rows("tallies"))).toEqual(before);
    heal();
    await until("what came later is counted", async () => {
      const rows = await next.rows("tallies", "latest");
      return JSON.stringify(rows) === JSON.stringify(producer.expected);
    });
  });

  test("needs it until its own first checkpoint, and never after (NO_CLAIM)", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const location = await savepoint(job, { "cancel-job": true });
    const gate = new Gate();
    faults.onPut = async (_, put) => {
      await gate.pass();
      return put();
    };
    const options = { flinkConfiguration: stateInFiles, claimMode: "NO_CLAIM" };
    const next = await runFrom(await programOf(job), location, options);
    await killSubtask(next.id, await next.task("tally/0"));
    await next.running(2);
    gate.open();
    heal();
    await next.completes(1);
    await deleted(location);
    const attempt = await next.attempt();
    await abortAllDurableObjects();
    await next.running(attempt + 1);
    await stop();
    await next.settlesAt("tallies", producer.expected);
  });

  test("ResumeCheckpointManuallyITCase: or with a retained checkpoint of another job", async () => {
    const { job, producer, stop } = await streaming({
      ...stateInFiles,
      "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    });
    await job.cancel();
    const { latest } = await job.checkpoints();
    const path = latest.completed!.external_path!;
    const next = await runFrom(await programOf(job), path, {
      parallelism: 3,
      flinkConfiguration: stateInFiles,
    });
    await stop();
    await next.settlesAt("tallies", producer.expected);
    expect((await next.checkpoints()).latest.restored?.id).toBe(latest.completed!.id);
  });

  test("is not started where it does not fit, and all reasons are named", async () => {
    const { job, stop } = await streaming({
      ...stateInFiles,
      "pipeline.max-parallelism": "64",
    });
    const program = await programOf(job);
    await stop();
    const location = await stopped(job);
    const before = await json<{ jobs: unknown[] }>(await call("/jobs"));
    const refused = async (of: string, body: object): Promise<[number, string]> => {
      const response = await post(`/jars/${of}/run`, { savepointPath: location, ...body });
      const { errors } = await response.json<{ errors: string[] }>();
      return [response.status, errors[0] ?? ""];
    };
    const [status, message] = await refused("even-odd", {});
    expect(status).toBe(422);
    expect(message).toMatch(/"tally" has state .* and is not in program "even-odd"/);
    expect(message).toMatch(/"events" has state/);
    for (const [body, code, reason] of [
      [{ flinkConfiguration: { "pipeline.max-parallelism": "128" } }, 422, /64 key groups/],
      [{ parallelism: 65 }, 400, /max parallelism, which is 64/],
      [{ savepointPath: "savepoints/none" }, 422, /is not there/],
      [{ savepointPath: "../x" }, 400, /neither a savepoint/],
      [{ savepointPath: "jobs/../savepoints" }, 400, /neither a savepoint/],
      [{ claimMode: "LEGACY" }, 400, /LEGACY/],
    ] as const) {
      const answer = await refused(program, body);
      expect(answer).toEqual([code, expect.stringMatching(reason)]);
    }
    expect(await json(await call("/jobs"))).toEqual(before);
    const other = await runFrom("even-odd", location, { allowNonRestoredState: true });
    expect((await other.details()).plan.maxParallelism).toBe(64);
  });
});
