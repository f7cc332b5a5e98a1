// Joins of two keyed streams: what a program says of them. Rows meet where their keys are equal, and
// where the kind of the join says that they do.
//   J1. A join is an operator with two inputs whose keys are of one type. Its function makes one row of
//       two, and is called for every pair, so it must not count calls.

import type { TimeSpan } from "./duration.ts";
import { signedTimeSpanOf, timeSpanOf } from "./duration.ts";
import { type GraphError, refusal } from "./errors.ts";
import { isAsync, shown } from "./names.ts";
import type { OperatorOptions } from "./recorder.ts";
import { type AnyOutputTag, isOutputTag, type OutputTagFor } from "./side-output.ts";

/** The settings of an interval join. */
export interface IntervalJoinOptions<T, U> {
  /**
   * How much later than a left row a right row may be, at least and at most; negative where it is
   * earlier. Both ends belong to it.
   */
  readonly between: readonly [lower: TimeSpan, upper: TimeSpan];
  /** Whether the ends do not belong to it. */
  readonly exclusive?: { readonly lower?: boolean; readonly upper?: boolean };
  /** Where left rows go that come too late; they are dropped where absent. */
  readonly lateLeft?: OutputTagFor<T>;
  /** Where right rows go that come too late; they are dropped where absent. */
  readonly lateRight?: OutputTagFor<U>;
}

/** The settings of a temporal join. */
export interface TemporalJoinOptions<T> {
  /** What becomes of rows for which there was no version: `inner` drops them, the default. */
  readonly type?: "inner" | "left";
  /** Where left rows go that come too late; they are dropped where absent. */
  readonly lateLeft?: OutputTagFor<T>;
}

/** The settings of a regular join. */
export interface RegularJoinOptions {
  /**
   * Of which sides a row is emitted also while it meets nobody, with undefined in the other's place. Those
   * but `inner`, the default, emit changes: such a row is taken back when somebody comes.
   */
  readonly type?: "inner" | "left" | "right" | "full";
  /** Processing time for which a row is kept after it came; for ever where absent. */
  readonly ttl?: TimeSpan;
}

/** Which row of a key is kept. */
export interface DedupeOptions {
  /**
   * `first`: the row that comes first; all others are dropped. `last`: every row that is not earlier in
   * event time than those before it, as an update of them; rows without event time always count.
   */
  readonly keep: "first" | "last";
  /** Processing time for which a key is remembered after a row of it was kept; for ever where absent. */
  readonly ttl?: TimeSpan;
}

export type PairFunction = (left: never, right: never) => unknown;

/** An interval join, as the graph holds it: bounds in milliseconds, both inclusive. */
export interface IntervalJoin {
  readonly lower: number;
  readonly upper: number;
  readonly fn: PairFunction;
  readonly lateLeft?: AnyOutputTag;
  readonly lateRight?: AnyOutputTag;
}

export interface TemporalJoin {
  readonly type: "inner" | "left";
  readonly fn: PairFunction;
  readonly lateLeft?: AnyOutputTag;
}

export interface RegularJoin {
  readonly type: "inner" | "left" | "right" | "full";
  readonly fn: PairFunction;
  readonly ttl?: number;
}

export interface Dedupe {
  readonly keep: "first" | "last";
  readonly ttl?: number;
}

export type Settings = Readonly<Record<string, unknown>>;

/** What is wrong with a call, as a `GraphError`. */
export type Refuse = (found: string, allowed: string) => GraphError;

export const refuserOf =
  (method: string, options: OperatorOptions): Refuse =>
  (found, allowed) =>
    refusal("BAD_ARGUMENT", method, options, found, allowed);

export function intervalJoinOf(
  settings: unknown,
  fn: unknown,
  options: OperatorOptions,
): IntervalJoin {
  const refuse = refuserOf("intervalJoin", options);
  const given = settingsOf(settings, refuse, `{ between: ["-5 min", "1 h"] }`);
  const { between, exclusive = {} } = given;
  const [lower, upper] = (Array.isArray(between) ? between : []).map(signedTimeSpanOf);
  if (lower === undefined || upper === undefined) {
    const allowed = `two numbers of milliseconds, or texts, such as ["-5 min", "1 h"]`;
    throw refuse(`has ${described(between)} as between`, allowed);
  }
  const open = exclusive as { readonly lower?: unknown; readonly upper?: unknown };
  const bounds = {
    lower: lower + (open.lower === true ? 1 : 0),
    upper: upper - (open.upper === true ? 1 : 0),
  };
  if (bounds.lower > bounds.upper) {
    const found = `has between ${bounds.lower} ms and ${bounds.upper} ms, in which nothing is`;
    throw refuse(found, "a lower bound that is not above the upper one");
  }
  const lateLeft = tagOf("lateLeft", given, refuse);
  const lateRight = tagOf("lateRight", given, refuse);
  return {
    ...bounds,
    fn: pairOf(fn, refuse),
    ...(lateLeft && { lateLeft }),
    ...(lateRight && { lateRight }),
  };
}

export function temporalJoinOf(
  settings: unknown,
  fn: unknown,
  options: OperatorOptions,
): TemporalJoin {
  const refuse = refuserOf("temporalJoin", options);
  const given = settingsOf(settings, refuse, `{ type: "left" }, or {}`);
  const { type = "inner" } = given;
  if (type !== "inner" && type !== "left") {
    throw refuse(`has ${shown(type)} as type`, `"inner" or "left"`);
  }
  const lateLeft = tagOf("lateLeft", given, refuse);
  return { type, fn: pairOf(fn, refuse), ...(lateLeft && { lateLeft }) };
}

export function regularJoinOf(
  settings: unknown,
  fn: unknown,
  options: OperatorOptions,
): RegularJoin {
  const refuse = refuserOf("regularJoin", options);
  const given = settingsOf(settings, refuse, `{ ttl: "1 d" }, or {}`);
  const { type = "inner" } = given;
  if (type !== "inner" && type !== "left" && type !== "right" && type !== "full") {
    throw refuse(`has ${shown(type)} as type`, `"inner", "left", "right" or "full"`);
  }
  return { type, fn: pairOf(fn, refuse), ...ttlOf(given, refuse) };
}

export function dedupeOf(settings: unknown, options: OperatorOptions): Dedupe {
  const refuse = refuserOf("dedupe", options);
  const given = settingsOf(settings, refuse, `{ keep: "first" }`);
  const { keep } = given;
  if (keep !== "first" && keep !== "last") {
    throw refuse(`has ${shown(keep)} as keep`, `"first" or "last"`);
  }
  return { keep, ...ttlOf(given, refuse) };
}

export function settingsOf(settings: unknown, refuse: Refuse, example: string): Settings {
  if (typeof settings === "object" && settings !== null && !Array.isArray(settings)) {
    return settings as Settings;
  }
  throw refuse(`was given ${shown(settings)} as its settings`, `an object such as ${example}`);
}

export function pairOf(fn: unknown, refuse: Refuse): PairFunction {
  if (typeof fn === "function" && !isAsync(fn)) return fn as PairFunction;
  throw refuse(`was given ${shown(fn)}`, "a function of both rows that returns its result");
}

export function tagOf(name: string, settings: Settings, refuse: Refuse): AnyOutputTag | undefined {
  const tag = settings[name];
  if (tag === undefined || isOutputTag(tag)) return tag;
  throw refuse(`has ${shown(tag)} as ${name}`, `a tag, as outputTag("late") gives one`);
}

function ttlOf({ ttl }: Settings, refuse: Refuse): { readonly ttl?: number } {
  if (ttl === undefined) return {};
  const span = timeSpanOf(ttl);
  if (span !== undefined && span > 0) return { ttl: span };
  const allowed = `a number of milliseconds from 1 on, or a text such as "1 h"`;
  throw refuse(`has the ttl ${shown(ttl)}`, allowed);
}

const described = (between: unknown): string =>
  Array.isArray(between) ? `[${between.map(shown).join(", ")}]` : shown(between);
