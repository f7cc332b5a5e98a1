// Triggers: when the result of a window is told, and when what it holds is forgotten. As Flink's.
//   T1. A trigger keeps nothing itself: what it knows of a window is in the window's state, and the
//       timers it asks for are the window's.
//   T2. A window that is over is cleaned up without its trigger having to say so.
//   T3. Which triggers of this module wait for event time is known beside them, so that a job whose rows
//       have none is refused. Of a user's own it is not.

import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";
import type { TimeSpan } from "./duration.ts";
import { spanOf, type TimeWindow, windowStart } from "./windows.ts";

/** Whether the window's result is told, and whether the rows in it are forgotten. */
export type TriggerResult = "CONTINUE" | "FIRE" | "PURGE" | "FIRE_AND_PURGE";

/** What a trigger may touch, of the window that it is called for. Valid during the call only. */
export interface TriggerContext<S = unknown> {
  /** A plain value of the trigger's for that window and key; undefined at first. */
  readonly state: { get(): S | undefined; set(value: S): void; clear(): void };
  currentWatermark(): number;
  currentProcessingTime(): number;
  /** Calls `onEventTime` once the watermark has come to that time. */
  registerEventTime(time: number): void;
  /** Calls `onProcessingTime` at that time or soon after. */
  registerProcessingTime(time: number): void;
  deleteEventTime(time: number): void;
  deleteProcessingTime(time: number): void;
}

/** What a trigger may touch when windows have become one. */
export interface TriggerMergeContext<S = unknown> extends TriggerContext<S> {
  /** The states of the windows that were merged, of those that had one. */
  readonly merged: readonly S[];
}

/**
 * Decides when a window is told. Must be deterministic, and keep what it knows in `ctx.state`: it is part
 * of checkpoints, as are its timers. The type of that is the second of the interface, which has to be written:
 * in a trigger without it the state is `unknown`.
 *
 * @example
 * const onMarker: Trigger<{ isLast: boolean }> = {
 *   onElement: (row) => (row.isLast ? "FIRE_AND_PURGE" : "CONTINUE"),
 *   onEventTime: () => "CONTINUE",
 *   onProcessingTime: () => "CONTINUE",
 *   clear: () => {},
 * };
 * @example
 * const byWeight: Trigger<{ weight: number }, number> = {
 *   onElement(row, _timestamp, _window, ctx) {
 *     const weight = (ctx.state.get() ?? 0) + row.weight;
 *     ctx.state.set(weight < 1_000 ? weight : 0);
 *     return weight < 1_000 ? "CONTINUE" : "FIRE_AND_PURGE";
 *   },
 *   onEventTime: () => "CONTINUE",
 *   onProcessingTime: () => "CONTINUE",
 *   clear: () => {},
 * };
 */
export interface Trigger<in T = never, S = never> {
  /** For every row that was put into the window. */
  onElement(row: T, timestamp: number, window: TimeWindow, ctx: TriggerContext<S>): TriggerResult;
  /** For a timer of the window. */
  onEventTime(time: number, window: TimeWindow, ctx: TriggerContext<S>): TriggerResult;
  onProcessingTime(time: number, window: TimeWindow, ctx: TriggerContext<S>): TriggerResult;
  /**
   * Windows have become this one: their states and timers are gone when it returns. A trigger without
   * it cannot be used where windows merge.
   */
  onMerge?(window: TimeWindow, ctx: TriggerMergeContext<S>): void;
  /** The window is over: deletes the timers that are not due yet. Its state is cleared in any case. */
  clear(window: TimeWindow, ctx: TriggerContext<S>): void;
}

/** As the operator calls it: what its state is, only it knows. */
export type AnyTrigger = Trigger<never, never>;

const eventTimed = new WeakMap<AnyTrigger, "end" | "turns">();

/** What a trigger waits for by event time: the window's end, turns, or nothing as far as is known (T3). */
export const eventTimeOf = (trigger: AnyTrigger): "end" | "turns" | undefined =>
  eventTimed.get(trigger);

function byEventTime<T extends AnyTrigger>(trigger: T, until: "end" | "turns" | undefined): T {
  if (until !== undefined) eventTimed.set(trigger, until);
  return trigger;
}

/**
 * Tells a window once the watermark has passed its end, and again for every late row that is allowed. What
 * windows of event time have where they are given no other. The end of a global window is that of all input.
 *
 * @example stream.window(tumbling("1h")).trigger(eventTimeTrigger())
 */
export const eventTimeTrigger = (): Trigger<unknown, unknown> =>
  byEventTime<Trigger<unknown, unknown>>(
    {
      onElement(_row, _timestamp, window, ctx) {
        if (window.end - 1 <= ctx.currentWatermark()) return "FIRE";
        ctx.registerEventTime(window.end - 1);
        return "CONTINUE";
      },
      onEventTime: (time, window) => (time === window.end - 1 ? "FIRE" : "CONTINUE"),
      onProcessingTime: () => "CONTINUE",
      onMerge(window, ctx) {
        // With the watermark behind its end already it is told by the row that merged it.
        if (window.end - 1 > ctx.currentWatermark()) ctx.registerEventTime(window.end - 1);
      },
      clear: (window, ctx) => ctx.deleteEventTime(window.end - 1),
    },
    "end",
  );

/**
 * Tells a window when the clock has passed its end. What windows of processing time have where they are
 * given no other.
 *
 * @example stream.window(tumbling("1h", { time: "processing" })).trigger(processingTimeTrigger())
 */
export const processingTimeTrigger = (): Trigger<unknown, unknown> => ({
  onElement(_row, _timestamp, window, ctx) {
    ctx.registerProcessingTime(window.end - 1);
    return "CONTINUE";
  },
  onEventTime: () => "CONTINUE",
  onProcessingTime: () => "FIRE",
  onMerge(window, ctx) {
    if (window.end - 1 > ctx.currentProcessingTime()) ctx.registerProcessingTime(window.end - 1);
  },
  clear: (window, ctx) => ctx.deleteProcessingTime(window.end - 1),
});

/**
 * Tells a window with every `rows` rows of it.
 *
 * @example stream.window(globalWindow()).trigger(countTrigger(100))
 */
export function countTrigger(rows: number): Trigger<unknown, number> {
  if (!Number.isSafeInteger(rows) || rows < 1) {
    throw new GraphError(
      "BAD_ARGUMENT",
      `countTrigger was given ${shown(rows)}. Allowed: a whole number of rows from 1 on.`,
    );
  }
  return {
    onElement(_row, _timestamp, _window, ctx) {
      const seen = (ctx.state.get() ?? 0) + 1;
      if (seen < rows) {
        ctx.state.set(seen);
        return "CONTINUE";
      }
      ctx.state.clear();
      return "FIRE";
    },
    onEventTime: () => "CONTINUE",
    onProcessingTime: () => "CONTINUE",
    onMerge(_window, ctx) {
      if (ctx.merged.length > 0) ctx.state.set(ctx.merged.reduce((sum, one) => sum + one));
    },
    clear: (_window, ctx) => ctx.state.clear(),
  };
}

/**
 * Tells a window every `span` of event time, counted from 1970, as long as it holds rows, and at its end.
 *
 * @example stream.window(tumbling("1 d")).trigger(continuousEventTime("1h"))
 */
export function continuousEventTime(span: TimeSpan): Trigger<unknown, number> {
  const interval = spanOf("continuousEventTime", "span", span);
  // The turns are those of all windows, also of one that another was merged with between two of them. What
  // comes after the end is no turn of the window, as long as that is its end.
  const next = (ctx: TriggerContext<number>, window: TimeWindow, turn: number): void => {
    ctx.state.set(turn);
    if (turn < window.end - 1) ctx.registerEventTime(turn);
  };
  const trigger: Trigger<unknown, number> = {
    onElement(_row, timestamp, window, ctx) {
      if (window.end - 1 <= ctx.currentWatermark()) return "FIRE";
      ctx.registerEventTime(window.end - 1);
      if (ctx.state.get() === undefined) next(ctx, window, turnAfter(timestamp, interval));
      return "CONTINUE";
    },
    onEventTime(time, window, ctx) {
      if (time === window.end - 1) return "FIRE";
      if (ctx.state.get() !== time) return "CONTINUE";
      // A window without an end would have turns for ever: at the end of time it is told once.
      if (window.end === Infinity && ctx.currentWatermark() === Infinity) return "CONTINUE";
      next(ctx, window, turnAfter(time, interval));
      return "FIRE";
    },
    onProcessingTime: () => "CONTINUE",
    onMerge(window, ctx) {
      if (window.end - 1 > ctx.currentWatermark()) ctx.registerEventTime(window.end - 1);
      if (ctx.merged.length > 0) next(ctx, window, Math.min(...ctx.merged));
    },
    clear(window, ctx) {
      ctx.deleteEventTime(window.end - 1);
      const turn = ctx.state.get();
      if (turn !== undefined) ctx.deleteEventTime(turn);
      ctx.state.clear();
    },
  };
  return byEventTime(trigger, "turns");
}

/**
 * Tells a window every `span` by the clock, counted from 1970, as long as it is there and holds rows. A
 * window by the clock is told at its end as well. One by event time is not: what came after the last turn
 * before the watermark passed it is never told, and where rows of the past come fast that may be all of it.
 *
 * @example stream.window(tumbling("1 d", { time: "processing" })).trigger(continuousProcessingTime("10s"))
 */
export function continuousProcessingTime(span: TimeSpan): Trigger<unknown, number> {
  const interval = spanOf("continuousProcessingTime", "span", span);
  const next = (ctx: TriggerContext<number>, turn: number): void => {
    ctx.state.set(turn);
    ctx.registerProcessingTime(turn);
  };
  return {
    onElement(_row, _timestamp, _window, ctx) {
      if (ctx.state.get() === undefined) {
        next(ctx, turnAfter(ctx.currentProcessingTime(), interval));
      }
      return "CONTINUE";
    },
    onEventTime: () => "CONTINUE",
    onProcessingTime(time, window, ctx) {
      // The end of a window by the clock is a time of the clock: it comes here as one. That of a window by
      // event time is none, and says nothing of when the last turn is.
      if (ctx.state.get() !== time) return time === window.end - 1 ? "FIRE" : "CONTINUE";
      next(ctx, turnAfter(time, interval));
      return "FIRE";
    },
    onMerge(_window, ctx) {
      if (ctx.merged.length > 0) next(ctx, Math.min(...ctx.merged));
    },
    clear(_window, ctx) {
      const turn = ctx.state.get();
      if (turn !== undefined) ctx.deleteProcessingTime(turn);
      ctx.state.clear();
    },
  };
}

/** The first of the turns, every `interval` since 1970, that is later than a time. */
const turnAfter = (time: number, interval: number): number =>
  windowStart(time, 0, interval) + interval;

/**
 * The same trigger, after which the rows that were told are forgotten.
 *
 * @example stream.window(globalWindow()).trigger(purging(countTrigger(100)))
 */
export function purging<T, S>(trigger: Trigger<T, S>): Trigger<T, S> {
  checkedTrigger("purging", trigger);
  const purged = (result: TriggerResult): TriggerResult =>
    result === "FIRE" ? "FIRE_AND_PURGE" : result;
  const purges: Trigger<T, S> = {
    onElement: (row, timestamp, window, ctx) =>
      purged(trigger.onElement(row, timestamp, window, ctx)),
    onEventTime: (time, window, ctx) => purged(trigger.onEventTime(time, window, ctx)),
    onProcessingTime: (time, window, ctx) => purged(trigger.onProcessingTime(time, window, ctx)),
    ...(trigger.onMerge !== undefined && {
      onMerge: (window: TimeWindow, ctx: TriggerMergeContext<S>) => trigger.onMerge!(window, ctx),
    }),
    clear: (window, ctx) => trigger.clear(window, ctx),
  };
  return byEventTime(purges, eventTimeOf(trigger));
}

/**
 * Tells a window never. A `globalWindow` that is given no trigger is refused: where that is meant, say so.
 *
 * @example stream.window(globalWindow()).trigger(never())
 */
export const never = (): Trigger<unknown, unknown> => ({
  onElement: () => "CONTINUE",
  onEventTime: () => "CONTINUE",
  onProcessingTime: () => "CONTINUE",
  onMerge() {},
  clear() {},
});

/** The trigger as it is, or a `GraphError` where it is none. */
export function checkedTrigger(method: string, given: unknown): AnyTrigger {
  const trigger = given as Readonly<Record<string, unknown>> | null | undefined;
  const parts = ["onElement", "onEventTime", "onProcessingTime", "clear"];
  if (parts.every((part) => typeof trigger?.[part] === "function")) return given as AnyTrigger;
  throw new GraphError(
    "BAD_ARGUMENT",
    `${method} was given ${shown(given)} that is no trigger. Allowed: eventTimeTrigger(), ` +
      `countTrigger(100) and the like, or an object with onElement, onEventTime, onProcessingTime and clear.`,
  );
}
