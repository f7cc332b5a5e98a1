// A column that grows by a value at a time, out of a text that is being read: numbers go straight into
// a typed array, and a text that came before is found by its bytes, so that no string is made for it.
//   L1. The column holds the values that were added, in value and in type. Until they prove to be of
//       several types they are of one; then all are held as they are.
//   L2. A dictionary holds a text once. So one that is not found by its bytes, as its text was escaped,
//       ends the dictionary.

import { type Column, dictionaryColumn } from "./batch.ts";

/** Rows after which a dictionary must have proven itself (a quarter repeats), or is given up. */
const trialRows = 1_024;
/** Entries of one dictionary at most: codes take two bytes. */
const entriesMax = 65_536;

type Mode = "empty" | "numbers" | "booleans" | "dictionary" | "values";

export class ColumnBuilder {
  readonly #bytes: Uint8Array;
  #mode: Mode = "empty";
  #length = 0;
  #numbers = none64;
  #isInt32 = true;
  /** Values that are not in an array of numbers or of codes. */
  #values: unknown[] = [];
  /** Whether all of `#values` are texts. */
  #isText = false;
  #codes = none16;
  readonly #entries: string[] = [];
  /** Of each entry: where its bytes lie, how many there are, and their hash. */
  #starts = none32;
  #sizes = none32;
  #hashes = none32;
  /** By hash: an entry's number and one, or 0; at most half of it is taken. */
  #slots = none32;
  readonly #capacity: number;

  /**
   * @param bytes where texts lie that are known by their bytes
   * @param capacity rows to expect; a bad guess costs copies
   */
  constructor(bytes: Uint8Array, capacity: number) {
    this.#bytes = bytes;
    this.#capacity = capacity;
  }

  number(value: number): void {
    if (this.#mode !== "numbers") {
      if (this.#mode !== "empty") return this.value(value);
      this.#mode = "numbers";
      this.#numbers = new Float64Array(this.#capacity);
    }
    const at = this.#length++;
    if (at === this.#numbers.length) this.#numbers = grown(this.#numbers, Float64Array);
    this.#numbers[at] = value;
    if (this.#isInt32 && ((value | 0) !== value || (value === 0 && 1 / value < 0))) {
      this.#isInt32 = false;
    }
  }

  /** Whether texts are to be added by their bytes and not as strings. */
  get takesBytes(): boolean {
    return this.#mode === "dictionary" || this.#mode === "empty";
  }

  /**
   * A text by its bytes from `start` to `end`, with their hash; false where it is new, and is to be added by
   * `entry`.
   */
  known(start: number, end: number, hash: number): boolean {
    if (this.#mode !== "dictionary") this.#beginDictionary();
    const bytes = this.#bytes;
    const size = end - start;
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const code = this.#slots[slot]! - 1;
      if (code < 0) return false;
      if (this.#hashes[code] !== hash || this.#sizes[code] !== size) continue;
      const other = this.#starts[code]!;
      let same = 0;
      while (same < size && bytes[start + same] === bytes[other + same]) same++;
      if (same < size) continue;
      this.#code(code);
      return true;
    }
  }

  /** The text that `known` did not know, as a string too. */
  entry(text: string, { start, end, hash }: { start: number; end: number; hash: number }): void {
    const code = this.#entries.length;
    const isOnTrial = this.#length >= trialRows && code > 0.75 * this.#length;
    if (isOnTrial || code === entriesMax) return this.value(text);
    if (code === this.#starts.length) {
      this.#starts = grown(this.#starts, Int32Array);
      this.#sizes = grown(this.#sizes, Int32Array);
      this.#hashes = grown(this.#hashes, Int32Array);
    }
    this.#starts[code] = start;
    this.#sizes[code] = end - start;
    this.#hashes[code] = hash;
    this.#entries.push(text);
    if (2 * this.#entries.length > this.#slots.length) this.#rehash();
    else this.#slots[this.#freeSlot(hash)] = code + 1;
    this.#code(code);
  }

  /** A value of any type. */
  value(value: unknown): void {
    if (this.#mode !== "values") {
      if (this.#mode === "booleans" || this.#mode === "empty") {
        const isBoolean = typeof value === "boolean";
        this.#mode = isBoolean ? "booleans" : "values";
        this.#isText = this.#length === 0 && typeof value === "string";
      } else {
        this.#isText = this.#mode === "dictionary";
        this.#values = Array.from(this.#column().values);
        this.#mode = "values";
      }
    }
    if (typeof value !== "string") this.#isText = false;
    this.#length++;
    this.#values.push(value);
  }

  finish(): Column {
    return this.#column();
  }

  #column(): Column {
    switch (this.#mode) {
      case "numbers": {
        const values = this.#numbers.subarray(0, this.#length);
        if (this.#isInt32) return { kind: "int32", values: Int32Array.from(values) };
        return { kind: "float64", values };
      }
      case "dictionary": {
        const codes = this.#codes.subarray(0, this.#length);
        return dictionaryColumn({ entries: this.#entries, codes });
      }
      case "booleans":
        return { kind: "boolean", values: this.#values as boolean[] };
      case "values":
        return this.#isText
          ? { kind: "string", values: this.#values as string[], dictionary: undefined }
          : { kind: "any", values: this.#values };
      case "empty":
        return { kind: "any", values: [] };
    }
  }

  #beginDictionary(): void {
    this.#mode = "dictionary";
    this.#codes = new Uint16Array(this.#capacity);
    const entries = 256;
    this.#starts = new Int32Array(entries);
    this.#sizes = new Int32Array(entries);
    this.#hashes = new Int32Array(entries);
    this.#slots = new Int32Array(4 * entries);
  }

  #code(code: number): void {
    const at = this.#length++;
    if (at === this.#codes.length) this.#codes = grown(this.#codes, Uint16Array);
    this.#codes[at] = code;
  }

  #rehash(): void {
    this.#slots = new Int32Array(4 * this.#slots.length);
    for (let code = 0; code < this.#entries.length; code++) {
      this.#slots[this.#freeSlot(this.#hashes[code]!)] = code + 1;
    }
  }

  #freeSlot(hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    return slot;
  }
}

const none64 = new Float64Array(0);
const none32 = new Int32Array(0);
const none16 = new Uint16Array(0);

function grown<T extends Float64Array | Int32Array | Uint16Array>(
  array: T,
  type: new (length: number) => T,
): T {
  const larger = new type(2 * array.length);
  larger.set(array);
  return larger;
}
