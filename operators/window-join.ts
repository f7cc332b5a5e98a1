// windowJoin and coGroup: windows of the rows of two streams, and what becomes of both sides when one is
// told.
//   J1. What a window holds are the rows of both sides in the order in which they arrived, each with the
//       side that it is of; all else is the window operator's.
//   J2. A pair is made of every left row with every right one, the left ones in their order. Where there
//       are none of the other side, and the join is an outer one, a row goes with `undefined`.
// As Flink's JoinedStreams and CoGroupedStreams.

import type { KeySelector } from "../stream/graph.ts";
import type { CoGroup, JoinedWindows, SideRow, WindowJoin } from "../stream/window-joins.ts";
import type { AnyWindowFunction, WindowContext } from "../stream/windowed-stream.ts";
import type { TimeWindow } from "../stream/windows.ts";
import { type WindowOperatorContext, type WindowInput, WindowOperator } from "./window.ts";

type Context = WindowContext<unknown, TimeWindow, unknown>;
type Held = readonly SideRow<unknown, unknown>[];

export interface JoinKeys {
  readonly left: KeySelector;
  readonly right: KeySelector;
}

export function windowJoinOperator(
  ctx: WindowOperatorContext,
  keys: JoinKeys,
  join: WindowJoin,
): WindowOperator {
  const fn = join.fn as (left: unknown, right: unknown) => unknown;
  const keepsLeft = join.type === "left" || join.type === "full";
  const keepsRight = join.type === "right" || join.type === "full";
  const alone = [undefined];
  return operatorOf("windowJoin", ctx, keys, join, ({ emit }, lefts, rights) => {
    if (lefts.length === 0 && !keepsRight) return;
    if (rights.length === 0) {
      if (keepsLeft) for (const left of lefts) emit(fn(left, undefined));
      return;
    }
    for (const left of lefts.length === 0 ? alone : lefts) {
      for (const right of rights) emit(fn(left, right));
    }
  });
}

export function coGroupOperator(
  ctx: WindowOperatorContext,
  keys: JoinKeys,
  join: CoGroup,
): WindowOperator {
  return operatorOf("coGroup", ctx, keys, join, (of, lefts, rights) =>
    join.fn.process(of as never, lefts as never, rights as never),
  );
}

function operatorOf(
  name: string,
  ctx: WindowOperatorContext,
  keys: JoinKeys,
  { windows, lateLeft, lateRight }: JoinedWindows,
  process: (ctx: Context, lefts: readonly unknown[], rights: readonly unknown[]) => void,
): WindowOperator {
  const inputs: readonly WindowInput[] = [
    { name, key: keys.left, held: (row) => ({ left: row }), lateOutput: lateLeft },
    { name, key: keys.right, held: (row) => ({ right: row }), lateOutput: lateRight },
  ];
  const fn: AnyWindowFunction = {
    process(of: Context, held: Held) {
      const lefts: unknown[] = [];
      const rights: unknown[] = [];
      for (const one of held) {
        if ("left" in one) lefts.push(one.left);
        else rights.push(one.right);
      }
      process(of, lefts, rights);
    },
  };
  return new WindowOperator(ctx, inputs, { ...windows, fn });
}
