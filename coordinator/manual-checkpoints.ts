// Checkpoints that somebody asked for: who, when they are taken, and what became of them. They are
// checkpoints as any other, and what counts when is decided in checkpoints.ts.
//   N1. A request is known by its trigger id and is durable before it is answered; repeated, it is the
//       same request. Its outcome stays readable, also after the job has ended.
//   N2. One is taken as soon as one more may be open, without interval or pause, also where none are
//       periodic. It serves all that wait, and is full where one of them wants it so.
//   N3. A job that rests has taken it already: its latest checkpoint is of the very same state. Only
//       a full one wakes it.

import type { Millis } from "../format/ids.ts";
import type {
  CheckpointAnswer,
  CheckpointRequest,
  CheckpointStatus,
} from "../format/job-status.ts";
import type { Checkpointing } from "./checkpointing.ts";
import { isEnding, isTerminal, type ManualCheckpointRecord } from "./job-record.ts";
import type { JobState } from "./job-state.ts";
import { openRescale } from "./rescales.ts";
import type { Savepoints } from "./savepoints.ts";

/** Requests that ended and are still answered for. */
const endedMax = 64;

/** Requests that may wait, so that a client that asks without end does not fill the record. */
const waitingMax = 32;

export class ManualCheckpoints {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #savepoints: Savepoints;

  constructor(state: JobState, checkpointing: Checkpointing, savepoints: Savepoints) {
    this.#state = state;
    this.#checkpointing = checkpointing;
    this.#savepoints = savepoints;
  }

  /** Whether the job has to be awake for one. */
  get isBusy(): boolean {
    return this.#all.some(isOpen);
  }

  request(request: CheckpointRequest, now: Millis): CheckpointAnswer {
    const { phase, job, restingSince } = this.#state.record;
    const known = this.#all.find(({ trigger }) => trigger === request.trigger);
    if (known !== undefined) {
      if (known.type === request.type) return { kind: "accepted" };
      const reason = `Trigger id ${request.trigger} is that of another request; choose a new one.`;
      return { kind: "refused", reason };
    }
    if (isTerminal(phase) || isEnding(phase)) {
      return {
        kind: "refused",
        reason: `Job ${job} is ${phase}; it takes no checkpoint any more.`,
      };
    }
    const { refusal: reason } = this.#savepoints;
    if (reason !== undefined) return { kind: "refused", reason };
    if (this.#all.filter(isOpen).length >= waitingMax) {
      const reason = `${waitingMax} checkpoints of job ${job} are waited for; ask again later.`;
      return { kind: "refused", reason };
    }
    const { latest } = this.#state.checkpoints;
    const isThere = restingSince !== undefined && request.type !== "FULL" && latest !== undefined;
    const record: ManualCheckpointRecord = {
      ...request,
      requestedAt: now,
      progress: isThere ? { kind: "completed", checkpoint: latest.id } : { kind: "waiting" },
    };
    const ended = this.#all.filter((each) => !isOpen(each)).slice(0, endedMax - 1);
    this.#update([record, ...this.#all.filter(isOpen), ...ended]);
    return { kind: "accepted" };
  }

  status(trigger: string): CheckpointStatus | undefined {
    const progress = this.#all.find((each) => each.trigger === trigger)?.progress;
    if (progress === undefined) return undefined;
    if (progress.kind === "completed" || progress.kind === "failed") return progress;
    return { kind: "inProgress" };
  }

  wakeTimes(): number[] {
    const { timeout } = this.#state.record.config.checkpointing;
    return this.#all.flatMap(({ progress, requestedAt }) =>
      progress.kind === "waiting" ? [requestedAt + timeout] : [],
    );
  }

  /** After every event: what follows from it for the requests. Repeated, it does nothing. */
  settle(now: Millis): void {
    this.#enter((each) => this.#closed(each) ?? this.#expired(each, now));
    this.#take(now);
  }

  /** One that is being taken and is not any more. */
  #closed({ progress }: ManualCheckpointRecord): ManualCheckpointRecord["progress"] | undefined {
    const { checkpoints } = this.#state;
    if (progress.kind !== "taking" || checkpoints.isOpen(progress.checkpoint)) return undefined;
    const { checkpoint } = progress;
    const outcome = checkpoints.history.find(({ id }) => id === checkpoint)?.outcome;
    if (outcome?.kind === "completed") return { kind: "completed", checkpoint };
    const message = outcome?.kind === "failed" ? outcome.message : "Nothing is known of it.";
    return { kind: "failed", message };
  }

  #expired(
    { progress, requestedAt }: ManualCheckpointRecord,
    now: Millis,
  ): ManualCheckpointRecord["progress"] | undefined {
    if (progress.kind !== "waiting") return undefined;
    const { phase, config } = this.#state.record;
    const { timeout } = config.checkpointing;
    if (isTerminal(phase) || isEnding(phase)) {
      return { kind: "failed", message: `The job is ${phase}; it was not taken any more.` };
    }
    if (now < requestedAt + timeout) return undefined;
    const message = `It expired: for ${timeout} ms the job was ${phase} or had others to finish.`;
    return { kind: "failed", message };
  }

  #take(now: Millis): void {
    const { record, checkpoints } = this.#state;
    const waiting = this.#all.filter(({ progress }) => progress.kind === "waiting");
    const { maxConcurrent } = record.config.checkpointing;
    if (checkpoints.ledger.open.some(({ isFinal }) => isFinal)) return;
    const mayTake = record.phase === "RUNNING" && checkpoints.ledger.open.length < maxConcurrent;
    if (waiting.length === 0 || !mayTake || this.#savepoints.isBusy) return;
    // The job is about to be rescaled from the checkpoint that is complete.
    if (openRescale(record)?.progress.kind === "taking") return;
    const checkpoint = checkpoints.nextId;
    this.#enter(({ progress }) =>
      progress.kind === "waiting" ? { kind: "taking", checkpoint } : undefined,
    );
    const isFull = waiting.some(({ type }) => type === "FULL");
    this.#checkpointing.trigger(now, isFull ? "full" : undefined);
  }

  #enter(
    next: (each: ManualCheckpointRecord) => ManualCheckpointRecord["progress"] | undefined,
  ): void {
    let isChanged = false;
    const all = this.#all.map((each) => {
      const progress = next(each);
      isChanged ||= progress !== undefined;
      return progress === undefined ? each : { ...each, progress };
    });
    if (isChanged) this.#update(all);
  }

  #update(manualCheckpoints: readonly ManualCheckpointRecord[]): void {
    this.#state.update({ manualCheckpoints });
  }

  get #all(): readonly ManualCheckpointRecord[] {
    return this.#state.record.manualCheckpoints ?? [];
  }
}

const isOpen = ({ progress }: ManualCheckpointRecord): boolean =>
  progress.kind === "waiting" || progress.kind === "taking";
