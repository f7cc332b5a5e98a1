// What other jobs need of this one's: checkpoints that they have begun with and share the files of. Kept
// whatever becomes of this job, until they have let go (restore-point.ts).
//   H1. A hold is durable before it is answered, and of a checkpoint whose files are there: one that is
//       retained, or held already. What is held counts as reachable, for every deletion.
//   H2. It is placed before the job that needs it is submitted. Until that job has said itself that it
//       needs it, it is asked; if it does not, or is not there, the hold goes. One that was not there
//       will never begin with it: it refuses a submission under a hold that it has renounced.
//   H3. Once it has said so, nobody but that job ends the hold: no time, no end of either job.
//   H4. The last hold that goes takes with it what nothing else reaches.
//   H5. A checkpoint that is claimed stays this job's own until the claim is firm; then the hold is all
//       that keeps it. Only of a job that has ended, as a running one restarts from it.

import type { HoldOutcome, HoldRequest } from "../format/holds.ts";
import type { Millis } from "../format/ids.ts";
import { folderOf, sharedManifestPath } from "../format/paths.ts";
import type { Checkpointing } from "./checkpointing.ts";
import type { RetainedCheckpoint } from "./checkpoints.ts";
import { type HoldRecord, isTerminal } from "./job-record.ts";
import type { JobState } from "./job-state.ts";

/** Holds that may be at a time, so that a client that asks without end does not fill the record. */
export const holdsMax = 64;

/** Milliseconds after which the holder is asked, and asked again where it was silent. */
export const askAfter = 60_000;

export class Holds {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #askedAt = new Map<number, Millis>();

  constructor(state: JobState, checkpointing: Checkpointing) {
    this.#state = state;
    this.#checkpointing = checkpointing;
  }

  request({ by, path, claims }: HoldRequest, now: Millis): HoldOutcome {
    const { record } = this.#state;
    const { job, holdsPlaced = 0 } = record;
    const checkpoint = this.#find(path);
    if (checkpoint === undefined) return { kind: "refused", reason: this.#nothingToHold(path) };
    const refusal = claims && this.#unclaimable(checkpoint);
    if (refusal !== undefined) return { kind: "refused", reason: refusal };
    if (this.#all.length >= holdsMax) {
      const reason =
        `Checkpoints of job ${job} are held for ${holdsMax} jobs that have none of their own yet; ` +
        `repeat it when some of them have.`;
      return { kind: "refused", reason };
    }
    const nth = holdsPlaced + 1;
    const isInline = record.config.checkpointing.storage === "inline" && this.#isOwn(checkpoint);
    const hold: HoldRecord = {
      nth,
      by,
      checkpoint,
      path: isInline ? sharedManifestPath(job, nth) : checkpoint.path,
      since: now,
      ...(claims && { claims }),
    };
    this.#state.update({ holds: [...this.#all, hold], holdsPlaced: nth });
    return { kind: "held", hold: { owner: job, nth }, path: hold.path };
  }

  /** The manifest that is to be copied for a hold; undefined where it is read in its own place. */
  copyFor(nth: number): { readonly from: string; readonly to: string } | undefined {
    const hold = this.#of(nth);
    if (hold === undefined || hold.path === hold.checkpoint.path) return undefined;
    return { from: hold.checkpoint.path, to: hold.path };
  }

  /** Nothing was submitted under it. */
  withdraw(nth: number, now: Millis): void {
    const hold = this.#of(nth);
    if (hold !== undefined && !hold.isFirm) this.#drop(hold, now);
  }

  /** The holder has begun with it, and needs it no longer. */
  letGo(nth: number, now: Millis): void {
    const hold = this.#of(nth);
    if (hold === undefined) return;
    this.#confirm(hold);
    this.#drop(hold, now);
  }

  /** The answer of the holder that was asked. */
  answered(nth: number, isNeeded: boolean, now: Millis): void {
    const hold = this.#of(nth);
    if (hold === undefined || hold.isFirm) return;
    if (isNeeded) this.#confirm(hold);
    else this.#drop(hold, now);
  }

  wakeTimes(): number[] {
    return this.#unsure.map((hold) => this.#askAt(hold));
  }

  /** After every event. Repeated, it does nothing. */
  settle(now: Millis): void {
    const { job } = this.#state.record;
    for (const hold of this.#unsure) {
      if (now < this.#askAt(hold)) continue;
      this.#askedAt.set(hold.nth, now);
      const { by, nth } = hold;
      this.#state.push({ kind: "askHolder", by, hold: { owner: job, nth } });
    }
  }

  #find(path: string | undefined): RetainedCheckpoint | undefined {
    const { latest, ledger } = this.#state.checkpoints;
    if (path === undefined) return latest;
    const held = this.#all.map(({ checkpoint }) => checkpoint);
    return [...ledger.retained, ...held].find((checkpoint) => checkpoint.path === path);
  }

  #nothingToHold(path: string | undefined): string {
    const { job, phase } = this.#state.record;
    if (path !== undefined) {
      return `${path} is not retained by job ${job} any more; begin with a later one, or a savepoint.`;
    }
    if (isTerminal(phase)) {
      return `Job ${job} is ${phase} and has left no checkpoint; begin with a savepoint of it.`;
    }
    return (
      `Job ${job} has no completed checkpoint yet. Wait for one, or take a savepoint ` +
      `(POST /jobs/${job}/savepoints) and begin with that.`
    );
  }

  #unclaimable({ id, path }: RetainedCheckpoint): string | undefined {
    const { job, phase } = this.#state.record;
    const claim = this.#all.find((hold) => hold.claims && hold.checkpoint.id === id);
    if (claim !== undefined) return `${path} is claimed by job ${claim.by}; use NO_CLAIM.`;
    if (isTerminal(phase)) return undefined;
    return `Job ${job} is ${phase} and needs ${path} itself; use NO_CLAIM, or claim a savepoint.`;
  }

  #confirm(hold: HoldRecord): void {
    const holds = this.#all.map((each) =>
      each === hold ? { ...hold, isFirm: true as const } : each,
    );
    this.#state.update({ holds });
    if (hold.claims) this.#state.checkpoints.cede(hold.checkpoint.id);
  }

  #drop({ nth, checkpoint, path }: HoldRecord, now: Millis): void {
    this.#askedAt.delete(nth);
    this.#state.update({ holds: this.#all.filter((each) => each.nth !== nth) });
    if (path !== checkpoint.path) {
      const { leftovers = [] } = this.#state.record;
      this.#state.update({ leftovers: [...leftovers, { folder: folderOf(path), since: now }] });
    }
    this.#checkpointing.released(checkpoint, now);
  }

  #askAt({ nth, since }: HoldRecord): number {
    return (this.#askedAt.get(nth) ?? since) + askAfter;
  }

  /** Whether it was taken by this job, not claimed by it. */
  #isOwn({ path }: RetainedCheckpoint): boolean {
    return path !== this.#state.record.restore?.path;
  }

  #of(nth: number): HoldRecord | undefined {
    return this.#all.find((hold) => hold.nth === nth);
  }

  get #unsure(): readonly HoldRecord[] {
    return this.#all.filter(({ isFirm }) => !isFirm);
  }

  get #all(): readonly HoldRecord[] {
    return this.#state.record.holds ?? [];
  }
}
