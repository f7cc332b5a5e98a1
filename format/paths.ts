// Where a job's files are in R2. The only formatter of keys.
//   P1. Keys contain the checkpoint, and for files of subtasks also the attempt, so no two writers
//       ever share a key and nothing is overwritten.
//   P2. The checkpoint that wrote a file can be read from its key; retention relies on it.

import type { Attempt, CheckpointId, JobId, TaskId } from "./ids.ts";
import { checkpointId } from "./ids.ts";

export const jobPrefix = (job: JobId): string => `jobs/${job}/`;

const checkpointPrefix = (job: JobId, checkpoint: CheckpointId): string =>
  `${jobPrefix(job)}chk-${checkpoint}/`;

/** The commit point of a checkpoint: written once, by conditional create. */
export const manifestPath = (job: JobId, checkpoint: CheckpointId): string =>
  `${checkpointPrefix(job, checkpoint)}_metadata`;

/** What one subtask wrote for one checkpoint. */
export const snapshotPath = (
  job: JobId,
  checkpoint: CheckpointId,
  attempt: Attempt,
  task: TaskId,
): string => `${checkpointPrefix(job, checkpoint)}${task.vertex}-${task.index}-a${attempt}`;

/** The checkpoint whose folder holds `path`, or undefined where the path is none of ours. */
export function checkpointOfPath(job: JobId, path: string): CheckpointId | undefined {
  const prefix = `${jobPrefix(job)}chk-`;
  if (!path.startsWith(prefix)) return undefined;
  const id = Number.parseInt(path.slice(prefix.length), 10);
  return Number.isSafeInteger(id) && id >= 1 ? checkpointId(id) : undefined;
}
