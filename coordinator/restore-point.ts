// What a job began with: until when it is needed, and how the job lets go of it. Of a savepoint or a
// checkpoint that stays somebody else's, nothing is done here but to say so where it is held.
//   L1. What it began with stays until a checkpoint of its own is complete and refers to none of it, or
//       the job has ended: until then a restart goes back to it.
//   L2. What was claimed is a retained checkpoint like the others, and goes when it is retained no
//       longer; at the end of the job, as its retention says.
//   L3. It stays as long as it is held here for a third job (holds.ts).
//   L4. The job that keeps it is told again until it has answered, also after this one has ended. A
//       savepoint is nobody's but the claimant's, which deletes it: the files that its manifest names and
//       that are in its folder. What else is below, another savepoint perhaps, is the user's.

import type { HoldKey } from "../format/holds.ts";
import type { Millis } from "../format/ids.ts";
import { folderOf, jobPrefix } from "../format/paths.ts";
import type { Effect } from "./effects.ts";
import { isTerminal } from "./job-record.ts";
import type { JobState } from "./job-state.ts";

/** Milliseconds after which what was not answered is done again. */
export const tellAgain = 5_000;

export class RestorePoint {
  readonly #state: JobState;
  #toldAt: Millis | undefined;

  constructor(state: JobState) {
    this.#state = state;
  }

  /** Whether it is held for this job under that key, and not let go. */
  isHeldUnder({ owner, nth }: HoldKey): boolean {
    const { restore, isLetGo } = this.#state.record;
    return isLetGo !== true && restore?.hold?.owner === owner && restore.hold.nth === nth;
  }

  wakeTimes(): number[] {
    return this.#toldAt === undefined || this.#farewell() === undefined ? [] : [this.#again];
  }

  /** After every event. Repeated, it does nothing. */
  settle(now: Millis): void {
    const farewell = this.#farewell();
    if (farewell === undefined || now < this.#again) return;
    this.#toldAt = now;
    this.#state.push(farewell);
  }

  /** The job that keeps it knows, or it is deleted. */
  letGone(): void {
    this.#state.update({ isLetGo: true });
  }

  /** How it lets go; undefined as long as it does not, and once it has. */
  #farewell(): Effect | undefined {
    const { restore, isLetGo } = this.#state.record;
    if (restore === undefined || isLetGo || this.#isNeeded()) return undefined;
    const { hold, claimed, path } = restore;
    if (hold !== undefined) return { kind: "letGo", hold };
    if (claimed === undefined) return undefined;
    const folder = folderOf(path);
    return { kind: "discard", paths: claimed.files.filter((file) => file.startsWith(folder)) };
  }

  get #again(): number {
    return this.#toldAt === undefined ? 0 : this.#toldAt + tellAgain;
  }

  #isNeeded(): boolean {
    const { record, checkpoints } = this.#state;
    const { restore, holds = [], phase, job } = record;
    const isIt = ({ path }: { readonly path: string }): boolean => path === restore?.path;
    if (holds.some(({ checkpoint }) => isIt(checkpoint))) return true;
    if (restore?.claimed !== undefined) return checkpoints.ledger.retained.some(isIt);
    const { latest } = checkpoints;
    const isReplaced = latest?.files.every((path) => path.startsWith(jobPrefix(job))) === true;
    return !isTerminal(phase) && !isReplaced;
  }
}
