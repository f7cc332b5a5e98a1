// aggregate over columns: where the key is a field, every aggregate is of a field or counts, and a
// batch has all of them as columns that leave nothing to reject, it is folded without making rows.
//   F1. State, results and their order are those of folding the rows one by one: each accumulator takes
//       its numbers in the order of the rows, beginning with what the state holds.
//   F2. Whether a batch can be folded is known before anything is changed; one that cannot is left to
//       the rows.

import type { Column } from "../format/batch.ts";
import { type Key, keyId, type KeyId } from "../format/key.ts";
import { type Aggregate, type Fold, foldOf } from "../stream/aggregates.ts";
import { fieldOf } from "../stream/fields.ts";
import type { KeySelector } from "../stream/graph.ts";
import { ColumnBatch } from "./column-batch.ts";
import { isColumnar, type ColumnarBatch, type RecordBatch } from "./operator.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";

type Numbers = Int32Array | Float64Array;

/** A batch's keys: which of `keys` each row has, and which were touched, in the order of their rows. */
interface CodedKeys {
  readonly keys: readonly Key[];
  readonly codes: Uint8Array | Uint16Array | Int32Array;
  readonly touched: Int32Array;
}

/** What the accumulators of one aggregate hold, by the code of the key. */
interface Accumulators {
  /** Of an average the total, of all others the accumulator itself. */
  values: Float64Array;
  /** Of an average the rows. */
  rows: Float64Array;
}

export class ColumnFolder {
  readonly #keyField: string;
  readonly #folds: readonly Fold[];
  readonly #fields: readonly string[];
  readonly #state: StateTable<unknown[]>;
  readonly #accumulators: readonly Accumulators[];
  readonly #codes = new KeyCodes();

  private constructor(
    keyField: string,
    folds: readonly Fold[],
    fields: readonly string[],
    state: StateTable<unknown[]>,
  ) {
    this.#keyField = keyField;
    this.#folds = folds;
    this.#fields = ["key", ...fields];
    this.#state = state;
    this.#accumulators = folds.map(() => ({
      values: new Float64Array(0),
      rows: new Float64Array(0),
    }));
  }

  /** Undefined where something is known to its functions only. */
  static of(
    key: KeySelector,
    aggregates: Readonly<Record<string, Aggregate>>,
    state: StateTable<unknown[]>,
  ): ColumnFolder | undefined {
    const keyField = fieldOf(key);
    const folds = Object.values(aggregates).map(foldOf);
    const isKnown = (fold: Fold | undefined): fold is Fold => fold !== undefined;
    if (keyField === undefined || !folds.every(isKnown)) return undefined;
    return new ColumnFolder(keyField, folds, Object.keys(aggregates), state);
  }

  /** Folds a batch and answers what is to be emitted; undefined where it is for the rows (F2). */
  fold(batch: RecordBatch): ColumnBatch | undefined {
    if (!isColumnar(batch) || !batch.fields.includes(this.#keyField)) return undefined;
    const numbers = this.#numbersOf(batch);
    if (numbers === undefined) return undefined;
    const coded = this.#codes.of(batch.column(this.#keyField));
    if (coded === undefined) return undefined;
    const slots = this.#load(coded);
    if (slots === undefined) return undefined;
    for (let a = 0; a < this.#folds.length; a++) {
      add(this.#folds[a]!, coded.codes, numbers[a], this.#accumulators[a]!);
    }
    this.#store(coded, slots);
    return this.#results(coded);
  }

  #numbersOf(batch: ColumnarBatch): (Numbers | undefined)[] | undefined {
    const numbers: (Numbers | undefined)[] = [];
    for (const fold of this.#folds) {
      if (fold.kind === "count") {
        numbers.push(undefined);
        continue;
      }
      if (!batch.fields.includes(fold.field)) return undefined;
      const column = batch.column(fold.field);
      if (column.kind !== "int32" && column.kind !== "float64") return undefined;
      numbers.push(column.values);
    }
    return numbers;
  }

  /** Takes what the state holds of the touched keys; undefined where it is of other aggregates. */
  #load({ keys, touched }: CodedKeys): StateSlot<unknown[]>[] | undefined {
    for (const accumulators of this.#accumulators) grow(accumulators, keys.length);
    const slots = new Array<StateSlot<unknown[]>>(touched.length);
    for (let i = 0; i < touched.length; i++) {
      const code = touched[i]!;
      const slot = this.#state.slot(keys[code]!);
      slots[i] = slot;
      const entry = slot.value;
      for (let a = 0; a < this.#folds.length; a++) {
        const { kind } = this.#folds[a]!;
        const { values, rows } = this.#accumulators[a]!;
        if (entry === undefined) {
          values[code] = initial[kind];
          rows[code] = 0;
        } else if (kind === "avg") {
          const mean = entry[a];
          if (!isMean(mean)) return undefined;
          values[code] = mean[0];
          rows[code] = mean[1];
        } else {
          const value = entry[a];
          if (typeof value !== "number") return undefined;
          values[code] = value;
        }
      }
    }
    return slots;
  }

  #store({ touched }: CodedKeys, slots: readonly StateSlot<unknown[]>[]): void {
    for (let i = 0; i < touched.length; i++) {
      const code = touched[i]!;
      const slot = slots[i]!;
      const entry = slot.value ?? new Array<unknown>(this.#folds.length);
      for (let a = 0; a < this.#folds.length; a++) {
        const { values, rows } = this.#accumulators[a]!;
        entry[a] = this.#folds[a]!.kind === "avg" ? [values[code], rows[code]] : values[code];
      }
      this.#state.putAt(slot, entry);
    }
  }

  #results({ keys, touched }: CodedKeys): ColumnBatch {
    const count = touched.length;
    const columns = this.#folds.map(({ kind }, a): Column => {
      const { values, rows } = this.#accumulators[a]!;
      const results = new Float64Array(count);
      for (let i = 0; i < count; i++) {
        const code = touched[i]!;
        results[i] = kind === "avg" ? values[code]! / rows[code]! : values[code]!;
      }
      return { kind: "float64", values: results };
    });
    return new ColumnBatch(count, this.#fields, [keyColumn(keys, touched), ...columns]);
  }
}

const initial = { count: 0, sum: 0, avg: 0, min: Infinity, max: -Infinity } as const;

const isMean = (value: unknown): value is [number, number] =>
  Array.isArray(value) && typeof value[0] === "number" && typeof value[1] === "number";

function grow(accumulators: Accumulators, length: number): void {
  if (accumulators.values.length >= length) return;
  accumulators.values = new Float64Array(2 * length);
  accumulators.rows = new Float64Array(2 * length);
}

function add(
  { kind }: Fold,
  codes: CodedKeys["codes"],
  numbers: Numbers | undefined,
  { values, rows }: Accumulators,
): void {
  switch (kind) {
    case "count":
      for (let i = 0; i < codes.length; i++) values[codes[i]!]! += 1;
      return;
    case "sum":
      for (let i = 0; i < codes.length; i++) values[codes[i]!]! += numbers![i]!;
      return;
    case "avg":
      for (let i = 0; i < codes.length; i++) {
        values[codes[i]!]! += numbers![i]!;
        rows[codes[i]!]! += 1;
      }
      return;
    case "min":
      for (let i = 0; i < codes.length; i++) {
        values[codes[i]!] = Math.min(values[codes[i]!]!, numbers![i]!);
      }
      return;
    case "max":
      for (let i = 0; i < codes.length; i++) {
        values[codes[i]!] = Math.max(values[codes[i]!]!, numbers![i]!);
      }
  }
}

function keyColumn(keys: readonly Key[], touched: Int32Array): Column {
  const values = Array.from(touched, (code) => keys[code]!);
  return typeof values[0] === "string"
    ? { kind: "string", values: values as string[], dictionary: undefined }
    : { kind: "any", values };
}

/** Numbers the keys of a batch, by its dictionary where it has one. */
class KeyCodes {
  readonly #byId = new Map<KeyId, number>();
  /** Of a dictionary's entries, whether a row was seen that has it. */
  #seen = new Uint8Array(0);

  /** Undefined where a row may have no key. */
  of(column: Column): CodedKeys | undefined {
    if (column.kind === "any") return undefined;
    return column.kind === "string" && column.dictionary !== undefined
      ? this.#ofDictionary(column.dictionary)
      : this.#ofValues(column.values);
  }

  #ofDictionary({
    entries,
    codes,
  }: {
    entries: readonly string[];
    codes: Uint8Array | Uint16Array;
  }): CodedKeys {
    if (this.#seen.length < entries.length) this.#seen = new Uint8Array(2 * entries.length);
    const seen = this.#seen;
    const touched = new Int32Array(Math.min(entries.length, codes.length));
    let count = 0;
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]!;
      if (seen[code] === 1) continue;
      seen[code] = 1;
      touched[count++] = code;
    }
    for (let i = 0; i < count; i++) seen[touched[i]!] = 0;
    return { keys: entries, codes, touched: touched.subarray(0, count) };
  }

  #ofValues(values: ArrayLike<string | number | boolean>): CodedKeys {
    const byId = this.#byId;
    const keys: Key[] = [];
    const codes = new Int32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const id = keyId(values[i]!);
      let code = byId.get(id);
      if (code === undefined) {
        code = keys.push(values[i]!) - 1;
        byId.set(id, code);
      }
      codes[i] = code;
    }
    byId.clear();
    return { keys, codes, touched: Int32Array.from(keys.keys()) };
  }
}
