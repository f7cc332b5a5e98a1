// Process functions: a user's own keyed operator, one row at a time, with state of the row's key.
//   R1. What cannot be inferred is declared where it is used: the type of a state by its descriptor
//       (`state.ts`), the type of what is emitted by `rows`. Everything else follows.

import type { SideOutputs } from "./side-output.ts";
import type { StateDescriptors, StateOf } from "./state.ts";

declare const rowType: unique symbol;

/** The type of the rows a process function emits; no value at run time. */
export interface Rows<out R> {
  readonly [rowType]?: R;
}

/**
 * The timers of the current key. They are part of its state: a checkpoint holds them, and one that
 * comes due while the job is down fires as soon as it is up.
 */
export interface Timers {
  /** The time now, in milliseconds; stands still during a batch. */
  currentProcessingTime(): number;
  /**
   * Calls `onTimer` for this key at that time or soon after, once, however often it is registered. A
   * time that has passed fires at once, but after this call.
   */
  registerProcessingTime(time: number): void;
  /** Takes a registration back; no matter where there is none. */
  deleteProcessingTime(time: number): void;
  /**
   * Event time here, in milliseconds: no row is to come that is not later, but late ones. In `onTimer` it
   * is what the timer fired for, so never earlier than the timer.
   */
  currentWatermark(): number;
  /**
   * Calls `onTimer` for this key once the watermark has come to that time, before anything behind it
   * sees that watermark. A time that has passed fires with the next watermark.
   */
  registerEventTime(time: number): void;
  /** Takes a registration back; no matter where there is none. */
  deleteEventTime(time: number): void;
}

/** What a timer goes by: the times of the rows, or the clock. */
export type TimeDomain = "event" | "processing";

/** What any function of rows may touch. */
export interface FunctionContext<R> extends SideOutputs {
  readonly emit: (row: R) => void;
  /** Processing time in milliseconds; stands still during a batch. In place of `Date.now`. */
  readonly now: () => number;
  /**
   * A number from 0 up to but not including 1, in place of `Math.random`. Each subtask has a sequence of
   * its own, whose place is in every checkpoint: after a failure the numbers that were drawn since come
   * again, to the rows in the order in which they then come. Where a job is given another size,
   * subtasks that were not there before begin sequences of their own.
   */
  readonly random: () => number;
}

/** What a process function may touch. Valid during the call only: it is reused for the next row. */
export interface ProcessContext<K, R, S extends StateDescriptors> extends FunctionContext<R> {
  readonly key: K;
  /** Event time of the row, or of the timer, in milliseconds; what is emitted has the same. */
  readonly timestamp: number | undefined;
  readonly state: {
    readonly [Name in keyof S]: StateOf<S[Name]>;
  };
  readonly timers: Timers;
}

/** What `onTimer` may touch. */
export interface TimerContext<K, R, S extends StateDescriptors> extends ProcessContext<K, R, S> {
  /** Which timer it was. */
  readonly timeDomain: TimeDomain;
}

/**
 * A keyed operator written by hand. `process` is called for every row, in the order in which the
 * key's rows arrived, and must not wait: after a failure it runs again for the rows since the last
 * checkpoint, with the state of that checkpoint.
 *
 * @example
 * keyed.process({
 *   state: { last: valueState<number>() },
 *   emits: rows<{ key: string; change: number }>(),
 *   process(flight, ctx) {
 *     const last = ctx.state.last.get();
 *     if (last !== undefined) ctx.emit({ key: ctx.key, change: flight.delay - last });
 *     ctx.state.last.set(flight.delay);
 *   },
 * }, { uid: "changes" });
 */
export interface ProcessFunction<T, K, R, S extends StateDescriptors = StateDescriptors> {
  readonly state: S;
  readonly emits: Rows<R>;
  process(row: T, ctx: ProcessContext<K, R, S>): void;
  /**
   * Called for a timer that is due, with the state of its key, earlier timers first. Needed by those
   * that register timers, and by no others.
   */
  onTimer?(time: number, ctx: TimerContext<K, R, S>): void;
}

/**
 * Declares the type of the rows that a process function emits.
 *
 * @example const emits = rows<{ key: string; change: number }>();
 */
export const rows = <R>(): Rows<R> => ({});
