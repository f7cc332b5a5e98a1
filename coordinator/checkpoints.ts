// The checkpoints of one job: when one may start, what has been acknowledged, what is retained.
// Decides only; the job core turns the outcomes into messages.
//   K1. Ids only grow; an id is used by one attempt and triggered once.
//   K2. A checkpoint completes when every subtask has acknowledged it and its manifest is written,
//       and in no other way. (Under which attempts these may acknowledge, the job core knows.)
//   K3. Completing n ends every open checkpoint below n.
//   K4. At most `maxConcurrent` are open, and a trigger waits for interval and min pause; the first after
//       a restart, as in Flink, for a time drawn between both.
//       A savepoint waits for neither and moves neither: periodic ones come as if there had been none.
//   K5. At least one completed checkpoint is retained once there is one, until the job ends. A
//       savepoint is none of them: it is the user's, and pushes nothing out.
//   K6. A checkpoint that ended without a result may have left files, and its id says which: they
//       are litter until the bucket has been swept up to it.

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
import type { AckRecord, CheckpointRecord, CheckpointTotals } from "../format/job-status.ts";
import type { CheckpointAck } from "../format/messages.ts";
import { withCompleted } from "./checkpoint-totals.ts";

/** A checkpoint that was triggered and is not over. */
export interface OpenCheckpoint {
  readonly id: CheckpointId;
  readonly attempt: Attempt;
  readonly triggeredAt: Millis;
  readonly isSavepoint?: true;
  /** The last one of a job whose input has ended. */
  readonly isFinal?: true;
}

interface TaskCheckpoint {
  readonly ack: CheckpointAck;
  readonly at: Millis;
}

/** An open checkpoint of this coordinator's memory: one that acknowledgements still count for. */
interface PendingCheckpoint extends OpenCheckpoint {
  readonly acks: Map<TaskKey, TaskCheckpoint>;
  readonly missing: Set<TaskKey>;
}

/** A completed checkpoint that the job can be restored from. */
export interface RetainedCheckpoint {
  readonly id: CheckpointId;
  readonly attempt: Attempt;
  readonly path: string;
  readonly completedAt: Millis;
  /** Files of R2 that it needs, the manifest included. */
  readonly files: readonly string[];
}

/** An open checkpoint whose manifest is about to be written, and what the history shows of it. */
export interface PublishingCheckpoint {
  readonly candidate: RetainedCheckpoint;
  readonly acks: readonly AckRecord[];
}

/** The part that outlives the coordinator's memory. */
export interface CheckpointLedger {
  readonly nextId: number;
  /** Oldest first. After a crash these are aborted, but for those that were being published. */
  readonly open: readonly OpenCheckpoint[];
  readonly publishing: readonly PublishingCheckpoint[];
  /** Newest first. */
  readonly retained: readonly RetainedCheckpoint[];
  /** Up to which checkpoint there may be files that nothing reaches; absent where there are none. */
  readonly litterUpTo?: CheckpointId;
  readonly counts: {
    readonly completed: number;
    readonly failed: number;
    readonly restored: number;
  };
  readonly consecutiveFailures: number;
  /** Absent before the first completed one. */
  readonly totals?: CheckpointTotals;
}

export const emptyLedger: CheckpointLedger = {
  nextId: 1,
  open: [],
  publishing: [],
  retained: [],
  counts: { completed: 0, failed: 0, restored: 0 },
  consecutiveFailures: 0,
};

/** Ended checkpoints remembered for the REST API; Flink's `web.checkpoints.history`. */
export const historyMax = 10;

export type AckOutcome =
  | { readonly kind: "accepted" }
  | { readonly kind: "duplicate" }
  /** From a subtask that the checkpoint does not wait for. */
  | { readonly kind: "unknown" }
  /** Of a checkpoint that is over. */
  | { readonly kind: "late" }
  | { readonly kind: "complete"; readonly acks: readonly CheckpointAck[] };

export class Checkpoints {
  readonly #config: CheckpointConfig;
  readonly #pending = new Map<CheckpointId, PendingCheckpoint>();
  #ledger: CheckpointLedger;
  /** Newest first. */
  #history: readonly CheckpointRecord[];
  /** Ended and forgotten since `takeChanges`. */
  #ended: CheckpointRecord[] = [];
  #forgotten: CheckpointId[] = [];
  #lastTriggerAt: Millis;
  #lastEndAt: Millis;
  /** There is litter that the sweep under way may have missed. */
  #isLitteredAnew = false;

  constructor(
    config: CheckpointConfig,
    ledger: CheckpointLedger,
    history: readonly CheckpointRecord[],
    now: Millis,
  ) {
    this.#config = config;
    this.#ledger = ledger;
    this.#history = newestFirst(history);
    this.#lastTriggerAt = now;
    this.#lastEndAt = now;
  }

  get ledger(): CheckpointLedger {
    return this.#ledger;
  }

  /** Newest first, the open ones included. */
  get history(): readonly CheckpointRecord[] {
    const retained = new Set(this.#ledger.retained.map((entry) => entry.id));
    const ended = this.#history.map((record): CheckpointRecord => {
      if (record.outcome.kind !== "completed" || record.isSavepoint === true) return record;
      return { ...record, outcome: { ...record.outcome, discarded: !retained.has(record.id) } };
    });
    return newestFirst([...this.#ledger.open.map((open) => this.#recordOf(open)), ...ended]);
  }

  get latest(): RetainedCheckpoint | undefined {
    return this.#ledger.retained[0];
  }

  isOpen(id: CheckpointId): boolean {
    return this.#ledger.open.some((open) => open.id === id);
  }

  get toleranceExceeded(): boolean {
    return this.#ledger.consecutiveFailures > this.#config.tolerableFailures;
  }

  /** When the next periodic checkpoint is due; undefined while none may start. */
  nextTriggerAt(): Millis | undefined {
    const { interval, maxConcurrent } = this.#config;
    if (interval === undefined || this.#ledger.open.length >= maxConcurrent) return undefined;
    return millis(Math.max(this.#lastTriggerAt + interval, this.pauseEndsAt));
  }

  /** When the pause after the last one that ended is over. */
  get pauseEndsAt(): number {
    return this.#lastEndAt + this.#config.minPause;
  }

  nextExpiryAt(): Millis | undefined {
    const times = this.#ledger.open.map((open) => open.triggeredAt + this.#config.timeout);
    return times.length === 0 ? undefined : millis(Math.min(...times));
  }

  /** Open checkpoints whose time is up, the publishing one included: its write may never answer. */
  expired(now: Millis): CheckpointId[] {
    return this.#ledger.open
      .filter((open) => now >= open.triggeredAt + this.#config.timeout)
      .map((open) => open.id);
  }

  /** There is something to save again: the interval counts from now. */
  resumed(now: Millis): void {
    this.#lastTriggerAt = now;
  }

  /**
   * A new attempt runs: from now on time and failures count.
   *
   * @param share of the time between min pause and interval that the first one waits for beside the pause
   */
  restarted(now: Millis, share = 1): void {
    const { interval = 0, minPause } = this.#config;
    this.resumed(millis(now - Math.floor((1 - share) * Math.max(0, interval - minPause))));
    this.#ledger = { ...this.#ledger, consecutiveFailures: 0 };
  }

  /** The id that the next trigger spends. */
  get nextId(): CheckpointId {
    return checkpointId(this.#ledger.nextId);
  }

  isSavepoint(id: CheckpointId): boolean {
    return this.#ledger.open.some((open) => open.id === id && open.isSavepoint === true);
  }

  isFinal(id: CheckpointId): boolean {
    return this.#ledger.open.some((open) => open.id === id && open.isFinal === true);
  }

  trigger(
    attempt: Attempt,
    tasks: readonly TaskKey[],
    now: Millis,
    kind?: "savepoint" | "final",
  ): OpenCheckpoint {
    const isSavepoint = kind === "savepoint";
    const open: OpenCheckpoint = {
      id: this.nextId,
      attempt,
      triggeredAt: now,
      ...(isSavepoint && { isSavepoint }),
      ...(kind === "final" && { isFinal: true }),
    };
    this.#pending.set(open.id, { ...open, acks: new Map(), missing: new Set(tasks) });
    if (!isSavepoint) this.#lastTriggerAt = now;
    this.#ledger = { ...this.#ledger, nextId: open.id + 1, open: [...this.#ledger.open, open] };
    return open;
  }

  acknowledge(ack: CheckpointAck, now: Millis): AckOutcome {
    const pending = this.#pending.get(ack.checkpoint);
    if (pending === undefined) return { kind: "late" };
    const task = taskKey(ack.task);
    if (pending.acks.has(task)) return { kind: "duplicate" };
    if (!pending.missing.delete(task)) return { kind: "unknown" };
    pending.acks.set(task, { ack, at: now });
    if (pending.missing.size > 0) return { kind: "accepted" };
    return { kind: "complete", acks: [...pending.acks.values()].map((entry) => entry.ack) };
  }

  /** Before the manifest is written: what a crash in between must find again. */
  publishing(candidate: RetainedCheckpoint): void {
    const pending = this.#pending.get(candidate.id);
    const acks = pending === undefined ? [] : acksOf(pending);
    const publishing = [...this.#ledger.publishing, { candidate, acks }];
    this.#ledger = { ...this.#ledger, publishing };
  }

  isPublishing(id: CheckpointId): boolean {
    return this.#ledger.publishing.some(({ candidate }) => candidate.id === id);
  }

  /** The manifest is durable. Returns what it pushed out of the retained and what it overtook. */
  completed(
    candidate: RetainedCheckpoint,
    now: Millis,
  ): {
    readonly subsumed: readonly RetainedCheckpoint[];
    readonly overtaken: readonly CheckpointId[];
  } {
    const own = this.#ledger.open.find((open) => open.id === candidate.id);
    if (own === undefined) throw new Error(`K2: checkpoint ${candidate.id} is not open.`);
    if (own.isSavepoint === true) {
      this.#end(own.id, { kind: "completed", path: candidate.path, discarded: false });
      return { subsumed: [], overtaken: [] };
    }
    const overtaken = this.#ledger.open.map((open) => open.id).filter((id) => id < candidate.id);
    for (const id of overtaken) {
      this.#end(id, failed(`Checkpoint ${candidate.id} completed before it.`, now));
    }
    this.#end(own.id, { kind: "completed", path: candidate.path, discarded: false });
    this.#lastEndAt = now;
    const all = [candidate, ...this.#ledger.retained];
    const keep = Math.max(1, this.#config.retained);
    this.#ledger = { ...this.#ledger, retained: all.slice(0, keep), consecutiveFailures: 0 };
    return { subsumed: all.slice(keep), overtaken };
  }

  /**
   * Ends an open checkpoint without a result; false where it is over already. `counted`: it is the
   * checkpoint's own failure, not the end of the attempt or of the coordinator that ran it.
   */
  abort(
    id: CheckpointId,
    message: string,
    now: Millis,
    { counted }: { readonly counted: boolean },
  ): boolean {
    if (!this.isOpen(id)) return false;
    const isSavepoint = this.isSavepoint(id);
    this.#end(id, failed(message, now));
    if (isSavepoint) return true;
    this.#lastEndAt = now;
    const { consecutiveFailures } = this.#ledger;
    if (counted) {
      this.#ledger = { ...this.#ledger, consecutiveFailures: consecutiveFailures + 1 };
    }
    return true;
  }

  /** The latest one is damaged: the one before it is the latest now. */
  dropLatest(): void {
    const [latest, ...retained] = this.#ledger.retained;
    this.#ledger = { ...this.#ledger, retained };
    if (latest !== undefined) this.littered(latest.id);
  }

  /** It is another job's now. */
  cede(id: CheckpointId): void {
    const retained = this.#ledger.retained.filter((entry) => entry.id !== id);
    this.#ledger = { ...this.#ledger, retained };
  }

  /** Nothing will ever be restored from this job. */
  discardAll(): void {
    this.#ledger = { ...this.#ledger, retained: [] };
  }

  restored(): void {
    const { counts } = this.#ledger;
    this.#ledger = { ...this.#ledger, counts: { ...counts, restored: counts.restored + 1 } };
  }

  /** Checkpoints up to `id`, or all so far, may have left files that nothing reaches (K6). */
  littered(id: number = this.#ledger.nextId - 1): void {
    const litterUpTo = Math.max(id, this.#ledger.litterUpTo ?? 0);
    if (litterUpTo === 0) return;
    this.#isLitteredAnew = true;
    this.#ledger = { ...this.#ledger, litterUpTo: checkpointId(litterUpTo) };
  }

  /** A sweep begins: it finds all litter there has been so far. */
  sweeping(): void {
    this.#isLitteredAnew = false;
  }

  /** What nothing reaches has been deleted, up to that checkpoint. */
  swept(upTo: CheckpointId): void {
    if (this.#isLitteredAnew) return;
    const { litterUpTo, ...ledger } = this.#ledger;
    if (litterUpTo !== undefined && litterUpTo <= upTo) this.#ledger = ledger;
  }

  /** What the stored history lacks, and what it need not hold any longer. */
  takeChanges(): {
    readonly ended: readonly CheckpointRecord[];
    readonly forgotten: readonly CheckpointId[];
  } {
    const changes = { ended: this.#ended, forgotten: this.#forgotten };
    this.#ended = [];
    this.#forgotten = [];
    return changes;
  }

  #end(id: CheckpointId, outcome: CheckpointRecord["outcome"]): void {
    const open = this.#ledger.open.find((candidate) => candidate.id === id);
    if (open === undefined) return;
    const record: CheckpointRecord = { ...this.#recordOf(open), outcome };
    this.#remember(record);
    this.#pending.delete(id);
    const { publishing, counts, ...ledger } = this.#ledger;
    const isCompleted = outcome.kind === "completed";
    this.#ledger = {
      ...ledger,
      publishing: publishing.filter(({ candidate }) => candidate.id !== id),
      open: ledger.open.filter((candidate) => candidate.id !== id),
      counts: {
        ...counts,
        completed: counts.completed + (isCompleted ? 1 : 0),
        failed: counts.failed + (isCompleted ? 0 : 1),
      },
      ...(isCompleted && { totals: withCompleted(ledger.totals, record) }),
    };
    if (!isCompleted && open.isSavepoint !== true) this.littered(id);
  }

  #recordOf(open: OpenCheckpoint): CheckpointRecord {
    const pending = this.#pending.get(open.id);
    const published = this.#ledger.publishing.find(({ candidate }) => candidate.id === open.id);
    return {
      id: open.id,
      attempt: open.attempt,
      triggered: open.triggeredAt,
      ...(open.isSavepoint && { isSavepoint: true }),
      acks: pending === undefined ? (published?.acks ?? []) : acksOf(pending),
      outcome: { kind: "pending" },
    };
  }

  /**
   * The last few, and the last of either outcome and the last savepoint however old: how a job is
   * doing shows in them.
   */
  #remember(record: CheckpointRecord): void {
    const all = newestFirst([record, ...this.#history]);
    const keep = new Set(all.slice(0, historyMax));
    for (const kind of ["completed", "failed"] as const) {
      for (const isSavepoint of [undefined, true]) {
        const last = all.find(
          (entry) => entry.outcome.kind === kind && entry.isSavepoint === isSavepoint,
        );
        if (last !== undefined) keep.add(last);
      }
    }
    this.#history = all.filter((entry) => keep.has(entry));
    this.#ended.push(record);
    this.#forgotten.push(...all.filter((entry) => !keep.has(entry)).map((entry) => entry.id));
  }
}

const acksOf = (pending: PendingCheckpoint): AckRecord[] =>
  [...pending.acks.values()].map(({ ack, at }) => ({ task: ack.task, at, metrics: ack.metrics }));

const failed = (message: string, at: Millis): CheckpointRecord["outcome"] => ({
  kind: "failed",
  at,
  message,
});

const newestFirst = (records: readonly CheckpointRecord[]): CheckpointRecord[] =>
  records.toSorted((left, right) => right.id - left.id);
