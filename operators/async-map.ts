// asyncMap: one call for each row, whose result stands for the row.

import type { AsyncMap, Calling } from "../stream/async.ts";
import { type AsyncContextOf, AsyncOperator } from "./async.ts";
import { Requests } from "./async-requests.ts";
import type { Entry } from "./async-queue.ts";

export const asyncMap = (
  ctx: AsyncContextOf,
  { fn, onTimeout }: AsyncMap,
  calls: Calling,
): AsyncOperator =>
  new AsyncOperator(ctx, {
    name: "asyncMap",
    calls,
    invoke: (row, context) => fn(row as never, context),
    answering: (settle) => {
      const requests = new Requests<Entry>(calls, (entry, outcome) => {
        if (outcome.kind === "value") return settle(entry, "value", outcome.value);
        if (outcome.kind === "failed") return settle(entry, "failed", outcome.error);
        if (onTimeout === undefined) return settle(entry, "failed", noAnswer(calls));
        let value: unknown;
        try {
          value = onTimeout(entry.row as never);
        } catch (error) {
          return settle(entry, "failed", error);
        }
        settle(entry, "value", value);
      });
      return {
        ask(entries, now) {
          for (const entry of entries) requests.ask(entry, entry.row, now);
        },
        take: () => requests.take(),
        takeOverdue: () => requests.takeOverdue(),
        answered: (answer, now) => requests.answered(answer, now),
        get nextAt() {
          return requests.nextAt;
        },
        fire: (now) => requests.fire(now),
      };
    },
  });

/** Why a row has failed whose time is over. */
export function noAnswer({ timeout }: Calling): Error {
  const error = new Error(`there was no answer within ${timeout} ms`);
  error.name = "TimeoutError";
  return error;
}
