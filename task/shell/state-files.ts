// Snapshot files in R2, from the side of a subtask.

import { intersectRanges, rangeOfSubtask } from "../../format/key-groups.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import { vertexOf } from "../../format/plan.ts";
import type { BytesHandle } from "../../format/state-handle.ts";
import { channelsOf } from "../channel-state.ts";
import { sharesOf } from "../operator-state.ts";
import type { SnapshotFile } from "../snapshot-file.ts";
import type { RestoredKeyedState } from "../state-snapshots.ts";
import type { RestoredState } from "../task.ts";

/** Stores a file under its own key; keys are never used twice, so an existing one is an error. */
export async function storeFile(bucket: R2Bucket, file: SnapshotFile): Promise<void> {
  const created = await bucket.put(file.path, file.bytes, { onlyIf: { etagDoesNotMatch: "*" } });
  if (created === null) throw new Error(`${file.path} exists already.`);
}

/**
 * The parts of the deployment's checkpoint that this subtask owns, with their bytes; `isHeld` leaves
 * keyed state in the object that has it.
 */
export async function loadState(
  bucket: R2Bucket,
  deployment: TaskDeployment,
  isHeld: boolean,
): Promise<RestoredState | undefined> {
  const { restore, plan, task } = deployment;
  if (restore === undefined) return undefined;
  const { parallelism } = vertexOf(plan, task.vertex);
  const own = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
  const handles = restore.states
    .flatMap((state) => state.keyed)
    .filter((handle) => intersectRanges(handle.range, own) !== undefined);
  const keyed: RestoredKeyedState[] = [];
  // One after the other: a subtask may hold six connections, and memory for one file.
  for (const handle of handles) {
    if (isHeld) {
      keyed.push({ handle, segments: "held" });
      continue;
    }
    const segments = [];
    for (const segment of handle.segments) segments.push(await loadBytes(bucket, segment));
    keyed.push({ handle, segments });
  }
  const operator = [];
  for (const share of sharesOf(deployment)) {
    operator.push({ ...share, bytes: await loadBytes(bucket, share.handle.bytes) });
  }
  const channels = [];
  for (const handle of channelsOf(deployment)) {
    channels.push({ handle, bytes: await loadBytes(bucket, handle.frames) });
  }
  return {
    checkpoint: restore.checkpoint,
    keyed,
    operator,
    channels,
  };
}

async function loadBytes(bucket: R2Bucket, handle: BytesHandle): Promise<Uint8Array> {
  if (handle.kind === "inline") return handle.bytes;
  const { path, offset, length } = handle;
  const found = await bucket.get(path, { range: { offset, length } });
  if (found === null) throw new Error(`State file ${path} is not in the bucket.`);
  return new Uint8Array(await found.arrayBuffer());
}
