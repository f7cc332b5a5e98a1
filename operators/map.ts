// map: one row for each row.

import { UserCodeError } from "../stream/errors.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class MapOperator implements Operator {
  readonly #uid: string;
  readonly #fn: (row: never) => unknown;

  constructor(uid: string, fn: (row: never) => unknown) {
    this.#uid = uid;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const mapped = new Array<unknown>(rows.length);
    let i = 0;
    try {
      for (; i < rows.length; i++) mapped[i] = fn(rows[i] as never);
    } catch (error) {
      throw new UserCodeError(this.#uid, "map", i, error);
    }
    out.emit(new RowBatch(mapped));
  }
}
