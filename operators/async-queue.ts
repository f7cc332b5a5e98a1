// Rows that wait for their answers, and the watermarks between them, in the order in which they leave.
//   L1. Ordered: a row leaves when it is answered and all before it have left.
//   L2. Unordered: a row leaves when it is answered, but none passes a watermark.
//   L3. A watermark leaves when all rows before it have left.
// As Flink's OrderedStreamElementQueue and UnorderedStreamElementQueue.

import type { RecordPosition } from "../stream/on-error.ts";

/** A row on its way through. */
export interface Entry {
  readonly row: unknown;
  /** Its event time; NaN where it has none. */
  readonly time: number;
  /** The record that it comes from, where somebody needs to know. */
  readonly source: RecordPosition | undefined;
  /** `none`: it is answered, and nothing leaves for it. `failed`: `value` is why. */
  state: "waiting" | "value" | "none" | "failed";
  value: unknown;
}

/** Takes what leaves, in order. */
export interface Leaving {
  left(entry: Entry): void;
  advance(watermark: number): void;
}

export interface AsyncQueue {
  readonly isEmpty: boolean;
  add(entry: Entry): void;
  addWatermark(watermark: number): void;
  /** An entry is waiting no longer. */
  answered(entry: Entry): void;
  /** Whether `release` has something to give. */
  readonly hasReady: boolean;
  release(to: Leaving): void;
  /** All that have not left, the oldest first. */
  entries(): Entry[];
}

/** L1: a queue that is read from the front. */
export class OrderedQueue implements AsyncQueue {
  #items: (Entry | number)[] = [];
  #first = 0;

  get isEmpty(): boolean {
    return this.#first === this.#items.length;
  }

  add(entry: Entry): void {
    this.#items.push(entry);
  }

  addWatermark(watermark: number): void {
    this.#items.push(watermark);
  }

  answered(): void {}

  get hasReady(): boolean {
    return isReady(this.#items[this.#first]);
  }

  release(to: Leaving): void {
    for (let item = this.#items[this.#first]; isReady(item); item = this.#items[this.#first]) {
      // Whoever takes it may look at what is left.
      this.#items[this.#first++] = 0;
      if (typeof item === "number") to.advance(item);
      else to.left(item);
    }
    if (this.#first * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }

  entries(): Entry[] {
    return this.#items.slice(this.#first).filter((item) => typeof item !== "number");
  }
}

const isReady = (item: Entry | number | undefined): item is Entry | number =>
  item !== undefined && (typeof item === "number" || item.state !== "waiting");

/** L2: rows between two watermarks are one segment. Only the last one may have no watermark. */
export class UnorderedQueue implements AsyncQueue {
  #segments: Segment[] = [newSegment()];
  readonly #segmentOf = new Map<Entry, Segment>();

  get isEmpty(): boolean {
    const [first] = this.#segments;
    return first!.watermark === undefined && first!.waiting.size + first!.ready.length === 0;
  }

  add(entry: Entry): void {
    const last = this.#segments.at(-1)!;
    last.waiting.add(entry);
    this.#segmentOf.set(entry, last);
  }

  addWatermark(watermark: number): void {
    this.#segments.at(-1)!.watermark = watermark;
    this.#segments.push(newSegment());
  }

  answered(entry: Entry): void {
    const segment = this.#segmentOf.get(entry)!;
    this.#segmentOf.delete(entry);
    segment.waiting.delete(entry);
    segment.ready.push(entry);
  }

  get hasReady(): boolean {
    const { waiting, ready, watermark } = this.#segments[0]!;
    return ready.length > 0 || (watermark !== undefined && waiting.size === 0);
  }

  release(to: Leaving): void {
    for (;;) {
      const segment = this.#segments[0]!;
      const { ready } = segment;
      segment.ready = [];
      for (const entry of ready) to.left(entry);
      if (segment.watermark === undefined || segment.waiting.size > 0) return;
      this.#segments.shift();
      to.advance(segment.watermark);
    }
  }

  entries(): Entry[] {
    return this.#segments.flatMap(({ waiting, ready }) => [...ready, ...waiting]);
  }
}

interface Segment {
  readonly waiting: Set<Entry>;
  ready: Entry[];
  watermark: number | undefined;
}

const newSegment = (): Segment => ({ waiting: new Set(), ready: [], watermark: undefined });
