// map: one row for each row.

import type { Operator, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import { timestampsAt } from "./timestamps.ts";

export class MapOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #fn: (row: never) => unknown;

  constructor(self: RejectingOperator, fn: (row: never) => unknown) {
    this.#self = self;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const mapped = new Array<unknown>(rows.length);
    const rejected = new Set<number>();
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) mapped[i] = fn(rows[i] as never);
      } catch (error) {
        rejectRow(this.#self, "map", batch, i, error);
        rejected.add(i);
      }
    }
    const { lineage, timestamps } = batch;
    if (rejected.size === 0) return out.emit(new RowBatch(mapped, lineage, timestamps));
    const kept = [...rows.keys()].filter((i) => !rejected.has(i));
    out.emit(
      new RowBatch(
        kept.map((i) => mapped[i]),
        lineage?.of(kept),
        timestampsAt(timestamps, kept),
      ),
    );
  }
}
