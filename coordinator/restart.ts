// When a failed job is started again. Pure: the clock and the failures so far are arguments.

import type { RestartConfig } from "../format/config.ts";
import { type Millis, millis } from "../format/ids.ts";

export type RestartDecision =
  | { readonly kind: "restart"; readonly at: Millis }
  | { readonly kind: "giveUp"; readonly reason: string };

/** @param restarts restarts that were granted before. */
export function decideRestart(
  config: RestartConfig,
  restarts: number,
  now: Millis,
): RestartDecision {
  if (config.strategy === "none") {
    return { kind: "giveUp", reason: "Its restart strategy is none." };
  }
  if (restarts >= config.attempts) {
    return {
      kind: "giveUp",
      reason: `It was restarted ${restarts} times, and its fixed-delay strategy allows ${config.attempts}.`,
    };
  }
  return { kind: "restart", at: millis(now + config.delay) };
}
