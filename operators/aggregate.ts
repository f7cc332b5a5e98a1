// aggregate: keeps several aggregates of all rows of each key, and emits the result of every key
// that a batch touched.
//   E1. State is read once and put once per key and batch, however many rows the key has in it.
//   E2. A key's state is one array, with an accumulator per aggregate in the order of the fields.
//   E3. One row is emitted per touched key and batch, in the order in which the keys were touched.

import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { Aggregate } from "../stream/aggregates.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";
import type { StateTable } from "./state/keyed-state.ts";

interface Touched {
  readonly key: Key;
  readonly accumulators: unknown[];
}

export class AggregateOperator implements Operator {
  readonly #uid: string;
  readonly #key: KeySelector;
  readonly #fields: readonly string[];
  readonly #aggregates: readonly Aggregate[];
  readonly #state: StateTable<unknown[]>;

  constructor(
    uid: string,
    key: KeySelector,
    aggregates: Readonly<Record<string, Aggregate>>,
    state: StateTable<unknown[]>,
  ) {
    this.#uid = uid;
    this.#key = key;
    this.#fields = Object.keys(aggregates);
    this.#aggregates = Object.values(aggregates);
    this.#state = state;
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const touched = this.#fold(batch.rows());
    for (const { key, accumulators } of touched) this.#state.put(key, accumulators);
    out.emit(new RowBatch(this.#results(touched)));
  }

  #fold(rows: readonly unknown[]): readonly Touched[] {
    const select = this.#key;
    const aggregates = this.#aggregates;
    const state = this.#state;
    const byId = new Map<KeyId, Touched>();
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        const row = rows[i] as never;
        const key = select(row);
        const id = keyId(key);
        let entry = byId.get(id);
        if (entry === undefined) {
          entry = { key, accumulators: state.get(key) ?? aggregates.map((each) => each.create()) };
          byId.set(id, entry);
        }
        const { accumulators } = entry;
        for (let a = 0; a < aggregates.length; a++) {
          accumulators[a] = aggregates[a]!.add(accumulators[a], row);
        }
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "aggregate", i, error);
    }
    return [...byId.values()];
  }

  #results(touched: readonly Touched[]): unknown[] {
    const fields = this.#fields;
    const aggregates = this.#aggregates;
    const results = new Array<unknown>(touched.length);
    try {
      for (let i = 0; i < touched.length; i++) {
        const { key, accumulators } = touched[i]!;
        const row: Record<string, unknown> = { key };
        for (let a = 0; a < fields.length; a++) {
          row[fields[a]!] = aggregates[a]!.result(accumulators[a]);
        }
        results[i] = row;
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "aggregate", undefined, error);
    }
    return results;
  }
}
