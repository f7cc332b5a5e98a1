// Segments: the files keyed state is stored in. One segment is one state of one operator, whole or
// as the changes since the segment before, for some key groups.
//
//   S1. Entries lie in blocks, ordered by key group; a block holds entries of one group only.
//       Within a group, entries keep the order they were written in.
//   S2. The index at the front says where each block is, so one group is read by one range request.
//   S3. Header and index are checksummed together, every block by itself, padding included: one
//       changed byte anywhere is found by whoever reads it, and by `verify`.
//   S4. No entries at all is a legal segment.
//   S5. What is too large for one segment is several, one after the other in the chain: no key is in two
//       of them, so whoever reads them as a full one and deltas reads the same.
//
// Layout: an envelope "segment" around header and index, then the blocks, each a multiple of 8.
// A block: entries (4), size of keys (4), size of values (4), 1 if there are tombstones (4), a byte
// per entry that is 1 for a tombstone, the keys as a batch, the values that are there as a batch.

import { decodeBatch, decodeRows, encodeRows, type RecordBatch, writeRows } from "./batch.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import { envelopeBytes, envelopeEnd, seal, unsealFront } from "./envelope.ts";
import { FormatError } from "./format-error.ts";
import type { Key } from "./key.ts";
import {
  checkMaxParallelism,
  keyGroup,
  rangeHas,
  type KeyGroup,
  type KeyGroupRange,
} from "./key-groups.ts";
import { decodeValue, encodeValue } from "./value.ts";

/** What a segment says of itself. */
export interface SegmentHeader {
  /** The operator's stable uid. */
  readonly uid: string;
  /** The state's name within the operator. */
  readonly state: string;
  /** `full`: all there is. `delta`: changes to what earlier segments say. */
  readonly kind: "full" | "delta";
  readonly maxParallelism: number;
  /** What the values are; absent for version 1 of single values that do not expire. */
  readonly schema?: StoredSchema;
  /** It goes on with the one before it in its chain, which was cut for its size: both are one freeze. */
  readonly continues?: true;
}

/** What the program said of a state when its values were written. Of map state, a key is the pair of
 * the stream's key and the map's, and its group is that of the stream's key. */
export interface StoredSchema {
  readonly holds: "value" | "list" | "map" | "reducing" | "aggregating";
  readonly version: number;
  /** Each value, or each element of a list, is a pair with the time at which it expires. */
  readonly ttl: boolean;
}

/** The schema of a segment that names none. */
export const plainSchema: StoredSchema = { holds: "value", version: 1, ttl: false };

/** One key's state, or the news that it is gone. */
export type SegmentEntry =
  | { readonly group: KeyGroup; readonly key: Key; readonly value: unknown }
  | { readonly group: KeyGroup; readonly key: Key; readonly deleted: true };

/** Where one block is. `offset` counts from the start of the file. */
export interface SegmentBlock {
  readonly group: KeyGroup;
  readonly offset: number;
  readonly length: number;
  readonly rows: number;
  readonly checksum: number;
}

/** The front of a segment: all a reader needs to fetch blocks. Blocks are ordered by group. */
export interface SegmentIndex {
  readonly header: SegmentHeader;
  readonly blocks: readonly SegmentBlock[];
  /** Size of the whole file. */
  readonly length: number;
}

/** `short`: fetch the first `needed` bytes of the file and ask again. */
export type SegmentIndexOutcome =
  | { readonly kind: "index"; readonly index: SegmentIndex }
  | { readonly kind: "short"; readonly needed: number };

/** What `verify` found. */
export type SegmentCheck =
  | { readonly kind: "sound"; readonly rows: number }
  | { readonly kind: "damaged"; readonly faults: readonly FormatError[] };

/** Bytes worth fetching first: holds the index of most segments. */
export const segmentPrefixBytes = 16_384;
/** Most entries of one block; a larger group gets several blocks. */
export const segmentBlockRowsMax = 16_384;
/** Where a segment may not have any size: entries of the first block, before it is known how large they are. */
const firstBlockRows = 64;
/** Blocks that it has at least, then, about. */
const blocksOfSegment = 4;

const kind = "segment";
const version = 1;

/**
 * The bytes of a segment. Entries may come in any order.
 *
 * @throws ValueNotSerialisableError for a value that cannot be carried
 */
export function writeSegment(
  header: SegmentHeader,
  entries: Iterable<SegmentEntry>,
): Uint8Array<ArrayBuffer> {
  checkMaxParallelism(header.maxParallelism);
  const list = Array.isArray(entries) ? (entries as readonly SegmentEntry[]) : [...entries];
  const out = new SegmentWriter(header);
  const ordered = byGroup(list, header.maxParallelism);
  for (let from = 0, end = 0; from < ordered.length; from = end) {
    const { group } = ordered[from]!;
    const most = Math.min(ordered.length, from + segmentBlockRowsMax);
    while (end < most && ordered[end]!.group === group) end++;
    out.block(ordered, from, end);
  }
  return out.finish();
}

/** The entries by their groups, within a group in their order: a sort by counting. */
function byGroup(entries: readonly SegmentEntry[], maxParallelism: number): SegmentEntry[] {
  const ends = new Int32Array(maxParallelism + 1);
  // Entries lie all over the heap: each is looked at once.
  const groups = new Uint16Array(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const group = keyGroup(entries[i]!.group, maxParallelism);
    groups[i] = group;
    ends[group + 1]!++;
  }
  for (let group = 1; group <= maxParallelism; group++) ends[group]! += ends[group - 1]!;
  const ordered = new Array<SegmentEntry>(entries.length);
  for (let i = 0; i < entries.length; i++) ordered[ends[groups[i]!]!++] = entries[i]!;
  return ordered;
}

/**
 * `writeSegment` for entries that come ordered by key group: each block is encoded as soon as it is
 * full, so no more than one block of entries is in memory beside the bytes.
 *
 * @throws RangeError for entries out of order, or of a group the job does not have
 */
export function writeOrderedSegment(
  header: SegmentHeader,
  entries: Iterable<SegmentEntry>,
): Uint8Array<ArrayBuffer> {
  const slices = new SegmentSlices(header, entries, { bytes: Infinity, rows: Infinity });
  for (;;) {
    const { segment } = slices.step(Infinity);
    if (segment !== undefined) return segment.bytes;
  }
}

/** A segment, and what its key groups are among; absent where it has no entries. */
export interface Slice {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly groups?: KeyGroupRange;
}

/** Bytes of blocks, and entries in them. */
export interface SliceSize {
  readonly bytes: number;
  readonly rows: number;
}

/**
 * `writeOrderedSegment` in steps, and of more bytes than one segment is to have in several: those after
 * the first continue it. There is always one.
 */
export class SegmentSlices {
  readonly #blocks: Iterator<readonly SegmentEntry[], void>;
  readonly #most: SliceSize;
  #header: SegmentHeader;
  #writer: SegmentWriter;
  /** Entries of the next block, at most: by what those of the last one took, a part of a segment. */
  #blockRows: number;
  #next: IteratorResult<readonly SegmentEntry[], void> | undefined;

  /** `most`: of one segment, from which on the next is begun. */
  constructor(header: SegmentHeader, entries: Iterable<SegmentEntry>, most: SliceSize) {
    checkMaxParallelism(header.maxParallelism);
    this.#header = header;
    this.#most = most;
    this.#blockRows = most.bytes === Infinity ? segmentBlockRowsMax : firstBlockRows;
    this.#blocks = inBlocks(entries, header.maxParallelism, () => this.#blockRows);
    this.#writer = new SegmentWriter(header);
  }

  /**
   * Encodes blocks until they have `rows` entries, or a segment is whole, which it answers then.
   *
   * @throws RangeError for entries out of order, or of a group the job does not have
   */
  step(rows: number): { readonly segment?: Slice; readonly isDone: boolean } {
    this.#next ??= this.#blocks.next();
    for (let encoded = 0; this.#next.done !== true; this.#next = this.#blocks.next()) {
      if (encoded >= rows) return { isDone: false };
      if (this.#writer.bytes >= this.#most.bytes || this.#writer.rows >= this.#most.rows) {
        const segment = this.#finish();
        this.#header = { ...this.#header, kind: "delta", continues: true };
        this.#writer = new SegmentWriter(this.#header);
        return { segment, isDone: false };
      }
      const block = this.#next.value;
      const before = this.#writer.bytes;
      this.#writer.block(block, 0, block.length);
      const rowBytes = (this.#writer.bytes - before) / block.length;
      const fitting = Math.floor(this.#most.bytes / blocksOfSegment / rowBytes);
      this.#blockRows = Math.min(segmentBlockRowsMax, Math.max(1, fitting));
      encoded += block.length;
    }
    return { segment: this.#finish(), isDone: true };
  }

  #finish(): Slice {
    const { groups } = this.#writer;
    return { bytes: this.#writer.finish(), ...(groups && { groups }) };
  }
}

function* inBlocks(
  entries: Iterable<SegmentEntry>,
  maxParallelism: number,
  rowsMax: () => number,
): Generator<readonly SegmentEntry[]> {
  let part: SegmentEntry[] = [];
  let most = rowsMax();
  for (const entry of entries) {
    const group = part[0]?.group;
    if (entry.group !== group || part.length >= most) {
      keyGroup(entry.group, maxParallelism);
      if (group !== undefined) {
        if (entry.group < group) {
          throw new RangeError(`Key group ${entry.group} comes after group ${group}.`);
        }
        yield part;
        most = rowsMax();
      }
      part = [];
    }
    part.push(entry);
  }
  if (part.length > 0) yield part;
}

/** Blocks in their order, then the front, which tells where they are. */
class SegmentWriter {
  readonly #header: SegmentHeader;
  readonly #blocks: Uint8Array[] = [];
  readonly #index: SegmentBlock[] = [];
  /** From the end of the index, whose size is not known yet. */
  #offset = 0;
  #rows = 0;

  constructor(header: SegmentHeader) {
    this.#header = header;
  }

  /** Of the blocks that it has. */
  get bytes(): number {
    return this.#offset;
  }

  get rows(): number {
    return this.#rows;
  }

  get groups(): KeyGroupRange | undefined {
    const [first, last] = [this.#index[0], this.#index.at(-1)];
    return first && last && { first: first.group, last: last.group };
  }

  /** Appends entries of one group, those from `from` up to `end`. */
  block(entries: readonly SegmentEntry[], from: number, end: number): void {
    const { group } = entries[from]!;
    const block = writeBlock(entries, from, end);
    const { length } = block;
    const checksum = crc32(block);
    this.#index.push({ group, offset: this.#offset, length, rows: end - from, checksum });
    this.#blocks.push(block);
    this.#offset += length;
    this.#rows += end - from;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const front = seal(kind, version, writeFront(this.#header, this.#index));
    const bytes = new Uint8Array(front.length + this.#offset);
    bytes.set(front);
    let at = front.length;
    for (const block of this.#blocks) {
      bytes.set(block, at);
      at += block.length;
    }
    return bytes;
  }
}

function writeFront(header: SegmentHeader, index: readonly SegmentBlock[]): Uint8Array {
  const { uid, state, kind: segmentKind, maxParallelism, schema, continues } = header;
  const about = encodeValue(
    {
      uid,
      state,
      kind: segmentKind,
      maxParallelism,
      ...(schema !== undefined && { schema }),
      ...(continues && { continues }),
    },
    "segment header",
  );
  const out = new ByteWriter();
  out.u32(about.length);
  out.bytes(about);
  out.align();
  out.bytes(encodeRows(index));
  out.align();
  return out.finish();
}

function writeBlock(entries: readonly SegmentEntry[], from: number, end: number): Uint8Array {
  const rows = end - from;
  const keys = new Array<Key>(rows);
  const values = new Array<unknown>(rows);
  let live = 0;
  for (let i = 0; i < rows; i++) {
    const entry = entries[from + i]!;
    keys[i] = entry.key;
    if (!isGone(entry)) values[live++] = entry.value;
  }
  values.length = live;

  const out = new ByteWriter(64 + 64 * rows);
  out.u32(rows);
  const keysSizeAt = out.length;
  out.u32(0);
  const valuesSizeAt = out.length;
  out.u32(0);
  out.u32(live < rows ? 1 : 0);
  if (live < rows) {
    const deleted = out.room(rows);
    for (let i = 0; i < rows; i++) deleted[i] = isGone(entries[from + i]!) ? 1 : 0;
  }
  out.align();
  const keysAt = out.length;
  writeRows(out, keys);
  out.patchU32(keysSizeAt, out.length - keysAt);
  out.align();
  const valuesAt = out.length;
  writeRows(out, values);
  out.patchU32(valuesSizeAt, out.length - valuesAt);
  out.align();
  return out.finish();
}

// Not `in`: this is asked of every entry, and one that holds a value may compute it when it is read.
const isGone = (
  entry: SegmentEntry & { readonly deleted?: true },
): entry is Extract<SegmentEntry, { readonly deleted: true }> => entry.deleted === true;

/**
 * Reads the front of a segment from the first bytes of its file, for a reader that will fetch
 * blocks by range request. @throws FormatError
 */
export function readSegmentIndex(prefix: Uint8Array): SegmentIndexOutcome {
  if (prefix.length < envelopeBytes) return { kind: "short", needed: segmentPrefixBytes };
  const needed = envelopeEnd(kind, prefix, version);
  if (prefix.length < needed) return { kind: "short", needed };
  const { payload, end } = unsealFront(kind, prefix, version);
  const input = new ByteReader(payload, "Segment index");
  const header = decodeValue(input.bytes(input.u32())) as SegmentHeader;
  input.align();
  const relative = decodeRows(input.bytes(input.left)) as SegmentBlock[];

  let length = end;
  const blocks = relative.map((block) => {
    const offset = length;
    length += block.length;
    return { ...block, offset };
  });
  return { kind: "index", index: { header, blocks, length } };
}

/** A block of which nothing is decoded yet but where things are. */
export interface OpenBlock {
  readonly group: KeyGroup;
  /** Bytes of all of it. */
  readonly length: number;
  /** One per entry. */
  readonly keys: RecordBatch;
  /** Of the entries that have one, in their order. */
  readonly values: RecordBatch;
  /** A byte per entry, 1 where the news is that its key is gone; absent where there is no such news. */
  readonly deleted?: Uint8Array;
  readonly entries: () => SegmentEntry[];
}

/** The entries of one block, given exactly its bytes. @throws FormatError when damaged */
export const readBlock = (block: SegmentBlock, bytes: Uint8Array): SegmentEntry[] =>
  openBlock(block, bytes).entries();

/** Compares the checksum of a block and finds its parts. @throws FormatError when damaged */
export function openBlock(block: SegmentBlock, bytes: Uint8Array): OpenBlock {
  checkBlock(block, bytes);
  return partsOfBlock(block, bytes);
}

function partsOfBlock(block: SegmentBlock, bytes: Uint8Array): OpenBlock {
  const input = new ByteReader(bytes, `Segment block of key group ${block.group}`);
  const rows = input.u32();
  const keysLength = input.u32();
  const valuesLength = input.u32();
  const tombstones = input.u32() === 1;
  const deleted = tombstones ? input.bytes(rows) : undefined;
  input.align();
  const keys = decodeBatch(input.bytes(keysLength));
  input.align();
  const values = decodeBatch(input.bytes(valuesLength));
  const live = rows - (deleted?.reduce((gone, mark) => gone + (mark === 1 ? 1 : 0), 0) ?? 0);
  if (rows !== block.rows || keys.length !== rows || live !== values.length) {
    const found = `${keys.length} keys, ${live} of them with one of ${values.length} values`;
    throw new FormatError(
      "content",
      `${about(block)}: expected ${block.rows} entries, found ${found}`,
    );
  }
  const { group, length } = block;
  return {
    group,
    length,
    keys,
    values,
    ...(deleted && { deleted }),
    entries: () => entriesOf(group, keys, values, deleted),
  };
}

function entriesOf(
  group: KeyGroup,
  keys: RecordBatch,
  values: RecordBatch,
  deleted: Uint8Array | undefined,
): SegmentEntry[] {
  const held = values.rows();
  let live = 0;
  return (keys.rows() as Key[]).map((key, i) =>
    deleted?.[i] === 1 ? { group, key, deleted: true } : { group, key, value: held[live++] },
  );
}

function checkBlock(block: SegmentBlock, bytes: Uint8Array): void {
  if (bytes.length !== block.length) {
    const problem = `expected ${block.length} bytes, found ${bytes.length}`;
    throw new FormatError("length", `${about(block)}: ${problem}`);
  }
  const found = crc32(bytes);
  if (found !== block.checksum) {
    const problem = `expected checksum ${block.checksum.toString(16)}, found ${found.toString(16)}`;
    throw new FormatError("checksum", `${about(block)}: ${problem}`);
  }
}

function about(block: SegmentBlock): string {
  return `Segment block of key group ${block.group} at offset ${block.offset}`;
}

/** Opens a segment that is in memory whole. Blocks are checked when read. @throws FormatError */
export function readSegment(bytes: Uint8Array): Segment {
  return new Segment(bytes);
}

/** A segment in memory. */
export class Segment {
  readonly header: SegmentHeader;
  readonly blocks: readonly SegmentBlock[];
  readonly #bytes: Uint8Array;
  /** All checksums were compared, once. */
  #isChecked = false;

  constructor(bytes: Uint8Array) {
    const outcome = readSegmentIndex(bytes);
    const length = outcome.kind === "index" ? outcome.index.length : outcome.needed;
    if (outcome.kind === "short" || length !== bytes.length) {
      const atLeast = outcome.kind === "short" ? "at least " : "";
      const problem = `expected ${atLeast}${length} bytes, found ${bytes.length}`;
      throw new FormatError("length", `Segment: ${problem}`);
    }
    this.header = outcome.index.header;
    this.blocks = outcome.index.blocks;
    this.#bytes = bytes;
  }

  /** The key groups that have entries, ascending. */
  get groups(): KeyGroup[] {
    return [...new Set(this.blocks.map((block) => block.group))];
  }

  /** The entries of a range of key groups, or of all, ordered by group. */
  *entries(range?: KeyGroupRange): Generator<SegmentEntry, void> {
    for (const block of this.open(range)) yield* block.entries();
  }

  /** The same, block by block, for a reader that does not want all of them at once. */
  *open(range?: KeyGroupRange): Generator<OpenBlock, void> {
    for (const block of this.blocks) {
      if (range !== undefined && !rangeHas(range, block.group)) continue;
      const bytes = this.#bytesOf(block);
      if (!this.#isChecked) checkBlock(block, bytes);
      yield partsOfBlock(block, bytes);
    }
  }

  /** Compares every checksum, which is not done again then, and decodes no entry. @throws FormatError for the first damaged block */
  check(): void {
    for (const block of this.blocks) checkBlock(block, this.#bytesOf(block));
    this.#isChecked = true;
  }

  /** Reads everything and tells which blocks are damaged, instead of stopping at the first. */
  verify(): SegmentCheck {
    const faults: FormatError[] = [];
    let rows = 0;
    for (const block of this.blocks) {
      try {
        rows += readBlock(block, this.#bytesOf(block)).length;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        faults.push(error);
      }
    }
    return faults.length === 0 ? { kind: "sound", rows } : { kind: "damaged", faults };
  }

  #bytesOf(block: SegmentBlock): Uint8Array {
    return this.#bytes.subarray(block.offset, block.offset + block.length);
  }
}
