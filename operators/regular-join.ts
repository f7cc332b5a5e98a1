// regularJoin: every pair of rows of one key, whenever they come: both sides are kept, for ever or for
// as long as a ttl says. A pair is made when its second row comes, with the event time of that row.
//   R1. A row costs its own entry and its key's counter, however many the key has: rows are kept one by
//       one, under numbers that the counter gives out, one for both sides.
//   R2. No number is given out anew while a row has it: where rows expire, the counter lives as long as
//       the last of them.

import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { RegularJoin } from "../stream/joins.ts";
import { type MapState, mapState, valueState } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

export function regularJoin(join: RegularJoin): AnyCoProcessFunction {
  const fn = join.fn as (left: unknown, right: unknown) => unknown;
  const options = join.ttl === undefined ? {} : { ttl: join.ttl };
  const state = {
    left: mapState<number, unknown>(options),
    right: mapState<number, unknown>(options),
    next: valueState({ default: 0, ...options }),
  };
  type Context = JoinContext<typeof state>;
  const keep = (side: MapState<number, unknown>, row: unknown, { next }: Context["state"]) => {
    const number = next.get();
    side.set(number, row);
    next.set(number + 1);
  };
  return {
    state,
    processLeft(row: unknown, { state, emit }: Context) {
      keep(state.left, row, state);
      for (const [, other] of state.right.entries()) emit(fn(row, other));
    },
    processRight(row: unknown, { state, emit }: Context) {
      keep(state.right, row, state);
      for (const [, other] of state.left.entries()) emit(fn(other, row));
    },
  };
}
