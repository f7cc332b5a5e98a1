// Blocks: some rows of a sorted run in one BLOB, read and written whole.
//   B1. Rows lie in the order of their keys' bytes, and no key comes twice.
//   B2. A row's bytes say nothing of their place: a merge copies them from block to block as they are.
// A row: bytes of the key (LEB128), bytes of the value and one more, or 0 for a removed entry (LEB128),
// the key, the value.

/** Bytes that a block has at most, unless one row has more: four of them fill a page of SQLite. */
export const blockBytesMax = 1_000;

/** A row to write; no value removes the entry. */
export interface Row {
  readonly k: Uint8Array;
  readonly v: Uint8Array | null;
}

/** What became of a key: a value, the news that it is gone, or nothing said of it. */
export type Found = Uint8Array | null | undefined;

/** As SQLite compares BLOBs. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return compareRanges(a, 0, a.length, b, 0, b.length);
}

export function compareRanges(
  a: Uint8Array,
  aFrom: number,
  aTo: number,
  b: Uint8Array,
  bFrom: number,
  bTo: number,
): number {
  const aLength = aTo - aFrom;
  const bLength = bTo - bFrom;
  const length = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < length; i++) {
    const order = a[aFrom + i]! - b[bFrom + i]!;
    if (order !== 0) return order;
  }
  return aLength - bLength;
}

/** Bytes that LEB128 takes for a number. */
const sizeOf = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;

/** Bytes of a row in a block. */
export const rowBytes = (keyLength: number, value: Uint8Array | null): number => {
  const held = value === null ? 0 : value.length + 1;
  return sizeOf(keyLength) + sizeOf(held) + keyLength + (value?.length ?? 0);
};

/** Writes a row and answers where it ends. */
export function writeRow(
  key: Uint8Array,
  value: Uint8Array | null,
  to: Uint8Array,
  at: number,
): number {
  let end = writeNumber(key.length, to, at);
  end = writeNumber(value === null ? 0 : value.length + 1, to, end);
  to.set(key, end);
  end += key.length;
  if (value === null) return end;
  to.set(value, end);
  return end + value.length;
}

function writeNumber(value: number, to: Uint8Array, at: number): number {
  let rest = value;
  let end = at;
  for (; rest >= 0x80; rest >>>= 7) to[end++] = (rest & 0x7f) | 0x80;
  to[end++] = rest;
  return end;
}

/** The rows of one block, one after the other, in the places where they are. */
export class BlockReader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the row begins, its key, its value, and where it ends. */
  rowAt = 0;
  keyAt = 0;
  valueAt = 0;
  end = 0;
  isRemoval = false;

  open(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.end = 0;
  }

  /** Goes on to the next row; false where there is none. */
  next(): boolean {
    const { bytes } = this;
    let at = this.end;
    if (at >= bytes.length) return false;
    this.rowAt = at;
    let keyLength = bytes[at++]!;
    if (keyLength >= 0x80) {
      keyLength &= 0x7f;
      for (let shift = 7; ; shift += 7) {
        const byte = bytes[at++]!;
        keyLength |= (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    let held = bytes[at++]!;
    if (held >= 0x80) {
      held &= 0x7f;
      for (let shift = 7; ; shift += 7) {
        const byte = bytes[at++]!;
        held |= (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    this.isRemoval = held === 0;
    this.keyAt = at;
    this.valueAt = at + keyLength;
    this.end = this.valueAt + (held === 0 ? 0 : held - 1);
    return true;
  }

  get key(): Uint8Array {
    return this.bytes.subarray(this.keyAt, this.valueAt);
  }

  get value(): Uint8Array | null {
    return this.isRemoval ? null : this.bytes.subarray(this.valueAt, this.end);
  }
}

const reader = new BlockReader();

/** What a block says of a key. */
export function findInBlock(block: Uint8Array, key: Uint8Array): Found {
  const { length } = key;
  reader.open(block);
  while (reader.next()) {
    const { keyAt } = reader;
    if (reader.valueAt - keyAt !== length) continue;
    // Keys of one block begin alike: they differ at their ends.
    let at = length - 1;
    while (at >= 0 && block[keyAt + at] === key[at]) at--;
    if (at < 0) return reader.value;
  }
  return undefined;
}
