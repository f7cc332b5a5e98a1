// What a function has emitted of a batch, row by row, so that a row's can be forgotten.

import type { Output } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class Emitted {
  #rows: unknown[] = [];
  /** What was emitted before the current row. */
  #before = 0;
  // A property, so that `{ emit }` may be taken out of a context.
  readonly emit = (row: unknown): void => {
    this.#rows.push(row);
  };

  /** A row begins. */
  begin(): void {
    this.#before = this.#rows.length;
  }

  /** Forgets what was emitted since. */
  undo(): void {
    this.#rows.length = this.#before;
  }

  sendTo(out: Output): void {
    const rows = this.#rows;
    this.#rows = [];
    if (rows.length > 0) out.emit(new RowBatch(rows));
  }
}
