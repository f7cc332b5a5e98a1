// The `memory` backend of keyed state: a heap map per table, and the news since the last freeze.
//   S1. Between freezes the bookkeeping is bounded by the keys held and the keys frozen.
//   S2. The bytes accounted for are estimated when an entry is put, and again at each put: the
//       estimate follows the entry, never adds up beside it.

import { ownText } from "../../format/column.ts";
import { keyId, type Key, type KeyId } from "../../format/key.ts";
import { keyGroupOf, type KeyGroup } from "../../format/key-groups.ts";
import { plainSchema, type SegmentEntry, type StoredSchema } from "../../format/segment.ts";
import { sizeText } from "../../format/size-text.ts";
import { StateError } from "../../stream/errors.ts";
import type {
  BackendStore,
  BackendTable,
  FreezeKind,
  StateBackend,
  StateSource,
} from "./backend.ts";
import type { StateSlot } from "./keyed-state.ts";
import { mustUpgrade, schemaOf, type StateSchema } from "./schema.ts";
import { approximateBytes, entryOverhead } from "./size.ts";

interface Entry<V> extends StateSlot<V> {
  readonly id: KeyId;
  readonly group: KeyGroup;
  readonly key: Key;
  value: V;
  /** Changed since the last freeze; `new` where no freeze holds the key, `gone` where the table does
   * not. */
  dirty: "no" | "changed" | "new" | "gone";
  bytes: number;
}

/** A key that holds nothing. */
interface FreeSlot extends StateSlot<never> {
  readonly key: Key;
  readonly dirty: "gone";
}

interface Tombstone {
  readonly group: KeyGroup;
  readonly key: Key;
  readonly deleted: true;
}

/** All keyed state of one subtask, on the heap. */
export class MemoryStateBackend implements StateBackend {
  readonly freezesInOrder = false;
  readonly holdsRows = false;
  readonly #maxParallelism: number;
  readonly #budget: number;
  readonly #stores = new Map<string, MemoryStateStore>();

  /** `budget` is in bytes of state, as estimated. */
  constructor(options: { readonly maxParallelism: number; readonly budget: number }) {
    this.#maxParallelism = options.maxParallelism;
    this.#budget = options.budget;
  }

  /** Bytes that the state takes, about. */
  get bytes(): number {
    let bytes = 0;
    for (const store of this.#stores.values()) bytes += store.bytes;
    return bytes;
  }

  store(uid: string): MemoryStateStore {
    let store = this.#stores.get(uid);
    if (store === undefined) {
      store = new MemoryStateStore(this.#maxParallelism, uid);
      this.#stores.set(uid, store);
    }
    return store;
  }

  stores(): ReadonlyMap<string, MemoryStateStore> {
    return this.#stores;
  }

  sealed(): void {
    // What was frozen has left as bytes already.
  }

  completed(): void {
    // There are no older versions.
  }

  check(): void {
    const { bytes } = this;
    if (bytes <= this.#budget) return;
    const largest = [...this.#stores].reduce((a, b) => (b[1].bytes > a[1].bytes ? b : a));
    const [uid, store] = largest;
    throw new StateError(
      "STATE_OVER_BUDGET",
      `The state of this subtask takes about ${sizeText(bytes)}, and its budget (state.memoryBudget) ` +
        `is ${sizeText(this.#budget)}. Operator "${uid}" holds ${sizeText(store.bytes)} of it. ` +
        `Raise the parallelism, so that each subtask holds less, or choose the state backend ` +
        `"sqlite", which keeps in memory only what it is working with.`,
      uid,
    );
  }
}

/** The keyed state of one operator of one subtask. */
export class MemoryStateStore implements BackendStore {
  readonly #maxParallelism: number;
  readonly #uid: string;
  readonly #tables = new Map<string, MemoryStateTable<unknown>>();
  readonly #sources = new Map<string, readonly StateSource[]>();

  constructor(maxParallelism: number, uid = "") {
    this.#maxParallelism = maxParallelism;
    this.#uid = uid;
  }

  get bytes(): number {
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += table.bytes;
    return bytes;
  }

  table<V>(name: string, schema?: StateSchema<V>): MemoryStateTable<V> {
    let table = this.#tables.get(name);
    if (table === undefined) {
      const of = schema ?? schemaOf();
      table = new MemoryStateTable<unknown>(this.#maxParallelism, of);
      const place = { uid: this.#uid, state: name };
      for (const source of this.#sources.get(name) ?? []) table.restoreFrom(place, source);
      this.#tables.set(name, table);
    }
    return table as unknown as MemoryStateTable<V>;
  }

  tables(): ReadonlyMap<string, MemoryStateTable<unknown>> {
    return this.#tables;
  }

  restore(name: string, sources: readonly StateSource[]): void {
    this.#sources.set(name, sources);
  }

  restoreRest(): void {
    for (const [name, sources] of this.#sources) {
      this.table(name, schemaOf(sources[0]?.segments[0]?.header.schema));
    }
    this.#sources.clear();
  }
}

export class MemoryStateTable<V> implements BackendTable {
  readonly #maxParallelism: number;
  readonly #schema: StateSchema<V>;
  readonly #entries = new Map<KeyId, Entry<V>>();
  readonly #dirty = new Set<Entry<V>>();
  readonly #removed = new Map<KeyId, Tombstone>();
  /** Of a nested table: the entries by the first half of their keys. */
  readonly #under: Map<KeyId, Set<Entry<V>>> | undefined;
  #sweeping: Iterator<Entry<V>> | undefined;
  #bytes = 0;
  #isUpgraded = false;

  constructor(maxParallelism: number, schema: StateSchema<V>) {
    this.#maxParallelism = maxParallelism;
    this.#schema = schema;
    this.#under = schema.stored.holds === "map" ? new Map() : undefined;
  }

  get schema(): StoredSchema {
    return this.#schema.stored;
  }

  get isUpgraded(): boolean {
    return this.#isUpgraded;
  }

  get size(): number {
    return this.#entries.size;
  }

  get changes(): number {
    return this.#dirty.size + this.#removed.size;
  }

  /** Bytes that keys and values take, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: Key): V | undefined {
    return this.#entries.get(keyId(key))?.value;
  }

  put(key: Key, value: V): void {
    this.putAt(this.slot(key), value);
  }

  slot(key: Key): Entry<V> | FreeSlot {
    const id = keyId(key);
    return this.#entries.get(id) ?? { id, key, value: undefined, dirty: "gone" };
  }

  putAt(slot: Entry<V> | FreeSlot, value: V): void {
    if (slot.dirty === "gone") return this.#putNew(slot, value);
    slot.value = value;
    this.#measure(slot);
    if (slot.dirty === "no") {
      slot.dirty = "changed";
      this.#dirty.add(slot);
    }
  }

  #putNew({ id, key }: Pick<FreeSlot, "id" | "key">, value: V): void {
    const entry = this.#entries.get(id);
    // Since the slot was asked for.
    if (entry !== undefined) return this.putAt(entry, value);
    const tombstone = this.#removed.get(id);
    const group = tombstone?.group ?? this.#groupOf(key);
    this.#removed.delete(id);
    const dirty = tombstone === undefined ? "new" : "changed";
    this.#dirty.add(this.#insert(key, id, group, value, dirty));
  }

  remove(key: Key): void {
    const entry = this.#entries.get(keyId(key));
    if (entry !== undefined) this.#remove(entry);
  }

  *entries(): Generator<[Key, V]> {
    for (const { key, value } of this.#entries.values()) yield [key, value];
  }

  under(key: Key): [Key, V][] {
    const entries = this.#under?.get(keyId(key)) ?? [];
    return Array.from(entries, ({ key: pair, value }) => [(pair as readonly Key[])[1]!, value]);
  }

  sweep(limit: number): void {
    const live = this.#schema.live;
    if (live === undefined) return;
    if (limit >= this.#entries.size) this.#sweeping = undefined;
    for (let i = 0; i < limit; i++) {
      // A Map's iterator goes on over what was added and skips what was removed meanwhile.
      this.#sweeping ??= this.#entries.values();
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = undefined;
        return;
      }
      const entry = next.value;
      const left = live(entry.value);
      if (left === undefined) this.#remove(entry);
      else if (left !== entry.value) this.put(entry.key, left);
    }
  }

  freeze(kind: FreezeKind): readonly SegmentEntry[] {
    if (kind === "full") this.sweep(this.size);
    const frozen: SegmentEntry[] =
      kind === "full" ? [...this.#entries.values()] : [...this.#dirty, ...this.#removed.values()];
    for (const entry of this.#dirty) entry.dirty = "no";
    this.#dirty.clear();
    this.#removed.clear();
    if (kind === "full") this.#isUpgraded = false;
    return frozen;
  }

  /** Applies frozen entries: a full freeze, then the deltas after it. Changes nothing else. */
  restore(entries: Iterable<SegmentEntry>): void {
    for (const entry of entries) {
      if ("deleted" in entry) this.#drop(entry.key);
      else this.#hold(entry.key, entry.group, entry.value as V);
    }
  }

  restoreFrom(
    place: { readonly uid: string; readonly state: string },
    { segments, range }: StateSource,
  ): void {
    for (const segment of segments) {
      const from = segment.header.schema ?? plainSchema;
      if (!mustUpgrade(place, from, this.#schema)) {
        this.restore(segment.entries(range));
        continue;
      }
      this.#isUpgraded = true;
      for (const entry of segment.entries(range)) {
        const value = "deleted" in entry ? undefined : this.#schema.upgrade(entry.value, from);
        if (value === undefined) this.#drop(entry.key);
        else this.#hold(entry.key, entry.group, value);
      }
    }
  }

  #hold(key: Key, group: KeyGroup, value: V): void {
    const id = keyId(key);
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#insert(key, id, group, value, "no");
    } else {
      entry.value = value;
      this.#measure(entry);
    }
  }

  #drop(key: Key): void {
    const entry = this.#entries.get(keyId(key));
    if (entry !== undefined) this.#forget(entry);
  }

  #insert(key: Key, id: KeyId, group: KeyGroup, value: V, dirty: Entry<V>["dirty"]): Entry<V> {
    const entry: Entry<V> = { id: owned(id), group, key: owned(key), value, dirty, bytes: 0 };
    this.#entries.set(entry.id, entry);
    this.#measure(entry);
    if (this.#under !== undefined) {
      const first = keyId((key as readonly Key[])[0]!);
      const members = this.#under.get(first);
      if (members === undefined) this.#under.set(owned(first), new Set([entry]));
      else members.add(entry);
    }
    return entry;
  }

  #remove(entry: Entry<V>): void {
    const { id, group, key, dirty } = entry;
    this.#forget(entry);
    this.#dirty.delete(entry);
    if (dirty !== "new") this.#removed.set(id, { group, key, deleted: true });
  }

  #forget(entry: Entry<V>): void {
    this.#entries.delete(entry.id);
    this.#bytes -= entry.bytes;
    entry.dirty = "gone";
    if (this.#under === undefined) return;
    const first = keyId((entry.key as readonly Key[])[0]!);
    const members = this.#under.get(first)!;
    members.delete(entry);
    if (members.size === 0) this.#under.delete(first);
  }

  #measure(entry: Entry<V>): void {
    const bytes = entryOverhead + approximateBytes(entry.id) + approximateBytes(entry.value);
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  #groupOf(key: Key): KeyGroup {
    return keyGroupOf(
      this.#under === undefined ? key : (key as readonly Key[])[0]!,
      this.#maxParallelism,
    );
  }
}

// A key that is kept must not keep the text of the batch it came in.
const owned = <K extends Key>(key: K): K => (typeof key === "string" ? (ownText(key) as K) : key);
