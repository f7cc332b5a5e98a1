// A batch of rows that an operator made: objects, no bytes yet.

import type { RecordBatch } from "./operator.ts";
import type { Lineage } from "./rejection.ts";

export class RowBatch implements RecordBatch {
  readonly length: number;
  readonly lineage: Lineage | undefined;
  readonly #rows: readonly unknown[];

  /** Takes the array over; the caller must not change it afterwards. */
  constructor(rows: readonly unknown[], lineage?: Lineage) {
    this.length = rows.length;
    this.lineage = lineage;
    this.#rows = rows;
  }

  rows(): readonly unknown[] {
    return this.#rows;
  }
}
