// Checkpoints by hand over HTTP.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { loadManifest } from "../../coordinator/load-manifest.ts";
import { manifestFiles } from "../../format/manifest.ts";
import { faults, Gate, heal } from "./faults.ts";
import {
  call,
  json,
  killCoordinator,
  killSubtask,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";
import { post, triggered } from "./savepoints.ts";

afterEach(heal);

interface Result {
  readonly operation: {
    readonly checkpointId?: number;
    readonly failureCause?: { readonly "stack-trace": string };
  } | null;
}

const ask = async (job: TestJob, body: object = {}): Promise<string> =>
  triggered(await post(`/jobs/${job.id}/checkpoints`, body));

const outcome = (job: TestJob, trigger: string): Promise<NonNullable<Result["operation"]>> =>
  until("the checkpoint is over", async () => {
    const { operation } = await json<Result>(await call(`/jobs/${job.id}/checkpoints/${trigger}`));
    return operation ?? false;
  });

const taken = async (job: TestJob, body: object = {}): Promise<number> => {
  const { checkpointId } = await outcome(job, await ask(job, body));
  if (checkpointId === undefined) throw new Error("The checkpoint failed.");
  return checkpointId;
};

/** Checkpoints whose folders hold what that one needs. */
async function foldersOf(job: TestJob, checkpoint: number): Promise<number[]> {
  const path = `jobs/${job.id}/chk-${checkpoint}/_metadata`;
  const loaded = await loadManifest(env.BUCKET, path);
  if (loaded.kind === "failed") throw new Error(loaded.message);
  const ids = manifestFiles(loaded.manifest).map((file) => Number(/chk-(\d+)/.exec(file)![1]));
  return [...new Set(ids)].sort((left, right) => left - right);
}

const seldom = { ...stateInFiles, "execution.checkpointing.interval": "1 h" };

async function slow(configuration: Readonly<Record<string, string>> = {}) {
  const made = await streaming({ ...seldom, ...configuration }, { checkpoints: 0 });
  await until("rows are counted", async () => {
    return ((await made.job.rows("tallies", "latest")) ?? []).length > 10;
  });
  return made;
}

describe("a checkpoint by hand", () => {
  test.each([{}, { "execution.checkpointing.unaligned.enabled": "true" }])(
    "is what a job goes back to where it takes no others: %o",
    async (configuration) => {
      const { job, producer, stop } = await slow(configuration);
      const id = await taken(job);
      const { latest } = await job.checkpoints();
      expect(latest.completed).toMatchObject({ id, status: "COMPLETED" });
      await killSubtask(job.id, await job.task("tally/0"));
      await job.running(2);
      expect((await job.checkpoints()).latest.restored?.id).toBe(id);
      await stop();
      // Rows are committed by a checkpoint only.
      await expect
        .poll(async () => {
          await taken(job);
          return job.rows("tallies");
        })
        .toEqual(producer.expected);
    },
  );

  test.each(["false", "true"])(
    "refers to no file of an earlier one where it is FULL (unaligned: %s)",
    async (unaligned) => {
      const { job } = await slow({ "execution.checkpointing.unaligned.enabled": unaligned });
      await until("a checkpoint builds on an earlier one", async () => {
        const id = await taken(job, { checkpointType: "INCREMENTAL" });
        return (await foldersOf(job, id)).length > 1;
      });
      const full = await taken(job, { checkpointType: "FULL" });
      expect(await foldersOf(job, full)).toEqual([full]);
      expect(Math.min(...(await foldersOf(job, await taken(job))))).toBe(full);
    },
  );

  test("goes between periodic ones, and is one of them", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    for (let time = 0; time < 3; time++) await taken(job);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
  });

  test("fails with its coordinator, and says so under its trigger id", async () => {
    const { job } = await slow();
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (path.includes("/chk-")) await gate.pass();
      return put();
    };
    const trigger = await ask(job, { triggerId: "ab".repeat(16) });
    await until("a file is on its way", () => gate.arrived > 0);
    await killCoordinator(job.id);
    const { failureCause } = await outcome(job, trigger);
    expect(failureCause?.["stack-trace"]).toMatch(/restarted/);
    gate.open();
    expect(await ask(job, { triggerId: trigger })).toBe(trigger);
    expect(await outcome(job, trigger)).toEqual({ failureCause });
    await taken(job);
  });

  test("of a job that rests is the one it rests on", { timeout: 60_000 }, async () => {
    const { job, stop } = await streaming(stateInFiles);
    await stop();
    await expect
      .poll(async () => (await job.details()).restingSince !== undefined, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe(true);
    const { latest } = await job.checkpoints();
    expect(await taken(job)).toBe(latest.completed!.id);
    expect((await job.details()).restingSince).toBeDefined();
    expect(await taken(job, { checkpointType: "FULL" })).toBeGreaterThan(latest.completed!.id);
  });

  test("is refused where it makes no sense", async () => {
    const { job, stop } = await streaming({
      ...stateInFiles,
      "execution.checkpointing.incremental": "false",
    });
    const path = `/jobs/${job.id}/checkpoints`;
    for (const body of [
      { checkpointType: "SOME" },
      { checkpointType: "INCREMENTAL" },
      { triggerId: "1" },
      { more: 1 },
      [],
    ]) {
      expect([body, (await post(path, body)).status]).toEqual([body, 400]);
    }
    expect((await call(`${path}/${"a".repeat(32)}`)).status).toBe(404);
    const triggerId = await ask(job);
    expect((await post(path, { triggerId, checkpointType: "FULL" })).status).toBe(409);
    await stop();
    await job.cancel();
    expect((await post(path)).status).toBe(409);
    expect(await outcome(job, triggerId)).toEqual({ checkpointId: expect.any(Number) as number });
  });
});
