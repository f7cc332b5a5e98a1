// What of a job outlives its coordinator's memory, and the phases it goes through.

import type { JobConfig } from "../format/config.ts";
import type { Attempt, CheckpointId, JobId, Millis, TaskId } from "../format/ids.ts";
import type {
  AttemptFailure,
  CheckpointRequest,
  RescaleProgress,
  RescaleStatus,
  SavepointRequest,
} from "../format/job-status.ts";
import type { JobPhase, JobSubmission } from "../format/messages.ts";
import type { ExecutionPlan } from "../format/plan.ts";
import type { CheckpointLedger, RetainedCheckpoint } from "./checkpoints.ts";
import type { RestartHistory } from "./restart.ts";

/** Which phase may follow which. */
export const jobTransitions = {
  INITIALIZING: ["RUNNING", "RESTARTING", "FAILING", "CANCELLING"],
  RUNNING: ["RESTARTING", "FAILING", "CANCELLING"],
  RESTARTING: ["RUNNING", "RESTARTING", "FAILING", "CANCELLING"],
  FAILING: ["FAILED"],
  CANCELLING: ["CANCELED", "FINISHED"],
  FAILED: [],
  CANCELED: [],
  FINISHED: [],
} as const satisfies Record<JobPhase, readonly JobPhase[]>;

export const isTerminal = (phase: JobPhase): boolean => jobTransitions[phase].length === 0;

/** Whether the job is on its way to a terminal phase. */
export const isEnding = (phase: JobPhase): boolean => phase === "CANCELLING" || phase === "FAILING";

/** One region of a job. */
export type RegionRecord = {
  /** The last attempt of it that was begun, and when. */
  readonly attempt: Attempt;
  readonly started: Millis;
} & (
  | { readonly phase: "deploying" | "running" }
  /** Its attempt has failed; the next one begins then. */
  | { readonly phase: "waiting"; readonly restartAt: Millis }
  /** It ends with its job. */
  | { readonly phase: "over" }
);

/** A savepoint that was asked for, and what became of it. */
export interface SavepointRecord extends SavepointRequest {
  readonly requestedAt: Millis;
  readonly progress:
    | { readonly kind: "waiting" }
    | { readonly kind: "taking"; readonly checkpoint: CheckpointId }
    | { readonly kind: "completed"; readonly path: string; readonly at: Millis }
    | { readonly kind: "failed"; readonly message: string; readonly at: Millis };
}

/** A checkpoint whose files another job needs. */
export interface HoldRecord {
  readonly nth: number;
  readonly by: JobId;
  readonly checkpoint: RetainedCheckpoint;
  /** Where that job reads its manifest. */
  readonly path: string;
  readonly since: Millis;
  /** It is to be that job's, and no longer one of this job's own. */
  readonly claims?: true;
  /** That job was submitted, and has said that it needs it. */
  readonly isFirm?: true;
}

/** A checkpoint that was asked for, and what became of it. */
export interface ManualCheckpointRecord extends CheckpointRequest {
  readonly requestedAt: Millis;
  readonly progress:
    | { readonly kind: "waiting" }
    | { readonly kind: "taking"; readonly checkpoint: CheckpointId }
    | { readonly kind: "completed"; readonly checkpoint: CheckpointId }
    | { readonly kind: "failed"; readonly message: string };
}

/** A plan with the configuration that says its sizes. */
export interface Sized {
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
}

/** With a savepoint that was asked for, or with its last checkpoint, as its input has ended. */
export type Stopping = { readonly savepoint: RetainedCheckpoint } & (
  | { readonly ends: NonNullable<SavepointRequest["ends"]>; readonly trigger: string }
  | { readonly ends: "finish" }
);

/** A size that was asked for while the job ran. */
export interface RescaleRecord extends Omit<RescaleStatus, "progress"> {
  readonly progress:
    | Exclude<RescaleProgress, { kind: "starting" }>
    /** `former`: what it goes back to where it does not start. */
    | { readonly kind: "starting"; readonly checkpoint: CheckpointId; readonly former: Sized };
}

export interface JobRecord {
  readonly job: JobId;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  /** What it begins with until it has a checkpoint of its own. */
  readonly restore?: NonNullable<JobSubmission["restore"]>;
  /** It has let go of what it began with, and whoever kept it knows. */
  readonly isLetGo?: true;
  /** Oldest first. */
  readonly holds?: readonly HoldRecord[];
  /** How many there have been. */
  readonly holdsPlaced?: number;
  readonly phase: JobPhase;
  readonly entered: Readonly<Partial<Record<JobPhase, Millis>>>;
  /** The last that was begun, in whichever region. */
  readonly attempt: Attempt;
  /** In the order of the plan's regions. */
  readonly regions: readonly RegionRecord[];
  /** What its restart strategy remembers. */
  readonly restartHistory: RestartHistory;
  readonly failures: readonly AttemptFailure[];
  /** It ended with a failure that no restart could have avoided: its checkpoints stay. */
  readonly isBeyondRestart?: true;
  readonly checkpoints: CheckpointLedger;
  readonly lastRestored?: {
    readonly id: CheckpointId;
    readonly at: Millis;
    readonly path: string;
  };
  /** Since when it rests; absent while it does not. */
  readonly restingSince?: Millis;
  /** When it last woke up. */
  readonly awakeSince?: Millis;
  /** In the order of `savepoints`; absent before the first. */
  readonly manualCheckpoints?: readonly ManualCheckpointRecord[];
  /** Absent before the first. */
  readonly savepoints?: readonly SavepointRecord[];
  /** Folders of savepoints that failed, which may hold files. */
  readonly leftovers?: readonly { readonly folder: string; readonly since: Millis }[];
  /** What the job ends with, complete: it is what a restart begins with. */
  readonly stopping?: Stopping | undefined;
  /** Newest first; absent before the first. */
  readonly rescales?: readonly RescaleRecord[];
  /** What the next attempt deploys, where that is another plan than the last one's. */
  readonly next?: Sized | undefined;
  /** Subtasks that the plan has no longer and that have not answered that they are cancelled. */
  readonly retired?: readonly { readonly task: TaskId; readonly attempt: Attempt }[];
  /** How it ends instead of being cancelled. */
  readonly endsAs?: "FINISHED";
  readonly startTime: Millis;
  readonly lastModification: Millis;
  /** The `lastModification` that the dispatcher knows. */
  readonly announced: number;
}
