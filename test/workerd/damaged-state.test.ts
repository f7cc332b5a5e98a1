// Snapshot files that are not what was written, or cannot be read.

import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test } from "vitest";

import { loadManifest } from "../../coordinator/load-manifest.ts";
import { attempt, jobIdFrom } from "../../format/ids.ts";
import type { DeployOutcome, TaskDeployment } from "../../format/messages.ts";
import type { BytesHandle } from "../../format/state-handle.ts";
import { faults, heal, seen } from "./faults.ts";
import { Producer, run, stateInFiles, subtaskOf, type TestJob } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

afterEach(heal);

type File = Extract<BytesHandle, { kind: "file" }>;

/** A checkpoint that outlived its job, and the deployment of one of its subtasks from it. */
let deployment: TaskDeployment;
let file: File;
let bytes: Uint8Array;

beforeAll(async () => {
  const producer = new Producer(unusedCopy());
  const job: TestJob = await run(producer.topic, {
    ...stateInFiles,
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
  });
  await job.running();
  for (let request = 0; request < 20; request++) await producer.send();
  await job.completes(3);
  await job.cancel();
  const { plan, config } = await job.details();
  const task = await job.task("tally/0");
  const { latest } = await job.checkpoints();
  const loaded = await loadManifest(env.BUCKET, latest.completed!.external_path!);
  if (loaded.kind !== "loaded") throw new Error("The checkpoint is not there.");
  const { manifest } = loaded;
  const states = manifest.tasks.flatMap(({ task: key, state }) =>
    key.startsWith(`${task.vertex}/`) ? [state] : [],
  );
  const { checkpoint } = manifest;
  deployment = {
    job: job.id,
    attempt: attempt(1),
    task,
    plan,
    config,
    restore: { checkpoint, states },
  };
  const own = states[task.index]!.keyed.flatMap(({ segments }) => segments);
  file = own.find((handle): handle is File => handle.kind === "file")!;
  bytes = new Uint8Array(await (await env.BUCKET.get(file.path))!.arrayBuffer());
});

/** Deploys it to an object of its own; the file is as it was before and after. */
async function deploys(harm: () => Promise<unknown>): Promise<DeployOutcome> {
  await harm();
  const job = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  const subtask = subtaskOf(job, deployment.task);
  try {
    return await subtask.deploy({ ...deployment, job });
  } finally {
    await env.BUCKET.put(file.path, bytes);
    await subtask.cancel(deployment.attempt);
  }
}

const withByte = (at: number): Uint8Array => {
  const changed = bytes.slice();
  changed[at]! ^= 1;
  return changed;
};

describe("a deployment", () => {
  test("whose files are as they were written is carried out", async () => {
    expect(await deploys(async () => {})).toEqual({ kind: "deployed" });
  });

  test.each([0, 5, 9, 25, 30, 40, 200, 0.5, 0.9, -1])(
    "is refused where byte %s of a segment was changed, and names it",
    async (at) => {
      const { offset, length, path } = file;
      const place = at < 0 ? length + at : at < 1 ? Math.floor(length * at) : at;
      const outcome = await deploys(() => env.BUCKET.put(path, withByte(offset + place)));
      expect(outcome).toMatchObject({ kind: "refused", fault: "damagedState" });
      const { reason } = outcome as { reason: string };
      expect(reason).toContain(`State file ${path}, bytes ${offset} to ${offset + length}`);
      expect(reason).toMatch(/\(operator "(tally|out)", state "\w+"\): .*\.$/);
    },
  );

  test.each([
    ["is missing", () => env.BUCKET.delete(file.path), /: it is not in the bucket\.$/],
    [
      "ends too early",
      () => env.BUCKET.put(file.path, bytes.slice(0, file.offset + file.length - 1)),
      /: (the file ends at byte \d+|expected \d+ bytes, found \d+)\.$/,
    ],
    [
      "ends before the segment",
      () => env.BUCKET.put(file.path, new Uint8Array(0)),
      /: (the file ends at byte 0|expected \d+ bytes, found 0)\.$/,
    ],
  ])("is refused where a file %s", async (_, harm, message) => {
    const outcome = await deploys(harm);
    expect(outcome).toMatchObject({ kind: "refused", fault: "damagedState" });
    expect((outcome as { reason: string }).reason).toMatch(message);
  });

  test("reads once more what was damaged on its way", async () => {
    let reads = 0;
    faults.onGet = async (_, get) => {
      const found = await get();
      if (found === null || reads++ > 0) return found;
      const changed = new Uint8Array(await found.arrayBuffer());
      changed[100]! ^= 1;
      return { ...found, arrayBuffer: async () => changed.buffer } as unknown as R2ObjectBody;
    };
    expect(await deploys(async () => {})).toEqual({ kind: "deployed" });
    expect(reads).toBeGreaterThan(1);
  });

  test("tries again where R2 fails", async () => {
    let failures = 0;
    faults.onGet = async (_, get) => {
      if (failures++ < 2) throw new Error("get: the store is down (injected)");
      return get();
    };
    expect(await deploys(async () => {})).toEqual({ kind: "deployed" });
  });

  test("is refused without a fault of the state where R2 goes on failing", async () => {
    const read = seen.gets.length;
    faults.onGet = async () => {
      throw new Error("get: the store is down (injected)");
    };
    const outcome = await deploys(async () => {});
    expect(outcome).toMatchObject({ kind: "refused" });
    expect(outcome).not.toHaveProperty("fault");
    expect((outcome as { reason: string }).reason).toMatch(
      /^State file .* cannot be read: .*the store is down/,
    );
    // Four times each of the two parts in it, which are read at the same time.
    expect(seen.gets.length - read).toBe(8);
  });
});
