// Lines of JSON straight into columns, where they are what most are: objects with the same keys in the
// same order. No row is made, and no string for a text that came before.
//   J1. What is read equals what `JSON.parse` makes of each line by itself, in value, type and order of
//       keys. Whatever it would refuse, and whatever is not sure to equal it, is not read at all: then
//       the answer is `undefined`, and whoever asks goes the long way, which also says what is wrong.
//   J2. A value that is no plain text, number or word is given to `JSON.parse` by itself: a text with an
//       escape, a number of more than 15 digits or with an exponent, an array, an object.
//   J3. Nothing is read across the end of a line.
//
// Keys are compared by their bytes with those of the line before, blanks and all; only where they differ
// are they read. A number of up to 15 digits is a whole number below 2^53 over a power of ten up to 10^15:
// both are exact, so one division rounds as reading its digits does.

import { canBeColumns, type Column } from "./batch.ts";
import { ColumnBuilder } from "./column-builder.ts";

/** Objects of one shape, as columns. */
export interface JsonColumns {
  readonly rows: number;
  readonly fields: readonly string[];
  /** One per field. */
  readonly columns: readonly Column[];
}

export interface JsonColumnsOptions {
  /** More are not read. */
  readonly rowsMax: number;
  /** Bytes of a line; of a longer one nothing is read. */
  readonly lineBytesMax: number;
  /** Whether an array or object within a row may be in one. */
  readonly takes: (nested: object) => boolean;
}

const encoder = new TextEncoder();

/**
 * Reads a body of lines. `text` is what `bytes` are as UTF-8, without a mark of byte order.
 *
 * @example readJsonColumns(encoder.encode('{"a":1}\n{"a":2}'), '{"a":1}\n{"a":2}', limits)
 */
export function readJsonColumns(
  bytes: Uint8Array,
  text: string,
  options: JsonColumnsOptions,
): JsonColumns | undefined {
  const fields = fieldsOf(text);
  if (fields === undefined) return undefined;
  return new LineReader(bytes, text, fields, options).read();
}

/** The keys of the first line, where their names are the same in JSON as they are. */
function fieldsOf(text: string): string[] | undefined {
  const end = text.indexOf("\n");
  let first: unknown;
  try {
    first = JSON.parse(end === -1 ? text : text.slice(0, end));
  } catch {
    return undefined;
  }
  if (typeof first !== "object" || first === null || Array.isArray(first)) return undefined;
  const fields = Object.keys(first);
  const isPlain = fields.every((name) => JSON.stringify(name) === `"${name}"`);
  return isPlain && fields.length > 0 && canBeColumns(fields) ? fields : undefined;
}

/** The name of a field, and the bytes that stood around it in the latest line that had others. */
interface Key {
  readonly name: Uint8Array;
  /** By how much its bytes are more than its UTF-16 units. */
  readonly excess: number;
  from: number;
  size: number;
}

const byte = {
  tab: 9,
  newline: 10,
  return: 13,
  blank: 32,
  quote: 34,
  plus: 43,
  comma: 44,
  minus: 45,
  point: 46,
  zero: 48,
  colon: 58,
  opening: 91,
  backslash: 92,
  closing: 93,
  e: 101,
  f: 102,
  n: 110,
  t: 116,
  openingBrace: 123,
  closingBrace: 125,
} as const;

/** Digits that a number may have to be read here. */
const digitsMax = 15;
const powersOfTen = Array.from({ length: digitsMax + 1 }, (_, power) => 10 ** power);

class LineReader {
  readonly #bytes: Uint8Array;
  readonly #text: string;
  readonly #options: JsonColumnsOptions;
  readonly #fields: readonly string[];
  readonly #keys: readonly Key[];
  readonly #columns: readonly ColumnBuilder[];
  #at: number;
  /** By how much `#at` is more than the place of the same character in `#text`. */
  #excess: number;

  constructor(
    bytes: Uint8Array,
    text: string,
    fields: readonly string[],
    options: JsonColumnsOptions,
  ) {
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    this.#at = this.#excess = hasMark ? 3 : 0;
    this.#bytes = bytes;
    this.#text = text;
    this.#options = options;
    this.#fields = fields;
    this.#keys = fields.map((field) => {
      const name = encoder.encode(field);
      return { name, excess: name.length - field.length, from: 0, size: 0 };
    });
    const firstLine = bytes.indexOf(byte.newline) + 1 || bytes.length;
    const capacity = Math.min(Math.ceil(bytes.length / firstLine) + 16, options.rowsMax);
    this.#columns = fields.map(() => new ColumnBuilder(bytes, capacity));
  }

  read(): JsonColumns | undefined {
    const { rowsMax, lineBytesMax } = this.#options;
    const end = this.#bytes.length;
    let rows = 0;
    while (this.#at < end) {
      const start = this.#at;
      this.#skipBlanks();
      if (this.#at === end) break;
      if (this.#bytes[this.#at] === byte.newline) {
        this.#at++;
        continue;
      }
      this.#at = start;
      if (rows++ === rowsMax || !this.#line() || this.#at - start > lineBytesMax) return undefined;
    }
    if (rows === 0) return undefined;
    return { rows, fields: this.#fields, columns: this.#columns.map((column) => column.finish()) };
  }

  #line(): boolean {
    const keys = this.#keys;
    for (let field = 0; field < keys.length; field++) {
      const opening = field === 0 ? byte.openingBrace : byte.comma;
      if (!this.#key(keys[field]!, opening) || !this.#value(this.#columns[field]!)) return false;
    }
    const bytes = this.#bytes;
    if (bytes[this.#at] !== byte.closingBrace) {
      this.#skipBlanks();
      if (bytes[this.#at] !== byte.closingBrace) return false;
    }
    this.#at++;
    if (bytes[this.#at] !== byte.newline) {
      this.#skipBlanks();
      if (this.#at === bytes.length) return true;
      if (bytes[this.#at] !== byte.newline) return false;
    }
    this.#at++;
    return true;
  }

  /** Moves past a key and what stands around it, up to its value. */
  #key(key: Key, opening: number): boolean {
    const bytes = this.#bytes;
    const { from, size } = key;
    const start = this.#at;
    let same = 0;
    while (same < size && bytes[start + same] === bytes[from + same]) same++;
    if (same === size && size > 0) {
      this.#at = start + size;
      this.#excess += key.excess;
      return true;
    }
    return this.#newKey(key, opening);
  }

  #newKey(key: Key, opening: number): boolean {
    const start = this.#at;
    const { name, excess } = key;
    if (!this.#mark(opening)) return false;
    this.#skipBlanks();
    if (!this.#is(byte.quote)) return false;
    for (let i = 0; i < name.length; i++) if (!this.#is(name[i]!)) return false;
    if (!this.#is(byte.quote) || !this.#mark(byte.colon)) return false;
    this.#skipBlanks();
    this.#excess += excess;
    key.from = start;
    key.size = this.#at - start;
    return true;
  }

  #value(column: ColumnBuilder): boolean {
    const first = this.#bytes[this.#at]!;
    switch (first) {
      case byte.quote:
        return this.#string(column);
      case byte.t:
        return this.#word("true", true, column);
      case byte.f:
        return this.#word("false", false, column);
      case byte.n:
        return this.#word("null", null, column);
      case byte.opening:
      case byte.openingBrace:
        return this.#nested(column);
      default:
        return this.#number(column);
    }
  }

  #string(column: ColumnBuilder): boolean {
    const bytes = this.#bytes;
    const end = bytes.length;
    const start = this.#at + 1;
    const unitsFrom = start - this.#excess;
    let excess = this.#excess;
    let hash = 0;
    let at = start;
    for (; at < end; at++) {
      const unit = bytes[at]!;
      if (unit === byte.quote) break;
      if (unit === byte.backslash) return this.#escaped(column, at, excess);
      if (unit < byte.blank) return false;
      if (unit >= 0x80) excess += excessOf(unit);
      hash = Math.imul(hash ^ unit, 0x01000193);
    }
    if (at === end) return false;
    hash ^= hash >>> 15;
    this.#at = at + 1;
    this.#excess = excess;
    if (column.takesBytes) {
      if (column.known(start, at, hash)) return true;
      const text = this.#text.slice(unitsFrom, at - excess);
      column.entry(text, { start, end: at, hash });
    } else {
      column.value(this.#text.slice(unitsFrom, at - excess));
    }
    return true;
  }

  /** A text of which the backslash at `from` is the first. */
  #escaped(column: ColumnBuilder, from: number, excessThere: number): boolean {
    const bytes = this.#bytes;
    const start = this.#at - this.#excess;
    let excess = excessThere;
    let at = from;
    for (; bytes[at] !== byte.quote; at++) {
      const unit = bytes[at];
      if (unit === undefined || unit === byte.newline) return false;
      if (unit === byte.backslash) at++;
      else if (unit >= 0x80) excess += excessOf(unit);
    }
    return this.#parsed(column, start, { end: at + 1, excess });
  }

  #nested(column: ColumnBuilder): boolean {
    const bytes = this.#bytes;
    const start = this.#at - this.#excess;
    let excess = this.#excess;
    let depth = 0;
    let isText = false;
    let at = this.#at;
    do {
      const unit = bytes[at];
      if (unit === undefined || unit === byte.newline) return false;
      if (unit >= 0x80) excess += excessOf(unit);
      else if (unit === byte.quote) isText = !isText;
      else if (isText) {
        if (unit === byte.backslash) at++;
      } else if (unit === byte.opening || unit === byte.openingBrace) depth++;
      else if (unit === byte.closing || unit === byte.closingBrace) depth--;
      at++;
    } while (depth > 0);
    return this.#parsed(column, start, { end: at, excess });
  }

  #number(column: ColumnBuilder): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    const isNegative = bytes[at] === byte.minus;
    if (isNegative) at++;
    const first = at;
    let value = 0;
    let digit = digitAt(bytes, at);
    for (; digit >= 0; digit = digitAt(bytes, ++at)) value = value * 10 + digit;
    let digits = at - first;
    if (digits === 0 || (digits > 1 && bytes[first] === byte.zero)) return false;
    if (bytes[at] === byte.point) {
      const fraction = ++at;
      digit = digitAt(bytes, at);
      for (; digit >= 0; digit = digitAt(bytes, ++at)) value = value * 10 + digit;
      const places = at - fraction;
      if (places === 0) return false;
      digits += places;
      if (digits <= digitsMax) value /= powersOfTen[places]!;
    }
    const next = bytes[at];
    if (digits > digitsMax || next === byte.e || next === 69) return this.#longNumber(column, at);
    this.#at = at;
    column.number(isNegative ? -value : value);
    return true;
  }

  /** One whose digits, up to `from`, are too many, or that goes on with an exponent. */
  #longNumber(column: ColumnBuilder, from: number): boolean {
    const bytes = this.#bytes;
    let at = from;
    while (digitAt(bytes, at) >= 0 || isOfExponent(bytes[at])) at++;
    const text = this.#text.slice(this.#at - this.#excess, at - this.#excess);
    try {
      column.number(JSON.parse(text) as number);
    } catch {
      return false;
    }
    this.#at = at;
    return true;
  }

  #parsed(
    column: ColumnBuilder,
    start: number,
    { end, excess }: { readonly end: number; readonly excess: number },
  ): boolean {
    let value: unknown;
    try {
      value = JSON.parse(this.#text.slice(start, end - excess));
    } catch {
      return false;
    }
    if (typeof value === "object" && !this.#options.takes(value!)) return false;
    this.#at = end;
    this.#excess = excess;
    column.value(value);
    return true;
  }

  #word(word: string, value: unknown, column: ColumnBuilder): boolean {
    for (let i = 0; i < word.length; i++) if (!this.#is(word.charCodeAt(i))) return false;
    column.value(value);
    return true;
  }

  /** Moves past a mark and the blanks before it, where it is next. */
  #mark(mark: number): boolean {
    this.#skipBlanks();
    return this.#is(mark);
  }

  #is(expected: number): boolean {
    if (this.#bytes[this.#at] !== expected) return false;
    this.#at++;
    return true;
  }

  #skipBlanks(): void {
    for (; this.#at < this.#bytes.length; this.#at++) {
      const unit = this.#bytes[this.#at];
      if (unit !== byte.blank && unit !== byte.tab && unit !== byte.return) return;
    }
  }
}

/** What a byte of a character beyond ASCII adds to bytes, less what it adds to UTF-16 units. */
const excessOf = (unit: number): number => ((unit & 0xc0) === 0x80 ? 1 : unit >= 0xf0 ? -1 : 0);

function digitAt(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) return -1;
  const digit = bytes[at]! - byte.zero;
  return digit <= 9 ? digit : -1;
}

const isOfExponent = (unit: number | undefined): boolean =>
  unit === byte.e ||
  unit === 69 ||
  unit === byte.plus ||
  unit === byte.minus ||
  unit === byte.point;
