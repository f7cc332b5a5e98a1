// When a failed job is started again: Flink's restart strategies. Pure: the clock, the failures so
// far and the randomness are arguments.
//   T1. A strategy is asked once per failed attempt; failures that come together are one (J2).
//   T2. What it remembers is small and durable, and only `decideRestart` writes it.

import type { RestartConfig } from "../format/config.ts";
import { type Attempt, type JobId, type Millis, millis } from "../format/ids.ts";
import { murmur3 } from "../format/murmur3.ts";

/** What a job remembers of its failures. Every strategy reads its own part. */
export interface RestartHistory {
  /** Restarts granted in the job's life. */
  readonly restarts: number;
  /** Failures of the last `interval`, oldest first; of the failure-rate strategy. */
  readonly recent: readonly Millis[];
  /** Restarts granted since the backoff was last the initial one; of exponential delay. */
  readonly sinceReset: number;
  /** When the last attempt was to begin; of exponential delay. */
  readonly lastRestartAt?: Millis;
}

export const noRestarts: RestartHistory = { restarts: 0, recent: [], sinceReset: 0 };

export type RestartDecision =
  | { readonly kind: "restart"; readonly at: Millis; readonly history: RestartHistory }
  | { readonly kind: "giveUp"; readonly reason: string };

/** @param random in [0, 1): where in its jitter a backoff lies. */
export function decideRestart(
  config: RestartConfig,
  history: RestartHistory,
  now: Millis,
  random: number,
): RestartDecision {
  switch (config.strategy) {
    case "none":
      return giveUp("Its restart strategy is none.");
    case "fixed-delay":
      return fixedDelay(config, history, now);
    case "failure-rate":
      return failureRate(config, history, now);
    case "exponential-delay":
      return exponentialDelay(config, history, now, random);
    default:
      return config satisfies never;
  }
}

/**
 * A number in [0, 1) for one attempt of one job: jobs that fail together do not come back together,
 * and whoever looks at the same failure again finds the same delay.
 */
export const jitterOf = (job: JobId, attempt: Attempt): number =>
  murmur3(new TextEncoder().encode(`${job} ${attempt}`)) / 2 ** 32;

function fixedDelay(
  { attempts, delay }: Of<"fixed-delay">,
  history: RestartHistory,
  now: Millis,
): RestartDecision {
  const { restarts } = history;
  if (restarts < attempts) return restart(now + delay, history);
  return giveUp(
    `It was restarted ${times(restarts)}, and its fixed-delay strategy allows ${attempts}.`,
  );
}

function failureRate(
  { maxFailures, interval, delay }: Of<"failure-rate">,
  history: RestartHistory,
  now: Millis,
): RestartDecision {
  const recent = [...history.recent.filter((at) => now - at <= interval), now];
  if (recent.length <= maxFailures) return restart(now + delay, { ...history, recent });
  return giveUp(
    `It failed ${times(recent.length)} within ${interval} ms, ` +
      `and its failure-rate strategy allows ${maxFailures}.`,
  );
}

function exponentialDelay(
  config: Of<"exponential-delay">,
  history: RestartHistory,
  now: Millis,
  random: number,
): RestartDecision {
  const { initialBackoff, maxBackoff, multiplier, resetThreshold, jitter, attempts } = config;
  const { lastRestartAt } = history;
  const isStable = lastRestartAt !== undefined && now - lastRestartAt >= resetThreshold;
  const before = isStable ? 0 : history.sinceReset;
  if (before >= attempts) {
    return giveUp(
      `It was restarted ${times(before)} without running for ${resetThreshold} ms, ` +
        `and its exponential-delay strategy allows ${attempts}.`,
    );
  }
  const backoff = Math.min(maxBackoff, initialBackoff * multiplier ** before);
  const varied = backoff * (1 + jitter * (2 * random - 1));
  const delay = Math.round(Math.min(maxBackoff, Math.max(initialBackoff, varied)));
  const lastRestart = millis(now + delay);
  return restart(lastRestart, {
    ...history,
    sinceReset: before + 1,
    lastRestartAt: lastRestart,
  });
}

type Of<S extends RestartConfig["strategy"]> = Extract<RestartConfig, { strategy: S }>;

const restart = (at: number, history: RestartHistory): RestartDecision => ({
  kind: "restart",
  at: millis(at),
  history: { ...history, restarts: history.restarts + 1 },
});

const giveUp = (reason: string): RestartDecision => ({ kind: "giveUp", reason });

const times = (count: number): string => (count === 1 ? "once" : `${count} times`);
