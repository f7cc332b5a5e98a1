// The `sqlite` backend of keyed state: sorted runs of rows in the object's own SQLite behind a write-back
// cache, for state beyond memory. `sqlite-rows.ts` has the rows and their versions.
//   Q1. The cache holds at most its budget, but for one batch of evictions; what was asked for last stays
//       longest, about, and longer what was asked for time and again.
//   Q2. A changed entry is written when it is evicted, with others, or at the barrier: never one by
//       one as records come.
//   Q4. Entries of keys that are known to come are read together, where those of the keys before them had
//       to be read; what was read in vain costs a look-up and nothing else.
//   Q3. After the flush of a barrier rows and cache agree, so what is frozen is read from the rows, or
//       from the cache where that has all of it.

import { ownText } from "../../format/column.ts";
import { CellRoom, decodeCell, encodeCell } from "../../format/cell.ts";
import type { CheckpointId } from "../../format/ids.ts";
import { isKey, keyId, type Key, type KeyId } from "../../format/key.ts";
import { type KeyGroupRange, rangeHas } from "../../format/key-groups.ts";
import { plainSchema, type SegmentEntry, type StoredSchema } from "../../format/segment.ts";
import type { SqlDatabase } from "../../format/sql.ts";
import { StateStorageError } from "../rejection.ts";
import type {
  BackendStore,
  BackendTable,
  FreezeKind,
  FrozenEntries,
  StateBackend,
  StateSource,
} from "./backend.ts";
import { dropWithout } from "./derived.ts";
import type { Derived, StateSlot } from "./keyed-state.ts";
import { mustUpgrade, schemaOf, type StateSchema } from "./schema.ts";
import { approximateBytes, isObject, putsUnmeasured } from "./size.ts";
import type { Row } from "./run-block.ts";
import { groupOfRow, inOrder, keyOfRow, pairKey, rowKey } from "./row-key.ts";
import { RowsRestore } from "./rows-restore.ts";
import { type FrozenRows, type RowsOwner, StateRows, type StoredTable } from "./sqlite-rows.ts";

/**
 * Bytes of a cached entry beside its key and value: two map slots, the entry, the clock's slot. With them an
 * entry is counted at what it takes and up to 17 % more (measured in Node, 2026-11-23).
 */
const cachedOverhead = 192;
/** Entries that are not dirty any more, beside as many as are, before the list is cleared of them. */
const cleanListed = 1_024;
/** Times that the clock's hand passes an entry, at most. */
const staysMax = 3;
/** Of the budget, what entries may take however much memory it takes to find rows. */
const entriesShareMin = 0.25;

interface Cached {
  readonly table: SqliteStateTable<unknown>;
  readonly id: KeyId;
  readonly key: Key;
  /** Undefined where the entry is absent: that is known, and worth remembering. */
  value: unknown;
  isPresent: boolean;
  /** Whether the newest row has a value. */
  isStored: boolean;
  isDirty: boolean;
  /** Whether it is in its table's list of dirty entries. */
  isListed: boolean;
  /** How often the clock's hand is to pass it: the more often it was asked for since it last did. */
  stays: number;
  bytes: number;
  /** Since it was measured. */
  puts: number;
}

export interface SqliteStateOptions extends RowsOwner {
  readonly database: SqlDatabase;
  /** Bytes that cached entries may take, as estimated. */
  readonly budget: number;
  /** The checkpoint to begin at; 0 for none. */
  readonly checkpoint: number;
  /** Whether the rows hold that checkpoint: then they are rolled back to it, else emptied. */
  readonly isHeld: boolean;
}

/** All keyed state of one subtask, in SQLite. */
export class SqliteStateBackend implements StateBackend {
  readonly freezesInOrder = true;
  readonly holdsRows = true;
  readonly maxParallelism: number;
  readonly rows: StateRows;
  readonly #budget: number;
  readonly #stores = new Map<string, SqliteStateStore>();
  readonly #known: StoredTable[];
  /** Every cached entry, in the order in which the clock's hand comes to them. */
  #clock: Cached[] = [];
  #bytes = 0;
  /** Bytes that operators have derived. */
  #derived = 0;

  constructor(options: SqliteStateOptions) {
    const { database, budget, checkpoint, isHeld, range, maxParallelism } = options;
    this.maxParallelism = maxParallelism;
    this.#budget = budget;
    this.rows = new StateRows(named(database), { range, maxParallelism }, checkpoint, isHeld);
    this.#known = this.rows.tables();
    for (const { uid } of this.#known) this.store(uid);
  }

  /** Bytes that cached entries take, about. */
  get cachedBytes(): number {
    return this.#bytes;
  }

  store(uid: string): SqliteStateStore {
    let store = this.#stores.get(uid);
    if (store === undefined) {
      store = new SqliteStateStore(this, uid);
      this.#stores.set(uid, store);
    }
    return store;
  }

  stores(): ReadonlyMap<string, SqliteStateStore> {
    return this.#stores;
  }

  sealed(checkpoint: CheckpointId): void {
    const counts: Record<string, number> = {};
    for (const store of this.#stores.values()) {
      for (const table of store.tables().values()) {
        table.flush();
        counts[table.number] = table.size;
      }
    }
    this.rows.sealed(checkpoint, counts);
  }

  completed(checkpoint: CheckpointId): void {
    this.rows.completed(checkpoint);
  }

  get bytes(): number {
    return 0;
  }

  check(): void {
    // What does not fit the cache is in its rows, which are put in order meanwhile. Of the budget half
    // is left to it.
    this.#derived = dropWithout([...this.#stores.values()], this.#budget / 2);
    if (this.#bytes > this.#room) this.#evict();
    this.rows.advance();
  }

  // Of the tables.

  /** The tables of an operator that have rows. */
  knownOf(uid: string): StoredTable[] {
    return this.#known.filter((table) => table.uid === uid);
  }

  remember(uid: string, state: string, schema: StoredSchema): StoredTable {
    const at = this.#known.findIndex((table) => table.uid === uid && table.state === state);
    const id = at === -1 ? this.#known.length + 1 : this.#known[at]!.id;
    const table = { id, uid, state, schema };
    this.#known.splice(at === -1 ? this.#known.length : at, 1, table);
    this.rows.putTable(table);
    return table;
  }

  /**
   * Takes segments of a state before any operator asks for it, of these key groups. Until `loaded` the
   * rows are of no use to anybody else.
   */
  restorer(uid: string, state: string, schema: StoredSchema, range: KeyGroupRange): RowsRestore {
    this.store(uid);
    const known = this.#known.find((table) => table.uid === uid && table.state === state);
    const table = known ?? this.remember(uid, state, schema);
    const { holds, version, ttl } = table.schema;
    if (schema.holds !== holds || schema.version !== version || schema.ttl !== ttl) {
      throw new Error(`State "${state}" of operator "${uid}" is stored under two schemas.`);
    }
    this.rows.loading();
    const { maxParallelism } = this;
    return new RowsRestore(this.rows, table, { range, maxParallelism });
  }

  /** The rows hold all of the checkpoint. */
  loaded(): void {
    this.rows.loaded();
  }

  /** An entry has come into the cache. */
  cached(entry: Cached): void {
    this.#clock.push(entry);
    this.resized(entry);
    if (this.#bytes > this.#room) this.#evict(entry);
  }

  /** An entry has another value. */
  resized(entry: Cached): void {
    const bytes = cachedOverhead + approximateBytes(entry.id) + approximateBytes(entry.value);
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
    entry.puts = 0;
  }

  /** An entry has changed. */
  dirtied(entry: Cached): void {
    if (this.#bytes > this.#room) this.#evict(entry);
  }

  /** Bytes that entries may take now. */
  get #room(): number {
    const taken = this.rows.bytes + this.#derived;
    return Math.max(this.#budget - taken, entriesShareMin * this.#budget);
  }

  /** Makes room by a good deal, so that it is not needed soon again. `inUse` stays. */
  #evict(inUse?: Cached): void {
    const target = this.#room - this.#room / 8;
    const evicted = new Map<Cached["table"], Cached[]>();
    const evict = (entry: Cached): void => {
      this.#bytes -= entry.bytes;
      const { table, isDirty } = entry;
      if (isDirty) {
        const of = evicted.get(table);
        if (of === undefined) evicted.set(table, [entry]);
        else of.push(entry);
      }
      table.forget(entry);
    };
    // The hand goes round until there is room: an entry stays as often as it may, the one in use always.
    let queue = this.#clock;
    for (let passes = 0; this.#bytes > target && passes <= staysMax; passes++) {
      const again: Cached[] = [];
      let at = 0;
      for (; this.#bytes > target && at < queue.length; at++) {
        const entry = queue[at]!;
        if (entry.stays <= 0 && entry !== inUse) {
          evict(entry);
          continue;
        }
        entry.stays--;
        again.push(entry);
      }
      queue = queue.slice(at).concat(again);
    }
    this.#clock = queue;
    for (const [table, entries] of evicted) table.write(entries);
  }
}

/** The same database, whose errors cannot be taken for those of user code that asks for state. */
function named(database: SqlDatabase): SqlDatabase {
  const naming = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw error instanceof StateStorageError ? error : new StateStorageError(error);
    }
  };
  return {
    exec: (query, ...bindings) => naming(() => database.exec(query, ...bindings)),
    transaction: (work) => naming(() => database.transaction(work)),
  };
}

/** The keyed state of one operator of one subtask. */
export class SqliteStateStore implements BackendStore {
  readonly #backend: SqliteStateBackend;
  readonly #uid: string;
  readonly #tables = new Map<string, SqliteStateTable<unknown>>();
  readonly #sources = new Map<string, readonly StateSource[]>();
  readonly derived: Derived[] = [];

  constructor(backend: SqliteStateBackend, uid: string) {
    this.#backend = backend;
    this.#uid = uid;
  }

  table<V>(name: string, schema?: StateSchema<V>): SqliteStateTable<V> {
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = this.#open(name, schema ?? schemaOf());
      this.#tables.set(name, table);
    }
    return table as unknown as SqliteStateTable<V>;
  }

  derives(derived: Derived): void {
    this.derived.push(derived);
  }

  tables(): ReadonlyMap<string, SqliteStateTable<unknown>> {
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
    for (const { state, schema } of this.#backend.knownOf(this.#uid)) {
      this.table(state, schemaOf(schema));
    }
  }

  #open(name: string, schema: StateSchema<unknown>): SqliteStateTable<unknown> {
    const place = { uid: this.#uid, state: name };
    const known = this.#backend.knownOf(this.#uid).find(({ state }) => state === name);
    const from = known?.schema ?? schema.stored;
    const mustMigrate = mustUpgrade(place, from, schema);
    if (mustMigrate && known !== undefined) this.#backend.rows.migrates(known.id, from);
    const { id } = this.#backend.remember(this.#uid, name, schema.stored);
    const table = new SqliteStateTable(this.#backend, id, schema);
    for (const source of this.#sources.get(name) ?? []) table.restoreFrom(place, source);
    table.recount();
    if (mustMigrate) table.upgrade(from);
    return table;
  }
}

export class SqliteStateTable<V> implements BackendTable {
  readonly #backend: SqliteStateBackend;
  readonly #table: number;
  readonly #schema: StateSchema<V>;
  readonly #cached = new Map<KeyId, Cached>();
  /** Of a nested table: what is cached by the first half of its keys. */
  readonly #under: Map<KeyId, Set<Cached>> | undefined;
  /** The entry that was asked for last, while it is in the cache: what is read is often put next. */
  #latest: Cached | undefined;
  /** Every dirty entry, and some that are not any more. */
  #listed: Cached[] = [];
  #dirty = 0;
  #sweeping: Generator<{ k: Uint8Array; v: Uint8Array }> | undefined;
  #sweepingCached: Iterator<Cached> | undefined;
  #size = 0;
  #changes = 0;
  /** Since the last `prefetch`, or in it: entries that were not in the cache. */
  #missed = 0;
  /** Whether anything was asked for since. */
  #isAsked = false;
  #isUpgraded = false;

  constructor(backend: SqliteStateBackend, table: number, schema: StateSchema<V>) {
    this.#backend = backend;
    this.#table = table;
    this.#schema = schema;
    this.#under = schema.stored.holds === "map" ? new Map() : undefined;
  }

  get schema(): StoredSchema {
    return this.#schema.stored;
  }

  /** By which its rows know it. */
  get number(): number {
    return this.#table;
  }

  get isUpgraded(): boolean {
    return this.#isUpgraded;
  }

  get size(): number {
    return this.#size;
  }

  get changes(): number {
    return this.#changes;
  }

  get mergedChanges(): number {
    return (this.#rows.changes(this.#table) ?? Infinity) + this.#dirty;
  }

  get(key: Key): V | undefined {
    return this.#load(key).value as V | undefined;
  }

  // An entry may leave the cache before its slot is used, so a slot is no more than its key.
  slot(key: Key): StateSlot<V> {
    const { id, value, isPresent } = this.#load(key);
    return { id, key, value: value as V | undefined, isFree: !isPresent, mark: 0 };
  }

  putAt({ key }: StateSlot<V>, value: V): void {
    this.put(key, value);
  }

  put(key: Key, value: V): void {
    const entry = this.#load(key);
    if (!entry.isPresent) this.#size++;
    const isLikeBefore = isObject(value) && isObject(entry.value) && ++entry.puts < putsUnmeasured;
    entry.isPresent = true;
    entry.value = value;
    if (!isLikeBefore) this.#backend.resized(entry);
    this.#changed(entry);
  }

  remove(key: Key): void {
    const entry = this.#load(key);
    if (!entry.isPresent) return;
    this.#size--;
    entry.isPresent = false;
    entry.value = undefined;
    this.#backend.resized(entry);
    // What has no row needs none to be gone.
    if (entry.isStored) this.#changed(entry);
    else this.#cleaned(entry);
  }

  prefetch(keys: Iterable<Key>): void {
    // Keys of a nested table are pairs, of which these are the first halves.
    const isOfUse = this.#isAsked && this.#missed > 0 && this.#under === undefined;
    this.#isAsked = false;
    this.#missed = 0;
    if (!isOfUse) return;
    const missing = new Map<KeyId, Key>();
    for (const key of keys) {
      // What is no key is found where it is asked for.
      if (!isKey(key)) continue;
      const id = keyId(key);
      const known = this.#cached.get(id);
      if (known === undefined) missing.set(id, key);
      else if (known.stays < staysMax) known.stays++;
    }
    this.#missed = missing.size;
    const keysOfRows = Array.from(missing.values(), (key) => this.#rowKey(key));
    const rows = this.#rows.getAll(this.#table, keysOfRows);
    let at = 0;
    // It is asked for by its turn, which does not count as another time.
    for (const [id, key] of missing) this.#admit(id, key, rows[at++]).stays = -1;
  }

  *entries(): Generator<[Key, V]> {
    this.flush();
    for (const { k, v } of this.#rows.scan(this.#table)) yield [keyOfRow(k), decodeCell(v) as V];
  }

  under(key: Key): [Key, V][] {
    const prefix = pairKey(key, this.#backend.maxParallelism);
    const entries: [Key, V][] = [];
    const cached = this.#under?.get(keyId(key)) ?? [];
    for (const { key: pair, value, isPresent } of cached) {
      if (isPresent) entries.push([secondOf(pair), value as V]);
    }
    for (const { k, v } of this.#rows.under(this.#table, prefix)) {
      const pair = keyOfRow(k);
      if (!this.#cached.has(keyId(pair))) entries.push([secondOf(pair), decodeCell(v) as V]);
    }
    return entries;
  }

  sweep(limit: number): void {
    const { live } = this.#schema;
    if (live === undefined) return;
    for (let i = 0; i < limit; i++) {
      this.#sweepingCached ??= this.#cached.values();
      const next = this.#sweepingCached.next();
      if (next.done === true) {
        this.#sweepingCached = undefined;
        break;
      }
      if (next.value.isPresent) this.#outlive(next.value.key, next.value.value as V);
    }
    for (let i = 0; i < limit; i++) {
      this.#sweeping ??= this.#rows.scan(this.#table);
      const next = this.#sweeping.next();
      if (next.done === true) {
        this.#sweeping = undefined;
        break;
      }
      // What was read ahead may have been written since: what looks expired is read again.
      const key = keyOfRow(next.value.k);
      const read = decodeCell(next.value.v) as V;
      if (this.#cached.has(keyId(key)) || live(read) === read) continue;
      const current = this.get(key);
      if (current !== undefined) this.#outlive(key, current);
    }
  }

  freeze(kind: FreezeKind): FrozenEntries {
    const isAllCached = kind === "delta" && !this.#rows.hasWritten(this.#table);
    const flushed = this.flush();
    this.#changes = 0;
    const rows = this.#rows;
    if (isAllCached) return this.#cachedDelta(flushed);
    if (kind === "delta") return frozenOf(rows.written(this.#table), entryOf);
    if (kind === "merged") return frozenOf(rows.changed(this.#table), entryOf);
    this.#isUpgraded = false;
    rows.frozenWhole(this.#table);
    return frozenOf(rows.all(this.#table), (row) => this.#liveEntryOf(row));
  }

  // Of the backend and the store.

  /** Writes what has changed; answers it in order. */
  flush(): readonly WrittenEntry[] {
    const dirty = this.#listed.filter(({ isDirty }) => isDirty);
    for (const entry of this.#listed) entry.isListed = false;
    this.#listed = [];
    return this.write(dirty);
  }

  write(entries: readonly Cached[]): readonly WrittenEntry[] {
    const room = new CellRoom();
    const written = inOrder(
      entries.map((entry) => ({
        k: this.#rowKey(entry.key),
        v: entry.isPresent ? encodeCell(entry.value, room) : null,
        entry,
      })),
    );
    this.#rows.write(this.#table, written);
    for (const entry of entries) {
      this.#cleaned(entry);
      entry.isStored = entry.isPresent;
    }
    return written;
  }

  /** The entry leaves the cache. */
  forget(entry: Cached): void {
    this.#cached.delete(entry.id);
    if (this.#latest === entry) this.#latest = undefined;
    if (this.#under === undefined) return;
    const first = keyId((entry.key as readonly Key[])[0]!);
    const members = this.#under.get(first)!;
    members.delete(entry);
    if (members.size === 0) this.#under.delete(first);
  }

  restoreFrom(
    place: { readonly uid: string; readonly state: string },
    { segments, range }: StateSource,
  ): void {
    const { maxParallelism } = this.#backend;
    const about = { id: this.#table, ...place, schema: this.schema };
    const restore = new RowsRestore(this.#rows, about, { range, maxParallelism });
    let freeze = -1;
    segments.forEach((segment, at) => {
      const from = segment.header.schema ?? plainSchema;
      const mustMigrate = mustUpgrade(place, from, this.#schema);
      if (mustMigrate) this.#isUpgraded = true;
      const upgrade = mustMigrate && ((stored: unknown) => this.#schema.upgrade(stored, from));
      if (!segment.header.continues) freeze++;
      const entries = rowsFrom(segments, at, range);
      restore.add(segment, { freeze, entries, upgrade: upgrade || undefined });
    });
    restore.done();
  }

  recount(): void {
    this.#size = this.#rows.count(this.#table);
  }

  /** Upgrades what the rows hold. */
  upgrade(from: StoredSchema): void {
    this.#isUpgraded = true;
    for (const [key, stored] of this.entries()) {
      const value = this.#schema.upgrade(stored, from);
      if (value === undefined) this.remove(key);
      else this.put(key, value);
    }
  }

  /** What is left of a row's value; undefined where all of it has expired. */
  #liveEntryOf({ k, v }: Row): SegmentEntry | undefined {
    const { live } = this.#schema;
    const stored = decodeCell(v!) as V;
    const value = live === undefined ? stored : live(stored);
    if (live !== undefined && value === undefined) return undefined;
    return { group: groupOfRow(k), key: keyOfRow(k), value };
  }

  /** What was flushed, without reading it again. */
  *#cachedDelta(flushed: readonly WrittenEntry[]): Generator<SegmentEntry> {
    for (const { k, v, entry } of flushed) {
      const group = groupOfRow(k);
      if (v !== null) yield { group, key: entry.key, value: entry.value };
      else if (this.#rows.hasHeld(this.#table, k)) yield { group, key: entry.key, deleted: true };
    }
  }

  #outlive(key: Key, value: V): void {
    const left = this.#schema.live?.(value);
    if (left === undefined) this.remove(key);
    else if (left !== value) this.put(key, left);
  }

  #load(key: Key): Cached {
    const latest = this.#latest;
    this.#isAsked = true;
    if (typeof key === "string" && latest?.key === key) return latest;
    const id = keyId(key);
    const known = this.#cached.get(id);
    if (known !== undefined) {
      if (known.stays < 1) known.stays++;
      return (this.#latest = known);
    }
    this.#missed++;
    return (this.#latest = this.#admit(id, key, this.#rows.get(this.#table, this.#rowKey(key))));
  }

  /** Takes an entry into the cache as it was read; nothing where there is none. */
  #admit(id: KeyId, key: Key, stored: Uint8Array | undefined): Cached {
    const isPresent = stored !== undefined;
    const ownId = owned(id);
    const entry: Cached = {
      table: this as unknown as SqliteStateTable<unknown>,
      id: ownId,
      key: id === key ? ownId : owned(key),
      value: isPresent ? decodeCell(stored) : undefined,
      isPresent,
      isStored: isPresent,
      isDirty: false,
      isListed: false,
      stays: 0,
      bytes: 0,
      puts: 0,
    };
    this.#cached.set(entry.id, entry);
    if (this.#under !== undefined) {
      const first = keyId((key as readonly Key[])[0]!);
      const members = this.#under.get(first);
      if (members === undefined) this.#under.set(owned(first), new Set([entry]));
      else members.add(entry);
    }
    this.#backend.cached(entry);
    return entry;
  }

  #changed(entry: Cached): void {
    this.#changes++;
    if (!entry.isDirty) {
      entry.isDirty = true;
      this.#dirty++;
      if (!entry.isListed) this.#list(entry);
    }
    this.#backend.dirtied(entry);
  }

  #list(entry: Cached): void {
    entry.isListed = true;
    this.#listed.push(entry);
    if (this.#listed.length < 2 * this.#dirty + cleanListed) return;
    // Those that were written since, of which most have left the cache.
    for (const listed of this.#listed) listed.isListed = listed.isDirty;
    this.#listed = this.#listed.filter(({ isDirty }) => isDirty);
  }

  /** The entry is as its rows are, after all. */
  #cleaned(entry: Cached): void {
    if (entry.isDirty) this.#dirty--;
    entry.isDirty = false;
  }

  #rowKey(key: Key): Uint8Array {
    const first = this.#under === undefined ? key : (key as readonly Key[])[0]!;
    return rowKey(key, first, this.#backend.maxParallelism);
  }

  get #rows(): StateRows {
    return this.#backend.rows;
  }
}

/** Rows of the segment at `at` and of those that continue it; undefined where that is not known. */
function rowsFrom(
  segments: StateSource["segments"],
  at: number,
  range: StateSource["range"],
): number | undefined {
  let rows = 0;
  for (let next = at; next === at || segments[next]?.header.continues; next++) {
    const { blocks } = segments[next]!;
    if (blocks === undefined) return undefined;
    for (const block of blocks) if (rangeHas(range, block.group)) rows += block.rows;
  }
  return rows;
}

/** A row that was written, and its entry. */
interface WrittenEntry extends Row {
  readonly entry: Cached;
}

function frozenOf(
  rows: FrozenRows,
  entryOf: (row: Row) => SegmentEntry | undefined,
): FrozenEntries {
  function* entries(): Generator<SegmentEntry> {
    for (const row of rows) {
      const entry = entryOf(row);
      if (entry !== undefined) yield entry;
    }
  }
  return {
    bytes: rows.bytes,
    [Symbol.iterator]: entries,
    keep: () => ({ [Symbol.iterator]: entries, release: rows.keep() }),
  };
}

function entryOf({ k, v }: Row): SegmentEntry {
  const of = { group: groupOfRow(k), key: keyOfRow(k) };
  return v === null ? { ...of, deleted: true } : { ...of, value: decodeCell(v) };
}

const secondOf = (pair: Key): Key => (pair as readonly Key[])[1]!;

// A key that is kept must not keep the text of the batch it came in.
const owned = <K extends Key>(key: K): K => (typeof key === "string" ? (ownText(key) as K) : key);
