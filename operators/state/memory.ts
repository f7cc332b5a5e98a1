// The `memory` backend of keyed state: a heap map per table, and the news since the last freeze.
//   S1. A full freeze holds every key, a delta every key put or removed since the freeze before,
//       whatever kind that was and whatever became of it: restoring a full freeze and the deltas
//       after it, in order, gives the table.
//   S2. A removed key is in a delta only if an earlier freeze may hold it; what came and went
//       between two freezes leaves no trace.
//   S3. Between freezes the bookkeeping is bounded by the keys held and the keys frozen.

import { ownText } from "../../format/column.ts";
import { keyId, type Key, type KeyId } from "../../format/key.ts";
import { keyGroupOf, type KeyGroup } from "../../format/key-groups.ts";
import type { SegmentEntry, SegmentHeader } from "../../format/segment.ts";
import type { KeyedStateStore, StateTable } from "./keyed-state.ts";

/** What a freeze holds: everything, or what changed since the one before. */
export type FreezeKind = SegmentHeader["kind"];

interface Entry<V> {
  readonly group: KeyGroup;
  readonly key: Key;
  value: V;
  /** Changed since the last freeze; `new` where no freeze holds the key. */
  dirty: "no" | "changed" | "new";
}

interface Tombstone {
  readonly group: KeyGroup;
  readonly key: Key;
  readonly deleted: true;
}

/** The keyed state of one operator of one subtask. */
export class MemoryStateStore implements KeyedStateStore {
  readonly #maxParallelism: number;
  readonly #tables = new Map<string, MemoryStateTable<unknown>>();

  constructor(maxParallelism: number) {
    this.#maxParallelism = maxParallelism;
  }

  table<V>(name: string): MemoryStateTable<V> {
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = new MemoryStateTable<unknown>(this.#maxParallelism);
      this.#tables.set(name, table);
    }
    return table as MemoryStateTable<V>;
  }

  /** Every table asked for so far, by name. */
  tables(): ReadonlyMap<string, MemoryStateTable<unknown>> {
    return this.#tables;
  }
}

export class MemoryStateTable<V> implements StateTable<V> {
  readonly #maxParallelism: number;
  readonly #entries = new Map<KeyId, Entry<V>>();
  readonly #dirty = new Set<Entry<V>>();
  readonly #removed = new Map<KeyId, Tombstone>();

  constructor(maxParallelism: number) {
    this.#maxParallelism = maxParallelism;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Keys that a delta would hold now. */
  get changes(): number {
    return this.#dirty.size + this.#removed.size;
  }

  get(key: Key): V | undefined {
    return this.#entries.get(keyId(key))?.value;
  }

  put(key: Key, value: V): void {
    const id = keyId(key);
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      const tombstone = this.#removed.get(id);
      const group = tombstone?.group ?? keyGroupOf(key, this.#maxParallelism);
      entry = { group, key: owned(key), value, dirty: tombstone === undefined ? "new" : "changed" };
      this.#entries.set(owned(id), entry);
      this.#removed.delete(id);
      this.#dirty.add(entry);
      return;
    }
    entry.value = value;
    if (entry.dirty === "no") {
      entry.dirty = "changed";
      this.#dirty.add(entry);
    }
  }

  remove(key: Key): void {
    const id = keyId(key);
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#dirty.delete(entry);
    if (entry.dirty === "new") return;
    this.#removed.set(id, { group: entry.group, key: entry.key, deleted: true });
  }

  *entries(): Generator<[Key, V]> {
    for (const { key, value } of this.#entries.values()) yield [key, value];
  }

  /**
   * The entries to write at a barrier; later changes are the next freeze's. Write them before
   * anything else happens: they share the values that operators go on to change in place.
   */
  freeze(kind: FreezeKind): readonly SegmentEntry[] {
    const frozen: SegmentEntry[] =
      kind === "full" ? [...this.#entries.values()] : [...this.#dirty, ...this.#removed.values()];
    for (const entry of this.#dirty) entry.dirty = "no";
    this.#dirty.clear();
    this.#removed.clear();
    return frozen;
  }

  /** Applies frozen entries: a full freeze, then the deltas after it. Changes nothing else. */
  restore(entries: Iterable<SegmentEntry>): void {
    for (const entry of entries) {
      const { group, key } = entry;
      if ("deleted" in entry) this.#entries.delete(keyId(key));
      else this.#entries.set(keyId(key), { group, key, value: entry.value as V, dirty: "no" });
    }
  }
}

// A key that is kept must not keep the text of the batch it came in.
const owned = <K extends Key>(key: K): K => (typeof key === "string" ? (ownText(key) as K) : key);
