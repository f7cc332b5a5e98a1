// A growing buffer to write into and a bounds-checked cursor to read from.
//
// Everything is little-endian, because typed arrays are views of the machine's own byte order and
// every machine this runs on is little-endian; `alignment` makes such views possible.
//   Y1. Offsets are relative to the first byte written; aligned means a multiple of `alignment`.
//   Y2. A reader never looks past its end: it throws a FormatError that says what was missing.
//   Y3. Padding is zero.

import { FormatError } from "./format-error.ts";
import { keepShape } from "./kept-shapes.ts";

/** Bytes every typed array starts at a multiple of: the widest element's size. */
export const alignment = 8;

if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) {
  throw new Error("Tidemark's formats need a little-endian machine");
}

/** The next multiple of `alignment`. */
export function aligned(offset: number): number {
  return (offset + alignment - 1) & -alignment;
}

/** One after the other; of one, itself. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1) return only!;
  const all = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// Every method takes its room first and looks at the buffer after, as taking room may replace it.

interface Scratch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
}

// Buffers of finished writers, for the next ones: allocating them was more work than most of what is
// written. More than one, because writers are nested.
const spare: Scratch[] = [];
const spareMax = 4;
const spareBytesMax = 512 * 1_024;

function scratchOf(capacity: number): Scratch {
  const kept = spare.pop();
  if (kept !== undefined && kept.bytes.length >= capacity) return kept;
  const bytes = new Uint8Array(aligned(Math.max(capacity, 1_024)));
  return { bytes, view: new DataView(bytes.buffer) };
}

/**
 * Writes forward into a buffer that grows. The views it hands out are good until the next call, and
 * the writer itself until `finish`.
 */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  /** @param capacity bytes to expect; a good guess saves copies, a bad one costs them */
  constructor(capacity = 256) {
    ({ bytes: this.#bytes, view: this.#view } = scratchOf(capacity));
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  /** Overwrites four bytes written before, such as a length known only now. */
  patchU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
  }

  align(): void {
    const padding = aligned(this.#length) - this.#length;
    if (padding > 0) this.#zeroed(padding);
  }

  /** Room for `length` bytes, zeroed, for the caller to fill. */
  room(length: number): Uint8Array {
    const at = this.#zeroed(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Room for `length` elements, aligned and zeroed, for the caller to fill. */
  typedRoom<T>(type: TypedArrayType<T>, length: number): T {
    this.align();
    const at = this.#zeroed(length * type.BYTES_PER_ELEMENT);
    return new type(this.#bytes.buffer, at, length);
  }

  /** Well-formed text as UTF-8; answers how many bytes it took. */
  utf8(text: string): number {
    this.#reserve(3 * text.length); // the most UTF-8 can take per UTF-16 unit
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(this.#length));
    this.#length += written;
    return written;
  }

  /** A copy of what was written, no larger than that. The last call. */
  finish(): Uint8Array<ArrayBuffer> {
    const written = this.#bytes.slice(0, this.#length);
    if (this.#bytes.length <= spareBytesMax && spare.length < spareMax) {
      spare.push({ bytes: this.#bytes, view: this.#view });
    }
    return written;
  }

  /** What a buffer was used for before may stand in it. */
  #zeroed(length: number): number {
    const at = this.#take(length);
    this.#bytes.fill(0, at, at + length);
    return at;
  }

  #take(length: number): number {
    const at = this.#length;
    this.#reserve(length);
    this.#length = at + length;
    return at;
  }

  #reserve(length: number): void {
    const needed = this.#length + length;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(aligned(Math.max(needed, 2 * this.#bytes.length)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** A constructor of typed arrays. */
export interface TypedArrayType<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
}

const encoder = new TextEncoder();

/** Reads forward through bytes; `what` names them in errors. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at: number;

  constructor(bytes: Uint8Array, what: string, at = 0) {
    // Typed views need aligned memory; bytes that lie elsewhere in their buffer are moved once.
    // (`slice` would not do: of a Node Buffer it is another view.)
    this.#bytes = bytes.byteOffset % alignment === 0 ? bytes : new Uint8Array(bytes);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.#what = what;
    this.#at = at;
  }

  /** All the bytes, aligned: a copy if the ones given were not. */
  get all(): Uint8Array {
    return this.#bytes;
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** The next bytes, as a view. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  align(): void {
    const padding = Math.min(aligned(this.#at) - this.#at, this.left);
    this.#take(padding);
  }

  /** The next elements, aligned, as a view: the bytes must not be changed afterwards. */
  typed<T>(type: TypedArrayType<T>, length: number): T {
    this.align();
    const at = this.#take(length * type.BYTES_PER_ELEMENT);
    return new type(this.#bytes.buffer as ArrayBuffer, this.#bytes.byteOffset + at, length);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at) {
      throw new FormatError(
        "length",
        `${this.#what}: expected ${length} more bytes at offset ${at}, found ${this.left}`,
      );
    }
    this.#at = at + length;
    return at;
  }
}

keepShape(new ByteWriter(1));
keepShape(new ByteReader(new Uint8Array(0), ""));
