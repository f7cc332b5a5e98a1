// What was found under keys outside of the job, the last asked for of them.
//   W1. It is no state: whoever restores begins with an empty one.
//   W2. The order of a `Map` is that in which keys were last asked for.
// A library such as lru-cache has a clock, sizes and fetches of its own; of an operator's time, and without
// these, it is what is below.

import type { KeyId } from "../format/key.ts";

export class FoundCache {
  readonly #size: number;
  readonly #ttl: number;
  readonly #entries = new Map<KeyId, { readonly value: unknown; readonly until: number }>();

  constructor({ size, ttl }: { readonly size: number; readonly ttl: number }) {
    this.#size = size;
    this.#ttl = ttl;
  }

  /** What was found, where that still counts. */
  get(id: KeyId, now: number): { readonly value: unknown } | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    if (entry.until <= now) return undefined;
    this.#entries.set(id, entry);
    return entry;
  }

  set(id: KeyId, value: unknown, now: number): void {
    this.#entries.delete(id);
    this.#entries.set(id, { value, until: now + this.#ttl });
    if (this.#entries.size <= this.#size) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}
