// filter: the rows for which a predicate holds. A batch of which every row stays goes on as it is,
// with its bytes, if it has any.

import type { Operator, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
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
    const { lineage, timestamps } = batch;
    const traces = lineage !== undefined || timestamps !== undefined;
    const kept: unknown[] = [];
    const from: number[] = [];
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          if (!fn(rows[i] as never)) continue;
          kept.push(rows[i]);
          if (traces) from.push(i);
        }
      } catch (error) {
        rejectRow(this.#self, "filter", batch, i, error);
      }
    }
    if (kept.length === rows.length) out.emit(batch);
    else if (kept.length > 0) {
      out.emit(new RowBatch(kept, lineage?.of(from), timestampsAt(timestamps, from)));
    }
  }
}
