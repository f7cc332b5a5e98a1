// A batch of rows that an operator made: objects, no bytes yet.

import { keepShape } from "../format/kept-shapes.ts";
import type { RecordBatch } from "./operator.ts";
import type { Lineage } from "./rejection.ts";

export class RowBatch implements RecordBatch {
  readonly length: number;
  readonly lineage: Lineage | undefined;
  readonly timestamps: Float64Array | undefined;
  readonly #rows: readonly unknown[];

  /** Takes the arrays over; the caller must not change them afterwards. */
  constructor(rows: readonly unknown[], lineage?: Lineage, timestamps?: Float64Array) {
    this.length = rows.length;
    this.lineage = lineage;
    this.timestamps = timestamps;
    this.#rows = rows;
  }

  rows(): readonly unknown[] {
    return this.#rows;
  }
}

keepShape(new RowBatch([]));
