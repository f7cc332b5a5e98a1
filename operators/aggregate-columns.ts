// aggregate over columns: where it is known of every aggregate which number of a row it takes, the rows
// of a batch become a column of key codes and a column per number, which are folded one after the other.
// What is a field is taken from the batch's columns, where it has them, and no row is made for that; what
// is a function is called for every row.
//   F1. State, results and their order are those of folding the rows one by one: each accumulator takes
//       its numbers in the order of the rows, beginning with what the state holds.
//   F2. Whether a batch can be folded is known before anything is changed; one that cannot, as a function
//       throws or answers what is no number, is left to the rows.

import type { Column } from "../format/batch.ts";
import { type Key, keyId, type KeyId } from "../format/key.ts";
import { type Aggregate, type Fold, foldOf } from "../stream/aggregates.ts";
import { fieldOf } from "../stream/fields.ts";
import type { KeySelector } from "../stream/graph.ts";
import { ColumnBatch } from "./column-batch.ts";
import { KeyGuess } from "./key-guess.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";
import { packedOf, type PackedTable, type Packing } from "./state/packed.ts";
import { latest } from "./timestamps.ts";

type Numbers = Int32Array | Float64Array;

/** A batch's keys: which of `keys` each row has, and which were touched, in the order of their rows. */
export interface CodedKeys {
  readonly keys: readonly Key[];
  readonly codes: Uint8Array | Uint16Array | Int32Array;
  readonly touched: Int32Array;
}

export class ColumnFolder {
  readonly #folds: readonly PlacedFold[];
  readonly #fields: readonly string[];
  readonly #state: PackedTable<unknown[]>;
  readonly #codes: KeyCodes;
  /** Of each aggregate by a function, the numbers of a batch. */
  readonly #read: Float64Array[] = [];
  /** By the code of a key, where its accumulators begin. */
  #places = new Int32Array(0);

  private constructor(
    key: KeySelector,
    folds: readonly Fold[],
    fields: readonly string[],
    state: StateTable<unknown[]>,
  ) {
    this.#codes = new KeyCodes(key);
    this.#folds = placed(folds);
    this.#fields = ["key", ...fields];
    this.#state = packedOf(state, accumulatorPacking(this.#folds));
  }

  /** Undefined where an aggregate is known to its functions only. */
  static of(
    key: KeySelector,
    aggregates: Readonly<Record<string, Aggregate>>,
    state: StateTable<unknown[]>,
  ): ColumnFolder | undefined {
    const folds = Object.values(aggregates).map(foldOf);
    const isKnown = (fold: Fold | undefined): fold is Fold => fold !== undefined;
    if (!folds.every(isKnown)) return undefined;
    return new ColumnFolder(key, folds, Object.keys(aggregates), state);
  }

  /** Folds a batch and answers what is to be emitted; undefined where it is for the rows (F2). */
  fold(batch: RecordBatch): ColumnBatch | undefined {
    const coded = this.#codes.of(batch);
    const slots = coded && this.#foldCoded(batch, coded);
    if (coded === undefined || slots === undefined) return undefined;
    const times = batch.timestamps && latestOf(coded, batch.timestamps);
    const results = this.#results(coded, slots, times);
    this.#state.done();
    return results;
  }

  /** The keys of a batch by its key selector; undefined where it is for the rows. */
  coded(batch: RecordBatch): CodedKeys | undefined {
    return this.#codes.of(batch);
  }

  /**
   * Folds the rows of a batch by keys of the caller's making, and gives back those of the touched keys that
   * held nothing before; undefined where it is for the rows (F2).
   */
  foldCoded(batch: RecordBatch, coded: CodedKeys): Key[] | undefined {
    const free: Key[] = [];
    const slots = this.#foldCoded(batch, coded, free);
    if (slots === undefined) return undefined;
    this.#state.done();
    return free;
  }

  #foldCoded(
    batch: RecordBatch,
    coded: CodedKeys,
    free?: Key[],
  ): StateSlot<unknown[]>[] | undefined {
    const values = this.#numbersOf(batch);
    if (values === undefined) return undefined;
    const slots = this.#slots(coded);
    if (slots === undefined) return undefined;
    if (free !== undefined) for (const slot of slots) if (slot.isFree) free.push(slot.key);
    const places = this.#change(coded, slots);
    const { numbers: accumulators } = this.#state;
    for (const [a, fold] of this.#folds.entries()) {
      add(fold, { codes: coded.codes, places, accumulators }, values[a]);
    }
    return slots;
  }

  #numbersOf(batch: RecordBatch): (Numbers | undefined)[] | undefined {
    const numbers: (Numbers | undefined)[] = [];
    for (const [a, fold] of this.#folds.entries()) {
      if (fold.kind === "count") {
        numbers.push(undefined);
        continue;
      }
      const found = columnOf(batch, fold.field) ?? this.#numbersRead(a, batch.rows(), fold.read);
      if (found === undefined) return undefined;
      numbers.push(found);
    }
    return numbers;
  }

  #numbersRead(
    a: number,
    rows: readonly unknown[],
    read: (row: never) => unknown,
  ): Float64Array | undefined {
    let numbers = this.#read[a];
    if (numbers === undefined || numbers.length < rows.length) {
      numbers = this.#read[a] = new Float64Array(rows.length);
    }
    return readNumbers(rows, read, numbers) ? numbers : undefined;
  }

  /** The places of the touched keys; undefined where one is of other aggregates. */
  #slots({ keys, touched }: CodedKeys): StateSlot<unknown[]>[] | undefined {
    const slots = new Array<StateSlot<unknown[]>>(touched.length);
    for (let i = 0; i < touched.length; i++) {
      const slot = this.#state.slot(keys[touched[i]!]!);
      if (slot === undefined) {
        this.#state.done();
        return undefined;
      }
      slots[i] = slot;
    }
    return slots;
  }

  #change({ keys, touched }: CodedKeys, slots: readonly StateSlot<unknown[]>[]): Int32Array {
    if (this.#places.length < keys.length) this.#places = new Int32Array(2 * keys.length);
    const places = this.#places;
    for (let i = 0; i < touched.length; i++) {
      const slot = slots[i]!;
      const isNew = slot.isFree;
      const at = this.#state.change(slot);
      places[touched[i]!] = at;
      if (!isNew) continue;
      const { numbers } = this.#state;
      for (const { kind, offset } of this.#folds) {
        numbers[at + offset] = initial[kind];
        if (kind === "avg") numbers[at + offset + 1] = 0;
      }
    }
    return places;
  }

  #results(
    { keys, touched }: CodedKeys,
    slots: readonly StateSlot<unknown[]>[],
    times: Float64Array | undefined,
  ): ColumnBatch {
    const count = touched.length;
    const { numbers } = this.#state;
    const places = this.#places;
    const columns = this.#folds.map(({ kind, offset }): Column => {
      const results = new Float64Array(count);
      for (let i = 0; i < count; i++) {
        const at = places[touched[i]!]! + offset;
        results[i] = kind === "avg" ? numbers[at]! / numbers[at + 1]! : numbers[at]!;
      }
      return { kind: "float64", values: results };
    });
    const all = [keyColumn(keys, touched, slots), ...columns];
    return new ColumnBatch(count, this.#fields, all, times);
  }
}

/** A field as numbers, where the batch has it so. */
function columnOf(batch: RecordBatch, field: string | undefined): Numbers | undefined {
  if (field === undefined || !isColumnar(batch) || !batch.fields.includes(field)) return undefined;
  const column = batch.column(field);
  return column.kind === "int32" || column.kind === "float64" ? column.values : undefined;
}

/** False where a row has no number, or the function throws. */
function readNumbers(
  rows: readonly unknown[],
  read: (row: never) => unknown,
  to: Float64Array,
): boolean {
  try {
    for (let i = 0; i < rows.length; i++) {
      const value = read(rows[i] as never);
      if (typeof value !== "number") return false;
      to[i] = value;
    }
    return true;
  } catch {
    return false;
  }
}

const initial = { count: 0, sum: 0, avg: 0, min: Infinity, max: -Infinity } as const;

/** A fold, and where its numbers are among those of a key. */
type PlacedFold = Fold & { readonly offset: number };

function placed(folds: readonly Fold[]): PlacedFold[] {
  let width = 0;
  return folds.map((fold) => {
    const offset = width;
    width += fold.kind === "avg" ? 2 : 1;
    return { ...fold, offset };
  });
}

/** Accumulators as numbers: an average's are two, the total and the rows. */
function accumulatorPacking(folds: readonly PlacedFold[]): Packing<unknown[]> {
  return {
    name: `accumulators ${folds.map(({ kind }) => (kind === "avg" ? 2 : 1)).join(" ")}`,
    width: folds.reduce((sum, { kind }) => sum + (kind === "avg" ? 2 : 1), 0),
    pack(value, _, to, at) {
      if (!Array.isArray(value) || value.length !== folds.length) return false;
      for (const [a, { kind, offset }] of folds.entries()) {
        const held: unknown = value[a];
        if (kind !== "avg") {
          if (typeof held !== "number") return false;
          to[at + offset] = held;
        } else {
          if (!isMean(held)) return false;
          to[at + offset] = held[0];
          to[at + offset + 1] = held[1];
        }
      }
      return true;
    },
    unpack: (_, from, at) =>
      folds.map(({ kind, offset }) =>
        kind === "avg" ? [from[at + offset], from[at + offset + 1]] : from[at + offset],
      ),
  };
}

const isMean = (value: unknown): value is [number, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  typeof value[0] === "number" &&
  typeof value[1] === "number";

interface Accumulating {
  readonly codes: CodedKeys["codes"];
  readonly places: Int32Array;
  readonly accumulators: Float64Array;
}

function add(
  { kind, offset }: PlacedFold,
  { codes, places, accumulators }: Accumulating,
  numbers: Numbers | undefined,
): void {
  switch (kind) {
    case "count":
      for (let i = 0; i < codes.length; i++) accumulators[places[codes[i]!]! + offset]! += 1;
      return;
    case "sum":
      for (let i = 0; i < codes.length; i++) {
        accumulators[places[codes[i]!]! + offset]! += numbers![i]!;
      }
      return;
    case "avg":
      for (let i = 0; i < codes.length; i++) {
        const at = places[codes[i]!]! + offset;
        accumulators[at]! += numbers![i]!;
        accumulators[at + 1]! += 1;
      }
      return;
    case "min":
      for (let i = 0; i < codes.length; i++) {
        const at = places[codes[i]!]! + offset;
        accumulators[at] = Math.min(accumulators[at]!, numbers![i]!);
      }
      return;
    case "max":
      for (let i = 0; i < codes.length; i++) {
        const at = places[codes[i]!]! + offset;
        accumulators[at] = Math.max(accumulators[at]!, numbers![i]!);
      }
  }
}

// Texts as the state has them: the next table finds its own the sooner.
function keyColumn(
  keys: readonly Key[],
  touched: Int32Array,
  slots: readonly StateSlot<unknown[]>[],
): Column {
  const texts = new Array<string>(slots.length);
  for (let i = 0; i < slots.length; i++) {
    const { key } = slots[i]!;
    if (typeof key !== "string") {
      return { kind: "any", values: Array.from(touched, (code) => keys[code]!) };
    }
    texts[i] = key;
  }
  return { kind: "string", values: texts, dictionary: undefined };
}

/** Of each touched key, in order. */
function latestOf({ keys, codes, touched }: CodedKeys, timestamps: Float64Array): Float64Array {
  const ofCode = new Float64Array(keys.length).fill(NaN);
  for (let i = 0; i < codes.length; i++) {
    ofCode[codes[i]!] = latest(ofCode[codes[i]!]!, timestamps[i]!);
  }
  return Float64Array.from(touched, (code) => ofCode[code]!);
}

/** Numbers the keys of a batch, by a dictionary where it has one. */
class KeyCodes {
  readonly #select: KeySelector;
  readonly #field: string | undefined;
  readonly #guess: KeyGuess;
  readonly #byId = new Map<KeyId, number>();
  /** Of a dictionary's entries, whether a row was seen that has it. */
  #seen = new Uint8Array(0);

  constructor(select: KeySelector) {
    this.#select = select;
    this.#field = fieldOf(select);
    this.#guess = new KeyGuess(select);
  }

  /** Undefined where a row may have no key. */
  of(batch: RecordBatch): CodedKeys | undefined {
    const field = this.#field;
    if (field !== undefined && isColumnar(batch) && batch.fields.includes(field)) {
      const column = batch.column(field);
      if (column.kind === "any") return undefined;
      return column.kind === "string" && column.dictionary !== undefined
        ? this.#ofDictionary(column.dictionary)
        : this.#ofValues(column.values);
    }
    const rows = batch.rows();
    const dictionary = this.#guess.of(rows, batch);
    return dictionary === undefined ? this.#ofRows(rows) : this.#ofDictionary(dictionary);
  }

  #ofRows(rows: readonly unknown[]): CodedKeys | undefined {
    const select = this.#select;
    const keys = new Array<Key>(rows.length);
    try {
      for (let i = 0; i < rows.length; i++) keys[i] = select(rows[i] as never);
      return this.#ofValues(keys);
    } catch {
      return undefined;
    }
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

  #ofValues(values: ArrayLike<Key>): CodedKeys {
    const byId = this.#byId;
    const keys: Key[] = [];
    const codes = new Int32Array(values.length);
    byId.clear();
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
