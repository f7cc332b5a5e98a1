// The timers of windows: of a key, a window and a time. As those of keys (timers.ts), but for the window.
//   M1. Table and heap hold the same timers, one per key, window and time.
//   M2. Timers are due in the order of their times; those of one time in the order of their windows'
//       ends, so that what is told does not depend on what was restored when.

import { ownText } from "../format/column.ts";
import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { TimeWindow } from "../stream/windows.ts";
import { Heap } from "./heap.ts";
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
  readonly #heap = new Heap(isBefore);

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
    return this.#heap.first?.time;
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
    if (this.#heap.size > 64 && this.#heap.size > 4 * this.#byId.size) {
      this.#heap.keep(({ isGone }) => !isGone);
    }
    return "deleted";
  }

  /** Takes the next timer out that is due by then. */
  take(upTo: number): WindowTimer | undefined {
    this.#dropGone();
    const next = this.#heap.first;
    if (next === undefined || next.time > upTo) return undefined;
    this.#forget(next);
    this.#heap.pop();
    return next;
  }

  #forget(held: Held): void {
    held.isGone = true;
    this.#byId.delete(held.id);
    this.#table.remove(pairOf(held.key, held.window, held.time));
  }

  #dropGone(): void {
    while (this.#heap.first?.isGone === true) this.#heap.pop();
  }

  #push(held: Held): void {
    this.#byId.set(held.id, held);
    this.#heap.push(held);
  }
}

function isBefore(left: Held, right: Held): boolean {
  return left.time === right.time ? left.window.end < right.window.end : left.time < right.time;
}

const pairOf = (key: Key, { start, end }: TimeWindow, time: number): Key => [
  key,
  [time, start, end],
];
