// A batch of rows that an operator made: objects, no bytes yet.

import type { RecordBatch } from "./operator.ts";

export class RowBatch implements RecordBatch {
  readonly length: number;
  readonly #rows: readonly unknown[];

  /** Takes the array over; the caller must not change it afterwards. */
  constructor(rows: readonly unknown[]) {
    this.length = rows.length;
    this.#rows = rows;
  }

  rows(): readonly unknown[] {
    return this.#rows;
  }
}
