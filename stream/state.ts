// The states a process function may keep per key: how they are declared, and what they can do.
//   D1. A descriptor says all that outlives the code about a state: its kind, its schema version,
//       whether its values expire. Checkpoints hold the same, so that a mismatch is found.
//   D2. What has nothing in it leaves nothing behind: no empty list, no empty map, no expired value.

import type { Aggregate } from "./aggregates.ts";
import { timeSpanOf, type TimeSpan } from "./duration.ts";
import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";
import type { Key } from "../format/key.ts";

declare const stateType: unique symbol;
declare const keyType: unique symbol;

/**
 * What any state may be declared with. For a list, `V` is an element, for a map a value.
 *
 * @example valueState<Position>({ ttl: "1 h", version: 2, migrate: (old) => upgraded(old) })
 */
export interface StateOptions<V> {
  /**
   * Processing time for which a value lives after it was last written; for ever where absent. A
   * list's elements and a map's entries expire each by itself. What has expired is never returned.
   */
  readonly ttl?: TimeSpan;
  /** Version of what is stored, 1 where absent. Raise it when the shape of the values changes. */
  readonly version?: number;
  /** Turns a value stored under a lower version into one of today's. Called once per value. */
  migrate?(this: void, old: unknown, fromVersion: number): V;
}

/** What all descriptors have: the options, checked and filled in. */
export interface StateTraits<V> {
  /** Milliseconds; undefined: values do not expire. */
  readonly ttl: number | undefined;
  readonly version: number;
  migrate?(this: void, old: unknown, fromVersion: number): V;
}

/** One value per key. `Held` is what reading gives: with a default never undefined. */
export interface ValueStateDescriptor<
  V,
  Held extends V | undefined = V | undefined,
> extends StateTraits<V> {
  readonly kind: "value";
  readonly initial: Held;
  readonly [stateType]?: V;
}

/** A list per key. */
export interface ListStateDescriptor<V> extends StateTraits<V> {
  readonly kind: "list";
  readonly [stateType]?: V;
}

/** A map per key. Each of its entries is stored by itself. */
export interface MapStateDescriptor<K extends Key, V> extends StateTraits<V> {
  readonly kind: "map";
  readonly [keyType]?: K;
  readonly [stateType]?: V;
}

/** One value per key, which is the fold of all that was added. */
export interface ReducingStateDescriptor<V> extends StateTraits<V> {
  readonly kind: "reducing";
  reduce(left: V, right: V): V;
  readonly [stateType]?: V;
}

/** One accumulator per key, and the result of all that was added. `migrate` is of the accumulator. */
export interface AggregatingStateDescriptor<In, A, Out> extends StateTraits<A> {
  readonly kind: "aggregating";
  readonly aggregate: Aggregate<In, A, Out>;
}

/** Any descriptor. */
export type StateDescriptor =
  | ValueStateDescriptor<unknown, unknown>
  | ListStateDescriptor<unknown>
  | MapStateDescriptor<Key, unknown>
  | ReducingStateDescriptor<unknown>
  | AggregatingStateDescriptor<never, unknown, unknown>;

/** The states of a process function by name. The names are part of what checkpoints hold. */
export type StateDescriptors = Readonly<Record<string, StateDescriptor>>;

/** The value of the current row's key. */
export interface ValueState<V, Held = V | undefined> {
  /** What was last set for this key, or the default. Do not change it in place: `set` a new one. */
  get(): Held;
  set(value: V): void;
  /** Forgets the value and leaves nothing behind. */
  clear(): void;
}

/** The list of the current row's key. */
export interface ListState<V> {
  /** The elements in the order in which they were added; later additions do not show in it. */
  get(): readonly V[];
  add(...values: readonly V[]): void;
  /** Puts these elements in the place of all others; none at all is `clear`. */
  update(values: readonly V[]): void;
  clear(): void;
}

/** The map of the current row's key. Its size is bounded by storage only, not by one value's size. */
export interface MapState<K extends Key, V> {
  /** Do not change the value in place: `set` a new one. */
  get(key: K): V | undefined;
  has(key: K): boolean;
  set(key: K, value: V): void;
  delete(key: K): void;
  /** All entries, in no order. The map may be changed meanwhile; the entries stay what they were. */
  entries(): Iterable<[K, V]>;
  isEmpty(): boolean;
  clear(): void;
}

/** The fold of what was added for the current row's key. */
export interface ReducingState<V> {
  /** Undefined before the first `add`. */
  get(): V | undefined;
  add(value: V): void;
  clear(): void;
}

/** The aggregate of what was added for the current row's key. */
export interface AggregatingState<In, Out> {
  /** Undefined before the first `add`. */
  get(): Out | undefined;
  add(value: In): void;
  clear(): void;
}

/** What a process function gets for a descriptor. */
export type StateOf<D> =
  D extends ValueStateDescriptor<infer V, infer Held>
    ? ValueState<V, Held>
    : D extends ListStateDescriptor<infer V>
      ? ListState<V>
      : D extends MapStateDescriptor<infer K, infer V>
        ? MapState<K, V>
        : D extends ReducingStateDescriptor<infer V>
          ? ReducingState<V>
          : D extends AggregatingStateDescriptor<infer In, infer _A, infer Out>
            ? AggregatingState<In, Out>
            : never;

/**
 * Declares a state that holds one value of type `V` per key.
 *
 * @example const state = { last: valueState<number>(), seen: valueState({ default: 0 }) };
 */
export function valueState<V>(options?: StateOptions<V>): ValueStateDescriptor<V>;
export function valueState<V>(
  options: StateOptions<V> & { readonly default: V },
): ValueStateDescriptor<V, V>;
export function valueState(
  options: StateOptions<unknown> & { readonly default?: unknown } = {},
): ValueStateDescriptor<unknown, unknown> {
  return { kind: "value", initial: options.default, ...traits("valueState", options) };
}

/**
 * Declares a state that holds a list of `V` per key.
 *
 * @example const state = { recent: listState<number>({ ttl: "10 min" }) };
 */
export function listState<V>(options: StateOptions<V> = {}): ListStateDescriptor<V> {
  return { kind: "list", ...traits("listState", options) };
}

/**
 * Declares a state that holds a map from `K` to `V` per key. Entries are stored each by itself, so a
 * big map costs what is touched of it. Keys of the map are what keys of a stream may be.
 *
 * @example const state = { visits: mapState<string, number>({ ttl: "1 d" }) };
 */
export function mapState<K extends Key, V>(
  options: StateOptions<V> = {},
): MapStateDescriptor<K, V> {
  return { kind: "map", ...traits("mapState", options) };
}

/**
 * Declares a state that folds what is added into one value per key. `reduce` returns a value of its
 * own and changes neither argument.
 *
 * @example const state = { worst: reducingState((a: number, b: number) => Math.max(a, b)) };
 */
export function reducingState<V>(
  reduce: (left: V, right: V) => V,
  options: StateOptions<V> = {},
): ReducingStateDescriptor<V> {
  if (typeof reduce !== "function") {
    throw refused("reducingState", `was given ${shown(reduce)}`, "a function of two values");
  }
  return { kind: "reducing", reduce, ...traits("reducingState", options) };
}

/**
 * Declares a state that keeps an aggregate per key, such as `avg(…)` or one of your own.
 *
 * @example const state = { mean: aggregatingState(avg((delay: number) => delay)) };
 */
export function aggregatingState<In, A, Out>(
  aggregate: Aggregate<In, A, Out>,
  options: StateOptions<A> = {},
): AggregatingStateDescriptor<In, A, Out> {
  const given = aggregate as unknown as Readonly<Record<string, unknown>> | undefined;
  if (!["create", "add", "merge", "result"].every((part) => typeof given?.[part] === "function")) {
    const allowed = "avg(…) and the like, or an object with create, add, merge and result";
    throw refused("aggregatingState", `was given ${shown(aggregate)}`, allowed);
  }
  return { kind: "aggregating", aggregate, ...traits("aggregatingState", options) };
}

const kinds: readonly unknown[] = ["value", "list", "map", "reducing", "aggregating"];

/** Whether a value is a descriptor; for programs that were never compiled. */
export const isStateDescriptor = (given: unknown): given is StateDescriptor =>
  kinds.includes((given as { readonly kind?: unknown } | undefined)?.kind);

function traits<V>(of: string, options: StateOptions<V>): StateTraits<V> {
  const { ttl, version = 1, migrate } = options;
  const span = timeSpanOf(ttl);
  if (ttl !== undefined && (span === undefined || span < 1)) {
    const allowed = `a number of milliseconds from 1 on, or a text such as "1 h"`;
    throw refused(of, `has the ttl ${shown(ttl)}`, allowed);
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    throw refused(of, `has the version ${shown(version)}`, "a whole number from 1 on");
  }
  return { ttl: span, version, ...(migrate !== undefined && { migrate }) };
}

const refused = (of: string, found: string, allowed: string): GraphError =>
  new GraphError("BAD_ARGUMENT", `${of} ${found}. Allowed: ${allowed}.`);
