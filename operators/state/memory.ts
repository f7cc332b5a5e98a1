// The `memory` backend of keyed state: a heap map per table, and the news since the last freeze.
//   S1. Between freezes the bookkeeping is bounded by the keys held and the keys frozen.
//   S4. Of segments that are restored nothing is read before somebody asks for a key, where that can be
//       (unread.ts); what is asked for becomes an entry like any other, as of the freeze that held it.
//   S3. Which keys changed since the full freeze is known from the number of the freeze that last held
//       each, whatever deltas there were; keys that went since are remembered, and others are not.
//   S2. The bytes accounted for are estimated when an entry is put, and again at later puts, of an object
//       at every eighth: the estimate follows the entry, never adds up beside it.
//   S5. What operators have derived from their state counts as well, and goes where there is no room for it.

import { ownText } from "../../format/column.ts";
import { keyId, type Key, type KeyId } from "../../format/key.ts";
import { keyGroupOf, type KeyGroup, type KeyGroupRange } from "../../format/key-groups.ts";
import {
  plainSchema,
  type SegmentEntry,
  type SegmentHeader,
  type StoredSchema,
} from "../../format/segment.ts";
import { sizeText } from "../../format/size-text.ts";
import { StateError } from "../../stream/errors.ts";
import type {
  BackendStore,
  BackendTable,
  FreezeKind,
  StateBackend,
  StateSource,
} from "./backend.ts";
import { dropWithout } from "./derived.ts";
import type { Derived, StateSlot } from "./keyed-state.ts";
import { PackedNumbers, type PackedTable, type Packing } from "./packed.ts";
import { mustUpgrade, schemaOf, type StateSchema } from "./schema.ts";
import { approximateBytes, entryOverhead, isObject, putsUnmeasured } from "./size.ts";
import { mayStayUnread, type Taken, UnreadEntries } from "./unread.ts";

/** A key and what it holds. */
class Entry<V> implements StateSlot<V> {
  readonly id: KeyId;
  readonly key: Key;
  group: KeyGroup;
  /** Changed since the last freeze; `new` where no freeze holds the key, `gone` where the table does
   * not. */
  dirty: "no" | "changed" | "new" | "gone";
  /** The freeze that held it last; 0 for the full one, and for none. */
  frozen = 0;
  /** Whether it is in the list of entries that may be dirty. */
  isListed = false;
  bytes = 0;
  /** Since it was measured. */
  puts = 0;
  mark = 0;
  /** Undefined where the value is packed. */
  held: V | undefined;
  /** Where the value's numbers are. */
  packed: PackedNumbers<V> | undefined = undefined;
  at = 0;

  /** Of a key that holds nothing. */
  constructor(id: KeyId, key: Key) {
    this.id = owned(id);
    // Most keys are their own ids: one text of each is enough.
    this.key = id === key ? (this.id as Key) : owned(key);
    this.group = unknownGroup;
    this.dirty = "gone";
    this.held = undefined;
  }

  get isFree(): boolean {
    return this.dirty === "gone";
  }

  get value(): V | undefined {
    return this.packed === undefined ? this.held : this.packed.read(this.key, this.at);
  }
}

/** Of an entry that was never in its table. */
const unknownGroup = -1 as KeyGroup;

/** Entries that are gone, beside as many as are dirty, before the list is cleared of them (S1). */
const goneListed = 1_024;

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

  check(others: number): void {
    // What is not known exactly is known to be no more.
    if (this.bytes + others > this.#budget)
      for (const store of this.#stores.values()) store.settle();
    const { bytes } = this;
    dropWithout([...this.#stores.values()], this.#budget - bytes - others);
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
  readonly derived: Derived[] = [];

  constructor(maxParallelism: number, uid = "") {
    this.#maxParallelism = maxParallelism;
    this.#uid = uid;
  }

  get bytes(): number {
    let bytes = 0;
    for (const table of this.#tables.values()) bytes += table.bytes;
    return bytes;
  }

  /** From here on `bytes` is as exact as it can be. */
  settle(): void {
    for (const table of this.#tables.values()) table.settle();
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

  derives(derived: Derived): void {
    this.derived.push(derived);
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
  /** Restored entries beside them (S4). */
  #unread: UnreadEntries | undefined;
  /** Every dirty entry, once, and some that are gone. */
  #listed: Entry<V>[] = [];
  #dirty = 0;
  readonly #removed = new Map<KeyId, Tombstone>();
  /** Keys that earlier deltas since the full freeze say are gone. */
  readonly #removedBefore = new Map<KeyId, Tombstone>();
  /** Freezes since the full one. */
  #freezes = 0;
  /** Every entry that one of them held, once, and some that are gone. */
  #since: Entry<V>[] = [];
  #numbers: PackedNumbers<V> | undefined;
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
    return this.#entries.size + (this.#unread?.size ?? 0);
  }

  get changes(): number {
    return this.#dirty + this.#removed.size;
  }

  get mergedChanges(): number {
    const changes = this.changes + (this.#unread?.changes ?? 0) + this.#removedBefore.size;
    let unchanged = 0;
    // Who counts them forgets those that are gone.
    this.#since = this.#since.filter((entry) => {
      if (entry.dirty === "no") unchanged++;
      else if (entry.isFree) entry.frozen = 0;
      return !entry.isFree;
    });
    return changes + unchanged;
  }

  /** Bytes that keys and values take, about; before `settle` they may be fewer. */
  get bytes(): number {
    return this.#bytes + (this.#unread?.bytes ?? 0);
  }

  /** From here on `bytes` is as exact as it can be. */
  settle(): void {
    this.#unread?.settle();
  }

  get(key: Key): V | undefined {
    return this.#find(keyId(key), key)?.value;
  }

  put(key: Key, value: V): void {
    this.putAt(this.slot(key), value);
  }

  slot(key: Key): Entry<V> {
    const id = keyId(key);
    return this.#find(id, key) ?? new Entry(id, key);
  }

  #find(id: KeyId, key: Key): Entry<V> | undefined {
    const entry = this.#entries.get(id);
    if (entry !== undefined || this.#unread === undefined || typeof key !== "string") return entry;
    const taken = this.#unread.take(key);
    if (taken === undefined) return undefined;
    if (this.#unread.size === 0) this.#unread = undefined;
    return this.#read(new Entry(id, key), taken);
  }

  /** What was restored, as an entry that no delta has to hold again. */
  #read(entry: Entry<V>, { group, value, frozen }: Taken): Entry<V> {
    this.#insert(entry, group, "no");
    this.#frozenBy(entry, frozen);
    this.#setHeld(entry, value as V);
    this.#measure(entry);
    return entry;
  }

  #readAll(): void {
    const unread = this.#unread;
    this.#unread = undefined;
    for (const taken of unread?.entries() ?? []) {
      this.#read(new Entry<V>(keyId(taken.key), taken.key), taken);
    }
  }

  putAt(slot: Entry<V>, value: V): void {
    const entry = this.#changing(slot);
    // Measuring an object reads all that hangs on it, which may be more than its function does.
    const isLikeBefore = isObject(value) && isObject(entry.held) && ++entry.puts < putsUnmeasured;
    this.#setHeld(entry, value);
    if (!isLikeBefore) this.#measure(entry);
  }

  packed(packing: Packing<V>): PackedTable<V> | undefined {
    if (this.#schema.live !== undefined) return undefined;
    const numbers = (this.#numbers ??= new PackedNumbers(packing));
    if (numbers.packing.name !== packing.name) return undefined;
    return {
      get numbers() {
        return numbers.numbers;
      },
      expect: () => {},
      slot: (key) => {
        const slot = this.slot(key);
        return this.#pack(slot, numbers) ? slot : undefined;
      },
      isKept: (slot) => !slot.isFree && this.#pack(slot as Entry<V>, numbers),
      change: (slot) => {
        const entry = this.#changing(slot as Entry<V>);
        if (entry.packed === undefined) {
          entry.packed = numbers;
          entry.at = numbers.take();
          this.#measure(entry);
        }
        return entry.at;
      },
      done: () => {},
    };
  }

  /** Packs the value of a key, which does not change it; false where it cannot be. */
  #pack(entry: Entry<V>, numbers: PackedNumbers<V>): boolean {
    if (entry.packed !== undefined || entry.dirty === "gone") return true;
    const at = numbers.take();
    if (!numbers.packing.pack(entry.held, entry.key, numbers.numbers, at)) {
      numbers.giveBack(at);
      return false;
    }
    entry.held = undefined;
    entry.packed = numbers;
    entry.at = at;
    this.#measure(entry);
    return true;
  }

  #setHeld(entry: Entry<V>, value: V | undefined): void {
    entry.packed?.giveBack(entry.at);
    entry.packed = undefined;
    entry.held = value;
  }

  /** The entry of a slot, in the table and marked as changed. */
  #changing(slot: Entry<V>): Entry<V> {
    if (slot.dirty === "no") {
      slot.dirty = "changed";
      this.#list(slot);
      return slot;
    }
    if (slot.dirty !== "gone") return slot;
    const entry = this.#entries.get(slot.id);
    // Since the slot was asked for.
    if (entry !== undefined) return this.#changing(entry);
    const tombstone = this.#removed.get(slot.id);
    this.#removed.delete(slot.id);
    const group = tombstone?.group ?? this.#groupOf(slot.key);
    this.#insert(slot, group, tombstone === undefined ? "new" : "changed");
    this.#list(slot);
    return slot;
  }

  /** An entry is dirty that was not. */
  #list(entry: Entry<V>): void {
    this.#dirty++;
    if (entry.isListed) return;
    entry.isListed = true;
    this.#listed.push(entry);
  }

  /** Held by that freeze; 0 is the full one. */
  #frozenBy(entry: Entry<V>, freeze: number): void {
    if (entry.frozen === 0 && freeze > 0) this.#since.push(entry);
    entry.frozen = freeze;
  }

  /** Takes the entries that are gone off the list; where `frozen` is said, the others as well. */
  #unlist(frozen?: number): Entry<V>[] {
    const listed = this.#listed;
    let count = 0;
    for (const entry of listed) {
      entry.isListed = frozen === undefined && !entry.isFree;
      if (entry.isFree) continue;
      listed[count++] = entry;
      if (frozen === undefined) continue;
      entry.dirty = "no";
      this.#frozenBy(entry, frozen);
    }
    listed.length = count;
    if (frozen === undefined) return listed;
    this.#listed = [];
    this.#dirty = 0;
    return listed;
  }

  remove(key: Key): void {
    const entry = this.#find(keyId(key), key);
    if (entry !== undefined) this.#remove(entry);
  }

  *entries(): Generator<[Key, V]> {
    this.#readAll();
    for (const { key, value } of this.#entries.values()) yield [key, value as V];
  }

  under(key: Key): [Key, V][] {
    const entries = this.#under?.get(keyId(key)) ?? [];
    return Array.from(entries, ({ key: pair, value }) => [
      (pair as readonly Key[])[1]!,
      value as V,
    ]);
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
      const value = entry.value as V;
      const left = live(value);
      if (left === undefined) this.#remove(entry);
      else if (left !== value) this.put(entry.key, left);
    }
  }

  freeze(kind: FreezeKind): readonly SegmentEntry[] {
    if (kind === "full") return this.#freezeAll();
    this.#freezes++;
    const frozen: (Entry<V> | Tombstone)[] = this.#unlist(this.#freezes);
    for (const [id, tombstone] of this.#removed) {
      this.#removedBefore.set(id, tombstone);
      frozen.push(tombstone);
    }
    this.#removed.clear();
    return kind === "delta" ? frozen : this.#merged();
  }

  #freezeAll(): readonly SegmentEntry[] {
    this.sweep(this.size);
    this.#unlist(0);
    const all: (Entry<V> | SegmentEntry)[] = [...this.#entries.values()];
    for (const entry of this.#since) entry.frozen = 0;
    this.#since = [];
    for (const entry of this.#unread?.entries() ?? []) all.push(entry);
    this.#unread?.frozenWhole();
    this.#removed.clear();
    this.#removedBefore.clear();
    this.#freezes = 0;
    this.#isUpgraded = false;
    return all;
  }

  #merged(): SegmentEntry[] {
    const merged: SegmentEntry[] = [];
    for (const entry of this.#since) if (!entry.isFree) merged.push(entry);
    for (const entry of this.#unread?.entries(1) ?? []) merged.push(entry);
    for (const [id, tombstone] of this.#removedBefore) {
      if (!this.#entries.has(id)) merged.push(tombstone);
    }
    return merged;
  }

  /** Applies the entries of a full freeze, or of one after it. */
  restore(entries: Iterable<SegmentEntry>, header?: SegmentHeader): void {
    this.#begins(header);
    for (const entry of entries) {
      if ("deleted" in entry) this.#drop(entry);
      else this.#hold(entry.key, entry.group, entry.value as V);
    }
  }

  restoreFrom(
    place: { readonly uid: string; readonly state: string },
    { segments, range }: StateSource,
  ): void {
    // Of a chain what is not read is what it begins with: entries are newer than all that is not.
    let areUnread = this.#mayStayUnread;
    for (const segment of segments) {
      const from = segment.header.schema ?? plainSchema;
      if (!mustUpgrade(place, from, this.#schema)) {
        areUnread &&= this.#open(segment, range);
        if (!areUnread) this.restore(segment.entries(range), segment.header);
        continue;
      }
      areUnread = false;
      this.#isUpgraded = true;
      for (const entry of segment.entries(range)) {
        const value = "deleted" in entry ? undefined : this.#schema.upgrade(entry.value, from);
        if (value === undefined) this.#drop(entry);
        else this.#hold(entry.key, entry.group, value);
      }
    }
  }

  /** Where entries expire all are looked at, and under the first half of a pair they are looked for. */
  get #mayStayUnread(): boolean {
    return this.#schema.live === undefined && this.#under === undefined;
  }

  /** Keeps a segment unread; false where it has to be read. */
  #open(segment: StateSource["segments"][number], range: KeyGroupRange): boolean {
    const blocks = [...segment.open(range)];
    if (!blocks.every(mayStayUnread)) return false;
    this.#begins(segment.header);
    this.#unread ??= new UnreadEntries((gone) => this.#removedBefore.set(keyId(gone.key), gone));
    this.#unread.add(blocks, this.#freezes, segment.header.continues);
    return true;
  }

  /** A delta is a freeze of its own, unless it continues one. */
  #begins(header: SegmentHeader | undefined): void {
    if (header?.kind === "delta" && !header.continues) this.#freezes++;
  }

  #hold(key: Key, group: KeyGroup, value: V): void {
    if (typeof key === "string") this.#unread?.drop(key);
    const entry = this.slot(key);
    if (entry.dirty === "gone") this.#insert(entry, group, "no");
    this.#frozenBy(entry, this.#freezes);
    this.#setHeld(entry, value);
    this.#measure(entry);
  }

  #drop({ key, group }: Pick<SegmentEntry, "key" | "group">): void {
    const id = keyId(key);
    if (typeof key === "string") this.#unread?.drop(key);
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#forget(entry);
    if (this.#freezes > 0) this.#removedBefore.set(id, { group, key, deleted: true });
  }

  #insert(entry: Entry<V>, group: KeyGroup, dirty: Entry<V>["dirty"]): void {
    entry.group = group;
    entry.dirty = dirty;
    this.#entries.set(entry.id, entry);
    if (this.#under === undefined) return;
    const first = keyId((entry.key as readonly Key[])[0]!);
    const members = this.#under.get(first);
    if (members === undefined) this.#under.set(owned(first), new Set([entry]));
    else members.add(entry);
  }

  #remove(entry: Entry<V>): void {
    const { id, group, key, dirty } = entry;
    this.#forget(entry);
    if (dirty !== "no") this.#dirty--;
    if (dirty !== "new") this.#removed.set(id, { group, key, deleted: true });
    if (this.#listed.length > 2 * this.#dirty + goneListed) this.#unlist();
  }

  #forget(entry: Entry<V>): void {
    this.#entries.delete(entry.id);
    this.#bytes -= entry.bytes;
    entry.bytes = 0;
    entry.dirty = "gone";
    this.#setHeld(entry, undefined);
    if (this.#under === undefined) return;
    const first = keyId((entry.key as readonly Key[])[0]!);
    const members = this.#under.get(first)!;
    members.delete(entry);
    if (members.size === 0) this.#under.delete(first);
  }

  #measure(entry: Entry<V>): void {
    const { id, packed, held } = entry;
    const value = packed === undefined ? approximateBytes(held) : 8 * packed.packing.width;
    const bytes = entryOverhead + approximateBytes(id) + value;
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
    entry.puts = 0;
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
