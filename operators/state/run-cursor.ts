// Goes through sorted runs in the order of keys: one, or several as if they were one.
//   C1. Of a key that several runs have, the row of the newest of them is given, and no other.
// A cursor is good as long as no run that it goes through is dropped.

import type { SqlDatabase } from "../../format/sql.ts";
import { blocksFrom, blocksOf } from "./block-reads.ts";
import { BlockReader, compareRanges, findInBlock, type Found } from "./run-block.ts";
import type { SortedRun } from "./sorted-run.ts";

/** Blocks that are read at a time, at most; the first time fewer, as often no more are asked for. */
const blocksAhead = 64;
const blocksFirst = 2;

class RunCursor {
  readonly reader = new BlockReader();
  /** The newer the run, the less. */
  readonly age: number;
  readonly #db: SqlDatabase;
  readonly #run: SortedRun;
  #next: number;
  #ahead: Uint8Array[] = [];
  #at = 0;
  #most = blocksFirst;

  /** From the first key that is not before `from`. */
  constructor(db: SqlDatabase, run: SortedRun, age: number, from: Uint8Array | undefined) {
    this.#db = db;
    this.#run = run;
    this.age = age;
    this.#next = from === undefined ? 0 : run.blockOf(from);
  }

  next(): boolean {
    if (this.reader.next()) return true;
    if (this.#at === this.#ahead.length && !this.#read()) return false;
    this.reader.open(this.#ahead[this.#at++]!);
    return this.reader.next();
  }

  /** Goes on to the first row whose key is `key`, or after it. */
  seek(key: Uint8Array): boolean {
    const { reader } = this;
    while (this.next()) {
      const { bytes, keyAt, valueAt } = reader;
      if (compareRanges(bytes, keyAt, valueAt, key, 0, key.length) >= 0) return true;
    }
    return false;
  }

  #read(): boolean {
    if (this.#next >= this.#run.blocks) return false;
    const { id, following } = this.#run.idOf(this.#next);
    const count = Math.min(this.#most, following + 1);
    this.#ahead = blocksFrom(this.#db, id, count);
    this.#at = 0;
    this.#next += count;
    this.#most = blocksAhead;
    return true;
  }
}

const isBefore = (a: RunCursor, b: RunCursor): boolean => {
  const [left, right] = [a.reader, b.reader];
  const order = compareRanges(
    left.bytes,
    left.keyAt,
    left.valueAt,
    right.bytes,
    right.keyAt,
    right.valueAt,
  );
  return order === 0 ? a.age < b.age : order < 0;
};

/** Several runs as one (C1): `next`, then the row is where `row` reads. */
export class MergedRuns {
  /** A heap: the cursor at the least key first, of those at one key the newest. */
  readonly #heap: RunCursor[] = [];
  /** Whether the first of them was given. */
  #isGiven = false;

  /** `runs` from the oldest to the newest; from the first key that is not before `from`. */
  constructor(db: SqlDatabase, runs: readonly SortedRun[], from?: Uint8Array) {
    for (const [at, run] of runs.entries()) {
      const cursor = new RunCursor(db, run, runs.length - at, from);
      if (from === undefined ? cursor.next() : cursor.seek(from)) this.#heap.push(cursor);
    }
    for (let at = this.#heap.length >> 1; at-- > 0;) this.#sink(at);
  }

  get row(): BlockReader {
    return this.#heap[0]!.reader;
  }

  next(): boolean {
    if (this.#isGiven) this.#pass();
    this.#isGiven = this.#heap.length > 0;
    return this.#isGiven;
  }

  /** Goes past the key that was given, in all runs. */
  #pass(): void {
    const heap = this.#heap;
    const { bytes, keyAt, valueAt } = heap[0]!.reader;
    this.#step();
    for (;;) {
      if (heap.length === 0) return;
      const next = heap[0]!.reader;
      const order = compareRanges(next.bytes, next.keyAt, next.valueAt, bytes, keyAt, valueAt);
      if (order !== 0) return;
      this.#step();
    }
  }

  /** The first cursor goes on to its next row. */
  #step(): void {
    const heap = this.#heap;
    if (!heap[0]!.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const cursor = heap[from]!;
    let at = from;
    for (;;) {
      let least = 2 * at + 1;
      if (least >= heap.length) break;
      if (least + 1 < heap.length && isBefore(heap[least + 1]!, heap[least]!)) least++;
      if (!isBefore(heap[least]!, cursor)) break;
      heap[at] = heap[least]!;
      at = least;
    }
    heap[at] = cursor;
  }
}

/** A key that is looked for. */
export interface Wanted {
  readonly key: Uint8Array;
  readonly hash: number;
}

/** What the newest of these runs that says anything of it says of each key; `runs` from the oldest on. */
export function findAll(
  db: SqlDatabase,
  runs: readonly SortedRun[],
  wanted: readonly Wanted[],
): Found[] {
  const found = new Array<Found>(wanted.length);
  // Of each key, how many of the runs have still to be asked.
  const left = new Int32Array(wanted.length).fill(runs.length);
  let asked: readonly number[] = [...wanted.keys()];
  while (asked.length > 0) {
    // A block may have several of the keys.
    const blocks = new Map<number, number[]>();
    for (const at of asked) {
      const { key, hash } = wanted[at]!;
      let run = left[at]! - 1;
      while (run >= 0 && !runs[run]!.mayHave(hash)) run--;
      left[at] = run;
      if (run < 0) continue;
      const { id } = runs[run]!.idOf(runs[run]!.blockOf(key));
      const of = blocks.get(id);
      if (of === undefined) blocks.set(id, [at]);
      else of.push(at);
    }
    const again: number[] = [];
    for (const [id, block] of blocksOf(db, [...blocks.keys()])) {
      for (const at of blocks.get(id)!) {
        const value = findInBlock(block, wanted[at]!.key);
        if (value === undefined) again.push(at);
        else found[at] = value;
      }
    }
    asked = again;
  }
  return found;
}
