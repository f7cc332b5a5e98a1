// What a run costs on Cloudflare: its operations, counted or foreseen, by the price list. Pure.
//   C1. List prices, beyond what an account has free. Storage and what leaves R2 are not in it: the one
//       is a matter of time, the other is free.
//   C2. A call on a stub is a request; one on a session that a call returned is not.
//   C3. An object is billed for 128 MB for as long as it is in memory.

/** What is billed. */
export interface Operations {
  readonly requests: number;
  readonly gigabyteSeconds: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Of R2: writes and lists; reads. Deletions are free. */
  readonly classA: number;
  readonly classB: number;
}

/**
 * Dollars per operation, of November 2026:
 * https://developers.cloudflare.com/durable-objects/platform/pricing/ and
 * https://developers.cloudflare.com/r2/pricing/
 */
export const prices: Operations = {
  requests: 0.15e-6,
  gigabyteSeconds: 12.5e-6,
  rowsRead: 0.001e-6,
  rowsWritten: 1e-6,
  classA: 4.5e-6,
  classB: 0.36e-6,
};

const objectGigabytes = 0.128;

export type Kind = keyof Operations;
export const kinds = Object.keys(prices) as Kind[];

/** Dollars of each kind of operation. */
export const costsOf = (operations: Operations): Operations =>
  Object.fromEntries(kinds.map((kind) => [kind, operations[kind] * prices[kind]])) as never;

export const dollarsOf = (operations: Operations): number =>
  Object.values(costsOf(operations)).reduce((sum: number, cost: number) => sum + cost, 0);

/** A run of a job, as far as its operations follow from it. */
export interface RunShape {
  readonly seconds: number;
  /** Source subtasks, and all of them. */
  readonly sources: number;
  readonly subtasks: number;
  readonly channels: number;
  readonly checkpoints: number;
  /** Files that a checkpoint writes beside its manifest: as many as subtasks have state that changes. */
  readonly filesPerCheckpoint: number;
}

/** Seconds between two heartbeats, between two alarms of a subtask that runs, and of the life of a session. */
const heartbeatEvery = 5;
const alarmEvery = 10;
const sessionLife = 60;

/**
 * Rows of SQLite, with those of alarms: of a job, whose coordinator makes its tables and records how it
 * starts and ends; of a subtask, which makes its tables, stores its attempt twice and sets an alarm; of one
 * that has state, which is kept when it ends; of a checkpoint, which is recorded when it is triggered,
 * acknowledged and published, with an alarm for each, and goes into the history.
 */
const rowsWritten = { job: 20, subtask: 8, stateful: 6, checkpoint: 7 } as const;
const rowsRead = { job: 17, subtask: 7, stateful: 4, checkpoint: 8 } as const;

/** Checkpoints of a history: each one more removes one. */
const historyLength = 10;

/** Calls by which the list of jobs is told of what becomes of a job. */
const announcements = 4;

/** What such a run, to the end of its input, is foreseen to take. */
export function foreseen(run: RunShape): Operations {
  const { seconds, sources, subtasks, channels, checkpoints, filesPerCheckpoint } = run;
  const sessions = channels * Math.ceil(Math.max(seconds, 1) / sessionLife);
  // Deployed, started, at its end, told that all is over.
  const lifeOfSubtask = 4;
  // Triggers, acknowledgements, notifications.
  const perCheckpoint = sources + 2 * subtasks;
  const heartbeats = subtasks * Math.floor(seconds / heartbeatEvery);
  const alarms = subtasks * Math.floor(seconds / alarmEvery);
  const forgotten = Math.max(0, checkpoints - historyLength);
  const rowsOf = (of: typeof rowsWritten | typeof rowsRead): number =>
    of.job + of.subtask * subtasks + of.stateful * filesPerCheckpoint + of.checkpoint * checkpoints;
  return {
    requests:
      announcements +
      lifeOfSubtask * subtasks +
      sessions +
      checkpoints * perCheckpoint +
      heartbeats,
    gigabyteSeconds: (subtasks + 1) * objectGigabytes * seconds,
    rowsRead: rowsOf(rowsRead),
    rowsWritten: rowsOf(rowsWritten) + alarms + forgotten,
    // With one list of files when the job begins.
    classA: 1 + checkpoints * (1 + filesPerCheckpoint),
    classB: 0,
  };
}
