// Which files of a job may go. By reachability from what is retained, never by age.
//   R1. A file that a retained checkpoint needs stays, and so does one that is held for another job
//       (holds.ts).
//   R2. A file of a checkpoint above `upTo` stays: a subtask may still be building on it.
//   R3. Every later chain of segments is a prefix of an earlier one plus newer files; so once
//       checkpoint n has completed, what it does not reach and is no newer can never be needed.
//   R4. While any region runs, nothing newer than the latest completed checkpoint is deleted: what
//       its subtasks wrote for a checkpoint that was aborted is the base of their next deltas. So a
//       region's restart sweeps nothing; the checkpoint that completes next does.

import type { CheckpointId, JobId } from "../format/ids.ts";
import { checkpointOfPath } from "../format/paths.ts";

export interface RetainedFiles {
  readonly job: JobId;
  /** Everything that a retained or held checkpoint refers to, manifests included. */
  readonly reachable: ReadonlySet<string>;
  readonly upTo: CheckpointId;
}

export const collectable = (
  { job, reachable, upTo }: RetainedFiles,
  paths: Iterable<string>,
): string[] =>
  [...paths].filter((path) => {
    if (reachable.has(path)) return false;
    const checkpoint = checkpointOfPath(job, path);
    return checkpoint !== undefined && checkpoint <= upTo;
  });
