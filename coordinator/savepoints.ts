// The savepoints of one job: who asked for one, when it is taken, what became of it, and how the job
// ends with one. A savepoint is a checkpoint in its own folder (checkpoints.ts counts it, subtasks
// freeze for it), and what is done about it beside is here.
//   P1. A request is known by its trigger id and is durable before it is answered; repeated, it is the
//       same request. Its outcome stays readable, also after the job has ended.
//   P2. A savepoint is taken alone: once nothing is open, without interval or pause, and nothing is
//       triggered until it is over. Requests are served in the order in which they came.
//   P3. One that fails costs the job nothing: no tolerance, no attempt, no interval. Its folder is
//       deleted, and once more later: what was on its way may arrive behind the first deletion.
//   P4. Nobody hears that a savepoint is complete unless it stops the job: committing is the next
//       checkpoint's, so that no restore ever goes back behind what was committed.
//   P5. One that stops the job binds it as soon as it is complete. All subtasks hear of it, and again
//       until each has said that it is committed; whoever is lost meanwhile is restored from it, and
//       does nothing but commit. Then the job ends. So it does with its last checkpoint (ending.ts).
//   P6. One that drains has ended event time in subtasks: where it fails, their attempts end with it,
//       at no cost, and what was let go is undone.

import type { Millis } from "../format/ids.ts";
import type {
  SavepointAnswer,
  SavepointProgress,
  SavepointRequest,
  SavepointStatus,
} from "../format/job-status.ts";
import { savepointFolder, savepointManifestPath } from "../format/paths.ts";
import type { Checkpointing } from "./checkpointing.ts";
import { isEnding, isTerminal, type JobRecord, type SavepointRecord } from "./job-record.ts";
import type { RetainedCheckpoint } from "./checkpoints.ts";
import type { JobState } from "./job-state.ts";
import { openRescale } from "./rescales.ts";

/** Savepoints that ended and are still answered for. */
const endedMax = 64;

/** Requests that may wait, so that a client that asks without end does not fill the record. */
const waitingMax = 32;

/** Milliseconds after which a folder is deleted once more. No write takes so long. */
const deleteAgain = 60_000;

export interface SavepointEvents {
  /** Everybody has committed what the job ends with. */
  readonly stopped: (now: Millis) => void;
  /** One that drains has failed (P6). */
  readonly drainFailed: (message: string, now: Millis) => void;
}

export class Savepoints {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #on: SavepointEvents;
  /** When a folder's deletion was last asked for. */
  readonly #deletedAt = new Map<string, Millis>();

  constructor(state: JobState, checkpointing: Checkpointing, on: SavepointEvents) {
    this.#state = state;
    this.#checkpointing = checkpointing;
    this.#on = on;
  }

  /** Whether checkpoints have to wait (P2). */
  get isBusy(): boolean {
    return this.#state.record.stopping !== undefined || this.#all.some(isOpen);
  }

  /** Why the job takes no more requests although it runs; undefined where it does. */
  get refusal(): string | undefined {
    const { stopping, job } = this.#state.record;
    if (stopping?.ends === "finish") return `The input of job ${job} has ended, and so does it.`;
    const stop = this.#all.find((each) => each.ends !== undefined && isOpen(each));
    const trigger = stopping?.trigger ?? stop?.trigger;
    return trigger && `Job ${job} is being stopped with savepoint ${trigger}.`;
  }

  request(request: SavepointRequest, now: Millis): SavepointAnswer {
    const { phase, job } = this.#state.record;
    const known = this.#all.find(({ trigger }) => trigger === request.trigger);
    if (known !== undefined) {
      if (isSame(known, request)) return { kind: "accepted" };
      const reason = `Trigger id ${request.trigger} is that of another request; choose a new one.`;
      return { kind: "refused", reason };
    }
    if (isTerminal(phase) || isEnding(phase)) {
      return { kind: "refused", reason: `Job ${job} is ${phase}; it takes no savepoint any more.` };
    }
    const { refusal: reason } = this;
    if (reason !== undefined) return { kind: "refused", reason };
    if (this.#all.filter(isOpen).length >= waitingMax) {
      const reason = `${waitingMax} savepoints of job ${job} are waited for; ask again later.`;
      return { kind: "refused", reason };
    }
    const record: SavepointRecord = { ...request, requestedAt: now, progress: { kind: "waiting" } };
    const ended = this.#all.filter((each) => !isOpen(each)).slice(0, endedMax - 1);
    this.#update({ savepoints: [record, ...this.#all.filter(isOpen), ...ended] });
    return { kind: "accepted" };
  }

  status(trigger: string): SavepointStatus | undefined {
    const progress = this.#all.find((each) => each.trigger === trigger)?.progress;
    if (progress === undefined) return undefined;
    if (progress.kind === "completed" || progress.kind === "failed") return progress;
    return { kind: "inProgress" };
  }

  progress(trigger: string): SavepointProgress | undefined {
    const progress = this.#all.find((each) => each.trigger === trigger)?.progress;
    if (progress?.kind !== "taking") return progress;
    const { checkpoint } = progress;
    const { checkpoints, tasks } = this.#state;
    const acks = checkpoints.history.find(({ id }) => id === checkpoint)?.acks ?? [];
    return {
      kind: "taking",
      checkpoint,
      acknowledged: acks.length,
      total: tasks.all.length,
      bytes: acks.reduce((total, { metrics }) => total + metrics.bytes, 0),
    };
  }

  /** What the job needs the savepoint with that manifest for; undefined where it does not. */
  needOf(path: string): string | undefined {
    const { record, checkpoints } = this.#state;
    const isOwn = record.restore?.path === path;
    const isIt = (checkpoint: { readonly path: string }): boolean => checkpoint.path === path;
    const isLeft = isTerminal(record.phase) && checkpoints.ledger.retained.some(isIt);
    if (isOwn && record.restore?.claimed !== undefined && record.isLetGo !== true && !isLeft) {
      return "has claimed it, and deletes it itself";
    }
    if (isTerminal(record.phase)) return undefined;
    if (record.stopping?.savepoint.path === path) return "is being stopped with it";
    const isTaken = this.#all.some(
      (each) =>
        each.progress.kind === "taking" &&
        path === savepointManifestPath(this.#folderOf(each, each.progress.checkpoint)),
    );
    if (isTaken) return "is taking it";
    if (isOwn && checkpoints.latest === undefined) {
      return "begins with it, and has no checkpoint of its own yet";
    }
    return undefined;
  }

  wakeTimes(): number[] {
    const { timeout } = this.#state.record.config.checkpointing;
    return [
      ...this.#all.flatMap(({ progress, requestedAt }) =>
        progress.kind === "waiting" ? [requestedAt + timeout] : [],
      ),
      ...this.#leftovers.map(({ folder }) => this.#dueAt(folder)),
    ];
  }

  /** After every event: what follows from it for the savepoints. Repeated, it does nothing. */
  settle(now: Millis): void {
    this.#close(now);
    this.#expire(now);
    this.#takeNext(now);
    this.#deleteLeftovers(now);
    this.#finish(now);
  }

  folderDeleted(folder: string): void {
    const left = this.#leftovers.find((each) => each.folder === folder);
    const asked = this.#deletedAt.get(folder);
    if (left === undefined || asked === undefined || asked < left.since + deleteAgain) return;
    this.#deletedAt.delete(folder);
    this.#update({ leftovers: this.#leftovers.filter((each) => each !== left) });
  }

  /** Those that are being taken and are not any more. */
  #close(now: Millis): void {
    const { checkpoints } = this.#state;
    for (const savepoint of this.#all) {
      const { progress } = savepoint;
      if (progress.kind !== "taking" || checkpoints.isOpen(progress.checkpoint)) continue;
      const record = checkpoints.history.find(({ id }) => id === progress.checkpoint);
      const outcome = record?.outcome;
      if (record !== undefined && outcome?.kind === "completed") {
        const { path } = outcome;
        this.#enter(savepoint, { kind: "completed", path, at: now });
        this.#completed(savepoint, { ...record, path, completedAt: now, files: [] });
      } else {
        const message = outcome?.kind === "failed" ? outcome.message : "Nothing is known of it.";
        this.#enter(savepoint, { kind: "failed", message, at: now });
        const folder = this.#folderOf(savepoint, progress.checkpoint);
        this.#update({ leftovers: [...this.#leftovers, { folder, since: now }] });
        if (savepoint.drains) this.#on.drainFailed(message, now);
      }
    }
  }

  #completed(
    { ends, trigger }: SavepointRecord,
    { id, attempt, path, completedAt, files }: RetainedCheckpoint,
  ): void {
    if (ends === undefined) return; // P4
    this.#update({
      stopping: { trigger, ends, savepoint: { id, attempt, path, completedAt, files } },
    });
    this.#state.tell(this.#state.tasks.all, (of, tasks) => {
      return { kind: "notifyComplete", attempt: of, checkpoint: id, tasks };
    });
  }

  #expire(now: Millis): void {
    const { phase, config } = this.#state.record;
    const { timeout } = config.checkpointing;
    const isOver = isTerminal(phase) || isEnding(phase);
    for (const savepoint of this.#all) {
      const isLate = now >= savepoint.requestedAt + timeout;
      if (savepoint.progress.kind !== "waiting" || !(isOver || isLate)) continue;
      const message = isOver
        ? `The job is ${phase}; it was not taken any more.`
        : `It expired: for ${timeout} ms the job was ${phase} or had other checkpoints to finish.`;
      this.#enter(savepoint, { kind: "failed", message, at: now });
    }
  }

  #takeNext(now: Millis): void {
    const { record, checkpoints } = this.#state;
    const next = this.#all.findLast(({ progress }) => progress.kind === "waiting");
    const mayTake = record.phase === "RUNNING" && checkpoints.ledger.open.length === 0;
    if (next === undefined || !mayTake || record.stopping !== undefined) return;
    // The job is about to be rescaled from the checkpoint that is complete.
    if (openRescale(record)?.progress.kind === "taking") return;
    const checkpoint = checkpoints.nextId;
    this.#enter(next, { kind: "taking", checkpoint });
    const folder = this.#folderOf(next, checkpoint);
    const drains = next.drains && { drains: next.drains };
    this.#checkpointing.trigger(now, { folder, stops: next.ends !== undefined, ...drains });
  }

  #deleteLeftovers(now: Millis): void {
    for (const { folder } of this.#leftovers) {
      if (now < this.#dueAt(folder)) continue;
      this.#deletedAt.set(folder, now);
      this.#state.push({ kind: "deleteFolder", folder });
    }
  }

  /** The end of the job, as soon as everybody has committed what it ends with (P5). */
  #finish(now: Millis): void {
    const { record, tasks } = this.#state;
    const { stopping, phase } = record;
    if (stopping === undefined || phase !== "RUNNING") return;
    const isDone = tasks.states.every(({ activity }) => {
      const { stopped } = activity ?? {};
      return stopped?.checkpoint === stopping.savepoint.id && stopped.isCommitted;
    });
    if (!isDone) return;
    if (stopping.ends !== "cancel") this.#update({ endsAs: "FINISHED" });
    this.#on.stopped(now);
  }

  #dueAt(folder: string): number {
    const asked = this.#deletedAt.get(folder);
    return asked === undefined ? 0 : asked + deleteAgain;
  }

  #folderOf(
    { directory }: SavepointRecord,
    checkpoint: Parameters<typeof savepointFolder>[2],
  ): string {
    return savepointFolder(directory, this.#state.record.job, checkpoint);
  }

  #enter(savepoint: SavepointRecord, progress: SavepointRecord["progress"]): void {
    const savepoints = this.#all.map((each) =>
      each.trigger === savepoint.trigger ? { ...each, progress } : each,
    );
    this.#update({ savepoints });
  }

  #update(change: Partial<JobRecord>): void {
    this.#state.update(change);
  }

  /** Newest first among those that are open, and among those that have ended. */
  get #all(): readonly SavepointRecord[] {
    return this.#state.record.savepoints ?? [];
  }

  get #leftovers(): NonNullable<JobRecord["leftovers"]> {
    return this.#state.record.leftovers ?? [];
  }
}

const isSame = (one: SavepointRequest, other: SavepointRequest): boolean =>
  one.directory === other.directory && one.ends === other.ends && one.drains === other.drains;

const isOpen = ({ progress }: SavepointRecord): boolean =>
  progress.kind === "waiting" || progress.kind === "taking";
