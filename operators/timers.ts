// The timers of one operator in event time, or those in processing time: a state table holds them, a heap in memory says which
// is next.
//   M1. Table and heap hold the same timers, one per key and time.
//   M2. A timer that fired or was deleted leaves nothing behind, in neither.
//   M3. Timers are due in the order of their times.
//   M4. The table's keys are pairs of key and time, so a timer goes where its key goes.

import { ownText } from "../format/column.ts";
import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { StoredSchema } from "../format/segment.ts";
import type { KeyedStateStore, StateTable } from "./state/keyed-state.ts";
import { schemaOf } from "./state/schema.ts";

/** The states in which an operator keeps its timers; no state of a user's may have their names. */
export const timerStates = {
  event: "timers/event-time",
  processing: "timers/processing-time",
} as const;

const schema: StoredSchema = { holds: "map", version: 1, ttl: false };

export interface Timer {
  readonly key: Key;
  readonly time: number;
}

interface Held extends Timer {
  readonly id: KeyId;
  /** Position in the heap. */
  at: number;
}

export class TimerQueue {
  readonly #table: StateTable<true>;
  readonly #byId = new Map<KeyId, Held>();
  readonly #heap: Held[] = [];

  /** The store's table is restored already; the heap is built from it. */
  constructor(store: KeyedStateStore, state: string) {
    this.#table = store.table(state, schemaOf(schema)) as StateTable<true>;
    for (const [pair] of this.#table.entries()) {
      const [key, time] = pair as readonly [Key, number];
      this.#push(key, time, keyId(pair));
    }
  }

  /** When the next timer is due; undefined where there is none. */
  get nextAt(): number | undefined {
    return this.#heap[0]?.time;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** `added`, or `known`: there is one for that key and time. */
  register(key: Key, time: number): "added" | "known" {
    const pair = [key, time] as const;
    const id = keyId(pair);
    if (this.#byId.has(id)) return "known";
    this.#table.put(pair, true);
    this.#push(typeof key === "string" ? ownText(key) : key, time, id);
    return "added";
  }

  delete(key: Key, time: number): "deleted" | "unknown" {
    const held = this.#byId.get(keyId([key, time]));
    if (held === undefined) return "unknown";
    this.#remove(held);
    return "deleted";
  }

  /** Takes the next timer out that is due by `now`. */
  take(now: number): Timer | undefined {
    const next = this.#heap[0];
    if (next === undefined || next.time > now) return undefined;
    this.#remove(next);
    return next;
  }

  #push(key: Key, time: number, id: KeyId): void {
    const held = { key, time, id, at: this.#heap.length };
    this.#byId.set(id, held);
    this.#heap.push(held);
    this.#up(held);
  }

  #remove(held: Held): void {
    this.#table.remove([held.key, held.time]);
    this.#byId.delete(held.id);
    const last = this.#heap.pop()!;
    if (last === held) return;
    this.#place(last, held.at);
    this.#up(last);
    this.#down(last);
  }

  #up(held: Held): void {
    while (held.at > 0) {
      const parent = this.#heap[(held.at - 1) >> 1]!;
      if (parent.time <= held.time) return;
      this.#swap(parent, held);
    }
  }

  #down(held: Held): void {
    for (;;) {
      const left = this.#heap[2 * held.at + 1];
      const right = this.#heap[2 * held.at + 2];
      const least = right !== undefined && right.time < left!.time ? right : left;
      if (least === undefined || least.time >= held.time) return;
      this.#swap(held, least);
    }
  }

  /** The child takes the parent's place. */
  #swap(parent: Held, child: Held): void {
    const at = parent.at;
    this.#place(parent, child.at);
    this.#place(child, at);
  }

  #place(held: Held, at: number): void {
    held.at = at;
    this.#heap[at] = held;
  }
}
