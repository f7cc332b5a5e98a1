// The states of a process function over the tables they are kept in. Each is one object for the
// operator's life and reads and writes the entry of the current row's key.
//   P1. What is empty is removed: no table ever holds an empty list, and a map is its entries.
//   P2. Where values expire, what is stored is a pair of the value and the time it expires at: per
//       value, per element of a list, per entry of a map. An expired value is as good as absent, and
//       is removed by whoever comes across it.
//   P3. What was handed out is never changed: the function may have emitted it, and rows are encoded
//       later.
//   P4. Where a row may have to be undone, no value that a table holds is changed in place but a list
//       that grows, and the journal knows its length.

import type { Key } from "../format/key.ts";
import type { StoredSchema } from "../format/segment.ts";
import type { Aggregate } from "../stream/aggregates.ts";
import { UserCodeError } from "../stream/errors.ts";
import type {
  AggregatingState,
  ListState,
  MapState,
  ReducingState,
  StateDescriptor,
  ValueState,
} from "../stream/state.ts";
import type { Journal } from "./journal.ts";
import type { KeyedStateStore, StateTable } from "./state/keyed-state.ts";
import type { StateSchema } from "./state/schema.ts";

/** Whose entry is meant, and when it is. */
export interface Current {
  readonly uid: string;
  readonly key: Key;
  /** Where a row may have to be undone: what its states change is noted here by their tables. */
  readonly journal?: Journal | undefined;
  now(this: void): number;
}

/** A state as the function sees it, and the table behind it. */
export interface BoundState {
  readonly state: object;
  readonly table: StateTable<unknown>;
  readonly expires: boolean;
}

export function bindState(
  name: string,
  descriptor: StateDescriptor,
  current: Current,
  store: KeyedStateStore,
): BoundState {
  const lifetime = lifetimeOf(descriptor.ttl, current);
  const table = store.table(name, schemaFor(name, descriptor, lifetime, current));
  const state = stateOf(descriptor, current, table, lifetime);
  return { state, table, expires: descriptor.ttl !== undefined };
}

function stateOf(
  descriptor: StateDescriptor,
  current: Current,
  table: StateTable<unknown>,
  lifetime: Lifetime,
): object {
  const cell = new Cell(current, table, lifetime);
  switch (descriptor.kind) {
    case "value":
      return new CurrentValue(cell, descriptor.initial);
    case "list":
      return new CurrentList(current, table as StateTable<unknown[]>, lifetime);
    case "map":
      return new CurrentMap(current, table, lifetime);
    case "reducing":
      return new CurrentFold(cell, descriptor);
    case "aggregating":
      return new CurrentAggregate(cell, descriptor.aggregate, current.journal !== undefined);
  }
}

// Expiry.

type Expiring = readonly [value: unknown, expiresAt: number];

/** How values are stored, and whether one that is stored still counts. */
interface Lifetime {
  wrap(this: void, value: unknown): unknown;
  unwrap(this: void, stored: unknown): unknown;
  isLive(this: void, stored: unknown): boolean;
}

const immortal: Lifetime = {
  wrap: (value) => value,
  unwrap: (stored) => stored,
  isLive: () => true,
};

const lifetimeOf = (ttl: number | undefined, { now }: Current): Lifetime =>
  ttl === undefined
    ? immortal
    : {
        wrap: (value): Expiring => [value, now() + ttl],
        unwrap: (stored) => (stored as Expiring)[0],
        isLive: (stored) => now() < (stored as Expiring)[1],
      };

function schemaFor(
  state: string,
  descriptor: StateDescriptor,
  lifetime: Lifetime,
  { uid, now }: Current,
): StateSchema<unknown> {
  const { kind, ttl, version } = descriptor;
  const migrated = (value: unknown, from: number): unknown => {
    if (from === version) return value;
    try {
      return descriptor.migrate?.(value, from);
    } catch (error) {
      throw new UserCodeError(uid, `migrate of state "${state}"`, undefined, error);
    }
  };
  /** Undefined where the value has expired. A value that did not expire begins to live now. */
  const upgraded = (stored: unknown, from: StoredSchema): unknown => {
    if (!from.ttl) return lifetime.wrap(migrated(stored, from.version));
    const [value, expiresAt] = stored as Expiring;
    if (now() >= expiresAt) return undefined;
    const today = migrated(value, from.version);
    return ttl === undefined ? today : [today, expiresAt];
  };
  const live = (stored: unknown): unknown => (lifetime.isLive(stored) ? stored : undefined);
  const ofList = {
    upgrade: (list: unknown, from: StoredSchema) =>
      filled(
        (list as readonly unknown[])
          .filter((element) => !from.ttl || now() < (element as Expiring)[1])
          .map((element) => upgraded(element, from)),
      ),
    live: (list: unknown) => {
      const elements = list as readonly unknown[];
      if (elements.every(lifetime.isLive)) return list;
      return filled(elements.filter(lifetime.isLive));
    },
  };
  const { upgrade, live: liveOf } = kind === "list" ? ofList : { upgrade: upgraded, live };
  return {
    stored: { holds: kind, version, ttl: ttl !== undefined },
    migrates: descriptor.migrate !== undefined,
    upgrade,
    ...(ttl !== undefined && { live: liveOf }),
  };
}

const filled = (list: readonly unknown[]): readonly unknown[] | undefined =>
  list.length === 0 ? undefined : list;

// The kinds.

/** The one value that a state other than a list or a map has for the current key. */
class Cell {
  readonly #current: Current;
  readonly #table: StateTable<unknown>;
  readonly #lifetime: Lifetime;

  constructor(current: Current, table: StateTable<unknown>, lifetime: Lifetime) {
    this.#current = current;
    this.#table = table;
    this.#lifetime = lifetime;
  }

  get(): unknown {
    const stored = this.#table.get(this.#current.key);
    if (stored === undefined) return undefined;
    if (this.#lifetime.isLive(stored)) return this.#lifetime.unwrap(stored);
    this.clear();
    return undefined;
  }

  set(value: unknown): void {
    this.#table.put(this.#current.key, this.#lifetime.wrap(value));
  }

  clear(): void {
    this.#table.remove(this.#current.key);
  }
}

class CurrentValue implements ValueState<unknown> {
  readonly #cell: Cell;
  readonly #initial: unknown;

  constructor(cell: Cell, initial: unknown) {
    this.#cell = cell;
    this.#initial = initial;
  }

  get(): unknown {
    const value = this.#cell.get();
    return value === undefined ? this.#initial : value;
  }

  set(value: unknown): void {
    if (value === undefined) this.#cell.clear();
    else this.#cell.set(value);
  }

  clear(): void {
    this.#cell.clear();
  }
}

class CurrentFold implements ReducingState<unknown> {
  readonly #cell: Cell;
  readonly #fn: { reduce(left: unknown, right: unknown): unknown };

  constructor(cell: Cell, fn: { reduce(left: unknown, right: unknown): unknown }) {
    this.#cell = cell;
    this.#fn = fn;
  }

  get(): unknown {
    return this.#cell.get();
  }

  add(value: unknown): void {
    const held = this.#cell.get();
    const folded = held === undefined ? value : this.#fn.reduce(held, value);
    if (folded === undefined) {
      throw new TypeError("reducingState must hold a value, got undefined");
    }
    this.#cell.set(folded);
  }

  clear(): void {
    this.#cell.clear();
  }
}

class CurrentAggregate implements AggregatingState<never, unknown> {
  readonly #cell: Cell;
  readonly #aggregate: Aggregate;
  readonly #copies: boolean;

  /** `copies`: `add` may change the accumulator in place, and what is held must not change (P4). */
  constructor(cell: Cell, aggregate: Aggregate, copies: boolean) {
    this.#cell = cell;
    this.#aggregate = aggregate;
    this.#copies = copies;
  }

  get(): unknown {
    const accumulator = this.#cell.get();
    return accumulator === undefined ? undefined : this.#aggregate.result(accumulator);
  }

  add(value: never): void {
    const held = this.#cell.get();
    const accumulator = this.#copies ? structuredClone(held) : held;
    this.#cell.set(this.#aggregate.add(accumulator ?? this.#aggregate.create(), value));
  }

  clear(): void {
    this.#cell.clear();
  }
}

class CurrentList implements ListState<unknown> {
  readonly #current: Current;
  readonly #table: StateTable<unknown[]>;
  readonly #lifetime: Lifetime;
  /** Lists that the function has seen: an addition to one of them makes a new one (P3). */
  readonly #shown = new WeakSet<readonly unknown[]>();

  constructor(current: Current, table: StateTable<unknown[]>, lifetime: Lifetime) {
    this.#current = current;
    this.#table = table;
    this.#lifetime = lifetime;
  }

  get(): readonly unknown[] {
    const held = this.#held();
    if (held === undefined) return [];
    if (this.#lifetime !== immortal) {
      return held.filter(this.#lifetime.isLive).map(this.#lifetime.unwrap);
    }
    this.#shown.add(held);
    return held;
  }

  add(...values: readonly unknown[]): void {
    if (values.length === 0) return;
    const held = this.#held();
    const added = values.map(this.#lifetime.wrap);
    if (held === undefined || this.#shown.has(held)) {
      this.#table.put(this.#current.key, [...(held ?? []), ...added]);
      return;
    }
    const { key, journal } = this.#current;
    const before = held.length;
    for (const element of added) held.push(element);
    this.#table.put(key, held);
    // Undone before the put is: then the table measures the list that it had.
    journal?.note(() => void (held.length = before));
  }

  update(values: readonly unknown[]): void {
    if (values.length === 0) this.clear();
    else this.#table.put(this.#current.key, values.map(this.#lifetime.wrap));
  }

  clear(): void {
    this.#table.remove(this.#current.key);
  }

  /** The list, without the elements that have expired where the first has; undefined if none live. */
  #held(): unknown[] | undefined {
    const held = this.#table.get(this.#current.key);
    // The oldest come first, as a rule, so the first tells whether looking at all of them pays.
    if (held === undefined || this.#lifetime.isLive(held[0])) return held;
    const live = held.filter(this.#lifetime.isLive);
    if (live.length > 0) {
      this.#table.put(this.#current.key, live);
      return live;
    }
    this.clear();
    return undefined;
  }
}

class CurrentMap implements MapState<Key, unknown> {
  readonly #current: Current;
  readonly #table: StateTable<unknown>;
  readonly #lifetime: Lifetime;

  constructor(current: Current, table: StateTable<unknown>, lifetime: Lifetime) {
    this.#current = current;
    this.#table = table;
    this.#lifetime = lifetime;
  }

  get(key: Key): unknown {
    const stored = this.#table.get([this.#current.key, key]);
    if (stored === undefined) return undefined;
    if (this.#lifetime.isLive(stored)) return this.#lifetime.unwrap(stored);
    this.delete(key);
    return undefined;
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined;
  }

  set(key: Key, value: unknown): void {
    if (value === undefined) this.delete(key);
    else this.#table.put([this.#current.key, key], this.#lifetime.wrap(value));
  }

  delete(key: Key): void {
    this.#table.remove([this.#current.key, key]);
  }

  entries(): [Key, unknown][] {
    return this.#table
      .under(this.#current.key)
      .filter(([, stored]) => this.#lifetime.isLive(stored))
      .map(([key, stored]) => [key, this.#lifetime.unwrap(stored)]);
  }

  isEmpty(): boolean {
    return this.entries().length === 0;
  }

  clear(): void {
    for (const [key] of this.#table.under(this.#current.key)) this.delete(key);
  }
}
