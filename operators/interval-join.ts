// intervalJoin: pairs of rows of one key whose event times are no further apart than the bounds say. Each
// side's rows are kept by their times, as a function of two streams keeps them.
//   I1. A pair is made when its second row comes, whichever side that is of, and its event time is the
//       later of both.
//   I2. A row is kept until event time has come so far that no row of the other side can meet it, unless
//       that one is late. One timer for each time and key cleans both sides.
//   I3. A row that is earlier than event time here is late: it meets nothing and is not kept.
// Flink's IntervalJoinOperator.

import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { IntervalJoin } from "../stream/joins.ts";
import { type MapState, mapState } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

type Rows = MapState<number, readonly unknown[]>;

/** The rows of both sides by their event times. */
const state = {
  left: mapState<number, readonly unknown[]>(),
  right: mapState<number, readonly unknown[]>(),
};

type Context = JoinContext<typeof state>;

export function intervalJoin(join: IntervalJoin): AnyCoProcessFunction {
  const { lower, upper, lateLeft, lateRight } = join;
  const fn = join.fn as (left: unknown, right: unknown) => unknown;
  // How long after its time a row is still to be met.
  const leftStays = Math.max(upper, 0);
  const rightStays = Math.max(-lower, 0);

  /** Keeps the row and tells its time, unless it is late. */
  const kept = (
    row: unknown,
    own: Rows,
    stays: number,
    late: IntervalJoin["lateLeft"],
    ctx: Context,
  ): number | undefined => {
    const { timestamp: time, timers } = ctx;
    if (time === undefined) throw new TypeError(withoutTime("An interval join"));
    if (time < timers.currentWatermark()) {
      ctx.late(late, row);
      return undefined;
    }
    own.set(time, [...(own.get(time) ?? []), row]);
    timers.registerEventTime(time + stays);
    return time;
  };

  return {
    state,
    processLeft(row: unknown, ctx: Context) {
      const { left, right } = ctx.state;
      const time = kept(row, left, leftStays, lateLeft, ctx);
      if (time === undefined) return;
      for (const [at, rows] of right.entries()) {
        if (at < time + lower || at > time + upper) continue;
        for (const other of rows) ctx.emitAt(fn(row, other), Math.max(time, at));
      }
    },
    processRight(row: unknown, ctx: Context) {
      const { left, right } = ctx.state;
      const time = kept(row, right, rightStays, lateRight, ctx);
      if (time === undefined) return;
      for (const [at, rows] of left.entries()) {
        if (time < at + lower || time > at + upper) continue;
        for (const other of rows) ctx.emitAt(fn(other, row), Math.max(time, at));
      }
    },
    onTimer(time: number, ctx: Context) {
      ctx.state.left.delete(time - leftStays);
      ctx.state.right.delete(time - rightStays);
    },
  };
}

export const withoutTime = (who: string): string =>
  `${who} goes by event time, and the row has none. Give its source watermarks: ` +
  `env.from(…, { uid, watermarks: boundedOutOfOrderness("10s", { timestamp: "at" }) }).`;
