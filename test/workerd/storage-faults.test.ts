import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { faults, Gate, heal } from "./faults.ts";
import { killSubtask, stateInFiles, type Streaming, streaming, until } from "./harness.ts";

const isManifest = (path: string): boolean => path.endsWith("/_metadata");
const isStateFile = (path: string): boolean => !isManifest(path);

afterEach(heal);

/** The job counted exactly, can be restored, and what it stored is what it needs. */
async function isSound({ job, producer, stop }: Streaming): Promise<void> {
  await stop();
  await job.settlesAt("tallies", producer.expected);
  await job.keepsOnlyWhatItNeeds();
  await abortAllDurableObjects();
  await job.running((await job.attempt()) + 1);
  await job.settlesAt("tallies", producer.expected);
  await job.cancel();
  await expect.poll(() => job.files()).toEqual([]);
}

/** What becomes of an upload, and how often. */
type Upload = (put: () => Promise<R2Object | null>, path: string) => Promise<R2Object | null>;

function breakUploads(of: (path: string) => boolean, times: number, upload: Upload): () => number {
  let broken = 0;
  faults.onPut = (path, put) => {
    if (!of(path) || broken >= times) return put();
    broken++;
    return upload(put, path);
  };
  return () => broken;
}

const fails: Upload = async () => {
  throw new Error("put: the store is down (injected)");
};
const succeedsAndFails: Upload = async (put) => {
  await put();
  throw new Error("put: the connection was lost (injected)");
};

/** Holds the next state file; resolves when its upload has begun, and `release` when it is over. */
async function holdUpload(): Promise<{ readonly release: () => Promise<void> }> {
  const gate = new Gate();
  let isStored = false;
  breakUploads(isStateFile, 1, async (put) => {
    await gate.pass();
    const stored = await put();
    isStored = true;
    return stored;
  });
  await until("an upload is held", () => gate.arrived > 0);
  return {
    release: async () => {
      gate.open();
      await until("the upload ends", () => isStored);
    },
  };
}

describe("a state file (StreamTaskTest, AsyncCheckpointRunnableTest)", () => {
  test.each([
    ["is not stored", fails],
    ["is stored but reported as failed", succeedsAndFails],
  ])("that %s fails its checkpoint and no later one", async (_, upload) => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const before = (await job.checkpoints()).counts;
    const broken = breakUploads(isStateFile, 3, upload);
    await until("uploads were broken", () => broken() === 3);
    const { counts, latest } = await job.completes(2);
    expect(counts.failed).toBeGreaterThan(before.failed);
    expect(latest.failed?.failure_message).toMatch(/^Declined by .* was not stored/);
    expect(await job.attempt()).toBe(1);
    await isSound(stream);
  });

  test("that is not stored ends the attempt where no failure is tolerated", async () => {
    const key = "execution.checkpointing.tolerable-failed-checkpoints";
    const stream = await streaming({ ...stateInFiles, [key]: "0" });
    const { job } = stream;
    breakUploads(isStateFile, 1, fails);
    await job.running(2);
    const { failures } = await job.details();
    expect(failures[0]).toMatchObject({ attempt: 1, name: "CheckpointFailed" });
    await isSound(stream);
  });

  test("TaskCheckpointingBehaviourTest: of an attempt that is over leaves no orphan", async () => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const { release } = await holdUpload();
    await killSubtask(job.id, await job.task("step/0"));
    await job.running(2);
    await job.completes();
    await release();
    await isSound(stream);
  });

  test("that is on its way while the job is cancelled leaves no orphan", async () => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const { release } = await holdUpload();
    await job.cancel();
    await release();
    await stream.stop();
    await expect.poll(() => job.files()).toEqual([]);
  });
});

describe("a manifest", () => {
  test("that is not stored fails its checkpoint and no later one", async () => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const before = (await job.checkpoints()).counts;
    const broken = breakUploads(isManifest, 2, fails);
    await until("manifests were broken", () => broken() === 2);
    const { counts, latest } = await job.completes(2);
    expect(counts.failed).toBe(before.failed + 2);
    expect(latest.failed?.failure_message).toMatch(/^Its manifest was not written/);
    expect(await job.attempt()).toBe(1);
    await isSound(stream);
  });

  test("that is stored but reported as failed completes its checkpoint", async () => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const before = (await job.checkpoints()).counts;
    const broken = breakUploads(isManifest, 3, succeedsAndFails);
    await until("manifests were broken", () => broken() === 3);
    const { counts } = await job.completes(2);
    expect(counts.failed).toBe(before.failed);
    await isSound(stream);
  });

  test("is never overwritten: where another stands, the checkpoint fails", async () => {
    const stream = await streaming(stateInFiles);
    const { job } = stream;
    const paths: string[] = [];
    breakUploads(isManifest, 1, async (put, path) => {
      paths.push(path);
      await env.BUCKET.put(path, "of another coordinator");
      return put();
    });
    await until("a manifest was in the way", () => paths.length === 1);
    const { latest } = await job.completes(2);
    expect(latest.failed?.failure_message).toMatch(/holds another manifest/);
    await isSound(stream);
  });
});
