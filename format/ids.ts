// The identities of a deployment, as types that do not mix: a checkpoint id, an attempt, an offset
// and a millisecond are all numbers, and none may stand for another.
//   I1. Ids are made only by the functions of this file, which refuse what is out of range.
//   I2. Object names (of Durable Objects) and R2 keys have one formatter each: `objectName` here,
//       `paths.ts` beside it.

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** 32 lower-case hex digits, as in Flink. */
export type JobId = Branded<string, "JobId">;
/** Milliseconds since the Unix epoch. */
export type Millis = Branded<number, "Millis">;
/** Counts the checkpoints of one job from 1; never used twice, not even after a failure. */
export type CheckpointId = Branded<number, "CheckpointId">;
/** Counts the deployments of one job from 1; an older attempt is refused everywhere. */
export type Attempt = Branded<number, "Attempt">;
/** Position of a frame in its channel, from 0. */
export type Seq = Branded<number, "Seq">;
/** Position of a record in a topic partition, from 0. */
export type Offset = Branded<number, "Offset">;

const jobIdPattern = /^[0-9a-f]{32}$/;

export const isJobId = (text: string): text is JobId => jobIdPattern.test(text);

/** A job id from 16 bytes of the caller's randomness. */
export function jobIdFrom(bytes: Uint8Array): JobId {
  if (bytes.length !== 16) throw new RangeError(`A job id needs 16 bytes, got ${bytes.length}.`);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") as JobId;
}

function counted<T extends number>(name: string, value: number, min: number): T {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new RangeError(`${name} must be an integer of at least ${min}, got ${value}.`);
  }
  return value as T;
}

export const checkpointId = (value: number): CheckpointId => counted("checkpoint id", value, 1);
export const attempt = (value: number): Attempt => counted("attempt", value, 1);
export const seq = (value: number): Seq => counted("sequence number", value, 0);
export const offset = (value: number): Offset => counted("offset", value, 0);
export const millis = (value: number): Millis => counted("milliseconds", value, 0);

/** One subtask of a job: its vertex and its index in it. */
export interface TaskId {
  readonly vertex: string;
  readonly index: number;
}

/** `vertex/index`, for maps, logs and messages. */
export type TaskKey = Branded<string, "TaskKey">;
export const taskKey = (task: TaskId): TaskKey => `${task.vertex}/${task.index}` as TaskKey;

/** The inverse of `taskKey`; ids of vertices contain no slash. */
export function parseTaskKey(key: TaskKey): TaskId {
  const slash = key.lastIndexOf("/");
  return { vertex: key.slice(0, slash), index: Number(key.slice(slash + 1)) };
}

/** Names of the Durable Objects: what `getByName` is called with. */
export const objectName = {
  /** One per deployment. */
  dispatcher: (): string => "dispatcher",
  coordinator: (job: JobId): string => job,
  subtask: (job: JobId, task: TaskId): string => `${job}/${taskKey(task)}`,
  topicPartition: (topic: string, partition: number): string => `${topic}/${partition}`,
} as const;

/** The inverse of `objectName.topicPartition`; topic names contain no slash. */
export function parseTopicPartition(name: string): { topic: string; partition: number } {
  const slash = name.lastIndexOf("/");
  return { topic: name.slice(0, slash), partition: Number(name.slice(slash + 1)) };
}
