// Keyed state as operators see it: named tables from key to value, one key's entry at a time.
// Backends stand behind this interface and share one conformance suite.
//   K1. A value read is the value last put, whatever checkpoints came between.
//   K2. Values may be changed in place if `put` is called before the next barrier.
//   K3. A removed key leaves nothing behind in a full snapshot.

import type { Key } from "../../format/key.ts";

export interface StateTable<V> {
  get(key: Key): V | undefined;
  put(key: Key, value: V): void;
  remove(key: Key): void;
  /** Keys held. */
  readonly size: number;
  entries(): Iterable<[Key, V]>;
}

export interface KeyedStateStore {
  /** The table of that name; the same one at every call. */
  table<V>(name: string): StateTable<V>;
}
