// reduce: folds the rows of each key into one row and emits the fold so far for every row.
//   E1. State is read once and put once per key and batch, however many rows the key has in it.
//   E2. A fold changes only once a row was folded in, so a row that throws has changed nothing.

import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import type { StateTable } from "./state/keyed-state.ts";
import { timestampsAt } from "./timestamps.ts";

interface Fold {
  readonly key: Key;
  row: unknown;
}

export class ReduceOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #key: KeySelector;
  readonly #fn: (left: never, right: never) => unknown;
  readonly #state: StateTable<unknown>;

  constructor(
    self: RejectingOperator,
    key: KeySelector,
    fn: (left: never, right: never) => unknown,
    state: StateTable<unknown>,
  ) {
    this.#self = self;
    this.#key = key;
    this.#fn = fn;
    this.#state = state;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const select = this.#key;
    const fn = this.#fn;
    const rows = batch.rows();
    const emitted: unknown[] = [];
    const from: number[] = [];
    const touched = new Map<KeyId, Fold>();
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          const row = rows[i] as never;
          const key = select(row);
          const id = keyId(key);
          const fold = touched.get(id);
          const before = fold === undefined ? this.#state.get(key) : fold.row;
          const after = before === undefined ? row : fn(before as never, row);
          if (after === undefined) throw new TypeError("reduce must return a row, got undefined");
          if (fold === undefined) touched.set(id, { key, row: after });
          else fold.row = after;
          emitted.push(after);
          from.push(i);
        }
      } catch (error) {
        rejectRow(this.#self, "reduce", batch, i, error);
      }
    }
    for (const fold of touched.values()) this.#state.put(fold.key, fold.row);
    if (emitted.length === 0) return;
    out.emit(new RowBatch(emitted, undefined, timestampsAt(batch.timestamps, from)));
  }
}
