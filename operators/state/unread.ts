// Entries of restored segments that nobody has asked for: bytes, and an index of their keys. Making a
// key, a value and an entry of all that is restored takes longer than reading it, and most of it is
// not wanted soon.
//   U1. An entry is here or in its table, never in both: whoever takes it takes it out.
//   U2. Only what is found without its entry being made: keys that are texts, each by itself.
//   U3. The bytes were compared with their checksums when they were opened, as any others.
//   U4. Of the segments of one chain the newest that has a key counts, and what it says of the key may be
//       that it is gone. Which that is comes out when the index is made, once somebody asks for anything.

import type { RecordBatch } from "../../format/batch.ts";
import { type JoinedTexts, ownText } from "../../format/column.ts";
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
  /** Which of the segments it is of, in their order. */
  readonly segment: number;
  readonly group: KeyGroup;
  readonly keys: JoinedTexts;
  readonly values: RecordBatch;
  /** Where each row has its value, where some have none: those are gone, and are -1. */
  readonly valueAt: Int32Array | undefined;
  /** A mark per row that was taken out, or of which a newer segment says something. */
  readonly taken: Uint8Array;
  /** Bytes of an entry in memory once it is made, about. */
  readonly entryBytes: number;
  /** The freeze that held it last; 0 for the full one. */
  frozen: number;
}

export interface Taken {
  readonly group: KeyGroup;
  readonly value: unknown;
  /** The freeze that held it last; 0 for the full one. */
  readonly frozen: number;
}

type LiveEntry = Extract<SegmentEntry, { readonly value: unknown }>;
type Tombstone = Extract<SegmentEntry, { readonly deleted: true }>;

/** Whether a block's entries can be found without being made (U2). */
export const mayStayUnread = ({ keys }: OpenBlock): boolean =>
  keys.length <= rowMask + 1 && keys.joined() !== undefined;

export class UnreadEntries {
  readonly #isGone: (tombstone: Tombstone) => void;
  readonly #blocks: Block[] = [];
  /** Open addressing: numbers of entries at the hashes of their keys, twice as many places. */
  #index = new Int32Array(0);
  #indexed = 0;
  #segments = 0;
  /** Rows that may be entries: before the index is made (U4) some of them may be of the same key. */
  #rows = 0;
  #size = 0;
  #bytes = 0;
  #changes = 0;

  /** `isGone` is told, once it is known, of each key of which the newest segment says so. */
  constructor(isGone: (tombstone: Tombstone) => void) {
    this.#isGone = isGone;
  }

  /** Entries that are here. */
  get size(): number {
    this.settle();
    return this.#size;
  }

  /**
   * Bytes that they would take in memory, about: a budget is for all of them. Before `settle` those of a
   * key that several segments have count several times.
   */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of them, those that some freeze after the full one held. */
  get changes(): number {
    this.settle();
    return this.#changes;
  }

  /**
   * Takes the blocks of a segment, all of which may stay unread; what it says of a key counts before what
   * segments say that were added earlier. `frozen`: the freeze that it is of. Where it `continues` the one
   * before, no key is in both.
   */
  add(blocks: readonly OpenBlock[], frozen: number, continues = false): void {
    if (!continues) this.#segments++;
    const segment = this.#segments;
    for (const { group, length, keys: texts, values, deleted } of blocks) {
      const rows = texts.length;
      const keys = texts.joined();
      if (keys === undefined) throw new Error("U2: these keys have to be read.");
      const entryBytes = entryOverhead + (2 * length) / rows;
      const valueAt = deleted && placesOf(deleted);
      const taken = new Uint8Array(rows);
      this.#blocks.push({ segment, group, keys, values, valueAt, taken, entryBytes, frozen });
      const live = values.length;
      this.#rows += rows;
      this.#size += live;
      this.#bytes += live * entryBytes;
      if (frozen > 0) this.#changes += live;
    }
  }

  /** The entry of a key, which is not here any more; undefined where it was not. */
  take(key: string): Taken | undefined {
    const number = this.#takeOut(key);
    if (number === free) return undefined;
    const { group, values, valueAt, frozen } = this.#blocks[number >> rowBits]!;
    const row = number & rowMask;
    return { group, value: values.row(valueAt?.[row] ?? row), frozen };
  }

  /** The same for whoever does not want it; whether it was here. */
  drop(key: string): boolean {
    return this.#takeOut(key) !== free;
  }

  /** All that are here, or those that a freeze from that one on held; they stay. Good until one of them
   * is taken out. */
  *entries(from = 0): Generator<LiveEntry & { readonly frozen: number }> {
    this.settle();
    for (const { group, keys, values, valueAt, taken, frozen } of this.#blocks) {
      if (frozen < from) continue;
      for (let row = 0; row < taken.length; row++) {
        if (taken[row] !== 0) continue;
        const value = values.row(valueAt?.[row] ?? row);
        yield { group, key: textAt(keys, row), value, frozen };
      }
    }
  }

  /** A full freeze holds all of them now. */
  frozenWhole(): void {
    for (const block of this.#blocks) block.frozen = 0;
    this.#changes = 0;
  }

  #takeOut(key: string): number {
    this.settle();
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
      this.#remove(block, row);
      return number;
    }
  }

  #remove(block: Block, row: number): void {
    block.taken[row] = 1;
    this.#rows--;
    this.#size--;
    this.#bytes -= block.entryBytes;
    if (block.frozen > 0) this.#changes--;
  }

  /** Where keys may be in more than one segment, what counts is known once there is an index (U4). */
  settle(): void {
    if (this.#segments > 1 && this.#indexed < this.#blocks.length) this.#makeIndex();
  }

  /** Of all that is here, the newest segment first. */
  #makeIndex(): void {
    let places = 64;
    while (places < 2 * this.#rows) places *= 2;
    const index = new Int32Array(places).fill(free);
    // Numbers from here on are of newer segments than the one at work.
    let newer = this.#blocks.length << rowBits;
    const tombstones: number[] = [];
    for (let block = this.#blocks.length - 1, last = block; block >= 0; block--) {
      if (this.#blocks[block]!.segment !== this.#blocks[last]!.segment) {
        last = block;
        newer = (block + 1) << rowBits;
      }
      this.#enter(index, block, newer, tombstones);
    }
    this.#index = index;
    this.#indexed = this.#blocks.length;
    // Only now: as long as the index was made they hid what is older.
    for (const at of tombstones) {
      const { group, keys, taken } = this.#blocks[index[at]! >> rowBits]!;
      const row = index[at]! & rowMask;
      index[at] = gone;
      taken[row] = 1;
      this.#rows--;
      this.#isGone({ group, key: ownText(textAt(keys, row)), deleted: true });
    }
  }

  /** The rows of a block, but for those of which one from `newer` on is the key. */
  #enter(index: Int32Array, number: number, newer: number, tombstones: number[]): void {
    const block = this.#blocks[number]!;
    const { keys, taken, valueAt } = block;
    const { text, starts } = keys;
    const mask = index.length - 1;
    next: for (let row = 0; row < taken.length; row++) {
      if (taken[row] !== 0) continue;
      const from = starts[row]!;
      const end = starts[row + 1]!;
      let at = hashOf(text, from, end) & mask;
      for (; index[at] !== free; at = (at + 1) & mask) {
        const other = index[at]!;
        if (other < newer) continue;
        if (!isSame(this.#blocks[other >> rowBits]!.keys, other & rowMask, text, from, end))
          continue;
        if (valueAt?.[row] === -1) {
          taken[row] = 1;
          this.#rows--;
        } else this.#remove(block, row);
        continue next;
      }
      index[at] = (number << rowBits) | row;
      if (valueAt?.[row] === -1) tombstones.push(at);
    }
  }
}

/** Values are there for rows that are not marked, one after the other. */
function placesOf(deleted: Uint8Array): Int32Array {
  const places = new Int32Array(deleted.length);
  let live = 0;
  for (let row = 0; row < deleted.length; row++) places[row] = deleted[row] === 1 ? -1 : live++;
  return places;
}

const textAt = ({ text, starts }: JoinedTexts, row: number): string =>
  text.slice(starts[row], starts[row + 1]);

const isAt = (texts: JoinedTexts, row: number, key: string): boolean =>
  isSame(texts, row, key, 0, key.length);

/** Whether a row's text is the one that `other` has from `from` up to `end`. */
function isSame(
  { text, starts }: JoinedTexts,
  row: number,
  other: string,
  from: number,
  end: number,
): boolean {
  const start = starts[row]!;
  if (starts[row + 1]! - start !== end - from) return false;
  for (let i = from; i < end; i++) {
    if (text.charCodeAt(start + i - from) !== other.charCodeAt(i)) return false;
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
