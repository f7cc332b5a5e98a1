// Aggregates: how rows of one key are folded into one value. `aggregate({...})` runs several at
// once; a user's own are objects of the same interface.
//   A1. An accumulator exists only after a row: `create` is followed by `add` at once, so the
//       extreme or the average of no rows never shows.
//   A2. An accumulator is a plain value (number, string, array, plain object): it is state.

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
  /** The accumulator of both sets of rows. */
  merge(left: A, right: A): A;
  result(accumulator: A): R;
}

/** Fields of a result row, each with its aggregate. `key` is taken: it holds the stream's key. */
export type Aggregates<T> = { readonly [field: string]: Aggregate<T> } & { readonly key?: never };

type ResultOf<G> = G extends Aggregate<never, infer _A, infer R> ? R : never;

/** The row that `aggregate` emits for a key. */
export type AggregateRow<K, G> = { readonly key: K } & {
  readonly [Field in keyof G]: ResultOf<G[Field]>;
};

const own = <A>(accumulator: A): A => accumulator;
const plus = (left: number, right: number): number => left + right;

// A null or a text in one record would turn a sum wrong for good, without a sound; so it throws.
function measured(aggregate: string, value: unknown): number {
  if (typeof value === "number") return value;
  const found = value === null ? "null" : typeof value;
  throw new TypeError(`${aggregate} needs a number from every row, got ${found}`);
}

/**
 * How many rows.
 *
 * @example keyed.aggregate({ flights: count() }, { uid: "by-origin" })
 */
export const count = (): Aggregate<unknown, number, number> => ({
  create: () => 0,
  add: (rows) => rows + 1,
  merge: plus,
  result: own,
});

/**
 * How many rows satisfy the predicate.
 *
 * @example keyed.aggregate({ delayed: countIf((flight) => flight.delay > 15) }, { uid: "by-origin" })
 */
export const countIf = <T>(predicate: (row: T) => boolean): Aggregate<T, number, number> => ({
  create: () => 0,
  add: (rows, row) => (predicate(row) ? rows + 1 : rows),
  merge: plus,
  result: own,
});

/**
 * The sum of a number over the rows.
 *
 * @example keyed.aggregate({ miles: sum((flight) => flight.distance) }, { uid: "by-origin" })
 */
export const sum = <T>(value: (row: T) => number): Aggregate<T, number, number> => ({
  create: () => 0,
  add: (total, row) => total + measured("sum", value(row)),
  merge: plus,
  result: own,
});

/**
 * The arithmetic mean of a number over the rows.
 *
 * @example keyed.aggregate({ meanDelay: avg((flight) => flight.delay) }, { uid: "by-origin" })
 */
export const avg = <T>(
  value: (row: T) => number,
): Aggregate<T, [total: number, rows: number], number> => ({
  create: () => [0, 0],
  add: (accumulator, row) => {
    accumulator[0] += measured("avg", value(row));
    accumulator[1] += 1;
    return accumulator;
  },
  merge: (left, right) => [left[0] + right[0], left[1] + right[1]],
  result: ([total, rows]) => total / rows,
});

/**
 * The smallest of a number over the rows.
 *
 * @example keyed.aggregate({ earliest: min((flight) => flight.delay) }, { uid: "by-origin" })
 */
export const min = <T>(value: (row: T) => number): Aggregate<T, number, number> => ({
  create: () => Infinity,
  add: (least, row) => Math.min(least, measured("min", value(row))),
  merge: Math.min,
  result: own,
});

/**
 * The largest of a number over the rows.
 *
 * @example keyed.aggregate({ worst: max((flight) => flight.delay) }, { uid: "by-origin" })
 */
export const max = <T>(value: (row: T) => number): Aggregate<T, number, number> => ({
  create: () => -Infinity,
  add: (greatest, row) => Math.max(greatest, measured("max", value(row))),
  merge: Math.max,
  result: own,
});
