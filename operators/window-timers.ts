// The timers of windows: of a key, a window and a time. As those of keys (timers.ts), but for the window.
//   M1. Table and heap hold the same timers, one per key, window and time.
//   M2. Timers are due in the order of their times; those of one time in the order of their windows'
//       ends, so that what is told does not depend on what was restored when.

import { ownText } from "../format/column.ts";
import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { TimeWindow } from "../stream/windows.ts";
import { schemaOf } from "./state/schema.ts";
import type { KeyedStateStore, StateTable } from "./state/keyed-state.ts";

export interface WindowTimer {
  readonly key: Key;
  readonly window: TimeWindow;
  readonly time: number;
}

interface Held extends WindowTimer {
  readonly id: KeyId;
  isGone: boolean;
}

/** Half of a pair: what tells the timers of a key apart. */
type Half = readonly [time: number, start: number, end: number];

export class WindowTimers {
  readonly #table: StateTable<true>;
  readonly #byId = new Map<KeyId, Held>();
  /** Those that were deleted stay in it until it is their turn, or until they are the most. */
  #heap: Held[] = [];

  /** The store's table is restored already; the heap is built from it. */
  constructor(store: KeyedStateStore, state: string) {
    const schema = schemaOf({ holds: "map", version: 1, ttl: false });
    this.#table = store.table(state, schema) as StateTable<true>;
    for (const [pair] of this.#table.entries()) {
      const [key, [time, start, end]] = pair as unknown as readonly [Key, Half];
      this.#push({ key, window: { start, end }, time, id: keyId(pair), isGone: false });
    }
  }

  get nextAt(): number | undefined {
    this.#dropGone();
    return this.#heap[0]?.time;
  }

  register(key: Key, window: TimeWindow, time: number): "added" | "known" {
    const pair = pairOf(key, window, time);
    const id = keyId(pair);
    if (this.#byId.has(id)) return "known";
    this.#table.put(pair, true);
    const own = typeof key === "string" ? ownText(key) : key;
    this.#push({ key: own, window, time, id, isGone: false });
    return "added";
  }

  delete(key: Key, window: TimeWindow, time: number): "deleted" | "unknown" {
    const held = this.#byId.get(keyId(pairOf(key, window, time)));
    if (held === undefined) return "unknown";
    this.#forget(held);
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#byId.size) this.#rebuild();
    return "deleted";
  }

  /** Takes the next timer out that is due by then. */
  take(upTo: number): WindowTimer | undefined {
    this.#dropGone();
    const next = this.#heap[0];
    if (next === undefined || next.time > upTo) return undefined;
    this.#forget(next);
    this.#pop();
    return next;
  }

  #forget(held: Held): void {
    held.isGone = true;
    this.#byId.delete(held.id);
    this.#table.remove(pairOf(held.key, held.window, held.time));
  }

  #dropGone(): void {
    while (this.#heap[0]?.isGone === true) this.#pop();
  }

  #rebuild(): void {
    const kept = this.#heap.filter(({ isGone }) => !isGone);
    this.#heap = [];
    for (const held of kept) this.#push(held);
  }

  #push(held: Held): void {
    this.#byId.set(held.id, held);
    const heap = this.#heap;
    let at = heap.push(held) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(held, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = held;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (left: Held, right: Held): boolean =>
  left.time === right.time ? left.window.end < right.window.end : left.time < right.time;

const pairOf = (key: Key, { start, end }: TimeWindow, time: number): Key => [
  key,
  [time, start, end],
];
