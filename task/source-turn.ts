// How many rows a source takes before whatever else waits has its turn (R1 of task-source.ts).
//   S1. A turn is one batch at least and `sourceTurnRows` at most. A source that makes its rows makes no
//       more in a batch than a turn has; a turn has `turnRowsLeast` at least, and no fewer than make
//       frames of `frameRowsWorth` rows where they are divided among many receivers.
//   S2. Where objects share a thread, all of them have a turn before the next one begins here. Long turns
//       cost least; but a request, an alarm or a record that comes meanwhile waits for several of them. So
//       turns become shorter as long as the next one comes too late, and longer again when it comes soon.
//   S3. What is too late follows from the job's buffer timeout, which says whether a row may wait: short
//       turns cost a saturated job a seventh of its throughput.

import type { Millis } from "../format/ids.ts";
import { batchRowsMax, frameRowsWorth, sourceTurnRows, turnRowsLeast } from "../format/limits.ts";

/** Milliseconds from the end of a turn to the next one, beyond which turns become shorter. */
export const turnWaitMax = (bufferTimeout: number): number => Math.max(25, 2.5 * bufferTimeout);

export class SourceTurn {
  readonly #waitMax: number;
  readonly #rowsLeast: number;
  #rowsMax = sourceTurnRows;
  #taken = 0;
  #overSince: Millis | undefined;

  /** @param receivers among whom the rows of a turn are divided */
  constructor(bufferTimeout: number, receivers: number) {
    this.#waitMax = turnWaitMax(bufferTimeout);
    const worth = Math.min(sourceTurnRows, receivers * frameRowsWorth);
    this.#rowsLeast = Math.max(turnRowsLeast, worth);
  }

  /** Whether the source takes nothing more until `next`. */
  get isOver(): boolean {
    return this.#overSince !== undefined;
  }

  /** Rows of a batch, at most, where the source can choose. */
  get batchRows(): number {
    return Math.min(batchRowsMax, this.#rowsMax);
  }

  took(rows: number, now: Millis): void {
    this.#taken += rows;
    if (this.#taken >= this.#rowsMax) this.#overSince ??= now;
  }

  /** It may go on before its turn, which says nothing of how long others take. */
  goOn(): void {
    this.#overSince = undefined;
    this.#taken = 0;
  }

  next(now: Millis): void {
    if (this.#overSince !== undefined) {
      const waited = now - this.#overSince;
      // Half as many rows are about half the wait, so what follows is within the bounds for both.
      if (waited > this.#waitMax) {
        this.#rowsMax = Math.max(this.#rowsLeast, this.#rowsMax / 2);
      } else if (waited < this.#waitMax / 4) {
        this.#rowsMax = Math.min(sourceTurnRows, this.#rowsMax * 2);
      }
    }
    this.goOn();
  }
}
