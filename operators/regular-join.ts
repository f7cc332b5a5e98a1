// regularJoin: every pair of rows of one key, whenever they come: both sides are kept, for ever or for
// as long as a ttl says. A pair is made when its second row comes, with the event time of that row.

import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { RegularJoin } from "../stream/joins.ts";
import { listState } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

export function regularJoin(join: RegularJoin): AnyCoProcessFunction {
  const fn = join.fn as (left: unknown, right: unknown) => unknown;
  const options = join.ttl === undefined ? {} : { ttl: join.ttl };
  const state = { left: listState<unknown>(options), right: listState<unknown>(options) };
  type Context = JoinContext<typeof state>;
  return {
    state,
    processLeft(row: unknown, ctx: Context) {
      ctx.state.left.add(row);
      for (const other of ctx.state.right.get()) ctx.emit(fn(row, other));
    },
    processRight(row: unknown, ctx: Context) {
      ctx.state.right.add(row);
      for (const other of ctx.state.left.get()) ctx.emit(fn(other, row));
    },
  };
}
