// Savepoints over HTTP: taken while the job runs, kept when it is gone, failed without a trace.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { loadManifest } from "../../coordinator/load-manifest.ts";
import { manifestFiles } from "../../format/manifest.ts";
import { faults, Gate, heal, seen } from "./faults.ts";
import {
  call,
  killCoordinator,
  killSubtask,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";
import { outcome, post, savepoint, triggered } from "./savepoints.ts";

afterEach(heal);

const filesIn = async (folder: string): Promise<string[]> =>
  (await env.BUCKET.list({ prefix: `${folder}/` })).objects.map(({ key }) => key).sort();

/** The folder holds the manifest and what it names, and nothing else. */
async function isSelfContained(location: string): Promise<void> {
  const path = `${location}/_metadata`;
  const loaded = await loadManifest(env.BUCKET, path);
  if (loaded.kind === "failed") throw new Error(loaded.message);
  const named = new Set([path, ...manifestFiles(loaded.manifest)]);
  expect(await filesIn(location)).toEqual([...named].sort());
}

const isSavepointFile = (path: string): boolean => path.startsWith("savepoints/");

describe("a savepoint", () => {
  for (const [title, configuration] of [
    ["in memory", stateInFiles],
    ["on sqlite", { ...stateInFiles, "state.backend": "sqlite" }],
    ["with inline storage", { "execution.checkpointing.storage": "jobmanager" }],
    [
      "with unaligned checkpoints",
      { ...stateInFiles, "execution.checkpointing.unaligned.enabled": "true" },
    ],
  ] as const) {
    test(`${title} is whole in its own folder, and outlives its job`, async () => {
      const { job, producer, stop } = await streaming(configuration);
      const location = await savepoint(job, { "target-directory": "before/upgrade" });
      expect(location).toMatch(new RegExp(`^savepoints/before/upgrade/savepoint-${job.id}-\\d+$`));
      await isSelfContained(location);
      await job.completes(2);
      await stop();
      await job.settlesAt("tallies", producer.expected);
      await job.cancel();
      await expect.poll(() => job.files()).toEqual([]);
      await isSelfContained(location);
    });
  }

  test.each(["hashmap", "sqlite"])(
    "of a resting job wakes it, and it rests and counts on (%s)",
    { timeout: 90_000 },
    async (backend) => {
      const { job, producer, stop } = await streaming({
        ...stateInFiles,
        "state.backend": backend,
      });
      const rests = async (): Promise<void> => {
        const restingSince = async () => (await job.details()).restingSince !== undefined;
        await expect.poll(restingSince, { timeout: 30_000, interval: 200 }).toBe(true);
      };
      await stop();
      await job.settlesAt("tallies", producer.expected);
      await rests();
      const failures = seen.failures.length;
      await isSelfContained(await savepoint(job));
      await rests();
      await producer.send(100);
      await job.settlesAt("tallies", producer.expected);
      expect([seen.failures.length, await job.attempt()]).toEqual([failures, 1]);
    },
  );

  test("is shown beside checkpoints and is none of the retained", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const { latest } = await job.checkpoints();
    expect(latest).toMatchObject({
      savepoint: {
        is_savepoint: true,
        checkpoint_type: "SAVEPOINT",
        status: "COMPLETED",
        external_path: `${location}/_metadata`,
      },
      completed: { is_savepoint: false },
    });
  });

  test("SavepointHandlersTest: that is asked for again under its trigger id is the same", async () => {
    const { job } = await streaming(stateInFiles);
    const triggerId = "0123456789abcdef0123456789abcdef";
    const path = `/jobs/${job.id}/savepoints`;
    for (let time = 0; time < 3; time++) {
      expect(await triggered(await post(path, { triggerId }))).toBe(triggerId);
    }
    const first = await outcome(job, triggerId);
    expect(await triggered(await post(path, { triggerId }))).toBe(triggerId);
    expect(await outcome(job, triggerId)).toEqual(first);
    expect((await post(path, { triggerId, "cancel-job": true })).status).toBe(409);
    const { history } = await job.checkpoints();
    const taken = history.filter((entry) => "is_savepoint" in entry && entry.is_savepoint);
    expect(taken).toHaveLength(1);
  });

  test("StopWithSavepointHandlersTest: is refused where it makes no sense", async () => {
    const { job, stop } = await streaming(stateInFiles);
    const path = `/jobs/${job.id}/savepoints`;
    for (const body of [
      { "target-directory": "../jobs" },
      { "target-directory": "/etc" },
      { "target-directory": "s3://bucket/there" },
      { "target-directory": "a//b" },
      { "target-directory": "savepoint-1" },
      { triggerId: "1" },
      { formatType: "OTHER" },
      { somethingElse: 1 },
      [],
    ]) {
      expect([body, (await post(path, body)).status]).toEqual([body, 400]);
    }
    expect((await call(`${path}/${"a".repeat(32)}`)).status).toBe(404);
    expect((await call(`${path}/1`)).status).toBe(400);
    await stop();
    await job.cancel();
    expect((await post(path)).status).toBe(409);
  });
});

describe("a savepoint that fails leaves the job as it was, and nothing behind", () => {
  const failsWith = async (job: TestJob, trigger: string): Promise<string> => {
    const cause = (await outcome(job, trigger))["failure-cause"];
    await expect.poll(async () => (await filesIn("savepoints")).filter(isOf(job))).toEqual([]);
    return cause?.["stack-trace"] ?? "";
  };
  const isOf = (job: TestJob) => (path: string) => path.includes(job.id);
  const ask = async (job: TestJob): Promise<string> =>
    triggered(await post(`/jobs/${job.id}/savepoints`));

  test("as R2 takes no file of it", async () => {
    const { job, producer, stop } = await streaming({
      ...stateInFiles,
      "execution.checkpointing.tolerable-failed-checkpoints": "0",
    });
    let broken = 0;
    faults.onPut = (path, put) => {
      if (!isSavepointFile(path) || broken++ > 0) return put();
      return Promise.reject(new Error("put: the store is down (injected)"));
    };
    expect(await failsWith(job, await ask(job))).toMatch(/was not stored/);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
  });

  test("as a subtask is lost in the middle", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (isSavepointFile(path)) await gate.pass();
      return put();
    };
    const trigger = await ask(job);
    await until("a file is on its way", () => gate.arrived > 0);
    await killSubtask(job.id, await job.task("tally/0"));
    await job.running(2);
    gate.open();
    expect(await failsWith(job, trigger)).toMatch(/Attempt 1 failed/);
    await stop();
    await job.settlesAt("tallies", producer.expected);
  });

  test("as its coordinator is lost in the middle", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (isSavepointFile(path)) await gate.pass();
      return put();
    };
    const trigger = await ask(job);
    await until("a file is on its way", () => gate.arrived > 0);
    await killCoordinator(job.id);
    expect((await outcome(job, trigger))["failure-cause"]?.["stack-trace"]).toMatch(/restarted/);
    gate.open();
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
  });
});

describe("a job that is stopped with a savepoint", () => {
  test.each([{}, { drain: true }])(
    "StopWithSavepointITCase: ends FINISHED, and what is read later is not in it (%j)",
    async (asked) => {
      const { job, stop } = await streaming(stateInFiles);
      const trigger = await triggered(await post(`/jobs/${job.id}/stop`, asked));
      const { location } = await outcome(job, trigger);
      await until("the job is finished", async () => (await job.state()) === "FINISHED");
      await stop();
      await isSelfContained(location!);
      await expect.poll(() => job.files()).toEqual([]);
      expect(await outcome(job, trigger)).toEqual({ location });
    },
  );

  test("JobMasterTriggerSavepointITCase: with cancel-job ends CANCELED", async () => {
    const { job } = await streaming(stateInFiles);
    const location = await savepoint(job, { "cancel-job": true });
    await until("the job is cancelled", async () => (await job.state()) === "CANCELED");
    await isSelfContained(location);
  });

  test("StopWithSavepointITCase: goes on as if nothing had been where the savepoint fails", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    let broken = 0;
    faults.onPut = (path, put) => {
      if (!isSavepointFile(path) || broken++ > 0) return put();
      return Promise.reject(new Error("put: the store is down (injected)"));
    };
    const trigger = await triggered(await post(`/jobs/${job.id}/stop`));
    const { "failure-cause": cause } = await outcome(job, trigger);
    expect(cause?.["stack-trace"]).toMatch(/was not stored/);
    await job.completes(2);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect([await job.attempt(), await job.state()]).toEqual([1, "RUNNING"]);
  });
});
