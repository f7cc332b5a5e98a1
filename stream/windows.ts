// Windows: into which stretches of time the rows of a key fall. An assigner says so for every row; it
// knows nothing of when a window's result is told (triggers.ts).
//   W1. A window is told from others by its start and its end. Its last instant is `end - 1`.
//   W2. Windows of time begin at whole multiples of their size, or slide, since 1970 plus the offset.

import { GraphError } from "./errors.ts";
import { isAsync, shown } from "./names.ts";
import { type TimeSpan, timeSpanOf } from "./duration.ts";
import type { TimeDomain } from "./process.ts";

/** From `start` on, in milliseconds, up to `end`, which is no part of it. */
export interface TimeWindow {
  readonly start: number;
  readonly end: number;
}

/** The one window of all rows of a key: it begins and ends nowhere. */
export interface GlobalWindow extends TimeWindow {
  readonly isGlobal: true;
}

/**
 * Windows of your own making. Must be deterministic: rows are seen again after a failure.
 *
 * @example
 * const untilMidnight: WindowAssigner<Flight> = {
 *   assign: (flight, timestamp) => [{ start: timestamp, end: Math.ceil((timestamp + 1) / 86_400_000) * 86_400_000 }],
 * };
 */
export interface WindowAssigner<in T = never, W extends TimeWindow = TimeWindow> {
  /** The windows of a row, with whole start and end; none leaves the row out, as a late one. */
  assign(row: T, timestamp: number): readonly W[];
  /** Whether windows of a key that touch become one. */
  readonly merging?: boolean;
  /** What `timestamp` is: the row's event time, or the clock. `event` where absent. */
  readonly time?: TimeDomain;
}

/** Windows that are runs of equal stretches of time, which can be folded one by one. */
export interface Sliding {
  readonly size: number;
  readonly slide: number;
  readonly offset: number;
}

/** An assigner of this module, of which more is known. */
export interface KnownAssigner<T, W extends TimeWindow> extends WindowAssigner<T, W> {
  /** What its windows are called, in full as far as state depends on it. */
  readonly name: string;
  readonly sliding?: Sliding;
  /** Whether its windows have no end at which they could be told. */
  readonly isEndless?: true;
}

/** What windows of time may be given. */
export interface WindowTimeOptions {
  /** By the rows' event times, or by the clock; `event` where absent. */
  readonly time?: TimeDomain;
}

/** What windows of one size may be given. */
export interface WindowOptions extends WindowTimeOptions {
  /** By how much windows begin later than multiples of their size since 1970 (UTC). */
  readonly offset?: TimeSpan | `-${string}`;
}

/**
 * Windows of one size, one after the other: each row is in one.
 *
 * @example flights.keyBy("origin").window(tumbling("1h"))
 * @example tumbling("1 d", { offset: "-8h" }) // days of Beijing
 */
export function tumbling(
  size: TimeSpan,
  options: WindowOptions = {},
): KnownAssigner<unknown, TimeWindow> {
  const span = spanOf("tumbling", "size", size);
  const offset = offsetOf("tumbling", options.offset, span);
  const time = timeOf("tumbling", options);
  return {
    name: `tumbling windows of ${span} ms${at(offset)}`,
    time,
    sliding: { size: span, slide: span, offset },
    assign(_, timestamp) {
      const start = windowStart(timestamp, offset, span);
      return [{ start, end: start + span }];
    },
  };
}

/**
 * Windows of one size that begin every `slide`: a row is in `size / slide` of them. Where all that is
 * asked of them is an `aggregate` or a `reduce`, each row is folded once, however many those are.
 *
 * @example flights.keyBy("origin").window(sliding("6h", "1h"))
 */
export function sliding(
  size: TimeSpan,
  slide: TimeSpan,
  options: WindowOptions = {},
): KnownAssigner<unknown, TimeWindow> {
  const span = spanOf("sliding", "size", size);
  const step = spanOf("sliding", "slide", slide);
  const offset = offsetOf("sliding", options.offset, step);
  const time = timeOf("sliding", options);
  return {
    name: `sliding windows of ${span} ms every ${step} ms${at(offset)}`,
    time,
    sliding: { size: span, slide: step, offset },
    assign(_, timestamp) {
      const windows: TimeWindow[] = [];
      const last = windowStart(timestamp, offset, step);
      for (let start = last; start > timestamp - span; start -= step) {
        windows.push({ start, end: start + span });
      }
      return windows;
    },
  };
}

/**
 * Windows that end where for `gap` no row of the key comes. Rows may come out of order: windows that
 * turn out to be one are merged.
 *
 * @example clicks.keyBy("user").window(session("30 min"))
 * @example clicks.keyBy("user").window(session((click) => (click.isBot ? 1_000 : 60_000)))
 */
export function session(
  gap: TimeSpan,
  options?: WindowTimeOptions,
): KnownAssigner<unknown, TimeWindow>;
export function session<T>(
  gap: (row: T) => number,
  options?: WindowTimeOptions,
): KnownAssigner<T, TimeWindow>;
export function session(
  gap: TimeSpan | ((row: never) => number),
  options: WindowTimeOptions = {},
): KnownAssigner<never, TimeWindow> {
  const time = timeOf("session", options);
  const gapOf = typeof gap === "function" && !isAsync(gap) ? gap : undefined;
  const span = gapOf === undefined ? spanOf("session", "gap", gap) : 0;
  return {
    name: "session windows",
    time,
    merging: true,
    assign(row, timestamp) {
      const length = gapOf === undefined ? span : gapOf(row);
      if (Number.isSafeInteger(length) && length > 0) {
        return [{ start: timestamp, end: timestamp + length }];
      }
      throw new TypeError(
        `the gap of a session was ${String(length)}: a whole number of milliseconds above 0 is needed`,
      );
    },
  };
}

const global: GlobalWindow = { start: -Infinity, end: Infinity, isGlobal: true };

/**
 * One window of all rows of a key. It needs a trigger, which says when it is told, and is kept until that
 * purges it.
 *
 * @example clicks.keyBy("user").window(globalWindow()).trigger(purging(countTrigger(100)))
 */
export const globalWindow = (): KnownAssigner<unknown, GlobalWindow> => ({
  name: "a global window",
  // It needs no event times.
  time: "processing",
  isEndless: true,
  assign: () => [global],
});

/** The start of the window of that size that a time is in. */
export function windowStart(timestamp: number, offset: number, size: number): number {
  const into = (timestamp - offset) % size;
  return timestamp - (into < 0 ? into + size : into);
}

const at = (offset: number): string => (offset === 0 ? "" : ` from ${offset} ms on`);

/** A span above 0, in milliseconds. */
export function spanOf(method: string, what: string, given: unknown): number {
  const millis = timeSpanOf(given);
  if (millis !== undefined && millis > 0) return millis;
  const allowed = `more than 0 milliseconds, or a text such as "10s", "5 min" or "12h"`;
  throw refusal(method, `${shown(given)} as ${what}`, allowed);
}

function offsetOf(method: string, given: unknown, size: number): number {
  if (given === undefined) return 0;
  const isNegative = typeof given === "string" ? given.startsWith("-") : Number(given) < 0;
  const amount = typeof given === "string" ? given.replace(/^-/, "") : Math.abs(Number(given));
  const millis = timeSpanOf(amount);
  if (millis !== undefined && millis < size) return isNegative && millis > 0 ? -millis : millis;
  throw refusal(
    method,
    `${shown(given)} as offset`,
    `less than its ${method === "sliding" ? "slide" : "size"} of ${size} ms, such as "15 min" or "-8h"`,
  );
}

function timeOf(method: string, { time = "event" }: WindowTimeOptions): TimeDomain {
  if (time === "event" || time === "processing") return time;
  throw refusal(method, `${shown(time)} as time`, `"event" or "processing"`);
}

const refusal = (method: string, given: string, allowed: string): GraphError =>
  new GraphError("BAD_ARGUMENT", `${method} was given ${given}. Allowed: ${allowed}.`);
