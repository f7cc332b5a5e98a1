// How far an operator has come in event time, and had come for the keys that it takes over from others.
//   W1. For no key does event time go back: it is no less than it was where the key was before. So a row
//       that was late is late again, and one that was not is not.
//   W2. For keys of which nobody told, it is the beginning of time.
//   W3. Aligned checkpoints of subtasks that hear of the same time know one time for all keys; only in a
//       cut that overtook watermarks do they differ.

import { noTime } from "../format/frame.ts";
import type { Key } from "../format/key.ts";
import { intersectRanges, keyGroupOf, type KeyGroupRange, rangeHas } from "../format/key-groups.ts";

/** Of the keys of a subtask, or of some of them; in snapshots. */
export interface KeptTime extends KeyGroupRange {
  readonly time: number;
}

export class KeptWatermark {
  /** As far as it had come for all of its keys. */
  readonly least: number;
  readonly #own: KeyGroupRange;
  readonly #maxParallelism: number;
  /** Where it had come further. */
  readonly #further: readonly KeptTime[];
  readonly #furthest: number;

  /** @param restored of all subtasks of the operator. */
  constructor(own: KeyGroupRange, maxParallelism: number, restored: readonly KeptTime[]) {
    this.#own = own;
    this.#maxParallelism = maxParallelism;
    const parts = restored.flatMap(({ time, ...range }) => {
      const part = intersectRanges(range, own);
      return part === undefined ? [] : [{ ...part, time }];
    });
    const groups = parts.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    const isWhole = groups >= own.last - own.first + 1;
    this.least = isWhole ? Math.min(...parts.map(({ time }) => time)) : noTime;
    this.#further = parts.filter(({ time }) => time > this.least);
    this.#furthest = Math.max(this.least, ...parts.map(({ time }) => time));
  }

  /** For a key, or without one for the key for which it is furthest, when it has come to `now` otherwise. */
  of(now: number, key?: Key): number {
    if (now >= this.#furthest) return now;
    if (key === undefined) return this.#furthest;
    const group = keyGroupOf(key, this.#maxParallelism);
    const had = this.#further.find((part) => rangeHas(part, group));
    return had === undefined ? now : Math.max(now, had.time);
  }

  /** What a snapshot holds when it has come to `now`. */
  elements(now: number): KeptTime[] {
    const further = this.#further.filter(({ time }) => time > now);
    if (further.length === 0) return now === noTime ? [] : [{ ...this.#own, time: now }];
    const rest = without(this.#own, further).map((part) => ({ ...part, time: now }));
    return [...further, ...rest].filter(({ time }) => time !== noTime);
  }
}

/** What is left of a range. */
function without(range: KeyGroupRange, parts: readonly KeyGroupRange[]): KeyGroupRange[] {
  const left: KeyGroupRange[] = [];
  let { first } = range;
  for (const part of parts.toSorted((a, b) => a.first - b.first)) {
    if (part.first > first) left.push({ ...range, first, last: (part.first - 1) as typeof first });
    first = (part.last + 1) as typeof first;
  }
  if (first <= range.last) left.push({ ...range, first });
  return left;
}
