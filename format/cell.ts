// One value as bytes, where values are stored one by one and most are small: a tag, then the payload.
//   C1. What is read equals what was written, as in value.ts; what has no short form goes its way.
// Numbers, strings, booleans, and short arrays and plain objects of them are most of what state holds;
// they take a few bytes and no parser.
//   C2. The names of an object's fields stand before its values, as they are in most objects of a state:
//       whoever writes or reads the next one compares them with those before.

import { FormatError } from "./format-error.ts";
import { decodeValue, encodeValue } from "./value.ts";

// Part of what objects store: never renumber.
const tag = {
  any: 0,
  int32: 1,
  float64: 2,
  text: 3,
  true: 4,
  false: 5,
  null: 6,
  undefined: 7,
  array: 8,
  /** Bytes of the names (2), the names as an array in JSON, the values. */
  object: 9,
} as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Arrays within arrays that have a short form. */
const depthMax = 4;
const lengthMax = 255;
/** Longer texts are the encoder's, whatever is in them. */
const asciiMax = 96;

// Reused for every value: its bytes are copied out at the end.
let scratch = new Uint8Array(1_024);
let view = new DataView(scratch.buffer);
let end = 0;

/**
 * Room for cells that are needed together and no longer than one another. A buffer of its own for each of
 * more than 64 bytes takes as long as encoding it (0.5 µs in Node, 2026-11-23).
 */
export class CellRoom {
  #bytes = new Uint8Array(0);
  #end = 0;

  copy(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
    if (this.#end + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(roomBytes, length));
      this.#end = 0;
    }
    const from = this.#end;
    this.#end += length;
    this.#bytes.set(bytes.subarray(0, length), from);
    return this.#bytes.subarray(from, this.#end);
  }
}

const roomBytes = 2 ** 16;

/** In `room`, where there is one. @throws ValueNotSerialisableError for what cannot be carried exactly */
export function encodeCell(value: unknown, room?: CellRoom): Uint8Array<ArrayBuffer> {
  end = 0;
  if (write(value, 0)) return room?.copy(scratch, end) ?? scratch.slice(0, end);
  const bytes = encodeValue(value, "state");
  const cell = new Uint8Array(1 + bytes.length);
  cell[0] = tag.any;
  cell.set(bytes, 1);
  return cell;
}

/** The value `encodeCell` was given. @throws FormatError when the bytes are not its work */
export function decodeCell(bytes: Uint8Array): unknown {
  if (bytes[0] === tag.any) return decodeValue(bytes.subarray(1));
  const at = new Reader(bytes);
  const value = at.value();
  if (at.offset === bytes.length) return value;
  throw new FormatError("content", `Expected a value of ${bytes.length} bytes, read ${at.offset}`);
}

/** Whether the value has a short form, and then writes it. */
function write(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "number":
      reserve(9);
      if ((value | 0) === value && !Object.is(value, -0)) {
        scratch[end] = tag.int32;
        view.setInt32(end + 1, value, true);
        end += 5;
      } else {
        scratch[end] = tag.float64;
        view.setFloat64(end + 1, value, true);
        end += 9;
      }
      return true;
    case "string": {
      reserve(5 + 3 * value.length);
      if (value.length <= asciiMax && writeAscii(value)) return true;
      if (!value.isWellFormed()) return false;
      const { written } = encoder.encodeInto(value, scratch.subarray(end + 5));
      scratch[end] = tag.text;
      view.setUint32(end + 1, written, true);
      end += 5 + written;
      return true;
    }
    case "boolean":
      return writeTag(value ? tag.true : tag.false);
    case "undefined":
      return writeTag(tag.undefined);
    case "object":
      if (value === null) return writeTag(tag.null);
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value);
    default:
      return false;
  }
}

/** Writes a text, if it is of ASCII alone. */
function writeAscii(text: string): boolean {
  const { length } = text;
  const from = end + 5;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return false;
    scratch[from + i] = unit;
  }
  scratch[end] = tag.text;
  view.setUint32(end + 1, length, true);
  end = from + length;
  return true;
}

function writeTag(of: number): true {
  reserve(1);
  scratch[end++] = of;
  return true;
}

function writeArray(array: readonly unknown[], depth: number): boolean {
  const { length } = array;
  if (depth === depthMax || length > lengthMax) return false;
  if (Object.getPrototypeOf(array) !== Array.prototype) return false;
  // Holes and named properties are nothing that has a short form.
  if (Object.keys(array).length !== length) return false;
  reserve(2);
  scratch[end] = tag.array;
  scratch[end + 1] = length;
  end += 2;
  for (let i = 0; i < length; i++) {
    if (!(i in array) || !write(array[i], depth + 1)) return false;
  }
  return true;
}

/** Names of fields, and their bytes. */
interface Names {
  readonly names: readonly string[];
  readonly bytes: Uint8Array;
}

// Of the object before.
let written: Names = { names: [], bytes: encoder.encode("[]") };
let read: Names = written;

/** Of objects whose fields hold no objects, so that no object can be in two places. */
function writeObject(object: object): boolean {
  if (Object.getPrototypeOf(object) !== Object.prototype) return false;
  const names = Object.keys(object);
  if (names.length > lengthMax || Object.getOwnPropertySymbols(object).length > 0) return false;
  if (!isSame(names, written.names)) {
    if (names.includes("__proto__")) return false;
    written = { names, bytes: encoder.encode(JSON.stringify(names)) };
  }
  const { bytes } = written;
  if (bytes.length > 0xffff) return false;
  reserve(3 + bytes.length);
  scratch[end] = tag.object;
  view.setUint16(end + 1, bytes.length, true);
  scratch.set(bytes, end + 3);
  end += 3 + bytes.length;
  for (const name of names) {
    const value = (object as Readonly<Record<string, unknown>>)[name];
    if ((typeof value === "object" && value !== null) || !write(value, depthMax)) return false;
  }
  return true;
}

const isSame = <T>(a: ArrayLike<T>, b: ArrayLike<T>): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

function namesOf(bytes: Uint8Array, from: number, to: number): readonly string[] {
  const { length } = read.bytes;
  let same = 0;
  if (to - from === length) while (same < length && bytes[from + same] === read.bytes[same]) same++;
  if (same < length || to - from !== length) {
    const own = bytes.slice(from, to);
    read = { names: parsedNames(own), bytes: own };
  }
  return read.names;
}

function parsedNames(bytes: Uint8Array): readonly string[] {
  const bad = (cause?: unknown): FormatError =>
    new FormatError("content", "Expected the names of a value's fields", { cause });
  let names: unknown;
  try {
    names = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw bad(cause);
  }
  if (!Array.isArray(names)) throw bad();
  const isName = (name: unknown): boolean => typeof name === "string" && name !== "__proto__";
  if (!names.every(isName)) throw bad();
  return names as string[];
}

function reserve(bytes: number): void {
  if (end + bytes <= scratch.length) return;
  const larger = new Uint8Array(2 * (end + bytes));
  larger.set(scratch.subarray(0, end));
  scratch = larger;
  view = new DataView(scratch.buffer);
}

// Typed arrays of eight bytes begin at multiples of eight, and values anywhere.
const eightBytes = new Uint8Array(8);
const eightBytesView = new DataView(eightBytes.buffer);

class Reader {
  readonly #bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  value(): unknown {
    switch (this.#bytes[this.offset++]) {
      case tag.int32:
        return this.#int32();
      case tag.float64: {
        const from = this.#past(8);
        for (let i = 0; i < 8; i++) eightBytes[i] = this.#bytes[from + i]!;
        return eightBytesView.getFloat64(0, true);
      }
      case tag.text: {
        const length = this.#int32() >>> 0;
        const from = this.#past(length);
        return decoder.decode(this.#bytes.subarray(from, from + length));
      }
      case tag.true:
        return true;
      case tag.false:
        return false;
      case tag.null:
        return null;
      case tag.undefined:
        return undefined;
      case tag.array:
        return this.#array();
      case tag.object:
        return this.#object();
      default:
        throw new FormatError("content", `Expected the tag of a value at ${this.offset - 1}`);
    }
  }

  #int32(): number {
    const bytes = this.#bytes;
    const at = this.#past(4);
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    for (let left = this.#bytes[this.#past(1)]!; left > 0; left--) array.push(this.value());
    return array;
  }

  #object(): Record<string, unknown> {
    const at = this.#past(2);
    const length = this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
    const from = this.#past(length);
    const object: Record<string, unknown> = {};
    for (const name of namesOf(this.#bytes, from, from + length)) object[name] = this.value();
    return object;
  }

  /** Moves past so many bytes and answers where they began. */
  #past(bytes: number): number {
    const from = this.offset;
    if (from + bytes > this.#bytes.length) {
      throw new FormatError("length", `Expected ${bytes} more bytes of a value at ${from}`);
    }
    this.offset += bytes;
    return from;
  }
}
