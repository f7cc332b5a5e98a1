// What the panes of a window come to, window after window, with each pane read twice and merged three
// times, however many a window has. Time is divided into blocks as long as a window: a window is the end of
// one block and the beginning of the next.
//   M1. What a window comes to follows from its panes alone: ends of blocks are merged from their last pane
//       on, beginnings from their first, whatever windows were told before, and also after a restore.
//   M2. What is kept here is in memory only, and of no use once a pane of the key has changed: `forget`.
//   M3. It counts against the memory budget, and may be dropped at any time between batches: it is made again
//       from the panes, of all of a window at most.

import type { Key, KeyId } from "../format/key.ts";
import { type Sliding, windowStart } from "../stream/windows.ts";
import type { Derived } from "./state/keyed-state.ts";
import { approximateBytes } from "./state/size.ts";

/** The panes of a key, and what they hold. */
export interface PaneReader {
  /** Undefined where the pane holds nothing. */
  read(key: Key, start: number): unknown;
  /** Must not change what it is given. */
  merge(left: unknown, right: unknown): unknown;
}

/** Of one key. */
interface Merges {
  /** Where the block begins that windows end in the next of. */
  readonly block: number;
  /** By start, the latest first: what the panes from there to the end of the block come to. */
  readonly ends: { readonly start: number; readonly held: unknown }[];
  /** What the panes of the next block come to, up to there. */
  upTo: number;
  beginning: unknown;
  /** About, as it was when the ends were made. */
  readonly bytes: number;
}

/** Of a key, and of what some of its panes come to, beside the values themselves. */
const overhead = { key: 200, run: 48 } as const;

export class PaneMerges implements Derived {
  readonly #sliding: Sliding;
  readonly #reader: PaneReader;
  readonly #keys = new Map<KeyId, Merges>();
  #bytes = 0;

  constructor(sliding: Sliding, reader: PaneReader) {
    this.#sliding = sliding;
    this.#reader = reader;
  }

  get bytes(): number {
    return this.#bytes;
  }

  drop(): void {
    this.#keys.clear();
    this.#bytes = 0;
  }

  /** What the window from there on comes to. `starts`: of all panes of the key, in order. */
  of({ key, id, starts }: Owner, from: number): unknown {
    const { size, offset } = this.#sliding;
    const block = windowStart(from, offset, size);
    let merges = this.#keys.get(id);
    if (merges?.block !== block) {
      this.forget(id);
      merges = this.#endsOf(key, starts, block);
      this.#keys.set(id, merges);
      this.#bytes += merges.bytes;
    }
    const { ends } = merges;
    while (ends.length > 0 && ends.at(-1)!.start < from) ends.pop();
    this.#extend(merges, key, starts, from + size);
    const end = ends.at(-1)?.held;
    if (end === undefined || merges.beginning === undefined) return end ?? merges.beginning;
    return this.#reader.merge(end, merges.beginning);
  }

  /** Panes of the key have changed, or are gone. */
  forget(id: KeyId): void {
    this.#bytes -= this.#keys.get(id)?.bytes ?? 0;
    this.#keys.delete(id);
  }

  #endsOf(key: Key, starts: readonly number[], block: number): Merges {
    const upTo = block + this.#sliding.size;
    const ends: { start: number; held: unknown }[] = [];
    let held: unknown;
    for (let at = starts.length - 1; at >= 0 && starts[at]! >= block; at--) {
      const start = starts[at]!;
      if (start >= upTo) continue;
      const pane = this.#reader.read(key, start);
      held = held === undefined ? pane : this.#reader.merge(pane, held);
      ends.push({ start, held });
    }
    // What several panes come to takes as much as all of them, or as any: the last says it for all.
    const bytes = overhead.key + (ends.length + 1) * (overhead.run + approximateBytes(held));
    return { block, ends, upTo, beginning: undefined, bytes };
  }

  #extend(merges: Merges, key: Key, starts: readonly number[], end: number): void {
    if (end <= merges.upTo) return;
    let at = starts.length;
    while (at > 0 && starts[at - 1]! >= merges.upTo) at--;
    for (; at < starts.length && starts[at]! < end; at++) {
      const pane = this.#reader.read(key, starts[at]!);
      const { beginning } = merges;
      merges.beginning = beginning === undefined ? pane : this.#reader.merge(beginning, pane);
    }
    merges.upTo = end;
  }
}

interface Owner {
  readonly key: Key;
  readonly id: KeyId;
  readonly starts: readonly number[];
}
