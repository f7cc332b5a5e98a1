// Evictors: which rows of a window are left out when it is told. A window with one keeps its rows.

import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";
import type { TimeSpan } from "./duration.ts";
import { spanOf, type TimeWindow } from "./windows.ts";

/** A row in a window, and its time there. */
export interface TimestampedRow<out T> {
  readonly row: T;
  readonly timestamp: number;
}

/**
 * Takes rows out of a window for good, whenever it is told. Gets them in the order in which they arrived, in
 * sessions that were merged session by session, and returns a list of those that stay.
 *
 * @example
 * const positive: Evictor<{ amount: number }> = {
 *   before: (rows) => rows.filter(({ row }) => row.amount > 0),
 * };
 */
export interface Evictor<T = never> {
  /** Before the window's function sees them. */
  before?<R extends TimestampedRow<T>>(rows: readonly R[], window: TimeWindow): readonly R[];
  /** After that. */
  after?<R extends TimestampedRow<T>>(rows: readonly R[], window: TimeWindow): readonly R[];
}

export type AnyEvictor = Evictor<unknown>;

/** When an evictor of this module takes rows out. */
export interface EvictorOptions {
  /** Only after the window's function has seen them. */
  readonly after?: boolean;
}

type Keeps<T> = <R extends TimestampedRow<T>>(rows: readonly R[]) => readonly R[];

const evictor = <T>(keeps: Keeps<T>, { after = false }: EvictorOptions): Evictor<T> =>
  after ? { after: keeps } : { before: keeps };

/**
 * Leaves the last `rows` rows in the window.
 *
 * @example stream.window(globalWindow()).trigger(countTrigger(1)).evictor(countEvictor(10))
 */
export function countEvictor(rows: number, options: EvictorOptions = {}): Evictor<unknown> {
  if (!Number.isSafeInteger(rows) || rows < 0) {
    throw new GraphError(
      "BAD_ARGUMENT",
      `countEvictor was given ${shown(rows)}. Allowed: a whole number of rows from 0 on.`,
    );
  }
  return evictor((held) => held.slice(Math.max(0, held.length - rows)), options);
}

/**
 * Leaves the rows in the window that are later than `span` before the latest of them.
 *
 * @example stream.window(globalWindow()).trigger(countTrigger(1)).evictor(timeEvictor("1 min"))
 */
export function timeEvictor(span: TimeSpan, options: EvictorOptions = {}): Evictor<unknown> {
  const length = spanOf("timeEvictor", "span", span);
  return evictor((held) => {
    const latest = held.reduce((most, { timestamp }) => Math.max(most, timestamp), -Infinity);
    return held.filter(({ timestamp }) => timestamp > latest - length);
  }, options);
}

/**
 * Leaves the rows in the window that differ by less than `threshold` from the last one.
 *
 * @example stream.evictor(deltaEvictor(10, (row, last) => Math.abs(row.speed - last.speed)))
 */
export function deltaEvictor<T>(
  threshold: number,
  delta: (row: T, last: T) => number,
  options: EvictorOptions = {},
): Evictor<T> {
  if (typeof threshold !== "number" || typeof delta !== "function") {
    throw new GraphError(
      "BAD_ARGUMENT",
      `deltaEvictor was given ${shown(threshold)} and ${shown(delta)}. Allowed: a number, and a function of two rows to a number.`,
    );
  }
  return evictor<T>((held) => {
    const last = held.at(-1);
    return last === undefined ? held : held.filter(({ row }) => delta(row, last.row) < threshold);
  }, options);
}

/** The evictor as it is, or a `GraphError` where it is none. */
export function checkedEvictor(given: unknown): AnyEvictor {
  const { before, after } = (given ?? {}) as { readonly [Part in "before" | "after"]?: unknown };
  const isOne = [before, after].some((part) => typeof part === "function");
  const isWhole = [before, after].every((part) => ["function", "undefined"].includes(typeof part));
  if (isOne && isWhole) return given as AnyEvictor;
  throw new GraphError(
    "BAD_ARGUMENT",
    `evictor was given ${shown(given)} that is no evictor. Allowed: countEvictor(100), timeEvictor("1 min") ` +
      `and the like, or an object with before or after.`,
  );
}
