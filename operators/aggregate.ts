// aggregate: keeps several aggregates of all rows of each key, and emits the result of every key
// that a batch touched.
//   E1. State is read once and put once per key and batch, however many rows the key has in it.
//   E2. A key's state is one array, with an accumulator per aggregate in the order of the fields.
//   E3. A row that throws in one of several aggregates has changed none of them: what its key held is
//       made again from what it held before, and the rows since. Where such a row fails the attempt,
//       nothing is kept for that.
//   E4. One row is emitted per touched key and batch, in the order in which the keys were touched.
//   E6. Its event time is the latest of the rows that touched the key.
//   E5. Columns are folded without making rows wherever they can be (aggregate-columns.ts), to the same
//       end.

import type { Column } from "../format/batch.ts";
import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { Aggregate } from "../stream/aggregates.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { KeySelector } from "../stream/graph.ts";
import { ColumnFolder } from "./aggregate-columns.ts";
import { ColumnBatch } from "./column-batch.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";
import { latest } from "./timestamps.ts";

interface Touched {
  readonly key: Key;
  readonly slot: StateSlot<unknown[]>;
  accumulators: unknown[];
  /** Rows of the batch that are in the accumulators. */
  rows: number;
  /** The latest event time of them; NaN where none has one. */
  time: number;
  /** To make the accumulators again from (E3): what they were, none for a new key, and rows since. */
  readonly undo: { base: unknown[] | undefined; since: unknown[] } | undefined;
}

export class AggregateOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #key: KeySelector;
  readonly #fields: readonly string[];
  readonly #aggregates: readonly Aggregate[];
  readonly #state: StateTable<unknown[]>;
  readonly #columns: ColumnFolder | undefined;

  constructor(
    self: RejectingOperator,
    key: KeySelector,
    aggregates: Readonly<Record<string, Aggregate>>,
    state: StateTable<unknown[]>,
  ) {
    this.#self = self;
    this.#key = key;
    this.#fields = Object.keys(aggregates);
    this.#aggregates = Object.values(aggregates);
    this.#state = state;
    this.#columns = ColumnFolder.of(key, aggregates, state, self);
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const folded = this.#columns?.fold(batch);
    if (folded !== undefined) return folded.length > 0 ? out.emit(folded) : undefined;
    const touched = this.#fold(batch);
    for (const { slot, accumulators } of touched) this.#state.putAt(slot, accumulators);
    if (touched.length === 0) return;
    const times = batch.timestamps && Float64Array.from(touched, ({ time }) => time);
    out.emit(this.#results(touched, times));
  }

  #fold(batch: RecordBatch): readonly Touched[] {
    const rows = batch.rows();
    const { timestamps } = batch;
    const select = this.#key;
    const aggregates = this.#aggregates;
    const state = this.#state;
    const byId = new Map<KeyId, Touched>();
    const mayReject = this.#self.reject !== undefined;
    let current: Touched | undefined;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          current = undefined;
          const row = rows[i] as never;
          const key = select(row);
          const id = keyId(key);
          let entry = byId.get(id);
          if (entry === undefined) {
            const slot = state.slot(key);
            const held = slot.value;
            entry = {
              key,
              slot,
              accumulators: held ?? this.#created(),
              rows: 0,
              time: NaN,
              undo: mayReject ? { base: held && structuredClone(held), since: [] } : undefined,
            };
            byId.set(id, entry);
          }
          current = entry;
          const { accumulators } = entry;
          for (let a = 0; a < aggregates.length; a++) {
            accumulators[a] = aggregates[a]!.add(accumulators[a], row);
          }
          entry.rows++;
          if (timestamps !== undefined) entry.time = latest(entry.time, timestamps[i]!);
          entry.undo?.since.push(row);
        }
      } catch (error) {
        rejectRow(this.#self, "aggregate", batch, i, error);
        if (current !== undefined) this.#undo(current);
        if (current?.rows === 0) byId.delete(keyId(current.key));
      }
    }
    return [...byId.values()];
  }

  #created(): unknown[] {
    return this.#aggregates.map((each) => each.create());
  }

  /** Makes the accumulators as they were before the row that threw. */
  #undo(entry: Touched): void {
    const undo = entry.undo!;
    const accumulators = structuredClone(undo.base) ?? this.#created();
    try {
      for (const row of undo.since) {
        for (const [a, each] of this.#aggregates.entries()) {
          accumulators[a] = each.add(accumulators[a], row as never);
        }
      }
    } catch (error) {
      throw new UserCodeError(this.#self.uid, "aggregate", undefined, error);
    }
    entry.accumulators = accumulators;
    if (entry.rows === 0) {
      // The key counts as untouched; what the state holds of it may have been changed in place.
      if (undo.base !== undefined) this.#state.putAt(entry.slot, accumulators);
      return;
    }
    // The next row that throws need not go back as far.
    undo.base = structuredClone(accumulators);
    undo.since = [];
  }

  #results(touched: readonly Touched[], times: Float64Array | undefined): RecordBatch {
    const aggregates = this.#aggregates;
    const count = touched.length;
    const results = aggregates.map(() => new Array<unknown>(count));
    try {
      for (let i = 0; i < count; i++) {
        const { accumulators } = touched[i]!;
        for (let a = 0; a < aggregates.length; a++) {
          results[a]![i] = aggregates[a]!.result(accumulators[a]);
        }
      }
    } catch (error) {
      throw new UserCodeError(this.#self.uid, "aggregate", undefined, error);
    }
    const columns = this.#resultColumns(touched, results, times);
    return columns ?? this.#resultRows(touched, results, times);
  }

  /** Texts and numbers, as most results are; undefined where there is anything else. */
  #resultColumns(
    touched: readonly Touched[],
    results: readonly (readonly unknown[])[],
    times: Float64Array | undefined,
  ): RecordBatch | undefined {
    const keys = new Array<string>(touched.length);
    for (let i = 0; i < keys.length; i++) {
      const { key } = touched[i]!.slot;
      if (typeof key !== "string") return undefined;
      keys[i] = key;
    }
    const columns: Column[] = [{ kind: "string", values: keys, dictionary: undefined }];
    for (const values of results) {
      const numbers = new Float64Array(values.length);
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        if (typeof value !== "number") return undefined;
        numbers[i] = value;
      }
      columns.push({ kind: "float64", values: numbers });
    }
    return new ColumnBatch(keys.length, ["key", ...this.#fields], columns, times);
  }

  #resultRows(
    touched: readonly Touched[],
    results: readonly (readonly unknown[])[],
    times: Float64Array | undefined,
  ): RecordBatch {
    const rows = touched.map(({ key }, i) => {
      const row: Record<string, unknown> = { key };
      for (const [a, field] of this.#fields.entries()) row[field] = results[a]![i];
      return row;
    });
    return new RowBatch(rows, undefined, times);
  }
}
