// What a job began with: until when it is needed, and how the job lets go of it. Of a savepoint or a
// checkpoint that stays somebody else's, nothing is done here but to say so where it is held.
//   L1. What it began with stays until a checkpoint of its own is complete and refers to none of it, or
//       the job has ended: until then a restart goes back to it.
//   L2. What was claimed is a retained checkpoint like the others, and goes when it is retained no
//       longer; at the end of the job, as its retention says.
//   L3. It stays as long as it is held here for a third job (holds.ts).
//   L4. The job that keeps it is told again until it has answered, also after this one has ended. A
//       savepoint is nobody's but the claimant's, who deletes its folder.

import type { HoldKey } from "../format/holds.ts";
import type { Millis } from "../format/ids.ts";
import { folderOf, isInSavepoint, jobPrefix } from "../format/paths.ts";
import { isTerminal } from "./job-record.ts";
import type { JobState } from "./job-state.ts";

/** Milliseconds after which the job that keeps it is told again. */
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
    const { restore, isLetGo } = this.#state.record;
    const isDue = restore?.hold !== undefined && isLetGo !== true && !this.#isNeeded();
    return isDue && this.#toldAt !== undefined ? [this.#toldAt + tellAgain] : [];
  }

  /** After every event. Repeated, it does nothing. */
  settle(now: Millis): void {
    const { restore, isLetGo, leftovers = [] } = this.#state.record;
    if (restore === undefined || isLetGo || this.#isNeeded()) return;
    if (restore.hold !== undefined) {
      if (this.#toldAt !== undefined && now < this.#toldAt + tellAgain) return;
      this.#toldAt = now;
      this.#state.push({ kind: "letGo", hold: restore.hold });
    } else if (restore.claimed !== undefined && isInSavepoint(restore.path)) {
      const folder = { folder: folderOf(restore.path), since: now };
      this.#state.update({ isLetGo: true, leftovers: [...leftovers, folder] });
    }
  }

  /** The job that keeps it knows. */
  letGone(): void {
    this.#state.update({ isLetGo: true });
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
