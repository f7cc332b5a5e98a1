// Joins of two keyed streams by windows: rows of both sides are put into the same windows, and meet when
// these are told.
//   W1. A window holds the rows of both sides, with one trigger, one evictor and one end. What is asked
//       of windows is asked of these as of any.
//   W2. The function is called for every pair, or for every window, each time the window is told.

import { timeSpanOf, type TimeSpan } from "./duration.ts";
import { type AnyEvictor, checkedEvictor, type Evictor } from "./evictors.ts";
import { pairOf, type PairFunction, refuserOf, settingsOf, tagOf } from "./joins.ts";
import { shown } from "./names.ts";
import type { Rows } from "./process.ts";
import type { OperatorOptions } from "./recorder.ts";
import type { AnyOutputTag, OutputTagFor } from "./side-output.ts";
import { type AnyTrigger, checkedTrigger, type Trigger } from "./triggers.ts";
import {
  type AnyWindowFunction,
  checkedAssigner,
  checkedFunction,
  type WindowContext,
  type WindowSpec,
} from "./windowed-stream.ts";
import { refuseUnmeant } from "./window-refusals.ts";
import type { TimeWindow, WindowAssigner } from "./windows.ts";

/**
 * A row of either side of a join, as the assigner, the trigger and the evictor of its windows are given
 * it.
 *
 * @example session((row: SideRow<Click, Buy>) => (row.left === undefined ? 60_000 : 10_000))
 */
export type SideRow<T, U> =
  | { readonly left: T; readonly right?: undefined }
  | { readonly left?: undefined; readonly right: U };

/** The windows in which the rows of two streams meet. */
export interface CoGroupOptions<T, U, W extends TimeWindow = TimeWindow> {
  /** In which windows a row is: any assigner, by event time or by the clock. */
  readonly window: WindowAssigner<SideRow<T, U>, W>;
  /** When they are told; at their end where absent. */
  readonly trigger?: Trigger<SideRow<T, U>, never>;
  /** Which of their rows are left out when they are told. */
  readonly evictor?: Evictor<SideRow<T, U>>;
  /** For how long windows of event time are kept after their end, to be told again for every late row. */
  readonly allowedLateness?: TimeSpan;
  /** Where left rows go that are too late for all of their windows; they are dropped where absent. */
  readonly lateLeft?: OutputTagFor<T>;
  /** Where right rows go that are too late for all of their windows; they are dropped where absent. */
  readonly lateRight?: OutputTagFor<U>;
}

/** The settings of a window join. */
export interface WindowJoinOptions<T, U, W extends TimeWindow = TimeWindow> extends CoGroupOptions<
  T,
  U,
  W
> {
  /** Which rows are emitted that met none of the other side in their window; `inner`, none, where absent. */
  readonly type?: WindowJoinType;
}

/** Rows of which sides a window join emits also where they met none of the other side. */
export type WindowJoinType = "inner" | "left" | "right" | "full";

/**
 * A function of all rows of a window, by sides, each in the order in which they arrived; in sessions that were
 * merged session by session.
 *
 * @example
 * clicks.keyBy("user").coGroup(buys.keyBy("buyer"), { window: session("30 min") }, {
 *   emits: rows<{ key: string; clicks: number; spent: number }>(),
 *   process({ key, emit }, clicks, buys) {
 *     const spent = buys.reduce((sum, { price }) => sum + price, 0);
 *     emit({ key, clicks: clicks.length, spent });
 *   },
 * }, { uid: "visits" });
 */
export interface CoGroupFunction<T, U, K, W extends TimeWindow, R> {
  readonly emits: Rows<R>;
  /** Must be deterministic and must not wait: after a failure it runs again. Either side may be empty. */
  process(ctx: WindowContext<K, W, R>, lefts: readonly T[], rights: readonly U[]): void;
}

export interface AnyCoGroupFunction {
  process(ctx: never, lefts: never, rights: never): void;
}

/** What both kinds hold, as the graph does. */
export interface JoinedWindows {
  /** Of rows of both sides; says nothing of what is made of them. */
  readonly windows: WindowSpec;
  readonly lateLeft?: AnyOutputTag;
  readonly lateRight?: AnyOutputTag;
}

export interface WindowJoin extends JoinedWindows {
  readonly type: WindowJoinType;
  readonly fn: PairFunction;
}

export interface CoGroup extends JoinedWindows {
  readonly fn: AnyCoGroupFunction;
}

const types: readonly unknown[] = ["inner", "left", "right", "full"] satisfies WindowJoinType[];

export function windowJoinOf(settings: unknown, fn: unknown, options: OperatorOptions): WindowJoin {
  const refuse = refuserOf("windowJoin", options);
  const given = settingsOf(settings, refuse, `{ window: tumbling("10s") }`);
  const { type = "inner" } = given;
  if (!types.includes(type)) {
    throw refuse(`has ${shown(type)} as type`, `"inner", "left", "right" or "full"`);
  }
  const joined = joinedWindowsOf("windowJoin", given, options);
  return { ...joined, type: type as WindowJoinType, fn: pairOf(fn, refuse) };
}

export function coGroupOf(settings: unknown, fn: unknown, options: OperatorOptions): CoGroup {
  const refuse = refuserOf("coGroup", options);
  const given = settingsOf(settings, refuse, `{ window: tumbling("10s") }`);
  const joined = joinedWindowsOf("coGroup", given, options);
  const example = "{ emits: rows(), process(ctx, lefts, rights) { … } }";
  const checked: AnyWindowFunction = checkedFunction("coGroup", fn, options, example);
  return { ...joined, fn: checked as AnyCoGroupFunction };
}

function joinedWindowsOf(
  method: string,
  given: Readonly<Record<string, unknown>>,
  options: OperatorOptions,
): JoinedWindows {
  const refuse = refuserOf(method, options);
  const { window, trigger, evictor, allowedLateness = 0 } = given;
  const lateness = timeSpanOf(allowedLateness);
  if (lateness === undefined) {
    const allowed = `milliseconds, or a text such as "10s", "5 min" or "12h"`;
    throw refuse(`has ${shown(allowedLateness)} as allowedLateness`, allowed);
  }
  const asked: {
    assigner: WindowSpec["assigner"];
    trigger?: AnyTrigger;
    evictor?: AnyEvictor;
  } = { assigner: checkedAssigner(method, window, options) };
  if (trigger !== undefined) asked.trigger = checkedTrigger(method, trigger);
  if (evictor !== undefined) asked.evictor = checkedEvictor(evictor);
  const lateLeft = tagOf("lateLeft", given, refuse);
  const lateRight = tagOf("lateRight", given, refuse);
  const lateOutput = lateLeft ?? lateRight;
  const late = { allowedLateness: lateness, ...(lateOutput && { lateOutput }) };
  refuseUnmeant(method, { ...asked, ...late }, options);
  return {
    windows: { kind: "window", ...asked, allowedLateness: lateness, fold: { kind: "rows" } },
    ...(lateLeft && { lateLeft }),
    ...(lateRight && { lateRight }),
  };
}
