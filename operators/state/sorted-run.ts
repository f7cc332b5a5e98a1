// A sorted run: rows of one table, ordered by key and written once, as blocks in BLOBs of the object's
// SQLite. Where its blocks begin and which keys it may have is in memory.
//   N1. A run is written part by part, each with all of its blocks, and counts from the moment it is
//       published: what was written of one that never was, is litter.
//   N2. A published run never changes. What it held goes part by part once it is dropped.
// Blocks are numbered as they are written, whatever run they are of, so SQLite only ever appends.

import { MiB } from "../../format/limits.ts";
import { blobOf, type SqlDatabase } from "../../format/sql.ts";
import { BlockReader, blockBytesMax, compareRanges, rowBytes, writeRow } from "./run-block.ts";
import { hashOf, KeyFilter } from "./key-filter.ts";

export const runSchema = [
  `CREATE TABLE IF NOT EXISTS state_runs (
    id INTEGER PRIMARY KEY, of INTEGER NOT NULL, place INTEGER NOT NULL, since INTEGER NOT NULL,
    entries INTEGER NOT NULL, bytes INTEGER NOT NULL, live INTEGER NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS state_parts (
    id INTEGER PRIMARY KEY, first INTEGER NOT NULL, blocks INTEGER NOT NULL, fences BLOB NOT NULL
  )`,
  "CREATE TABLE IF NOT EXISTS state_filters (id INTEGER PRIMARY KEY, words BLOB NOT NULL)",
  "CREATE TABLE IF NOT EXISTS state_blocks (id INTEGER PRIMARY KEY, rows BLOB NOT NULL)",
];
export const runTables = ["state_runs", "state_parts", "state_filters", "state_blocks"];

/** Blocks of one part: what is written, merged and dropped in one step. */
export const partBlocks = 256;
/** Bytes of them, from which on it has no more: a row may be as large as a BLOB. */
const partBytes = 1 * MiB;
/** Parts of one run, at most, and pieces of its filter; an id has them in its lower digits. */
const partsMax = 2 ** 20;
/** 32-bit words of one piece of a filter. */
const pieceWords = 2 ** 18;

interface Part {
  /** Of the blocks of the run, its first one. */
  readonly from: number;
  /** The id of that block. */
  readonly first: number;
}

export interface RunAbout {
  readonly id: number;
  /** The table that it is of. */
  readonly of: number;
  /** Among the runs of its table: the greater counts before the lesser. */
  readonly place: number;
  /** The latest barrier after which rows of it were written. */
  readonly since: number;
}

interface RunSize {
  readonly entries: number;
  readonly blockBytes: number;
}

/** A run as it is found again. */
export class SortedRun implements RunAbout {
  readonly id: number;
  readonly of: number;
  readonly place: number;
  readonly since: number;
  /** Rows, those of removed entries among them. */
  readonly entries: number;
  /** Bytes of its blocks. */
  readonly blockBytes: number;
  readonly #filter: KeyFilter;
  readonly #fences: Fences;
  readonly #parts: readonly Part[];
  /** Written since the last full freeze of its table. */
  isChange = true;
  isMerging = false;

  constructor(
    { id, of, place, since }: RunAbout,
    { entries, blockBytes }: RunSize,
    filter: KeyFilter,
    fences: Fences,
    parts: readonly Part[],
  ) {
    this.id = id;
    this.of = of;
    this.place = place;
    this.since = since;
    this.entries = entries;
    this.blockBytes = blockBytes;
    this.#filter = filter;
    this.#fences = fences;
    this.#parts = parts;
  }

  get blocks(): number {
    return this.#fences.count;
  }

  /** Bytes of memory that it takes. */
  get bytes(): number {
    return 256 + this.#filter.words.byteLength + this.#fences.bytes + 64 * this.#parts.length;
  }

  /** Whether it may have a key, or pairs of a key, of that hash. */
  mayHave(hash: number): boolean {
    return this.#filter.mayHave(hash);
  }

  /** The block in which a key is, if it is in any. */
  blockOf(key: Uint8Array): number {
    return Math.max(0, this.#fences.before(key) - 1);
  }

  /** The id of a block, and how many of those after it have the ids after that. */
  idOf(block: number): { readonly id: number; readonly following: number } {
    const parts = this.#parts;
    let [low, high] = [0, parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (parts[middle]!.from <= block) low = middle;
      else high = middle - 1;
    }
    const { from, first } = parts[low]!;
    const end = parts[low + 1]?.from ?? this.blocks;
    return { id: first + block - from, following: end - block - 1 };
  }

  /** The published runs, as they were written. */
  static all(db: SqlDatabase): SortedRun[] {
    const query =
      "SELECT id, of, place, since, entries, bytes FROM state_runs WHERE live = 1 ORDER BY place";
    return db.exec(query).map((row) => {
      const id = Number(row["id"]);
      const fences = new Fences();
      const parts: Part[] = [];
      const query = "SELECT first, fences FROM state_parts WHERE id >= ? AND id < ? ORDER BY id";
      for (const part of db.exec(query, ...within(id))) {
        parts.push({ from: fences.count, first: Number(part["first"]) });
        fences.load(blobOf(part["fences"]));
      }
      const about = { id, of: Number(row["of"]), place: Number(row["place"]) };
      return new SortedRun(
        { ...about, since: Number(row["since"]) },
        { entries: Number(row["entries"]), blockBytes: Number(row["bytes"]) },
        filterOf(db, id),
        fences,
        parts,
      );
    });
  }
}

/** The ids of the parts of a run, and of the pieces of its filter. */
const within = (run: number): [number, number] => [run * partsMax, (run + 1) * partsMax];

function filterOf(db: SqlDatabase, run: number): KeyFilter {
  const query = "SELECT words FROM state_filters WHERE id >= ? AND id < ? ORDER BY id";
  const pieces = db.exec(query, ...within(run)).map((row) => blobOf(row["words"]));
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return KeyFilter.of(new Int32Array(bytes.buffer));
}

/** Drops one part of a run that does not count any more; false where nothing was left of it. */
export function dropPart(db: SqlDatabase, run: number): boolean {
  const query = "SELECT id, first, blocks FROM state_parts WHERE id >= ? AND id < ? LIMIT 1";
  const [part] = db.exec(query, ...within(run));
  if (part === undefined) {
    db.exec("DELETE FROM state_filters WHERE id >= ? AND id < ?", ...within(run));
    db.exec("DELETE FROM state_runs WHERE id = ?", run);
    return false;
  }
  const first = Number(part["first"]);
  const end = first + Number(part["blocks"]);
  db.exec("DELETE FROM state_blocks WHERE id >= ? AND id < ?", first, end);
  db.exec("DELETE FROM state_parts WHERE id = ?", Number(part["id"]));
  return true;
}

/** Where the blocks of a run begin: of each, bytes that its keys do not precede, and those before it do. */
export class Fences {
  #bytes = new Uint8Array(256);
  #ends = new Uint32Array(16);
  count = 0;

  get bytes(): number {
    return this.#bytes.length + this.#ends.byteLength;
  }

  /** The least of a block's keys is `bytes[from, to)`. */
  add(bytes: Uint8Array, from: number, to: number): void {
    const start = this.#start(this.count);
    const end = start + to - from;
    if (end > this.#bytes.length) this.#bytes = grown(this.#bytes, 2 * end);
    if (this.count === this.#ends.length) {
      const ends = new Uint32Array(2 * this.count);
      ends.set(this.#ends);
      this.#ends = ends;
    }
    for (let at = from; at < to; at++) this.#bytes[start + at - from] = bytes[at]!;
    this.#ends[this.count++] = end;
  }

  /**
   * Blocks whose fence is not after a key. Groups and hashes lie evenly over a run, so where a fence must
   * be is guessed, and corrected by what stands there: a search by halves reads as many fences again as
   * a guess is off by, all of them far apart.
   */
  before(key: Uint8Array): number {
    let [low, high] = [0, this.count];
    if (high === 0) return 0;
    const wanted = headOf(key, 0, key.length);
    const [first, last] = [this.#headOf(0), this.#headOf(high - 1)];
    const perHead = last > first ? (high - 1) / (last - first) : 0;
    let guess = (wanted - first) * perHead;
    for (let left = guessesMax; left > 0 && low < high; left--) {
      const at = Math.max(low, Math.min(high - 1, Math.round(guess)));
      if (this.#isAfter(at, key)) high = at;
      else low = at + 1;
      guess = at + (wanted - this.#headOf(at)) * perHead;
    }
    // Near the last guess: away from it in steps that grow, then by halves.
    let near = Math.max(low, Math.min(high, Math.round(guess)));
    for (let step = 2; near < high && !this.#isAfter(near, key); step *= 2) {
      low = near + 1;
      near = low + step;
    }
    if (near < high) high = near;
    near = high;
    for (let step = 2; near > low; step *= 2) {
      near = Math.max(low, high - step);
      if (!this.#isAfter(near, key)) {
        low = near + 1;
        break;
      }
      high = near;
    }
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#isAfter(middle, key)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #isAfter(fence: number, key: Uint8Array): boolean {
    const [from, to] = [this.#start(fence), this.#ends[fence]!];
    return compareRanges(this.#bytes, from, to, key, 0, key.length) > 0;
  }

  #headOf(fence: number): number {
    return headOf(this.#bytes, this.#start(fence), this.#ends[fence]!);
  }

  /** Those from `from` on, to be loaded. */
  stored(from: number): Uint8Array {
    const count = this.count - from;
    const start = this.#start(from);
    const texts = this.#bytes.subarray(start, this.#start(this.count));
    const stored = new Uint8Array(4 * (count + 1) + texts.length);
    const view = new DataView(stored.buffer);
    view.setUint32(0, count, true);
    for (let i = 0; i < count; i++) view.setUint32(4 + 4 * i, this.#ends[from + i]! - start, true);
    stored.set(texts, 4 * (count + 1));
    return stored;
  }

  load(stored: Uint8Array): void {
    const view = new DataView(stored.buffer, stored.byteOffset, stored.length);
    const count = view.getUint32(0, true);
    const texts = 4 * (count + 1);
    let from = texts;
    for (let i = 0; i < count; i++) {
      const to = texts + view.getUint32(4 + 4 * i, true);
      this.add(stored, from, to);
      from = to;
    }
  }

  /** No more room than is needed. */
  trim(): void {
    this.#bytes = this.#bytes.slice(0, this.#start(this.count));
    this.#ends = this.#ends.slice(0, this.count);
  }

  #start(fence: number): number {
    return fence === 0 ? 0 : this.#ends[fence - 1]!;
  }
}

/** Guesses of where a fence is, at most: each is off by the square root of what the one before was. */
const guessesMax = 3;

/** The first bytes of a key, group and hash (row-key.ts), as a number; of bytes that are not there, zeros. */
function headOf(bytes: Uint8Array, from: number, to: number): number {
  let head = 0;
  for (let at = from; at < from + 6; at++) head = head * 256 + (at < to ? bytes[at]! : 0);
  return head;
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

/** Numbers blocks. */
export interface BlockIds {
  next: number;
}

/** Bytes before the first half in the key of a pair's row: the group, the hash, the tag, its size. */
const pairHeadBytes = 11;

/** Writes a run: rows in the order of their keys, then `finish`. */
export class RunWriter {
  readonly #db: SqlDatabase;
  readonly #about: RunAbout;
  readonly #ids: BlockIds;
  readonly #isNested: boolean;
  readonly #filter: KeyFilter;
  readonly #fences = new Fences();
  readonly #parts: Part[] = [];
  #block = new Uint8Array(2 * blockBytesMax);
  #blockEnd = 0;
  /** Of the part that is being written. */
  #blocks: Uint8Array[] = [];
  #partFrom = 0;
  #partBytes = 0;
  /** The key before. */
  #last = new Uint8Array(64);
  #lastLength = 0;
  #firstHash = 0;
  #blockBytes = 0;
  entries = 0;

  /** `entries`: how many there will be at most. `isNested`: keys are pairs, asked for by their first halves too. */
  constructor(
    db: SqlDatabase,
    about: RunAbout,
    ids: BlockIds,
    { entries, isNested }: { readonly entries: number; readonly isNested: boolean },
  ) {
    this.#db = db;
    this.#about = about;
    this.#ids = ids;
    this.#isNested = isNested;
    this.#filter = KeyFilter.for(isNested ? 2 * entries : entries);
    const { id, of, place, since } = about;
    db.exec("INSERT INTO state_runs VALUES (?, ?, ?, ?, 0, 0, 0)", id, of, place, since);
  }

  /** Whether a key comes after all that were written. */
  isAfter(key: Uint8Array): boolean {
    return (
      this.entries === 0 || compareRanges(key, 0, key.length, this.#last, 0, this.#lastLength) > 0
    );
  }

  add(key: Uint8Array, value: Uint8Array | null): void {
    const bytes = rowBytes(key.length, value);
    this.#begin(key, 0, key.length, bytes);
    this.#blockEnd = writeRow(key, value, this.#block, this.#blockEnd);
  }

  /** The row that a reader is at. */
  copy({ bytes, rowAt, keyAt, valueAt, end }: BlockReader): void {
    this.#begin(bytes, keyAt, valueAt, end - rowAt);
    const block = this.#block;
    let to = this.#blockEnd;
    for (let at = rowAt; at < end; at++) block[to++] = bytes[at]!;
    this.#blockEnd = to;
  }

  /** Parts that were written. */
  get parts(): number {
    return this.#parts.length;
  }

  #begin(bytes: Uint8Array, from: number, to: number, size: number): void {
    if (this.#blockEnd > 0 && this.#blockEnd + size > blockBytesMax) this.#closeBlock();
    if (this.#blockEnd === 0) this.#openBlock(bytes, from, to, size);
    this.entries++;
    this.#filter.add(hashOf(bytes, from, to));
    if (this.#isNested) {
      const first = hashOf(bytes, from, firstHalfEnd(bytes, from));
      if (first !== this.#firstHash || this.entries === 1) this.#filter.add(first);
      this.#firstHash = first;
    }
    const length = to - from;
    if (length > this.#last.length) this.#last = new Uint8Array(2 * length);
    for (let i = 0; i < length; i++) this.#last[i] = bytes[from + i]!;
    this.#lastLength = length;
  }

  #openBlock(bytes: Uint8Array, from: number, to: number, size: number): void {
    if (size > this.#block.length) this.#block = new Uint8Array(size);
    // As much of the key as tells it from the one before.
    const last = this.#last;
    const length = Math.min(this.#lastLength, to - from);
    let same = 0;
    while (same < length && last[same] === bytes[from + same]) same++;
    this.#fences.add(bytes, from, Math.min(to, from + same + 1));
  }

  #closeBlock(): void {
    this.#blocks.push(this.#block.slice(0, this.#blockEnd));
    this.#blockBytes += this.#blockEnd;
    this.#partBytes += this.#blockEnd;
    this.#blockEnd = 0;
    if (this.#blocks.length === partBlocks || this.#partBytes >= partBytes) this.#closePart();
  }

  #closePart(): void {
    const blocks = this.#blocks;
    if (blocks.length === 0) return;
    const first = this.#ids.next;
    this.#ids.next += blocks.length;
    for (const [at, block] of blocks.entries()) {
      this.#db.exec("INSERT INTO state_blocks VALUES (?, ?)", first + at, block);
    }
    const [id] = within(this.#about.id);
    const from = this.#partFrom;
    this.#db.exec(
      "INSERT INTO state_parts VALUES (?, ?, ?, ?)",
      id + this.#parts.length,
      first,
      blocks.length,
      this.#fences.stored(from),
    );
    this.#parts.push({ from, first });
    this.#partFrom += blocks.length;
    this.#partBytes = 0;
    this.#blocks = [];
  }

  /** Publishes it; undefined where there was no row: then nothing is left of it. */
  finish(): SortedRun | undefined {
    if (this.#blockEnd > 0) this.#closeBlock();
    this.#closePart();
    const { id } = this.#about;
    if (this.entries === 0) {
      this.#db.exec("DELETE FROM state_runs WHERE id = ?", id);
      return undefined;
    }
    const { words } = this.#filter;
    const [from] = within(id);
    for (let piece = 0; piece * pieceWords < words.length; piece++) {
      const of = words.subarray(piece * pieceWords, (piece + 1) * pieceWords);
      const bytes = new Uint8Array(of.buffer, of.byteOffset, of.byteLength);
      this.#db.exec("INSERT INTO state_filters VALUES (?, ?)", from + piece, bytes);
    }
    const size = { entries: this.entries, blockBytes: this.#blockBytes };
    this.#db.exec(
      "UPDATE state_runs SET live = 1, entries = ?, bytes = ? WHERE id = ?",
      size.entries,
      size.blockBytes,
      id,
    );
    this.#fences.trim();
    return new SortedRun(this.#about, size, this.#filter, this.#fences, this.#parts);
  }
}

/** Where the first half of a pair ends, in the key of its row from `from` on. */
export function firstHalfEnd(bytes: Uint8Array, from: number): number {
  const at = from + pairHeadBytes - 4;
  const length =
    bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return from + pairHeadBytes + length;
}
