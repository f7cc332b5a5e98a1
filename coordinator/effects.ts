// What the job core asks of its shell. Plain data; each says by which event it is answered.

import type { HoldKey } from "../format/holds.ts";
import type { Attempt, CheckpointId, JobId, TaskId } from "../format/ids.ts";
import type { Purpose } from "../format/frame.ts";
import type { CheckpointRecord } from "../format/job-status.ts";
import type { JobSummary, TaskDeployment } from "../format/messages.ts";
import type { RetainedCheckpoint } from "./checkpoints.ts";
import type { JobRecord } from "./job-record.ts";

export type Effect =
  /**
   * Durable before any effect after it leaves. `ended` go into the history of checkpoints,
   * `forgotten` out of it.
   */
  | {
      readonly kind: "persist";
      readonly record: JobRecord;
      readonly ended: readonly CheckpointRecord[];
      readonly forgotten: readonly CheckpointId[];
    }
  /** Read the manifest, then `manifestLoaded` or `manifestFailed`. */
  | {
      readonly kind: "loadManifest";
      readonly attempt: Attempt;
      readonly checkpoint: RetainedCheckpoint;
    }
  /** Each is answered by `deployed`. */
  | { readonly kind: "deploy"; readonly deployments: readonly TaskDeployment[] }
  /** Each is answered by `started`. */
  | { readonly kind: "start"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Each is answered by `triggered`. */
  | {
      readonly kind: "trigger";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      readonly tasks: readonly TaskId[];
      /** Present where it is one. */
      readonly purpose?: Purpose;
    }
  /** Conditional create, then `published`. */
  | {
      readonly kind: "publish";
      readonly attempt: Attempt;
      readonly candidate: RetainedCheckpoint;
      readonly bytes: Uint8Array;
    }
  /** Whether the manifest of a coordinator that crashed is there, then `recovered`. */
  | { readonly kind: "probeManifest"; readonly candidate: RetainedCheckpoint }
  /** Each is answered by `heartbeat`. */
  | {
      readonly kind: "notifyComplete" | "notifyAborted";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      readonly tasks: readonly TaskId[];
    }
  /** Each is answered by `heartbeat`. */
  | { readonly kind: "heartbeat"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Each is answered by `rested`. */
  | {
      readonly kind: "rest";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      /** Tells the answers of one request from those of another. */
      readonly round: number;
      readonly tasks: readonly TaskId[];
    }
  /** Each is answered by `alignmentTold`. Without `least` they are asked where they stand. */
  | {
      readonly kind: "align";
      readonly attempt: Attempt;
      readonly least: number | undefined;
      readonly tasks: readonly TaskId[];
    }
  /** Each that answers is reported by `tasksCancelled`. */
  | {
      readonly kind: "cancelTasks";
      readonly attempt: Attempt;
      readonly tasks: readonly TaskId[];
      /** What their tables are read from stays: the job has finished. */
      readonly keepsTables?: true;
    }
  /** Delete these files; `notDeleted` where that failed. */
  | { readonly kind: "deleteFiles"; readonly paths: readonly string[] }
  /** Delete what is in the folder of a savepoint, then `folderDeleted`. */
  | { readonly kind: "deleteFolder"; readonly folder: string }
  /**
   * List the job's files and delete what `reachable` does not hold, up to checkpoint `upTo`; then
   * `swept`.
   */
  | { readonly kind: "sweep"; readonly reachable: readonly string[]; readonly upTo: CheckpointId }
  /** Ask the job that a hold is for whether it needs it, then `holderAnswered`. */
  | { readonly kind: "askHolder"; readonly by: JobId; readonly hold: HoldKey }
  /** Tell the job that keeps it that it is not needed any more, then `letGone`. */
  | { readonly kind: "letGo"; readonly hold: HoldKey }
  /** Delete the files of a savepoint that was claimed, then `letGone`. */
  | { readonly kind: "discard"; readonly paths: readonly string[] }
  /** Tell the dispatcher, then `announced`. */
  | { readonly kind: "announce"; readonly summary: JobSummary };

/** A call that was not answered. */
export interface Silence {
  readonly kind: "silent";
  readonly message: string;
}
