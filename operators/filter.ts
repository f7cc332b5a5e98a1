// filter: the rows for which a predicate holds. A batch of which every row stays goes on as it is,
// with its bytes, if it has any.

import { UserCodeError } from "../stream/errors.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class FilterOperator implements Operator {
  readonly #uid: string;
  readonly #fn: (row: never) => boolean;

  constructor(uid: string, fn: (row: never) => boolean) {
    this.#uid = uid;
    this.#fn = fn;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const fn = this.#fn;
    const rows = batch.rows();
    const kept: unknown[] = [];
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        if (fn(rows[i] as never)) kept.push(rows[i]);
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "filter", i, error);
    }
    if (kept.length === rows.length) out.emit(batch);
    else if (kept.length > 0) out.emit(new RowBatch(kept));
  }
}
