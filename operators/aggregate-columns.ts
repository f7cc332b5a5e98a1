// aggregate over columns: where it is known of every aggregate which number of a row it takes, the rows
// of a batch become a column of key codes and a column per number, which are folded one after the other.
// What is a field is taken from the batch's columns, where it has them, and no row is made for that; what
// is a function is called for every row.
//   F1. State, results and their order are those of folding the rows one by one: each accumulator takes
//       its numbers in the order of the rows, beginning with what the state holds.
//   F2. Whether a batch can be folded is known before anything is changed; one that cannot, as a function
//       throws or answers what is no number, is left to the rows.
//   F3. A row that has null or undefined in a field of numbers is left out, as its function would have
//       it; where that is a failure, or keys are the caller's, the rows are left to find it.

import { type Column, hasBit } from "../format/batch.ts";
import type { Key } from "../format/key.ts";
import { type Aggregate, type Fold, foldOf, noNumber } from "../stream/aggregates.ts";
import type { KeySelector } from "../stream/graph.ts";
import { ColumnBatch } from "./column-batch.ts";
import { type CodedKeys, KeyCodes } from "./key-codes.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import type { StateSlot, StateTable } from "./state/keyed-state.ts";
import { KnownSlots } from "./state/known-slots.ts";
import { packedOf, type PackedTable, type Packing } from "./state/packed.ts";
import { latest } from "./timestamps.ts";

type Numbers = Int32Array | Float64Array;

/** The numbers of a fold, one per row; none for one that counts. */
interface Input {
  readonly numbers: Numbers | undefined;
  /** Of a field, where some rows have none. */
  readonly absent: Extract<Column, { kind: "nullable" }> | undefined;
}

/** Rows that are left out, in order, and the error of each; and the rows that are not. */
interface Refused {
  readonly rows: readonly { readonly row: number; readonly error: TypeError }[];
  readonly others: Int32Array;
}

export class ColumnFolder {
  /** Who takes rows that are left out; nobody where they are for the rows. */
  readonly #self: RejectingOperator | undefined;
  readonly #folds: readonly PlacedFold[];
  readonly #fields: readonly string[];
  readonly #state: PackedTable<unknown[]>;
  readonly #known: KnownSlots<unknown[]>;
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
    self: RejectingOperator | undefined,
  ) {
    this.#self = self;
    this.#codes = new KeyCodes(key);
    this.#folds = placed(folds);
    this.#fields = ["key", ...fields];
    this.#state = packedOf(state, accumulatorPacking(this.#folds));
    this.#known = new KnownSlots(this.#state);
  }

  /** Undefined where an aggregate is known to its functions only. */
  static of(
    key: KeySelector,
    aggregates: Readonly<Record<string, Aggregate>>,
    state: StateTable<unknown[]>,
    self?: RejectingOperator,
  ): ColumnFolder | undefined {
    const folds = Object.values(aggregates).map(foldOf);
    const isKnown = (fold: Fold | undefined): fold is Fold => fold !== undefined;
    if (!folds.every(isKnown)) return undefined;
    return new ColumnFolder(key, folds, Object.keys(aggregates), state, self);
  }

  /** Folds a batch and answers what is to be emitted; undefined where it is for the rows (F2). */
  fold(batch: RecordBatch): ColumnBatch | undefined {
    const all = this.#codes.of(batch);
    const inputs = all && this.#inputsOf(batch);
    if (all === undefined || inputs === undefined) return undefined;
    const refused = this.#refused(inputs, batch.length);
    if (refused !== undefined && this.#self?.reject === undefined) return undefined; // F3
    const coded = refused === undefined ? all : this.#only(all, refused.others);
    const slots = this.#slots(coded);
    if (slots === undefined) return undefined;
    if (refused !== undefined && !this.#leaveOut(batch, all, refused)) return undefined;
    this.#add(coded, slots, refused === undefined ? inputs : without(inputs, refused));
    const times = batch.timestamps && latestOf(coded, timesOf(batch.timestamps, refused));
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
    const inputs = this.#inputsOf(batch);
    if (inputs === undefined || this.#refused(inputs, batch.length) !== undefined) return undefined;
    const slots = this.#slots(coded);
    if (slots === undefined) return undefined;
    for (const slot of slots) if (slot.isFree) free.push(slot.key);
    this.#add(coded, slots, inputs);
    this.#state.done();
    return free;
  }

  #add(
    coded: CodedKeys,
    slots: readonly StateSlot<unknown[]>[],
    inputs: readonly Pick<Input, "numbers">[],
  ): void {
    const places = this.#change(coded, slots);
    const { numbers: accumulators } = this.#state;
    for (const [a, fold] of this.#folds.entries()) {
      add(fold, { codes: coded.codes, places, accumulators }, inputs[a]!.numbers);
    }
  }

  #inputsOf(batch: RecordBatch): Input[] | undefined {
    const inputs: Input[] = [];
    for (const [a, fold] of this.#folds.entries()) {
      if (fold.kind === "count") {
        inputs.push({ numbers: undefined, absent: undefined });
        continue;
      }
      const input = columnOf(batch, fold.field) ?? this.#inputRead(a, batch.rows(), fold.read);
      if (input === undefined) return undefined;
      inputs.push(input);
    }
    return inputs;
  }

  /** The rows without a number for some fold, each with the error of the first such fold. */
  #refused(inputs: readonly Input[], rows: number): Refused | undefined {
    if (inputs.every(({ absent }) => absent === undefined)) return undefined;
    const refused: { row: number; error: TypeError }[] = [];
    const others = new Int32Array(rows);
    let kept = 0;
    for (let row = 0; row < rows; row++) {
      const first = inputs.findIndex(
        ({ absent }) => absent !== undefined && hasBit(absent.absent.bits, row),
      );
      if (first === -1) others[kept++] = row;
      else {
        const { kind } = this.#folds[first]!;
        refused.push({ row, error: noNumber(kind, inputs[first]!.absent!.values[row]) });
      }
    }
    return refused.length === 0 ? undefined : { rows: refused, others: others.subarray(0, kept) };
  }

  #only({ keys, codes, known }: CodedKeys, rows: Int32Array): CodedKeys {
    const own = new Int32Array(rows.length);
    for (let i = 0; i < rows.length; i++) own[i] = codes[rows[i]!]!;
    return { keys, codes: own, touched: this.#codes.touched(own, keys.length), known };
  }

  /**
   * Rejects rows. As on the way of rows, a key that had none before in the batch counts as changed where
   * it holds something. False where one holds other aggregates: then nothing was done.
   */
  #leaveOut(batch: RecordBatch, { keys, codes }: CodedKeys, { rows }: Refused): boolean {
    const before = new Set<number>();
    const changed: StateSlot<unknown[]>[] = [];
    let next = 0;
    for (const { row } of rows) {
      for (; next < row; next++) before.add(codes[next]!);
      next = row + 1;
      const code = codes[row]!;
      if (before.has(code)) continue;
      const slot = this.#state.slot(keys[code]!);
      if (slot === undefined) {
        this.#state.done();
        return false;
      }
      if (!slot.isFree) changed.push(slot);
    }
    for (const slot of changed) this.#state.change(slot);
    for (const { row, error } of rows) rejectRow(this.#self!, "aggregate", batch, row, error);
    return true;
  }

  #inputRead(
    a: number,
    rows: readonly unknown[],
    read: (row: never) => unknown,
  ): Input | undefined {
    let numbers = this.#read[a];
    if (numbers === undefined || numbers.length < rows.length) {
      numbers = this.#read[a] = new Float64Array(rows.length);
    }
    return readNumbers(rows, read, numbers) ? { numbers, absent: undefined } : undefined;
  }

  /** The places of the touched keys; undefined where one is of other aggregates. */
  #slots({ keys, touched, known }: CodedKeys): StateSlot<unknown[]>[] | undefined {
    const slots = this.#known.of(keys, known, touched);
    if (slots === undefined) this.#state.done();
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
    coded: CodedKeys,
    slots: readonly StateSlot<unknown[]>[],
    times: Float64Array | undefined,
  ): ColumnBatch {
    const { touched } = coded;
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
    const all = [keyColumn(coded, slots), ...columns];
    return new ColumnBatch(count, this.#fields, all, times);
  }
}

/** A field as numbers, where the batch has it so. */
function columnOf(batch: RecordBatch, field: string | undefined): Input | undefined {
  if (field === undefined || !isColumnar(batch) || !batch.fields.includes(field)) return undefined;
  const column = batch.column(field);
  const absent = column.kind === "nullable" ? column : undefined;
  const present = absent?.present ?? column;
  const isNumeric = present.kind === "int32" || present.kind === "float64";
  return isNumeric ? { numbers: present.values, absent } : undefined;
}

/** The numbers of the rows that are not left out, one after the other. */
const without = (inputs: readonly Input[], { others }: Refused): Pick<Input, "numbers">[] =>
  inputs.map(({ numbers }) => ({ numbers: numbers && picked(numbers, others) }));

function picked(numbers: Numbers, rows: Int32Array): Float64Array {
  const own = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) own[i] = numbers[rows[i]!]!;
  return own;
}

const timesOf = (timestamps: Float64Array, refused: Refused | undefined): Float64Array =>
  refused === undefined ? timestamps : picked(timestamps, refused.others);

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
  { keys, touched, known }: CodedKeys,
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
  return {
    kind: "string",
    values: texts,
    dictionary: undefined,
    known: known && { of: known.of, numbers: numbersAt(known.numbers, touched) },
  };
}

function numbersAt(numbers: Int32Array, at: Int32Array): Int32Array {
  const some = new Int32Array(at.length);
  for (let i = 0; i < at.length; i++) some[i] = numbers[at[i]!]!;
  return some;
}

/** Of each touched key, in order. */
function latestOf({ keys, codes, touched }: CodedKeys, timestamps: Float64Array): Float64Array {
  const ofCode = new Float64Array(keys.length).fill(NaN);
  for (let i = 0; i < codes.length; i++) {
    ofCode[codes[i]!] = latest(ofCode[codes[i]!]!, timestamps[i]!);
  }
  return Float64Array.from(touched, (code) => ofCode[code]!);
}
