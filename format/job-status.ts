// What a coordinator tells about its job, for the HTTP routes to show, and the calls it is told by:
// facts, not Flink's JSON. The rendering (`worker/flink-json.ts`) derives from them whatever Flink's
// clients want beside.
//   Z1. Nothing here is stored twice: sums, durations and counts that follow from acknowledgements
//       or subtask states are not fields.
//   Z2. A field that is absent has not happened yet.

import type { JobConfig } from "./config.ts";
import type { HoldAnswer, HoldRequest } from "./holds.ts";
import type { Attempt, CheckpointId, JobId, Millis, TaskId } from "./ids.ts";
import type { Manifest } from "./manifest.ts";
import type {
  CheckpointMetrics,
  JobPhase,
  JobSubmission,
  JobSummary,
  TaskMetrics,
} from "./messages.ts";
import type { ExecutionPlan } from "./plan.ts";

/** Flink's states of a job; not all occur here. */
export const jobStatuses = [
  "INITIALIZING",
  "CREATED",
  "RUNNING",
  "FAILING",
  "FAILED",
  "CANCELLING",
  "CANCELED",
  "FINISHED",
  "RESTARTING",
  "SUSPENDED",
  "RECONCILING",
] as const;

/** Flink's states of one subtask. */
export const taskPhases = [
  "CREATED",
  "SCHEDULED",
  "DEPLOYING",
  "INITIALIZING",
  "RUNNING",
  "FINISHED",
  "CANCELING",
  "CANCELED",
  "FAILED",
  "RECONCILING",
] as const;

export type TaskPhase = (typeof taskPhases)[number];

export interface TaskStatus {
  readonly task: TaskId;
  readonly phase: TaskPhase;
  /** The last one that was begun of its region. */
  readonly attempt: Attempt;
  /** When this attempt's deployment of the subtask began, and when it ended. */
  readonly started?: Millis;
  readonly ended?: Millis;
  /** As of the last heartbeat; absent before the first. */
  readonly metrics?: TaskMetrics;
  /** Absent while it does not run, or has not been heard of twice in this attempt. */
  readonly rates?: TaskRates;
}

/** How fast what a subtask counts has grown of late, per second. */
export interface TaskRates {
  /** Up to when. */
  readonly at: Millis;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Milliseconds of each second in which it had input and its outputs had no room. */
  readonly backPressured: number;
}

/** Why an attempt ended. */
export interface AttemptFailure {
  readonly attempt: Attempt;
  readonly at: Millis;
  /** Absent where the failure is not one subtask's. */
  readonly task?: TaskId;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}

/**
 * How a job is: the age of its last completed checkpoint, and whether that is too much. `now` is the
 * reader's.
 */
export interface JobHealth {
  /** When the latest checkpoint that can be restored was complete; absent before the first. */
  readonly lastCheckpoint?: Millis;
  /** It rests. */
  readonly isResting?: true;
  /**
   * When the next must be complete; absent where none is due: the job has ended or rests, or takes
   * none periodically.
   */
  readonly dueBy?: Millis;
}

/** The answer to `GET /jobs/:jobid`, before it is Flink's. */
export interface JobDetails {
  readonly summary: JobSummary;
  /** The last one that was begun, in whichever region. */
  readonly attempt: Attempt;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  /** Since when there is nothing to do and all objects sleep; absent while that is not so. */
  readonly restingSince?: Millis;
  readonly health: JobHealth;
  /** When each phase was last entered. */
  readonly entered: Readonly<Partial<Record<JobPhase, Millis>>>;
  /** Every subtask of the plan. */
  readonly tasks: readonly TaskStatus[];
  /** Newest first, a few. */
  readonly failures: readonly AttemptFailure[];
  /** Newest first, a few; only the first may be under way. */
  readonly rescales: readonly RescaleStatus[];
}

/** One subtask's part of one checkpoint. */
export interface AckRecord {
  readonly task: TaskId;
  readonly at: Millis;
  readonly metrics: CheckpointMetrics;
}

/** What a client asks for. */
export interface SavepointRequest {
  /** 32 hex digits by which the request is known. */
  readonly trigger: string;
  /** Of `savepointDirectory`. */
  readonly directory: string;
  /** What becomes of the job once it is complete; absent: it goes on. */
  readonly ends?: "stop" | "cancel";
  /** With `stop`: what waits for event time to pass is let go before. */
  readonly drains?: true;
}

export type SavepointAnswer =
  { readonly kind: "accepted" } | { readonly kind: "refused"; readonly reason: string };

export type SavepointStatus =
  | { readonly kind: "inProgress" }
  /** `path`: its manifest in R2. */
  | { readonly kind: "completed"; readonly path: string }
  | { readonly kind: "failed"; readonly message: string };

/** The same, and how far it is. */
export type SavepointProgress =
  | Exclude<SavepointStatus, { kind: "inProgress" }>
  | { readonly kind: "waiting" }
  | {
      readonly kind: "taking";
      readonly checkpoint: CheckpointId;
      /** Subtasks that have acknowledged it, of how many, and the bytes of what they wrote. */
      readonly acknowledged: number;
      readonly total: number;
      readonly bytes: number;
    };

/**
 * Flink's types of a checkpoint that is asked for. `CONFIGURED`: as periodic ones are. `FULL`: it refers
 * to no file of an earlier one.
 */
export type CheckpointType = "CONFIGURED" | "FULL" | "INCREMENTAL";

/** What a client asks for. */
export interface CheckpointRequest {
  /** 32 hex digits by which the request is known. */
  readonly trigger: string;
  readonly type: CheckpointType;
}

export type CheckpointAnswer = SavepointAnswer;

export type CheckpointStatus =
  | { readonly kind: "inProgress" }
  | { readonly kind: "completed"; readonly checkpoint: CheckpointId }
  | { readonly kind: "failed"; readonly message: string };

/** How many subtasks a vertex may have. As many as its upper bound are deployed. */
export interface Bounds {
  readonly lowerBound: number;
  readonly upperBound: number;
}

/** Another size for a running job: of every vertex, by its id. */
export type RescaleRequest = Readonly<Record<string, Bounds>>;

export type RescaleAnswer =
  /** `unchanged`: that is its size. */
  | { readonly kind: "accepted" | "unchanged" }
  /** `invalid`: at any time; `refused`: as the job is now. */
  | { readonly kind: "invalid" | "refused"; readonly reason: string };

export type RescaleProgress =
  | { readonly kind: "waiting" }
  | { readonly kind: "taking"; readonly checkpoint: CheckpointId }
  | { readonly kind: "starting"; readonly checkpoint: CheckpointId }
  | { readonly kind: "completed"; readonly checkpoint: CheckpointId; readonly at: Millis }
  /** The job has the size it had. */
  | { readonly kind: "failed"; readonly message: string; readonly at: Millis };

/** A size that was asked for while the job ran, and what became of it. */
export interface RescaleStatus {
  /** Of every vertex: wanted, and as it was. */
  readonly parallelism: Readonly<Record<string, number>>;
  readonly former: Readonly<Record<string, number>>;
  readonly requestedAt: Millis;
  readonly progress: RescaleProgress;
}

/** One checkpoint that was triggered, whatever became of it. */
export interface CheckpointRecord {
  readonly id: CheckpointId;
  readonly attempt: Attempt;
  readonly triggered: Millis;
  readonly isSavepoint?: true;
  /** Acknowledgements so far, in order of arrival. */
  readonly acks: readonly AckRecord[];
  readonly outcome:
    | { readonly kind: "pending" }
    /** `path`: its manifest in R2. `discarded`: retention has deleted it. */
    | { readonly kind: "completed"; readonly path: string; readonly discarded: boolean }
    | { readonly kind: "failed"; readonly at: Millis; readonly message: string };
}

export type CompletedCheckpoint = CheckpointRecord & {
  readonly outcome: { readonly kind: "completed" };
};
export type FailedCheckpoint = CheckpointRecord & { readonly outcome: { readonly kind: "failed" } };

/** Of one measure of several checkpoints. */
export interface Total {
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  /** What percentiles are told from; absent in what was recorded before there was any. */
  readonly sketch?: unknown;
}

/** Over all completed checkpoints of a job's life, savepoints included: bytes and milliseconds. */
export interface CheckpointTotals {
  readonly count: number;
  readonly size: Total;
  readonly state: Total;
  readonly duration: Total;
}

/** The answer to `GET /jobs/:jobid/checkpoints`, before it is Flink's. */
export interface CheckpointOverview {
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  /** Over the whole life of the job, not only the history. */
  readonly counts: {
    readonly restored: number;
    readonly completed: number;
    readonly failed: number;
    readonly pending: number;
  };
  readonly latest: {
    /** Not a savepoint. */
    readonly completed?: CompletedCheckpoint;
    readonly savepoint?: CompletedCheckpoint;
    readonly failed?: FailedCheckpoint;
    readonly restored?: { readonly id: CheckpointId; readonly at: Millis; readonly path: string };
  };
  /** Absent before the first is complete. */
  readonly totals?: CheckpointTotals;
  /** Newest first; Flink shows ten. */
  readonly history: readonly CheckpointRecord[];
}

/** A checkpoint that a job retains, for whoever wants to read it. */
export type RetainedAnswer =
  /** `manifest`: present where it is not in the bucket. */
  | { readonly kind: "retained"; readonly path: string; readonly manifest?: Manifest }
  | { readonly kind: "unreadable"; readonly reason: string }
  /** `retained`: which ones are, newest first. */
  | { readonly kind: "none"; readonly retained: readonly CheckpointId[] };

/**
 * `taken`: the id belongs to a run of another program. `claimed`: what it would claim is another job's,
 * which has not ended; or what it would only read, and nobody keeps it for it. `needed`: what it would
 * claim and delete, another job begins with. `disposed`: what it would begin with is being deleted.
 */
export type RegisterOutcome =
  | { readonly kind: "registered" | "known" }
  | { readonly kind: "taken"; readonly program: string }
  | { readonly kind: "claimed"; readonly by: JobId }
  | { readonly kind: "needed"; readonly by: JobId; readonly need: string }
  | { readonly kind: "disposed"; readonly savepoint: string };

/** `known`: the job was submitted before, and that counts. */
export type SubmitOutcome =
  { readonly kind: "submitted" | "known" } | { readonly kind: "refused"; readonly reason: string };

/** A savepoint that somebody asks to delete. */
export interface DisposalRequest {
  /** 32 hex digits by which the request is known. */
  readonly trigger: string;
  /** Of the savepoint, with the slash behind it. */
  readonly folder: string;
}

/** `absent`: there is none. */
export type DisposalAnswer =
  { readonly kind: "accepted" } | { readonly kind: "refused" | "absent"; readonly reason: string };

export type DisposalStatus =
  | { readonly kind: "inProgress" | "completed" }
  | { readonly kind: "failed"; readonly message: string };

/** How a job begins with what it begins with. */
export interface Beginning {
  /** The savepoint that is its own until it has ended. */
  readonly claims?: string;
  /** Whoever would delete it keeps it for this job. */
  readonly isHeld?: boolean;
}

/** The calls that the `Dispatcher` answers. */
export interface DispatcherApi {
  /** Lists a job before it is submitted, so that none ever runs unlisted. */
  register(summary: JobSummary, beginning?: Beginning): Promise<RegisterOutcome>;
  /** Ignored when a later modification is known already. */
  update(summary: JobSummary): Promise<void>;
  /** Newest first. */
  list(): Promise<JobSummary[]>;
  get(job: JobId): Promise<JobSummary | undefined>;
  /** The job that has claimed that savepoint, by its manifest, and has not ended. */
  claimantOf(savepoint: string): Promise<JobId | undefined>;
  /** Deletes a savepoint that no job needs. Repeating it under its trigger id changes nothing. */
  dispose(request: DisposalRequest): Promise<DisposalAnswer>;
  /** Absent for a trigger id that is not known, or no longer. */
  disposalStatus(trigger: string): Promise<DisposalStatus | undefined>;
}

/** The calls that a `Coordinator` answers to the Worker. */
export interface CoordinatorJobApi {
  /** Repeating it changes nothing; the first submission of a job is the one that counts. */
  submit(submission: JobSubmission): Promise<SubmitOutcome>;
  /** Keeps the files of a checkpoint for a job that is about to begin with it. */
  hold(request: HoldRequest): Promise<HoldAnswer>;
  /** Nothing was submitted under that hold, and nothing will be. */
  withdraw(nth: number): Promise<void>;
  /** `ended`: there is nothing left to cancel. */
  cancel(): Promise<{ readonly kind: "cancelling" | "ended" }>;
  /** Repeating it under its trigger id changes nothing. */
  savepoint(request: SavepointRequest): Promise<SavepointAnswer>;
  /** Absent for a trigger id that is not known, or no longer. */
  savepointStatus(trigger: string): Promise<SavepointStatus | undefined>;
  savepointProgress(trigger: string): Promise<SavepointProgress | undefined>;
  /** Repeating it under its trigger id changes nothing. */
  checkpoint(request: CheckpointRequest): Promise<CheckpointAnswer>;
  /** Absent for a trigger id that is not known, or no longer. */
  checkpointStatus(trigger: string): Promise<CheckpointStatus | undefined>;
  /** What the job needs the savepoint with that manifest for, in words; absent where it does not. */
  needOf(savepoint: string): Promise<string | undefined>;
  /** Repeating it while it is under way, or once it is done, changes nothing. */
  rescale(request: RescaleRequest): Promise<RescaleAnswer>;
  /** Absent before the submission arrived. */
  details(): Promise<JobDetails | undefined>;
  checkpoints(): Promise<CheckpointOverview | undefined>;
  health(): Promise<JobHealth | undefined>;
  retained(checkpoint: number): Promise<RetainedAnswer>;
}
