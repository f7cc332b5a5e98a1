// regularJoin with an outer side: the rows of that side are emitted also while they meet nobody, with
// undefined in the other's place, and are taken back when somebody comes. A result is a change.
//   R3. Of each row of an outer side it is kept whether it was emitted alone: just that is taken back, once.
//   R4. Rows leave by their ttl without a word: what was emitted of them stays.

import { change } from "../stream/changelog.ts";
import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { RegularJoin } from "../stream/joins.ts";
import { type MapState, mapState, valueState } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

/** A row, and whether it was emitted alone. */
type Kept = readonly [row: unknown, isAlone: boolean];

export function outerJoin({ fn, ttl, type }: RegularJoin): AnyCoProcessFunction {
  const pair = fn as (left: unknown, right: unknown) => object;
  const options = ttl === undefined ? {} : { ttl };
  const state = {
    left: mapState<number, Kept>(options),
    right: mapState<number, Kept>(options),
    next: valueState({ default: 0, ...options }),
  };
  type Context = JoinContext<typeof state>;
  const came = (
    row: unknown,
    own: MapState<number, Kept>,
    others: MapState<number, Kept>,
    isOuter: boolean,
    result: (own: unknown, other: unknown) => object,
    { state: { next }, emit }: Context,
  ): void => {
    const number = next.get();
    next.set(number + 1);
    let isAlone = true;
    for (const [at, [other, wasAlone]] of others.entries()) {
      isAlone = false;
      if (wasAlone) {
        emit(change.delete(result(undefined, other)));
        others.set(at, [other, false]);
      }
      emit(change.insert(result(row, other)));
    }
    own.set(number, [row, isAlone && isOuter]);
    if (isAlone && isOuter) emit(change.insert(result(row, undefined)));
  };
  const rightFirst = (right: unknown, left: unknown): object => pair(left, right);
  return {
    state,
    processLeft(row: unknown, ctx: Context) {
      const { left, right } = ctx.state;
      came(row, left, right, type === "left" || type === "full", pair, ctx);
    },
    processRight(row: unknown, ctx: Context) {
      const { left, right } = ctx.state;
      came(row, right, left, type === "right" || type === "full", rightFirst, ctx);
    },
  };
}
