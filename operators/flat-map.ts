// flatMap: any number of rows for each row.

import { UserCodeError } from "../stream/errors.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class FlatMapOperator implements Operator {
  readonly #uid: string;
  readonly #fn: (row: never) => Iterable<unknown>;

  constructor(uid: string, fn: (row: never) => Iterable<unknown>) {
    this.#uid = uid;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const mapped: unknown[] = [];
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        for (const row of fn(rows[i] as never)) mapped.push(row);
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "flatMap", i, error);
    }
    if (mapped.length > 0) out.emit(new RowBatch(mapped));
  }
}
