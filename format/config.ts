// What a job can be configured with once every default is filled in: the shape that travels in
// messages and is stored with the job. How a user writes it is in `stream/config.ts`.

/** Whether a subtask holds rows behind a barrier until all its inputs delivered theirs. */
export type CheckpointingMode = "EXACTLY_ONCE" | "AT_LEAST_ONCE";

/**
 * What becomes of the retained checkpoints when the job ends. `NO_EXTERNALIZED_CHECKPOINTS`: they go
 * with it. `DELETE_ON_CANCELLATION`: they stay when it fails. `RETAIN_ON_CANCELLATION`: they stay
 * when it fails and when it is cancelled.
 */
export type CheckpointRetention =
  "NO_EXTERNALIZED_CHECKPOINTS" | "DELETE_ON_CANCELLATION" | "RETAIN_ON_CANCELLATION";

/** When checkpoints are taken, what fails them, what is kept of them and where. */
export interface CheckpointConfig {
  /** Milliseconds between two triggers; undefined: no periodic checkpoints. */
  readonly interval: number | undefined;
  readonly mode: CheckpointingMode;
  /** Milliseconds after which a checkpoint that has not completed is aborted. */
  readonly timeout: number;
  /** Milliseconds from the end of one checkpoint to the trigger of the next, at least. */
  readonly minPause: number;
  readonly maxConcurrent: number;
  /** Consecutive failed checkpoints that do not yet fail the attempt. */
  readonly tolerableFailures: number;
  /** Completed checkpoints kept. */
  readonly retained: number;
  readonly retention: CheckpointRetention;
  /** `inline`: manifests, and all state in them, are in the coordinator's SQLite; nothing is in R2. */
  readonly storage: "inline" | "r2";
  /** Bytes up to which a subtask's snapshot travels inside its acknowledgement. */
  readonly inlineThreshold: number;
  /** Whether a snapshot may hold only what changed since the one before it. */
  readonly incremental: boolean;
  /** Whether barriers may overtake rows; only in exactly-once mode, one checkpoint at a time. */
  readonly unaligned: boolean;
  /** Milliseconds an unaligned checkpoint tries to align before its barriers overtake. */
  readonly alignedTimeout: number;
}

/** Where running state is held. */
export interface StateConfig {
  readonly backend: "memory" | "sqlite";
  /**
   * Bytes of memory that the state of one subtask may take, as estimated. The memory backend fails
   * beyond it; the sqlite backend keeps the rest in its rows.
   */
  readonly memoryBudget: number;
  /** Whether a subtask keeps a copy of its last snapshot at hand, to restart from without R2. */
  readonly localRecovery: boolean;
}

/** What follows a failure. All times are milliseconds. */
export type RestartConfig =
  | { readonly strategy: "none" }
  | {
      readonly strategy: "fixed-delay";
      /** Restarts before the job fails for good. */
      readonly attempts: number;
      /** From a failure to the restart. */
      readonly delay: number;
    }
  | {
      readonly strategy: "failure-rate";
      /** Failures that may be followed by a restart, in any stretch of `interval`. */
      readonly maxFailures: number;
      readonly interval: number;
      /** From a failure to the restart. */
      readonly delay: number;
    }
  | {
      readonly strategy: "exponential-delay";
      /** From the first failure to the restart. */
      readonly initialBackoff: number;
      readonly maxBackoff: number;
      /** By how much the backoff grows from one failure to the next. */
      readonly multiplier: number;
      /** After so long without a failure the backoff is the initial one again. */
      readonly resetThreshold: number;
      /** Share of the backoff by which it varies at random, up and down. */
      readonly jitter: number;
      /** Restarts before the job fails for good; counted anew when the backoff is reset. */
      readonly attempts: number;
    };

/** The name of a restart strategy. */
export type RestartStrategy = RestartConfig["strategy"];

/** Everything a run of a job is configured with. */
export interface JobConfig {
  readonly parallelism: number;
  readonly maxParallelism: number;
  /** Of single vertices, by id, whatever they would have without (`pipeline.jobvertex-parallelism-overrides`). */
  readonly parallelismOverrides?: Readonly<Record<string, number>>;
  /** Milliseconds a row may wait in an output buffer; 0 sends every batch at once. */
  readonly bufferTimeout: number;
  readonly checkpointing: CheckpointConfig;
  readonly state: StateConfig;
  readonly restart: RestartConfig;
  /** Nobody chose `restart`: it follows from whether there are checkpoints. */
  readonly restartIsImplied?: true;
  /** What the job was started with, as a command line has it; absent: nothing. */
  readonly programArgs?: readonly string[];
}
