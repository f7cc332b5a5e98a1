// reduce: folds the rows of each key into one row and emits the fold so far for every row.
//   E1. State is read once and put once per key and batch, however many rows the key has in it.

import { keyId, type Key, type KeyId } from "../format/key.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";
import type { StateTable } from "./state/keyed-state.ts";

interface Fold {
  readonly key: Key;
  row: unknown;
}

export class ReduceOperator implements Operator {
  readonly #uid: string;
  readonly #key: KeySelector;
  readonly #fn: (left: never, right: never) => unknown;
  readonly #state: StateTable<unknown>;

  constructor(
    uid: string,
    key: KeySelector,
    fn: (left: never, right: never) => unknown,
    state: StateTable<unknown>,
  ) {
    this.#uid = uid;
    this.#key = key;
    this.#fn = fn;
    this.#state = state;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const select = this.#key;
    const fn = this.#fn;
    const rows = batch.rows();
    const emitted = new Array<unknown>(rows.length);
    const touched = new Map<KeyId, Fold>();
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        const row = rows[i] as never;
        const key = select(row);
        const id = keyId(key);
        let fold = touched.get(id);
        if (fold === undefined) {
          fold = { key, row: this.#state.get(key) };
          touched.set(id, fold);
        }
        fold.row = fold.row === undefined ? row : fn(fold.row as never, row);
        if (fold.row === undefined) throw new TypeError("reduce must return a row, got undefined");
        emitted[i] = fold.row;
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "reduce", i, error);
    }
    for (const fold of touched.values()) this.#state.put(fold.key, fold.row);
    out.emit(new RowBatch(emitted));
  }
}
