// Watermark strategies: where the event times of rows come from, and how far event time is known to have
// come when they have been seen.
//   W1. A strategy is applied to each split of a source by itself: its rows are in order, or nearly so,
//       where those of all splits are not.
//   W2. What a generator knows of a split is a plain value, which snapshots hold.
//   W3. Sources of one group keep in step: a split that is ahead of the others by more than its drift is
//       read no further.

import { GraphError, refusal as refusalOf } from "./errors.ts";
import type { WithNumber } from "./fields.ts";
import { isAsync, isName, nameRule, shown } from "./names.ts";
import { type TimeSpan, timeSpanOf } from "./duration.ts";

/** The field that is a row's event time, or what makes it of the row: milliseconds since the epoch. */
export type TimestampOf = string | ((row: never) => number);

/** Tells from the rows of a split how far event time has come in it. */
export interface WatermarkGenerator<T, S> {
  /** What is known of a split before its first row. */
  create(this: void): S;
  /** And after a row with that event time. Must not change `known`. */
  onRow(this: void, known: S, timestamp: number, row: T): S;
  /**
   * The time of which no row is to come that is not later; undefined while there is none. Asked after
   * the rows of a batch; where `punctuated`, after each row. Anything else, such as NaN, fails the attempt.
   */
  watermark(this: void, known: S): number | undefined;
  readonly punctuated?: boolean;
}

/** How the rows of a source come to have event times. Made by `boundedOutOfOrderness` and the like. */
export interface WatermarkStrategy<in T> {
  readonly kind: "watermarks";
  readonly timestamp: string | ((row: T) => number);
  /** Milliseconds by which rows may be out of order, or a generator. */
  readonly progress: number | WatermarkGenerator<T, unknown>;
  /** Milliseconds without a row after which a split is waited for no longer; absent: it always is. */
  readonly idleness?: number;
  /** With whom the source keeps in step; absent: with nobody. */
  readonly alignment?: WatermarkAlignment;
}

/** With whom a source keeps in step, as the graph holds it: spans in milliseconds. */
export interface WatermarkAlignment {
  readonly group: string;
  readonly maxDrift: number;
  readonly updateInterval: number;
}

/** With whom a source keeps in step (Flink's `withWatermarkAlignment`). */
export interface AlignmentOptions {
  /** The sources of a job that name the same group keep in step with one another. */
  readonly group: string;
  /**
   * How far a split may be ahead of the split of the group that is furthest behind, in event time. It is
   * read no further then until that one has come after; it may be ahead by a batch of rows more.
   */
  readonly maxDrift: TimeSpan;
  /**
   * How often a subtask says how far it has come and learns of the others, at most; 1 s where absent.
   * In that time no split comes further than `maxDrift`, so with a short drift take a short one.
   */
  readonly updateInterval?: TimeSpan;
}

/** What every strategy is given. */
export interface WatermarkOptions<Timestamp> {
  /** A field of the rows, or a function of them: milliseconds since the epoch. */
  readonly timestamp: Timestamp;
  /** A split without a row for that long holds nobody up; without it every split is waited for. */
  readonly idleness?: TimeSpan;
  /**
   * Keeps splits in step that are read at different paces, such as those of two topics of which one is a
   * day ahead: what joins them then holds as much as the drift, and not a day. Only of sources. Nothing of
   * it is in snapshots: after a failure it is found out anew. A split without rows holds the others up
   * as it holds up event time, unless `idleness` ends that.
   */
  readonly alignment?: AlignmentOptions;
}

/** What strategies are given that are no generator. */
export interface BoundedOptions<Timestamp> extends WatermarkOptions<Timestamp> {
  /**
   * Event time stands right behind the row that raised it, as if each row came by itself, and not behind its
   * batch: which rows are late then follows from the rows of a split alone, however they are batched. It costs
   * a mark for each such row. `false` where absent.
   */
  readonly punctuated?: boolean;
}

/**
 * Event times that are out of order by at most `bound`: a row that is earlier than another before it by
 * more than that is late.
 *
 * @example
 * env.from(topic<Flight>("flights"), {
 *   uid: "flights",
 *   watermarks: boundedOutOfOrderness("10 min", { timestamp: "departure", idleness: "1 min" }),
 * });
 * @example
 * env.from(topic<Flight>("flights"), {
 *   uid: "flights",
 *   watermarks: boundedOutOfOrderness("10 min", {
 *     timestamp: "departure",
 *     alignment: { group: "flights", maxDrift: "1 h" },
 *   }),
 * });
 */
export function boundedOutOfOrderness<T>(
  bound: TimeSpan,
  options: BoundedOptions<(row: T) => number>,
): WatermarkStrategy<T>;
export function boundedOutOfOrderness<const F extends string>(
  bound: TimeSpan,
  options: BoundedOptions<F>,
): WatermarkStrategy<WithNumber<F>>;
export function boundedOutOfOrderness(
  bound: TimeSpan,
  options: BoundedOptions<TimestampOf>,
): WatermarkStrategy<never> {
  const method = "boundedOutOfOrderness";
  return boundedStrategy(method, span(method, "bound", bound), options);
}

/**
 * Event times that never go back within a split.
 *
 * @example env.from(topic<Order>("orders"), { uid: "orders", watermarks: monotonous({ timestamp: "at" }) })
 */
export function monotonous<T>(options: BoundedOptions<(row: T) => number>): WatermarkStrategy<T>;
export function monotonous<const F extends string>(
  options: BoundedOptions<F>,
): WatermarkStrategy<WithNumber<F>>;
export function monotonous(options: BoundedOptions<TimestampOf>): WatermarkStrategy<never> {
  return boundedStrategy("monotonous", 0, options);
}

/**
 * Event times with a generator of your own. It must be deterministic: rows are seen again after a failure.
 *
 * @example
 * const byMarker = watermarks<Reading, number>({
 *   timestamp: (reading) => reading.at,
 *   create: () => -Infinity,
 *   onRow: (known, at, reading) => (reading.isLastOfHour ? at : known),
 *   watermark: (known) => known,
 *   punctuated: true,
 * });
 */
export function watermarks<T, S>(
  options: WatermarkOptions<(row: T) => number> & WatermarkGenerator<T, S>,
): WatermarkStrategy<T> {
  for (const part of ["create", "onRow", "watermark"] as const) {
    const fn: unknown = options[part];
    if (typeof fn === "function" && !isAsync(fn)) continue;
    throw refusal("watermarks", `${shown(fn)} as ${part}`, "a function that returns its result");
  }
  const { create, onRow, watermark, punctuated = false } = options;
  const generator = { create, onRow, watermark, punctuated } as WatermarkGenerator<never, unknown>;
  return strategy("watermarks", generator, options) as WatermarkStrategy<T>;
}

/** @throws GraphError for what is none */
export function checkedStrategy(
  method: string,
  given: unknown,
  options: { readonly uid: string } | undefined,
): void {
  if ((given as Partial<WatermarkStrategy<never>> | null | undefined)?.kind === "watermarks")
    return;
  const allowed = `boundedOutOfOrderness("10s", { timestamp: … }) and the like`;
  throw refusalOf("BAD_ARGUMENT", method, options, `has ${shown(given)} as watermarks`, allowed);
}

/** What is known is the latest event time. A row as late as the bound allows is not late. */
export const bounded = (bound: number, punctuated = false): WatermarkGenerator<never, number> => ({
  create: () => -Infinity,
  onRow: (latest, timestamp) => (timestamp > latest ? timestamp : latest),
  watermark: (latest) => latest - bound - 1,
  punctuated,
});

function boundedStrategy(
  method: string,
  bound: number,
  options: BoundedOptions<TimestampOf>,
): WatermarkStrategy<never> {
  const { punctuated = false } = options;
  if (typeof punctuated !== "boolean") {
    throw refusal(method, `${shown(punctuated)} as punctuated`, "true or false");
  }
  const progress = punctuated
    ? (bounded(bound, true) as WatermarkGenerator<never, unknown>)
    : bound;
  return strategy(method, progress, options);
}

function strategy(
  method: string,
  progress: WatermarkStrategy<never>["progress"],
  { timestamp, idleness, alignment }: WatermarkOptions<TimestampOf>,
): WatermarkStrategy<never> {
  const isFunction = typeof timestamp === "function" && !isAsync(timestamp);
  if (!isFunction && (typeof timestamp !== "string" || timestamp === "")) {
    const allowed =
      "the name of a field, or a function of the row, in milliseconds since the epoch";
    throw refusal(method, `${shown(timestamp)} as timestamp`, allowed);
  }
  return {
    kind: "watermarks",
    timestamp,
    progress,
    ...(idleness !== undefined && { idleness: span(method, "idleness", idleness) }),
    ...(alignment !== undefined && { alignment: alignmentOf(method, alignment) }),
  };
}

/** Flink's default. */
const updateIntervalDefault = 1_000;

function alignmentOf(method: string, given: unknown): WatermarkAlignment {
  if (typeof given !== "object" || given === null) {
    const allowed = `an object such as { group: "clicks", maxDrift: "30s" }`;
    throw refusal(method, `${shown(given)} as alignment`, allowed);
  }
  const {
    group,
    maxDrift,
    updateInterval = updateIntervalDefault,
  } = given as Record<string, unknown>;
  if (!isName(group)) throw refusal(method, `${shown(group)} as alignment.group`, nameRule);
  return {
    group,
    maxDrift: positiveSpan(method, "alignment.maxDrift", maxDrift),
    updateInterval: positiveSpan(method, "alignment.updateInterval", updateInterval),
  };
}

function positiveSpan(method: string, what: string, given: unknown): number {
  const millis = span(method, what, given);
  if (millis > 0) return millis;
  throw refusal(method, `${shown(given)} as ${what}`, "1 ms or more");
}

function span(method: string, what: string, given: unknown): number {
  const millis = timeSpanOf(given);
  if (millis !== undefined) return millis;
  const allowed = `milliseconds, or a text such as "10s", "5 min" or "12h"`;
  throw refusal(method, `${shown(given)} as ${what}`, allowed);
}

const refusal = (method: string, given: string, allowed: string): GraphError =>
  new GraphError("BAD_ARGUMENT", `${method} was given ${given}. Allowed: ${allowed}.`);
