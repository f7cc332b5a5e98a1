// dedupe: of the rows of a key the first to come, or those that are the last so far by event time.
//   F1. What is kept of a key is that it was there, or the event time of its last row; nothing of a row
//       that has no event time.

import type { Dedupe } from "../stream/joins.ts";
import { valueState } from "../stream/state.ts";
import type { StateDescriptors } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

export function dedupe({ keep, ttl }: Dedupe): {
  readonly state: StateDescriptors;
  process(row: never, ctx: never): void;
} {
  const options = ttl === undefined ? {} : { ttl };
  if (keep === "first") {
    const state = { seen: valueState<true>(options) };
    return {
      state,
      process(row: unknown, ctx: JoinContext<typeof state>) {
        if (ctx.state.seen.get() !== undefined) return;
        ctx.state.seen.set(true);
        ctx.emit(row);
      },
    };
  }
  const state = { latest: valueState<number>(options) };
  return {
    state,
    process(row: unknown, ctx: JoinContext<typeof state>) {
      const { timestamp } = ctx;
      if (timestamp !== undefined) {
        if (timestamp < (ctx.state.latest.get() ?? -Infinity)) return;
        ctx.state.latest.set(timestamp);
      }
      ctx.emit(row);
    },
  };
}
