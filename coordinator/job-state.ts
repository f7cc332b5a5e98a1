// What the parts of one job share: its record, its checkpoints, what is believed of its subtasks, and
// the effects of the event that is being handled.
//   E1. The record is persisted before any other effect of the same event, once per event.

import type { CheckpointRecord } from "../format/job-status.ts";
import { type Millis, millis } from "../format/ids.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type { JobPhase } from "../format/messages.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Effect } from "./effects.ts";
import { type JobRecord, jobTransitions } from "./job-record.ts";
import { summaryOf } from "./job-view.ts";
import { Subtasks } from "./subtasks.ts";

/** Milliseconds between attempts to tell the dispatcher. */
const announceRetry = 1_000;

export class JobState {
  readonly checkpoints: Checkpoints;
  readonly tasks: Subtasks;
  #record: JobRecord;
  #effects: Effect[] = [];
  #isChanged = false;
  #announcedAt = 0;
  #nextProbeAt: number;

  constructor(record: JobRecord, history: readonly CheckpointRecord[], now: Millis) {
    const { config, checkpoints, plan, phase } = record;
    this.#record = record;
    this.checkpoints = new Checkpoints(config.checkpointing, checkpoints, history, now);
    this.tasks = new Subtasks(plan, phase);
    this.#nextProbeAt = now + heartbeatInterval;
  }

  get record(): JobRecord {
    return this.#record;
  }

  /** When the subtasks are asked next. */
  get nextProbeAt(): number {
    return this.#nextProbeAt;
  }

  /** When the dispatcher is told again; undefined where it knows. */
  get announceAt(): number | undefined {
    const { announced, lastModification } = this.#record;
    return announced < lastModification ? this.#announcedAt + announceRetry : undefined;
  }

  /** They have just been asked. */
  probed(now: Millis): void {
    this.#nextProbeAt = now + heartbeatInterval;
  }

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** The ledger of checkpoints is not as it was persisted. */
  changed(): void {
    this.#isChanged = true;
  }

  update(change: Partial<JobRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#isChanged = true;
  }

  forgetRestart(): void {
    const { restartAt: _, ...record } = this.#record;
    this.#record = record;
    this.#isChanged = true;
  }

  enter(phase: JobPhase, now: Millis): void {
    const { phase: from, entered, lastModification } = this.#record;
    const allowed: readonly JobPhase[] = jobTransitions[from];
    if (!allowed.includes(phase)) throw new Error(`J5: ${from} -> ${phase}`);
    this.update({
      phase,
      entered: { ...entered, [phase]: now },
      lastModification: millis(Math.max(now, lastModification + 1)),
    });
    this.#announcedAt = 0;
  }

  /** The effects since the last call, what must be durable first. */
  flush(now: Millis): Effect[] {
    const out = this.#effects;
    this.#effects = [];
    const announceAt = this.announceAt;
    if (announceAt !== undefined && now >= announceAt) {
      this.#announcedAt = now;
      out.push({ kind: "announce", summary: summaryOf(this.#record, this.tasks) });
    }
    if (!this.#isChanged) return out;
    this.#isChanged = false;
    this.#record = { ...this.#record, checkpoints: this.checkpoints.ledger };
    return [{ kind: "persist", record: this.#record, ...this.checkpoints.takeChanges() }, ...out];
  }
}
