// What a function has emitted of a batch, row by row, so that a row's can be forgotten.

import type { Output } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class Emitted {
  #rows: unknown[] = [];
  #times: number[] | undefined;
  /** Of the current row, or timer; NaN where it has none. */
  #time = NaN;
  /** What was emitted before the current row. */
  #before = 0;
  // A property, so that `{ emit }` may be taken out of a context.
  readonly emit = (row: unknown): void => {
    this.#times?.push(this.#time);
    this.#rows.push(row);
  };

  /** A row begins, whose event time is that of what it emits. */
  begin(time?: number): void {
    this.#before = this.#rows.length;
    this.#time = time ?? NaN;
    if (time !== undefined) this.#times ??= new Array<number>(this.#before).fill(NaN);
  }

  /** Forgets what was emitted since. */
  undo(): void {
    this.#rows.length = this.#before;
    if (this.#times !== undefined) this.#times.length = this.#before;
  }

  sendTo(out: Output): void {
    const rows = this.#rows;
    const times = this.#times && Float64Array.from(this.#times);
    this.#rows = [];
    this.#times = undefined;
    if (rows.length > 0) out.emit(new RowBatch(rows, undefined, times));
  }
}
