// What objects say to one another: the calls each answers, and the shapes of their arguments. The
// coordinator, the subtasks, the topics and the Worker know each other only through this file.
//   M1. Every message to or from a subtask carries the attempt; the receiver refuses an older one.
//   M2. Every call may be repeated: the caller may not know whether the first one arrived.

import type { JobConfig } from "./config.ts";
import type { Purpose } from "./frame.ts";
import type { HoldKey } from "./holds.ts";
import type { Attempt, CheckpointId, JobId, Millis, Offset, Seq, TaskId } from "./ids.ts";
import type { Channel, ExecutionPlan } from "./plan.ts";
import type { StoredSchema } from "./segment.ts";
import type { ChannelStateHandle, Redistribution, TaskStateHandle } from "./state-handle.ts";

/** Everything a subtask needs to run one attempt. */
export interface TaskDeployment {
  readonly job: JobId;
  readonly attempt: Attempt;
  readonly task: TaskId;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  /** The state of every subtask of the vertex at the checkpoint to start from, by their indices. */
  readonly restore?: {
    readonly checkpoint: CheckpointId;
    readonly states: readonly TaskStateHandle[];
    /**
     * It was taken in another version of the program: what the object itself holds of it may be of
     * other operators than it runs now.
     */
    readonly isOtherCode?: true;
    /** It is not of this job's own: no checkpoint of it may refer to its files. */
    readonly isBorrowed?: true;
    /** The job ends with it: what it prepared is committed, and nothing else is done. */
    readonly isStopped?: true;
    /** Present where it was taken in another layout: at another parallelism or in other code. */
    readonly former?: FormerLayout;
  };
}

/** What the subtasks of a vertex must know of the layout in which their state was taken. */
export interface FormerLayout {
  /** How many subtasks each operator with state had, by uid. */
  readonly sizes: Readonly<Record<string, number>>;
  /** The edges to operators of the vertex on which rows were on their way. */
  readonly edges: readonly FormerEdge[];
}

export interface FormerEdge {
  /** In the plan. */
  readonly edge: number;
  /** How many subtasks its receiver had. */
  readonly receivers: number;
  /** In the order in which their rows are to be processed. */
  readonly channels: readonly ChannelStateHandle[];
}

/** Of a call that names an attempt. `unknown`: the object has lost its memory or never had it. */
export type AttemptOutcome =
  | { readonly kind: "ok" }
  | { readonly kind: "stale"; readonly current: Attempt }
  | { readonly kind: "unknown" };

export type DeployOutcome =
  | { readonly kind: "deployed" }
  | { readonly kind: "stale"; readonly current: Attempt }
  | { readonly kind: "refused"; readonly reason: string; readonly fault?: DeployFault };

/**
 * What trying again does not mend. `damagedState`: a file of the checkpoint is missing, or is not what
 * was written. `otherCode`: this object runs another version of the program.
 */
export type DeployFault = "damagedState" | "otherCode";

/** What a subtask has done in this attempt, for people and dashboards. */
export interface TaskMetrics {
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Rows that user code threw on: left out for good, or sent to a dead letter topic. */
  readonly recordsDropped: number;
  readonly recordsDeadLettered: number;
  /** Milliseconds in which it had input and its outputs had no room. */
  readonly backPressuredTime: number;
  /** How far event time has come before it and behind it; absent where there is none yet. */
  readonly inputWatermark?: number;
  readonly outputWatermark?: number;
  /** Of a source: milliseconds by which event time is behind the clock. */
  readonly watermarkLag?: number;
  /** Of a source that keeps in step with others: milliseconds by which it is ahead of the last of them. */
  readonly watermarkAlignmentDrift?: number;
  /** Of a source: records of its partitions that it has not taken, as far as the last reads could tell. */
  readonly pendingRecords?: number;
  /** Rows that came too late for an operator and were left out; absent where there were none. */
  readonly lateRecordsDropped?: number;
  /** Bytes of files that its state was restored from: its own copies, and R2. */
  readonly restored?: RestoredBytes;
}

export interface RestoredBytes {
  readonly local: number;
  readonly remote: number;
}

/** Whether a subtask has anything to do or to save. */
export interface TaskActivity {
  /** Nothing is under way here; of a source: it has read to the end of its partitions. */
  readonly isIdle: boolean;
  /** The checkpoint since whose barrier nothing was processed; absent where something was. */
  readonly cleanSince?: CheckpointId;
  /** No row will come any more, and all that was there is through. */
  readonly hasEnded?: true;
  /**
   * The savepoint, or last checkpoint, behind whose barrier nothing is done any more. `isCommitted`: it
   * is complete, and all that was prepared for it is done.
   */
  readonly stopped?: { readonly checkpoint: CheckpointId; readonly isCommitted: boolean };
}

export type HeartbeatOutcome =
  | { readonly kind: "ok"; readonly metrics: TaskMetrics; readonly activity: TaskActivity }
  | Exclude<AttemptOutcome, { kind: "ok" }>;

/**
 * The answer to `rest`. `resting`: the subtask holds no session and no timer, can be rebuilt from its
 * own storage, and calls `active` before anything new leaves it. `busy`: it goes on.
 */
export type RestOutcome =
  | { readonly kind: "resting" }
  | { readonly kind: "busy" }
  | Exclude<AttemptOutcome, { kind: "ok" }>;

export interface OpenChannel {
  readonly attempt: Attempt;
  readonly channel: Channel;
}

/**
 * Why a receiver leaves frames unprocessed for now. `start`: it is deployed and not started. `barrier`:
 * its other inputs have not delivered theirs. `output`: rows that it made may not leave yet.
 * `restored`: rows that it took over from others at a restore come first.
 */
export type WaitReason = "start" | "barrier" | "output" | "restored" | "calls";

/** Where the receiver of a channel stands. */
export interface ReceiverPosition {
  /** The first sequence number that it does not have yet. */
  readonly expected: Seq;
  /** The first whose frame it has not processed. */
  readonly settled: Seq;
  /** Absent where nothing keeps it from processing what it has. */
  readonly waitsFor?: WaitReason;
}

export type OpenOutcome =
  | ({ readonly kind: "open"; readonly session: ChannelSession } & ReceiverPosition)
  | Exclude<AttemptOutcome, { kind: "ok" }>;

/**
 * One open channel, held by the sender. Calls on it arrive in order.
 *
 * A call resolves once its last frame was processed and left the inbox: that is the sender's credit. It
 * rejects when the receiver is gone or refuses; the sender then opens the channel again.
 */
export interface ChannelSession {
  /** Frames under consecutive numbers, the first of them under `seq`. */
  push(seq: Seq, ...frames: readonly Uint8Array[]): Promise<void>;
  /** Resolves like `push`, for a frame that an earlier session delivered. */
  settled(seq: Seq): Promise<void>;
}

export interface CheckpointMetrics {
  /** Milliseconds from the first barrier to the last. */
  readonly alignment: number;
  /** Milliseconds in which the subtask did nothing but freeze its state. */
  readonly syncDuration: number;
  /** Milliseconds from then to the acknowledgement. */
  readonly asyncDuration: number;
  /** Bytes this checkpoint added. */
  readonly bytes: number;
  /** Bytes of everything the checkpoint refers to. */
  readonly stateBytes: number;
}

export interface CheckpointAck {
  readonly attempt: Attempt;
  readonly checkpoint: CheckpointId;
  readonly task: TaskId;
  readonly state: TaskStateHandle;
  readonly metrics: CheckpointMetrics;
}

export interface CheckpointDecline {
  readonly attempt: Attempt;
  readonly checkpoint: CheckpointId;
  readonly task: TaskId;
  readonly reason: string;
  /** A newer checkpoint took its place; that is no failure of the job's. */
  readonly isSuperseded?: true;
}

export interface TaskFailure {
  readonly attempt: Attempt;
  readonly task: TaskId;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** A resting subtask woke up in another version of the program. */
  readonly fault?: Extract<DeployFault, "otherCode">;
}

/** A page of a table: committed rows, or with `latest` those of the running epoch. */
export interface TableQuery {
  readonly attempt?: Attempt;
  readonly table: string;
  readonly read: "committed" | "latest";
  /** One row by key; all rows where absent. */
  readonly key?: unknown;
  /** Of all rows the first so many in the order of their keys, behind those up to `after`. */
  readonly page?: { readonly limit: number; readonly after?: unknown };
}

/** Rows encoded as one record batch, with the checkpoint they stand for. */
export type TableAnswer =
  | {
      readonly kind: "rows";
      readonly rows: Uint8Array;
      readonly checkpoint: CheckpointId | null;
      /** Of a page: the keys of its rows, encoded like these, and whether it has rows behind it. */
      readonly page?: { readonly keys: Uint8Array; readonly hasMore: boolean };
    }
  | { readonly kind: "unknown" };

/** A look into the state of a subtask as it is now: which states there are, or what one holds. */
export interface StateQuery {
  /** Only of this operator. */
  readonly uid?: string;
  /** What this state holds; absent: which states there are. */
  readonly state?: string;
  /** Of keyed state. Absent, a state that no key owns is meant. */
  readonly key?: unknown;
  /** Of a map, one entry; all entries of the key where absent. */
  readonly mapKey?: unknown;
  /** Entries or elements in the answer at most. */
  readonly limit: number;
}

export interface LiveState {
  readonly kind: "keyed" | "operator";
  readonly uid: string;
  readonly state: string;
  readonly schema: StoredSchema;
  readonly redistribution?: Redistribution;
  readonly entries: number;
}

/** `count`: how many there are, of which the answer may have fewer. Values are as they are stored. */
export type StateAnswer =
  | { readonly kind: "states"; readonly states: readonly LiveState[] }
  /** Pairs of key and value as one record batch; the keys of a map are its own. */
  | {
      readonly kind: "entries";
      readonly schema: StoredSchema;
      readonly count: number;
      readonly entries: Uint8Array;
    }
  /** Elements of a state that no key owns, as one record batch. */
  | {
      readonly kind: "elements";
      readonly schema: StoredSchema;
      readonly redistribution: Redistribution;
      readonly count: number;
      readonly elements: Uint8Array;
    }
  /** The operator has no such state. */
  | { readonly kind: "none" }
  /** It is there and cannot be told. */
  | { readonly kind: "unreadable"; readonly reason: string }
  /** No attempt is in this object's memory. */
  | { readonly kind: "unknown" };

/** Where a subtask of a source stands among those that keep in step with it. */
export interface AlignmentStanding {
  /** How far its split has come that is furthest behind; null where nobody is to wait for any. */
  readonly watermark: number | null;
  /** How far the last of the group must have come for it to go on; absent where nothing is held back. */
  readonly waitsFor?: number;
}

export interface AlignmentReport extends AlignmentStanding {
  readonly attempt: Attempt;
  readonly task: TaskId;
}

/** The calls that a `Subtask` answers. */
export interface SubtaskApi {
  /** Replaces whatever older attempt runs. Resolves when the state is restored. */
  deploy(deployment: TaskDeployment): Promise<DeployOutcome>;
  /** Sources begin to read. Called once every subtask is deployed. */
  start(attempt: Attempt): Promise<AttemptOutcome>;
  triggerCheckpoint(
    attempt: Attempt,
    checkpoint: CheckpointId,
    purpose?: Purpose,
  ): Promise<AttemptOutcome>;
  notifyComplete(attempt: Attempt, checkpoint: CheckpointId): Promise<HeartbeatOutcome>;
  notifyAborted(attempt: Attempt, checkpoint: CheckpointId): Promise<AttemptOutcome>;
  heartbeat(attempt: Attempt): Promise<HeartbeatOutcome>;
  /** The checkpoint is complete and everybody was idle: let go of whatever keeps objects awake. */
  rest(attempt: Attempt, checkpoint: CheckpointId): Promise<RestOutcome>;
  /** From a topic partition to a source that subscribed: there is something to read. */
  appended(attempt: Attempt, partition: number): Promise<AttemptOutcome>;
  /**
   * To a source that keeps in step with others: how far the last of its group has come. Without that it is
   * asked where it stands, and reports it.
   */
  align(attempt: Attempt, least?: number): Promise<AttemptOutcome>;
  /** Ends the attempt and forgets everything; `keepsTables`: but for what its tables are read from. */
  cancel(attempt: Attempt, keepsTables?: true): Promise<void>;
  open(request: OpenChannel): Promise<OpenOutcome>;
  readTable(query: TableQuery): Promise<TableAnswer>;
  /** Changes nothing, and leaves a resting subtask at rest. */
  readState(query: StateQuery): Promise<StateAnswer>;
}

/** The calls that subtasks make on their `Coordinator`. */
export interface CoordinatorTaskApi {
  acknowledge(ack: CheckpointAck): Promise<void>;
  decline(decline: CheckpointDecline): Promise<void>;
  taskFailed(failure: TaskFailure): Promise<void>;
  /** A resting subtask has something to process. Returns once the coordinator is sure to go on. */
  active(attempt: Attempt, task: TaskId): Promise<void>;
  /** No row will come to that subtask any more. Heartbeats tell it again. */
  ended(attempt: Attempt, task: TaskId): Promise<void>;
  /** Where a source stands. Answers how far the last of its group has come, once all have told. */
  reportAlignment(report: AlignmentReport): Promise<number | undefined>;
}

/** A submission that the Worker has validated. */
export interface JobSubmission {
  readonly job: JobId;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  /** The savepoint or checkpoint that it begins with: its manifest, and what was found in it. */
  readonly restore?: {
    readonly path: string;
    readonly checkpoint: CheckpointId;
    /** State of operators that the program does not have is left behind. */
    readonly allowNonRestoredState: boolean;
    /** Under which another job keeps its files. */
    readonly hold?: HoldKey;
    /** Present where it is the job's own from now on (Flink's CLAIM). */
    readonly claimed?: {
      readonly attempt: Attempt;
      readonly completedAt: Millis;
      /** All of its files, the manifest included. */
      readonly files: readonly string[];
    };
  };
}

/** Flink's job states that occur here. */
export type JobPhase =
  | "INITIALIZING"
  | "RUNNING"
  | "RESTARTING"
  | "FAILING"
  | "FAILED"
  | "CANCELLING"
  | "CANCELED"
  | "FINISHED";

export interface JobSummary {
  readonly job: JobId;
  readonly program: string;
  readonly phase: JobPhase;
  readonly startTime: Millis;
  /** -1 while the job has not ended. */
  readonly endTime: number;
  readonly lastModification: Millis;
  /** Nothing is to be done: its objects sleep, and it takes no checkpoints. */
  readonly isResting?: true;
  /** The manifest of what it began with. */
  readonly begins?: string;
  /** When the latest checkpoint was complete, as of `lastModification`. */
  readonly lastCheckpoint?: Millis;
  /** Subtasks by state, as in Flink's overview. */
  readonly tasks: { readonly total: number; readonly running: number };
}

/** Rows of one request for one partition: batches in order, already columnar. */
export interface TopicAppend {
  readonly batches: readonly { readonly rows: number; readonly bytes: Uint8Array }[];
  /** Repeating an append with the same key is the same append. */
  readonly idempotencyKey?: string;
  /** Hash of the request's body: tells a repetition from another request under the same key. */
  readonly digest: number;
}

export type AppendOutcome =
  | { readonly kind: "appended" | "duplicate"; readonly first: Offset; readonly count: number }
  | { readonly kind: "conflict" };

export interface StoredBatch {
  readonly first: Offset;
  readonly count: number;
  readonly bytes: Uint8Array;
  /** The next offset to be written to the partition when it was read. */
  readonly end?: Offset;
}

export interface PartitionInfo {
  readonly partition: number;
  /** Offset of the oldest record kept, and of the next to be written. */
  readonly first: Offset;
  readonly next: Offset;
  readonly bytes: number;
}

/** One source's session on one partition; calls on it are not billed requests. */
export interface TopicReader {
  /**
   * Batches from the one that holds `from`; at the end of the log it waits up to `wait` milliseconds
   * for the first. Empty when none came.
   */
  read(from: Offset, wait: number): Promise<StoredBatch[]>;
}

/** A source at the end of a partition, to be called (`appended`) when the log has grown past `from`. */
export interface TopicSubscription {
  readonly job: JobId;
  readonly task: TaskId;
  readonly attempt: Attempt;
  readonly from: Offset;
}

/** The calls that a `TopicPartition` answers. */
export interface TopicPartitionApi {
  append(request: TopicAppend): Promise<AppendOutcome>;
  openReader(): Promise<TopicReader>;
  /** Durable, and good for one call. `behind`: there is something to read already. */
  subscribe(subscription: TopicSubscription): Promise<"subscribed" | "behind">;
  info(): Promise<PartitionInfo>;
}
