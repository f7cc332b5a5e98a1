// Which keys have panes, and when something is due for them: the end of a window that covers one, or of
// what is kept of one. In memory alone: it is made of the table of panes, on every backend.
//   S1. A key is due at the earliest such time that has not been dealt with, and at no other.
//   S2. What is due is given out in the order of the times, keys of one time in the order in which they
//       became due then.

import { keyId, type Key, type KeyId } from "../format/key.ts";
import { Heap } from "./heap.ts";
import type { Panes } from "./panes.ts";

/** A key with panes. */
export interface KeyedPanes {
  readonly key: Key;
  readonly id: KeyId;
  /** Their starts, in order. */
  readonly starts: number[];
  dueAt: number;
}

export class PaneSchedule {
  readonly #panes: Panes;
  readonly #keys = new Map<KeyId, KeyedPanes>();
  /** Entries of keys that are due at another time by now are of no use. */
  readonly #due = new Map<number, { readonly keys: KeyedPanes[]; taken: number }>();
  /** The times of `#due`. */
  readonly #times = new Heap<number>((left, right) => left < right);

  constructor(panes: Panes) {
    this.#panes = panes;
  }

  /** The key has that pane; what was due by `after` has been dealt with. */
  add(key: Key, start: number, after: number): void {
    const id = keyId(key);
    let held = this.#keys.get(id);
    if (held === undefined) {
      held = { key, id, starts: [], dueAt: Infinity };
      this.#keys.set(id, held);
    }
    const { starts } = held;
    let at = starts.length;
    while (at > 0 && starts[at - 1]! > start) at--;
    if (at === starts.length) starts.push(start);
    else starts.splice(at, 0, start);
    this.plan(held, Math.min(held.dueAt, this.#dueOf(start, after)));
  }

  /** The key has that pane no more. */
  drop(key: Key, start: number): void {
    const held = this.#keys.get(keyId(key));
    if (held === undefined) return;
    const at = held.starts.indexOf(start);
    if (at >= 0) held.starts.splice(at, 1);
    if (held.starts.length === 0) this.#forget(held);
  }

  startsOf(key: Key): readonly number[] {
    return this.#keys.get(keyId(key))?.starts ?? [];
  }

  /** The next key that something is due for by then. It is due for nothing until it is planned. */
  take(upTo: number): KeyedPanes | undefined {
    for (;;) {
      const time = this.#times.first;
      if (time === undefined || time > upTo) return undefined;
      const bucket = this.#due.get(time)!;
      const held = bucket.keys[bucket.taken++];
      if (held === undefined) {
        this.#due.delete(time);
        this.#times.pop();
      } else if (held.dueAt === time) {
        return held;
      }
    }
  }

  /** All that is due by `at` has been dealt with: when is the key due next? */
  replan(held: KeyedPanes, at: number): void {
    held.dueAt = Infinity;
    if (held.starts.length === 0) return this.#forget(held);
    let next = Infinity;
    for (const start of held.starts) {
      next = Math.min(next, this.#dueOf(start, at));
      // Those behind it are due no earlier once it is due for a window.
      if (this.#panes.firstEnd(start, at) !== undefined) break;
    }
    this.plan(held, next);
  }

  plan(held: KeyedPanes, at: number): void {
    if (held.dueAt === at) return;
    held.dueAt = at;
    const bucket = this.#due.get(at);
    if (bucket !== undefined) {
      bucket.keys.push(held);
      return;
    }
    this.#due.set(at, { keys: [held], taken: 0 });
    this.#times.push(at);
  }

  #forget(held: KeyedPanes): void {
    held.dueAt = Infinity;
    this.#keys.delete(held.id);
  }

  #dueOf(start: number, after: number): number {
    const end = this.#panes.firstEnd(start, after);
    const over = this.#panes.overAt(start);
    return end === undefined ? over : Math.min(end - 1, over);
  }
}
