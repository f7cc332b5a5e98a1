// Aggregates: how rows of one key are folded into one value. `aggregate({...})` runs several at
// once; a user's own are objects of the same interface.
//   A1. An accumulator exists only after a row: `create` is followed by `add` at once, so the
//       extreme or the average of no rows never shows.
//   A2. An accumulator is a plain value (number, string, array, plain object, Map, Set, typed array): it is
//       state.
//   A3. What is known of an aggregate beside its functions (`foldOf`) is no part of the object: a copy
//       with another function in it is a user's own. The object itself cannot be given another.

import { GraphError, refusal } from "./errors.ts";
import type { WithNumber } from "./fields.ts";
import { shown } from "./names.ts";

/**
 * One fold. `add` and `merge` may change and return the accumulator they were given first; `result`
 * must not hand out a part of it that later rows will change.
 *
 * @example
 * const longest: Aggregate<string, string, number> = {
 *   create: () => "",
 *   add: (held, row) => (row.length > held.length ? row : held),
 *   merge: (left, right) => (right.length > left.length ? right : left),
 *   result: (held) => held.length,
 * };
 */
export interface Aggregate<in T = never, A = unknown, out R = unknown> {
  create(): A;
  add(accumulator: A, row: T): A;
  /**
   * Takes a row back that was added; where it is absent, none can be, and `aggregateChanges` refuses the
   * aggregate. May change and return the accumulator.
   */
  retract?(accumulator: A, row: T): A;
  /** The accumulator of both sets of rows. */
  merge(left: A, right: A): A;
  result(accumulator: A): R;
}

/** Fields of a result row, each with its aggregate. `key` is taken: it holds the stream's key. */
export type Aggregates<T> = { readonly [field: string]: Aggregate<T> } & { readonly key?: never };

type ResultOf<G> = G extends Aggregate<never, infer _A, infer R> ? R : never;

/** What several aggregates come to, by field. */
export type AggregateResults<G> = { readonly [Field in keyof G]: ResultOf<G[Field]> };

/** The row that `aggregate` emits for a key. */
export type AggregateRow<K, G> = { readonly key: K } & AggregateResults<G>;

/** How an aggregate folds, where that is known: rows, or a number of each. */
export type Fold =
  | { readonly kind: "count" }
  | {
      readonly kind: "sum" | "avg" | "min" | "max";
      /** The field that the number is, where it is one. */
      readonly field: string | undefined;
      /** The number of a row. What is none throws when it is added. */
      readonly read: (this: void, row: never) => unknown;
    };

const folds = new WeakMap<Aggregate, Fold>();

/** How an aggregate folds; undefined where only its functions know. */
export const foldOf = (aggregate: Aggregate): Fold | undefined => folds.get(aggregate);

function known<G extends Aggregate>(aggregate: G, fold: Fold): Readonly<G> {
  folds.set(aggregate, fold);
  return Object.freeze(aggregate);
}

/** An aggregate of a number of each row: by a function, or by the name of a field. */
function ofNumber<A>(
  kind: Exclude<Fold["kind"], "count">,
  value: ((row: never) => number) | string,
  make: (value: (row: never) => unknown) => Aggregate<never, A, number>,
): Aggregate<never, A, number> {
  if (typeof value === "function") {
    return known(make(value), { kind, field: undefined, read: value });
  }
  if (typeof value !== "string") {
    throw new GraphError(
      "BAD_ARGUMENT",
      `${kind} was given ${shown(value)}. Allowed: the name of a field, or a function from a row to a number.`,
    );
  }
  const read = (row: never): unknown => (row as Readonly<Record<string, unknown>>)[value];
  return known(make(read), { kind, field: value, read });
}

const own = <A>(accumulator: A): A => accumulator;
const plus = (left: number, right: number): number => left + right;

// A null or a text in one record would turn a sum wrong for good, without a sound; so it throws.
function measured(aggregate: string, value: unknown): number {
  if (typeof value === "number") return value;
  throw noNumber(aggregate, value);
}

/** What an aggregate of numbers says to anything else. */
export function noNumber(aggregate: string, value: unknown): TypeError {
  const found = value === null ? "null" : typeof value;
  return new TypeError(`${aggregate} needs a number from every row, got ${found}`);
}

/**
 * How many rows.
 *
 * @example keyed.aggregate({ flights: count() }, { uid: "by-origin" })
 */
export const count = (): Aggregate<unknown, number, number> =>
  known(
    {
      create: () => 0,
      add: (rows: number) => rows + 1,
      retract: (rows: number) => rows - 1,
      merge: plus,
      result: own,
    },
    { kind: "count" },
  );

/**
 * How many rows satisfy the predicate.
 *
 * @example keyed.aggregate({ delayed: countIf((flight) => flight.delay > 15) }, { uid: "by-origin" })
 */
export const countIf = <T>(predicate: (row: T) => boolean): Aggregate<T, number, number> =>
  known(
    {
      create: () => 0,
      add: (rows: number, row: T) => (predicate(row) ? rows + 1 : rows),
      retract: (rows: number, row: T) => (predicate(row) ? rows - 1 : rows),
      merge: plus,
      result: own,
    },
    { kind: "sum", field: undefined, read: (row) => (predicate(row) ? 1 : 0) },
  );

/**
 * The sum of a number over the rows: of a field, or of what a function makes of each row. By its name a
 * field is summed without making rows, where they come in columns.
 *
 * @example keyed.aggregate({ miles: sum("distance") }, { uid: "by-origin" })
 */
export function sum<T>(value: (row: T) => number): Aggregate<T, number, number>;
export function sum<const F extends string>(field: F): Aggregate<WithNumber<F>, number, number>;
export function sum(value: ((row: never) => number) | string): Aggregate<never, number, number> {
  return ofNumber("sum", value, (read) => ({
    create: () => 0,
    add: (total, row) => total + measured("sum", read(row)),
    retract: (total, row) => total - measured("sum", read(row)),
    merge: plus,
    result: own,
  }));
}

/** What an average is made of. */
type Mean = [total: number, rows: number];

/**
 * The arithmetic mean of a number over the rows: of a field, or of what a function makes of each row.
 *
 * @example keyed.aggregate({ meanDelay: avg("delay") }, { uid: "by-origin" })
 */
export function avg<T>(value: (row: T) => number): Aggregate<T, Mean, number>;
export function avg<const F extends string>(field: F): Aggregate<WithNumber<F>, Mean, number>;
export function avg(value: ((row: never) => number) | string): Aggregate<never, Mean, number> {
  return ofNumber<Mean>("avg", value, (read) => ({
    create: () => [0, 0],
    add: (accumulator, row) => {
      accumulator[0] += measured("avg", read(row));
      accumulator[1] += 1;
      return accumulator;
    },
    retract: (accumulator, row) => {
      accumulator[0] -= measured("avg", read(row));
      accumulator[1] -= 1;
      return accumulator;
    },
    merge: (left, right) => [left[0] + right[0], left[1] + right[1]],
    result: ([total, rows]) => total / rows,
  }));
}

/**
 * The smallest of a number over the rows: of a field, or of what a function makes of each row.
 *
 * @example keyed.aggregate({ earliest: min("delay") }, { uid: "by-origin" })
 */
export function min<T>(value: (row: T) => number): Aggregate<T, number, number>;
export function min<const F extends string>(field: F): Aggregate<WithNumber<F>, number, number>;
export function min(value: ((row: never) => number) | string): Aggregate<never, number, number> {
  return ofNumber("min", value, (read) => ({
    create: () => Infinity,
    add: (least, row) => Math.min(least, measured("min", read(row))),
    merge: Math.min,
    result: own,
  }));
}

/**
 * The largest of a number over the rows: of a field, or of what a function makes of each row.
 *
 * @example keyed.aggregate({ worst: max("delay") }, { uid: "by-origin" })
 */
export function max<T>(value: (row: T) => number): Aggregate<T, number, number>;
export function max<const F extends string>(field: F): Aggregate<WithNumber<F>, number, number>;
export function max(value: ((row: never) => number) | string): Aggregate<never, number, number> {
  return ofNumber("max", value, (read) => ({
    create: () => -Infinity,
    add: (greatest, row) => Math.max(greatest, measured("max", read(row))),
    merge: Math.max,
    result: own,
  }));
}

/** Refuses what are no aggregates, and fields that hold something else. @throws GraphError */
export function checkedAggregates(
  aggregates: unknown,
  options: { readonly uid: string } | undefined,
  taken: readonly string[] = ["key"],
): void {
  const refuse = (found: string, allowed: string): GraphError =>
    refusal("BAD_AGGREGATES", "aggregate", options, found, allowed);
  if (typeof aggregates !== "object" || aggregates === null) {
    throw refuse(`was given ${shown(aggregates)}`, "an object such as { rows: count() }");
  }
  const fields = Object.entries(aggregates);
  if (fields.length === 0) throw refuse("has no field", "one or more, such as { rows: count() }");
  for (const [field, aggregate] of fields as [string, Record<string, unknown> | undefined][]) {
    if (taken.includes(field)) {
      const holds = field === "key" ? "the stream's key" : "that of the window";
      throw refuse(`has a field "${field}"`, `any other name; "${field}" holds ${holds}`);
    }
    const has = (part: string): boolean => typeof aggregate?.[part] === "function";
    if (["create", "add", "merge", "result"].every(has)) continue;
    const allowed = "count(), sum(…) and the like, or an object with create, add, merge and result";
    throw refuse(`has ${shown(aggregate)} in its field "${field}"`, allowed);
  }
}
