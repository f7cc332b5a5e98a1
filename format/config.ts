// What a job can be configured with once every default is filled in: the shape that travels in
// messages and is stored with the job. How a user writes it is in `stream/config.ts`.

/** Whether a subtask holds rows behind a barrier until all its inputs delivered theirs. */
export type CheckpointingMode = "EXACTLY_ONCE" | "AT_LEAST_ONCE";

/** When checkpoints are taken, what fails them, what is kept of them. */
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
  /** Bytes up to which a subtask's snapshot travels inside its acknowledgement. */
  readonly inlineThreshold: number;
}

/** What follows a failure. */
export interface RestartConfig {
  readonly strategy: "none" | "fixed-delay";
  /** Restarts before the job fails for good. */
  readonly attempts: number;
  /** Milliseconds between a failure and the restart. */
  readonly delay: number;
}

/** Everything a run of a job is configured with. */
export interface JobConfig {
  readonly parallelism: number;
  readonly maxParallelism: number;
  /** Milliseconds a row may wait in an output buffer; 0 sends every batch at once. */
  readonly bufferTimeout: number;
  readonly checkpointing: CheckpointConfig;
  readonly restart: RestartConfig;
}
