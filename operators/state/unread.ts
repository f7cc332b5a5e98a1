// Entries of a restored segment that nobody has asked for: bytes, and an index of their keys. Making a
// key, a value and an entry of all that is restored takes longer than reading it, and most of it is
// not wanted soon.
//   U1. An entry is here or in its table, never in both: whoever takes it takes it out.
//   U2. Only what is found without its entry being made: keys that are texts, each by itself.
//   U3. The bytes were compared with their checksums when they were opened, as any others.

import type { RecordBatch } from "../../format/batch.ts";
import type { JoinedTexts } from "../../format/column.ts";
import type { KeyGroup } from "../../format/key-groups.ts";
import type { OpenBlock, SegmentEntry } from "../../format/segment.ts";
import { entryOverhead } from "./size.ts";

/** A number of an entry is that of its block, then its row in as many bits; see `segmentBlockRowsMax`. */
const rowBits = 14;
const rowMask = (1 << rowBits) - 1;

/** Of a place in the index: nothing was ever there, or it was taken out. */
const free = -1;
const gone = -2;

interface Block {
  readonly group: KeyGroup;
  readonly keys: JoinedTexts;
  readonly values: RecordBatch;
  /** A mark per row that was taken out. */
  readonly taken: Uint8Array;
  /** Bytes of an entry in memory once it is made, about. */
  readonly entryBytes: number;
}

export interface Taken {
  readonly group: KeyGroup;
  readonly value: unknown;
}

export class UnreadEntries {
  readonly #blocks: Block[] = [];
  /** Open addressing: numbers of entries at the hashes of their keys, twice as many places. */
  #index = new Int32Array(0);
  #indexed = 0;
  #size = 0;
  #bytes = 0;

  /** Entries that are here. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that they would take in memory, about: a budget is for all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a block, whose keys are in no other; false where its entries have to be read (U2). */
  add({ group, length, hasTombstones, keys: texts, values }: OpenBlock): boolean {
    const rows = texts.length;
    if (hasTombstones || rows > rowMask + 1) return false;
    const keys = texts.joined();
    if (keys === undefined) return false;
    const entryBytes = entryOverhead + (2 * length) / rows;
    this.#blocks.push({ group, keys, values, taken: new Uint8Array(rows), entryBytes });
    this.#size += rows;
    this.#bytes += rows * entryBytes;
    return true;
  }

  /** The entry of a key, which is not here any more; undefined where it was not. */
  take(key: string): Taken | undefined {
    const number = this.#takeOut(key);
    if (number === free) return undefined;
    const { group, values } = this.#blocks[number >> rowBits]!;
    return { group, value: values.row(number & rowMask) };
  }

  /** The same for whoever does not want it; whether it was here. */
  drop(key: string): boolean {
    return this.#takeOut(key) !== free;
  }

  /** All that are here; they stay. Good until one of them is taken out. */
  *entries(): Generator<Extract<SegmentEntry, { readonly value: unknown }>> {
    for (const { group, keys, values, taken } of this.#blocks) {
      for (let row = 0; row < taken.length; row++) {
        if (taken[row] === 0) yield { group, key: textAt(keys, row), value: values.row(row) };
      }
    }
  }

  #takeOut(key: string): number {
    if (this.#size === 0) return free;
    if (this.#indexed < this.#blocks.length) this.#makeIndex();
    const mask = this.#index.length - 1;
    for (let at = hashOf(key, 0, key.length) & mask; ; at = (at + 1) & mask) {
      const number = this.#index[at]!;
      if (number === free) return free;
      if (number === gone) continue;
      const block = this.#blocks[number >> rowBits]!;
      const row = number & rowMask;
      if (!isAt(block.keys, row, key)) continue;
      this.#index[at] = gone;
      block.taken[row] = 1;
      this.#size--;
      this.#bytes -= block.entryBytes;
      return number;
    }
  }

  /** Of all that is here, once the first key is asked for. */
  #makeIndex(): void {
    let places = 64;
    while (places < 2 * this.#size) places *= 2;
    const index = new Int32Array(places).fill(free);
    const mask = places - 1;
    for (const [block, { keys, taken }] of this.#blocks.entries()) {
      const { text, starts } = keys;
      for (let row = 0; row < taken.length; row++) {
        if (taken[row] !== 0) continue;
        let at = hashOf(text, starts[row]!, starts[row + 1]!) & mask;
        while (index[at] !== free) at = (at + 1) & mask;
        index[at] = (block << rowBits) | row;
      }
    }
    this.#index = index;
    this.#indexed = this.#blocks.length;
  }
}

const textAt = ({ text, starts }: JoinedTexts, row: number): string =>
  text.slice(starts[row], starts[row + 1]);

function isAt({ text, starts }: JoinedTexts, row: number, key: string): boolean {
  const from = starts[row]!;
  if (starts[row + 1]! - from !== key.length) return false;
  for (let i = 0; i < key.length; i++) {
    if (text.charCodeAt(from + i) !== key.charCodeAt(i)) return false;
  }
  return true;
}

/** FNV-1a over the units of a text, with the last step of murmur3. */
function hashOf(text: string, from: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
