// The keys of a batch by number: from the columns of the fields that they are made of, where the batch
// has them, else by the key function.
//   C1. Rows have the same number exactly when they have the same key.
//   C2. A key of several fields is a tuple of what the first row that has it holds in them.

import type { Column, Dictionary } from "../format/batch.ts";
import { type Key, keyId, type KeyId } from "../format/key.ts";
import { fieldsOf } from "../stream/fields.ts";
import { type KnownTexts, TextMemory } from "../format/known-texts.ts";
import type { KeySelector } from "../stream/graph.ts";
import { KeyGuess } from "./key-guess.ts";
import { isColumnar, type RecordBatch } from "./operator.ts";

type Codes = Dictionary["codes"] | Int32Array;

/** Which of `keys` each row has, and which were touched, in the order of their rows. */
export interface CodedKeys {
  readonly keys: readonly Key[];
  readonly codes: Codes;
  readonly touched: Int32Array;
  /** The keys by numbers that outlive the batch, where they have any. */
  readonly known?: KnownTexts | undefined;
}

/** Numbers below `count`, one per row. */
interface Numbered {
  readonly codes: Codes;
  readonly count: number;
}

/** Pairs of numbers for which a place each is kept ready, rather than a map of those that occur. */
const pairsMax = 65_536;

export class KeyCodes {
  readonly #select: KeySelector;
  /** What keys are made of, where that is known; of several fields they are tuples. */
  readonly #fields: readonly string[] | undefined;
  readonly #guess: KeyGuess;
  readonly #byId = new Map<KeyId, number>();
  readonly #texts = new TextMemory();
  /** Of keys by their numbers, whether a row was seen that has it. */
  #seen = new Uint8Array(0);

  constructor(select: KeySelector) {
    this.#select = select;
    this.#fields = fieldsOf(select);
    this.#guess = new KeyGuess(select);
  }

  /** Undefined where a row may have no key. */
  of(batch: RecordBatch): CodedKeys | undefined {
    const fields = this.#fields;
    if (fields !== undefined && isColumnar(batch)) {
      if (fields.every((field) => batch.fields.includes(field))) {
        const memory = fields.length === 1 ? this.#texts : undefined;
        return this.#ofColumns(fields.map((field) => batch.column(field, memory)));
      }
    }
    const rows = this.#guess.rowsOf(batch, this.#texts);
    const dictionary = this.#guess.of(rows, batch);
    return dictionary === undefined ? this.#ofRows(rows) : this.#ofDictionary(dictionary);
  }

  /** Which of so many numbers occur, in the order in which they do. */
  touched(codes: Codes, count: number): Int32Array {
    if (this.#seen.length < count) this.#seen = new Uint8Array(2 * count);
    const seen = this.#seen;
    const touched = new Int32Array(Math.min(count, codes.length));
    let found = 0;
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]!;
      if (seen[code] === 1) continue;
      seen[code] = 1;
      touched[found++] = code;
    }
    for (let i = 0; i < found; i++) seen[touched[i]!] = 0;
    return touched.subarray(0, found);
  }

  #ofColumns(columns: readonly Column[]): CodedKeys | undefined {
    const [column] = columns;
    if (columns.length > 1) return this.#ofSeveral(columns);
    if (column === undefined || column.kind === "any" || column.kind === "nullable")
      return undefined;
    return column.kind === "string" && column.dictionary !== undefined
      ? this.#ofDictionary(column.dictionary)
      : this.#ofValues(column.values);
  }

  #ofDictionary({ entries, codes, known }: Dictionary): CodedKeys {
    return { keys: entries, codes, touched: this.touched(codes, entries.length), known };
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

  #ofValues(values: ArrayLike<Key>): CodedKeys {
    const { codes, count } = this.#numbered(values);
    const keys = Array.from(firstRows(codes, count), (row) => values[row]!);
    return { keys, codes, touched: Int32Array.from(keys.keys()) };
  }

  #ofSeveral(columns: readonly Column[]): CodedKeys | undefined {
    let all: Numbered | undefined;
    for (const column of columns) {
      if (column.kind === "any" || column.kind === "nullable") return undefined;
      const dictionary = column.kind === "string" ? column.dictionary : undefined;
      const numbered =
        dictionary === undefined
          ? this.#numbered(column.values)
          : { codes: dictionary.codes, count: dictionary.entries.length };
      all = all === undefined ? numbered : paired(all, numbered);
    }
    const { codes, count } = all!;
    const keys = Array.from(firstRows(codes, count), (row): Key => {
      return columns.map((column) => valueAt(column, row));
    });
    return { keys, codes, touched: Int32Array.from(keys.keys()) };
  }

  /** Numbers values in the order in which they come. */
  #numbered(values: ArrayLike<Key>): Numbered {
    const byId = this.#byId;
    byId.clear();
    const codes = new Int32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const id = keyId(values[i]!);
      let code = byId.get(id);
      if (code === undefined) {
        code = byId.size;
        byId.set(id, code);
      }
      codes[i] = code;
    }
    const count = byId.size;
    byId.clear();
    return { codes, count };
  }
}

/** Numbers pairs in the order in which they come. */
function paired(a: Numbered, b: Numbered): Numbered {
  const codes = new Int32Array(a.codes.length);
  const pairs = a.count * b.count;
  const byPair = pairs <= pairsMax ? new PairTable(pairs) : new Map<number, number>();
  let count = 0;
  for (let i = 0; i < codes.length; i++) {
    const pair = a.codes[i]! * b.count + b.codes[i]!;
    let code = byPair.get(pair);
    if (code === undefined) {
      code = count++;
      byPair.set(pair, code);
    }
    codes[i] = code;
  }
  return { codes, count };
}

class PairTable {
  /** One more than the number of each. */
  readonly #numbers: Int32Array;

  constructor(pairs: number) {
    this.#numbers = new Int32Array(pairs);
  }

  get(pair: number): number | undefined {
    const number = this.#numbers[pair]!;
    return number === 0 ? undefined : number - 1;
  }

  set(pair: number, number: number): void {
    this.#numbers[pair] = number + 1;
  }
}

/** The first row that has each of `count` numbers, all of which occur, in order. */
function firstRows(codes: Codes, count: number): Int32Array {
  const rows = new Int32Array(count);
  let found = 0;
  for (let i = 0; i < codes.length && found < count; i++) if (codes[i] === found) rows[found++] = i;
  return rows;
}

/** One value, without looking up the texts of all rows. */
function valueAt(column: Column, row: number): Key {
  const dictionary = column.kind === "string" ? column.dictionary : undefined;
  if (dictionary !== undefined) return dictionary.entries[dictionary.codes[row]!]!;
  return column.values[row] as Key;
}
