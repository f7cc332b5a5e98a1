// filter: the rows for which a predicate holds. A batch of which every row stays goes on as it is,
// with its bytes, if it has any; of a batch in columns goes on which rows of it stay.

import { isColumnar, type Operator, type Output, type RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import { SelectedBatch } from "./selected-batch.ts";
import { timestampsAt } from "./timestamps.ts";

export class FilterOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #fn: (row: never) => boolean;

  constructor(self: RejectingOperator, fn: (row: never) => boolean) {
    this.#self = self;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const kept = new Int32Array(rows.length);
    let count = 0;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) if (fn(rows[i] as never)) kept[count++] = i;
      } catch (error) {
        rejectRow(this.#self, "filter", batch, i, error);
      }
    }
    if (count === rows.length) out.emit(batch);
    else if (count > 0) out.emit(selected(batch, kept.subarray(0, count)));
  }
}

function selected(batch: RecordBatch, kept: Int32Array): RecordBatch {
  if (isColumnar(batch)) return new SelectedBatch(batch, kept);
  const rows = batch.rows();
  const { lineage, timestamps } = batch;
  return new RowBatch(
    Array.from(kept, (at) => rows[at]),
    lineage?.of(kept),
    timestampsAt(timestamps, kept),
  );
}
