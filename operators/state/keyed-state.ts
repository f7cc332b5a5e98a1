// Keyed state as operators see it: named tables from key to value, one key's entry at a time.
// Backends stand behind this interface and share one conformance suite.
//   K1. A value read is the value last put, whatever checkpoints came between.
//   K2. Values may be changed in place if `put` is called before the next barrier, and before the
//       next batch.
//   K3. A removed key leaves nothing behind in a full snapshot.
//   K4. Of a nested table the keys are pairs, and the group of a pair is that of its first half.

import type { Key, KeyId } from "../../format/key.ts";
import type { PackedTable, Packing } from "./packed.ts";
import type { StateSchema } from "./schema.ts";

/** The place of a key in a table, found once for several accesses. */
export interface StateSlot<V> {
  readonly id: KeyId;
  readonly key: Key;
  /** Of the operator whose table it is; 0 where it left none, or where slots do not outlive a batch. */
  mark: number;
  /** Whether the key holds nothing. */
  readonly isFree: boolean;
  /** What the key holds; undefined where it holds nothing. */
  readonly value: V | undefined;
}

export interface StateTable<V> {
  get(key: Key): V | undefined;
  put(key: Key, value: V): void;
  /** The key's place, whether it holds anything or not; good until the batch is over. */
  slot(key: Key): StateSlot<V>;
  /**
   * The entries of these keys are about to be asked for: where each would be read by itself they are
   * read together, as far as that pays. Absent where nothing has to be read.
   */
  readonly prefetch?: ((keys: Iterable<Key>) => void) | undefined;
  /** `put`, for a key whose place is at hand. */
  putAt(slot: StateSlot<V>, value: V): void;
  /** The same table by the numbers of its values, where it can hold them so, and holds no others so. */
  packed?(packing: Packing<V>): PackedTable<V> | undefined;
  remove(key: Key): void;
  /** Keys held. */
  readonly size: number;
  /** All entries, in no order. Valid until the next change. */
  entries(): Iterable<[Key, V]>;
  /** Of a nested table: the second halves of the pairs that begin with `key`, with their values, as
   * they are now. */
  under(key: Key): [Key, V][];
  /** Looks at the next `limit` entries, going round, and drops what the schema says has expired. */
  sweep(limit: number): void;
}

/** What an operator has in memory that it can make again from its state. */
export interface Derived {
  /** About. */
  readonly bytes: number;
  drop(): void;
}

export interface KeyedStateStore {
  /** The table of that name; the same one at every call. The first call's schema counts. */
  table<V>(name: string, schema?: StateSchema<V>): StateTable<V>;
  /** Counts that against the memory budget, and drops it between batches where there is no room for it. */
  derives?(derived: Derived): void;
}
