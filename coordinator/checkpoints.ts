// The checkpoints of one job: when one may start, what has been acknowledged, what is retained.
// Decides only; the job core turns the outcomes into messages.
//   K1. Ids only grow; an id is used by one attempt and triggered once.
//   K2. A checkpoint completes when every subtask of its attempt has acknowledged it and its
//       manifest is written, and in no other way.
//   K3. Completing n ends every pending checkpoint below n.
//   K4. At most `maxConcurrent` are pending, and a trigger waits for interval and min pause.
//   K5. At least one completed checkpoint is retained once there is one.

import type { CheckpointConfig } from "../format/config.ts";
import {
  type Attempt,
  type CheckpointId,
  checkpointId,
  type Millis,
  millis,
  type TaskKey,
  taskKey,
} from "../format/ids.ts";
import type { CheckpointRecord } from "../format/job-status.ts";
import type { CheckpointAck } from "../format/messages.ts";

export interface TaskCheckpoint {
  readonly ack: CheckpointAck;
  readonly at: Millis;
}

export interface PendingCheckpoint {
  readonly id: CheckpointId;
  readonly attempt: Attempt;
  readonly triggeredAt: Millis;
  readonly acks: Map<TaskKey, TaskCheckpoint>;
  readonly missing: Set<TaskKey>;
}

/** A completed checkpoint that the job can be restored from. */
export interface RetainedCheckpoint {
  readonly id: CheckpointId;
  readonly attempt: Attempt;
  readonly path: string;
  /** Files of R2 that it needs, the manifest included. */
  readonly files: readonly string[];
}

/** The part that outlives the coordinator's memory. */
export interface CheckpointLedger {
  readonly nextId: number;
  /** Triggered and not known to be over; after a crash these are aborted. */
  readonly open: readonly CheckpointId[];
  /** A checkpoint whose manifest was about to be written. */
  readonly publishing?: RetainedCheckpoint;
  /** Newest first. */
  readonly retained: readonly RetainedCheckpoint[];
  readonly counts: { readonly completed: number; readonly failed: number; readonly restored: number };
  readonly consecutiveFailures: number;
}

export const emptyLedger: CheckpointLedger = {
  nextId: 1,
  open: [],
  retained: [],
  counts: { completed: 0, failed: 0, restored: 0 },
  consecutiveFailures: 0,
};

/** Ended checkpoints remembered for the REST API; Flink's `web.checkpoints.history`. */
export const historyMax = 10;

export type AckOutcome =
  | { readonly kind: "accepted" }
  | { readonly kind: "duplicate" }
  /** Of a checkpoint that is over, or of another attempt. */
  | { readonly kind: "late" }
  | { readonly kind: "complete"; readonly checkpoint: PendingCheckpoint };

export class Checkpoints {
  readonly #config: CheckpointConfig;
  readonly #pending = new Map<CheckpointId, PendingCheckpoint>();
  #ledger: CheckpointLedger;
  /** Newest first. */
  #history: CheckpointRecord[];
  #lastTriggerAt: number;
  #lastEndAt = 0;

  constructor(
    config: CheckpointConfig,
    ledger: CheckpointLedger,
    history: readonly CheckpointRecord[],
    now: Millis,
  ) {
    this.#config = config;
    this.#ledger = ledger;
    this.#history = [...history];
    this.#lastTriggerAt = now;
  }

  get ledger(): CheckpointLedger {
    return this.#ledger;
  }

  get history(): readonly CheckpointRecord[] {
    return [...this.pending.map(recordOf).reverse(), ...this.#history];
  }

  get pending(): readonly PendingCheckpoint[] {
    return [...this.#pending.values()];
  }

  get latest(): RetainedCheckpoint | undefined {
    return this.#ledger.retained[0];
  }

  /** A new attempt runs: the interval counts from now. */
  restarted(now: Millis): void {
    this.#lastTriggerAt = now;
    this.#ledger = { ...this.#ledger, consecutiveFailures: 0 };
  }

  /** When the next periodic checkpoint is due; undefined while none may start. */
  nextTriggerAt(): Millis | undefined {
    const { interval, minPause, maxConcurrent } = this.#config;
    if (interval === undefined || this.#pending.size >= maxConcurrent) return undefined;
    return millis(Math.max(this.#lastTriggerAt + interval, this.#lastEndAt + minPause));
  }

  trigger(attempt: Attempt, tasks: readonly TaskKey[], now: Millis): PendingCheckpoint {
    const id = checkpointId(this.#ledger.nextId);
    const pending = { id, attempt, triggeredAt: now, acks: new Map(), missing: new Set(tasks) };
    this.#pending.set(id, pending);
    this.#lastTriggerAt = now;
    this.#ledger = { ...this.#ledger, nextId: id + 1, open: [...this.#ledger.open, id] };
    return pending;
  }

  acknowledge(ack: CheckpointAck, now: Millis): AckOutcome {
    const pending = this.#pending.get(ack.checkpoint);
    if (pending === undefined || pending.attempt !== ack.attempt) return { kind: "late" };
    const task = taskKey(ack.task);
    if (!pending.missing.delete(task)) return { kind: "duplicate" };
    pending.acks.set(task, { ack, at: now });
    return pending.missing.size > 0 ? { kind: "accepted" } : { kind: "complete", checkpoint: pending };
  }

  /** Before the manifest is written: what a crash in between must find again. */
  publishing(candidate: RetainedCheckpoint): void {
    this.#ledger = { ...this.#ledger, publishing: candidate };
  }

  /** The manifest is durable. Returns what it pushed out of the retained and what it overtook. */
  completed(candidate: RetainedCheckpoint): {
    readonly record: CheckpointRecord | undefined;
    readonly subsumed: readonly RetainedCheckpoint[];
    readonly overtaken: readonly CheckpointId[];
  } {
    const pending = this.#pending.get(candidate.id);
    const overtaken = this.#ledger.open.filter((id) => id < candidate.id);
    const all = [candidate, ...this.#ledger.retained];
    const keep = Math.max(1, this.#config.retained);
    const { publishing: _, ...ledger } = this.#ledger;
    this.#ledger = {
      ...ledger,
      open: ledger.open.filter((id) => id > candidate.id),
      retained: all.slice(0, keep),
      counts: { ...ledger.counts, completed: ledger.counts.completed + 1 },
      consecutiveFailures: 0,
    };
    for (const id of [...overtaken, candidate.id]) this.#pending.delete(id);
    this.#lastEndAt = pending === undefined ? this.#lastEndAt : lastAckAt(pending);
    const subsumed = all.slice(keep);
    this.#discarded(subsumed);
    if (pending === undefined) return { record: undefined, subsumed, overtaken };
    const outcome = { kind: "completed", path: candidate.path, discarded: false } as const;
    return { record: this.#remember({ ...recordOf(pending), outcome }), subsumed, overtaken };
  }

  /** Ends an open checkpoint without a result; undefined where it is over already. */
  abort(id: CheckpointId, message: string, now: Millis): CheckpointRecord | undefined {
    if (!this.#ledger.open.includes(id)) return undefined;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    this.#lastEndAt = now;
    const { publishing, ...ledger } = this.#ledger;
    this.#ledger = {
      ...ledger,
      ...(publishing !== undefined && publishing.id !== id && { publishing }),
      open: ledger.open.filter((open) => open !== id),
      counts: { ...ledger.counts, failed: ledger.counts.failed + 1 },
      consecutiveFailures: ledger.consecutiveFailures + 1,
    };
    if (pending === undefined) return undefined;
    return this.#remember({ ...recordOf(pending), outcome: { kind: "failed", at: now, message } });
  }

  /** Pending checkpoints whose time is up. */
  expired(now: Millis): CheckpointId[] {
    return this.pending
      .filter((entry) => now >= entry.triggeredAt + this.#config.timeout)
      .map((entry) => entry.id);
  }

  nextExpiryAt(): Millis | undefined {
    const times = this.pending.map((entry) => entry.triggeredAt + this.#config.timeout);
    return times.length === 0 ? undefined : millis(Math.min(...times));
  }

  get toleranceExceeded(): boolean {
    return this.#ledger.consecutiveFailures > this.#config.tolerableFailures;
  }

  /** The latest one is damaged: the one before it is the latest now. */
  dropLatest(): RetainedCheckpoint | undefined {
    const [latest, ...retained] = this.#ledger.retained;
    this.#ledger = { ...this.#ledger, retained };
    return latest;
  }

  restored(): void {
    const { counts } = this.#ledger;
    this.#ledger = {
      ...this.#ledger,
      counts: { ...counts, restored: counts.restored + 1 },
    };
  }

  #remember(record: CheckpointRecord): CheckpointRecord {
    this.#history = [record, ...this.#history].slice(0, historyMax);
    return record;
  }

  #discarded(subsumed: readonly RetainedCheckpoint[]): void {
    const gone = new Set(subsumed.map((entry) => entry.id));
    this.#history = this.#history.map((record) =>
      record.outcome.kind === "completed" && gone.has(record.id)
        ? { ...record, outcome: { ...record.outcome, discarded: true } }
        : record,
    );
  }
}

export const lastAckAt = (pending: PendingCheckpoint): Millis =>
  millis(Math.max(pending.triggeredAt, ...[...pending.acks.values()].map((entry) => entry.at)));

const recordOf = (pending: PendingCheckpoint): CheckpointRecord => ({
  id: pending.id,
  attempt: pending.attempt,
  triggered: pending.triggeredAt,
  acks: [...pending.acks.values()].map(({ ack, at }) => ({ task: ack.task, at, metrics: ack.metrics })),
  outcome: { kind: "pending" },
});
