// flatMap: any number of rows for each row.

import type { Operator, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import { timestampsAt } from "./timestamps.ts";

export class FlatMapOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #fn: (row: never) => Iterable<unknown>;

  constructor(self: RejectingOperator, fn: (row: never) => Iterable<unknown>) {
    this.#self = self;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const { lineage, timestamps } = batch;
    const traces = lineage !== undefined || timestamps !== undefined;
    const mapped: unknown[] = [];
    const from: number[] = [];
    let whole = 0;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          whole = mapped.length;
          for (const row of fn(rows[i] as never)) mapped.push(row);
          if (traces) while (from.length < mapped.length) from.push(i);
        }
      } catch (error) {
        mapped.length = whole;
        rejectRow(this.#self, "flatMap", batch, i, error);
      }
    }
    if (mapped.length === 0) return;
    out.emit(new RowBatch(mapped, lineage?.of(from), timestampsAt(timestamps, from)));
  }
}
