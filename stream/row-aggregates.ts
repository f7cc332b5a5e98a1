// Aggregates that keep rows, or parts of them.
//   R1. Their order is that in which the rows of the key arrived, but where folds are merged: those of the
//       panes of a sliding window follow one another by time, those of merged sessions session by session.
//       Within each of them it is that of arrival.

import type { Aggregate } from "./aggregates.ts";
import { valueReader, wholeNumber, type WithField } from "./field-values.ts";
import type { WithNumber } from "./fields.ts";

/**
 * The first row, or the value that a field has in the first row: undefined where that row lacks it. The first
 * is that which arrived first; in a sliding window it is the first of the earliest pane, and in sessions that
 * were merged the first of one of them.
 *
 * @example keyed.aggregate({ opened: first("at"), how: first((row) => row) }, { uid: "sessions" })
 */
export function first<T, V>(value: (row: T) => V): Aggregate<T, [V], V>;
export function first<const F extends keyof T & string, T = WithField<F, unknown>>(
  field: F,
): Aggregate<T, [T[F]], T[F]>;
export function first(
  value: ((row: never) => unknown) | string,
): Aggregate<never, unknown[], unknown> {
  const read = valueReader("first", value);
  return {
    create: () => [],
    add: (held, row) => (held.length === 0 ? [read(row)] : held),
    merge: (left, right) => (left.length === 0 ? right : left),
    result: ([held]) => held,
  };
}

/**
 * The last row, or the value that a field has in the last row: undefined where that row lacks it. The last is
 * that which arrived last; in a sliding window it is the last of the latest pane, and in sessions that were
 * merged the last of one of them, or of the rows since.
 *
 * @example keyed.aggregate({ status: last("status") }, { uid: "orders" })
 */
export function last<T, V>(value: (row: T) => V): Aggregate<T, [V], V>;
export function last<const F extends keyof T & string, T = WithField<F, unknown>>(
  field: F,
): Aggregate<T, [T[F]], T[F]>;
export function last(
  value: ((row: never) => unknown) | string,
): Aggregate<never, unknown[], unknown> {
  const read = valueReader("last", value);
  return {
    create: () => [],
    add: (_, row) => [read(row)],
    merge: (left, right) => (right.length === 0 ? left : right),
    result: ([held]) => held,
  };
}

/**
 * All rows, or what a field has in each: undefined for every row that lacks it. They are in the order of
 * arrival; in a sliding window pane by pane, and in merged sessions session by session, each in its own order
 * of arrival. The state has every one of them: for windows, and for keys with few rows.
 *
 * @example keyed.aggregate({ steps: collect("step") }, { uid: "journeys" })
 */
export function collect<T, V>(value: (row: T) => V): Aggregate<T, V[], readonly V[]>;
export function collect<const F extends keyof T & string, T = WithField<F, unknown>>(
  field: F,
): Aggregate<T, T[F][], readonly T[F][]>;
export function collect(
  value: ((row: never) => unknown) | string,
): Aggregate<never, unknown[], readonly unknown[]> {
  const read = valueReader("collect", value);
  return {
    create: () => [],
    add(held, row) {
      held.push(read(row));
      return held;
    },
    merge: (left, right) => [...left, ...right],
    result: (held) => [...held],
  };
}

/** A row, and what it is ranked by. */
type Ranked<T> = [by: number, row: T];

/** Which rows count as the first. */
export interface TopOptions {
  /** Whether the greatest come first, as they do where this is absent, or the least. */
  readonly order?: "greatest" | "least";
}

/**
 * The `n` rows with the greatest number, or the least, in order. Of equal ones those that arrived earlier come
 * first; in a sliding window those of the earlier pane do, and in merged sessions those of one session.
 *
 * @example bids.keyBy("auction").aggregate({ best: topN(10, "price") }, { uid: "best-bids" })
 */
export function topN<T>(
  n: number,
  by: (row: T) => number,
  options?: TopOptions,
): Aggregate<T, Ranked<T>[], readonly T[]>;
export function topN<const F extends string, T extends WithNumber<F>>(
  n: number,
  field: F,
  options?: TopOptions,
): Aggregate<T, Ranked<T>[], readonly T[]>;
export function topN(
  n: number,
  by: ((row: never) => number) | string,
  { order = "greatest" }: TopOptions = {},
): Aggregate<never, Ranked<unknown>[], readonly unknown[]> {
  const read = valueReader("topN", by);
  const most = wholeNumber("The n of topN", n, 1, 10_000);
  const sign = order === "least" ? 1 : -1;
  return {
    create: () => [],
    add(held, row) {
      const number = read(row);
      if (typeof number !== "number" || Number.isNaN(number)) {
        throw new TypeError(`topN needs a number from every row, got ${String(number)}`);
      }
      return inserted(held, [number, row], sign, most);
    },
    merge(left, right) {
      let merged = left;
      for (const ranked of right) merged = inserted(merged, ranked, sign, most);
      return merged;
    },
    result: (held) => held.map(([, row]) => row),
  };
}

/** `held` is in order, and stays so. */
function inserted<T>(
  held: Ranked<T>[],
  ranked: Ranked<T>,
  sign: number,
  most: number,
): Ranked<T>[] {
  let at = held.length;
  while (at > 0 && sign * (ranked[0] - held[at - 1]![0]) < 0) at--;
  if (at >= most) return held;
  held.splice(at, 0, ranked);
  if (held.length > most) held.pop();
  return held;
}
