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
  /** Files that a checkpoint writes beside its manifest. */
  readonly filesPerCheckpoint: number;
}

/** Seconds between two heartbeats, and of the life of a session. */
const heartbeatEvery = 5;
const sessionLife = 60;

/** Rows of SQLite: of a coordinator that is new, of a subtask that is, and of a checkpoint. New objects make
 * their tables; a subtask stores its attempt and sets its alarm; a checkpoint is recorded when it is
 * triggered, acknowledged and published, and goes into the history. */
const rowsWritten = { coordinator: 15, subtask: 7, checkpoint: 6 } as const;
const rowsRead = { coordinator: 12, subtask: 4, checkpoint: 7 } as const;

/** Calls by which the list of jobs is told of a job that starts. */
const announcements = 2;

/** What such a run is foreseen to take. */
export function foreseen(run: RunShape): Operations {
  const { seconds, sources, subtasks, channels, checkpoints, filesPerCheckpoint } = run;
  const sessions = channels * Math.ceil(Math.max(seconds, 1) / sessionLife);
  const deployments = 2 * subtasks;
  // Triggers, acknowledgements, notifications.
  const perCheckpoint = sources + 2 * subtasks;
  const heartbeats = subtasks * Math.floor(seconds / heartbeatEvery);
  const rowsOf = (of: Readonly<Record<"coordinator" | "subtask" | "checkpoint", number>>): number =>
    of.coordinator + of.subtask * subtasks + of.checkpoint * checkpoints;
  return {
    requests: announcements + deployments + sessions + checkpoints * perCheckpoint + heartbeats,
    gigabyteSeconds: (subtasks + 1) * objectGigabytes * seconds,
    rowsRead: rowsOf(rowsRead),
    rowsWritten: rowsOf(rowsWritten),
    classA: checkpoints * (1 + filesPerCheckpoint),
    classB: 0,
  };
}
