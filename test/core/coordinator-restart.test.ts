// The restart strategies. Names in front of a colon are Flink's tests.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  decideRestart,
  jitterOf,
  noRestarts,
  type RestartDecision,
  type RestartHistory,
} from "../../coordinator/restart.ts";
import type { RestartConfig } from "../../format/config.ts";
import { attempt, jobIdFrom, millis } from "../../format/ids.ts";
import { applyFlinkConfiguration, jobConfig, type JobOptions, restartConfig } from "tidemark";
import { JobDriver } from "./job-driver.ts";

const start = 1_000_000;
/** In the middle: no jitter. */
const middle = 0.5;

/** A job that fails at given times, and what its strategy says each time. */
class Failing {
  readonly #config: RestartConfig;
  history: RestartHistory = noRestarts;
  now = start;

  constructor(config: RestartConfig) {
    this.#config = config;
  }

  /** It fails `after` ms; the milliseconds until its restart, or why there is none. */
  fail(after = 0, random = middle): number | string {
    this.now += after;
    const decision: RestartDecision = decideRestart(
      this.#config,
      this.history,
      millis(this.now),
      random,
    );
    if (decision.kind === "giveUp") return decision.reason;
    this.history = decision.history;
    return decision.at - this.now;
  }

  /** Each failure comes `running` ms after the restart that followed the one before. */
  run(running: readonly number[], random = middle): (number | string)[] {
    return running.map((ms) => {
      const delay = this.fail(ms, random);
      if (typeof delay === "number") this.now += delay;
      return delay;
    });
  }
}

const exponential = {
  strategy: "exponential-delay",
  initialBackoff: 1_000,
  maxBackoff: 6_000,
  multiplier: 2,
  resetThreshold: 60_000,
  jitter: 0,
  attempts: 100,
} as const;

describe("NoRestartBackoffTimeStrategyTest", () => {
  test("never", () => {
    expect(new Failing({ strategy: "none" }).fail()).toBe("Its restart strategy is none.");
  });
});

describe("FixedDelayRestartBackoffTimeStrategyTest", () => {
  test("testNumberOfRestarts: so many, whatever the time between", () => {
    const failing = new Failing({ strategy: "fixed-delay", attempts: 2, delay: 700 });
    expect(failing.run([0, 1_000_000_000, 5])).toEqual([
      700,
      700,
      "It was restarted 2 times, and its fixed-delay strategy allows 2.",
    ]);
    const never = new Failing({ strategy: "fixed-delay", attempts: 0, delay: 700 });
    expect(never.fail()).toContain("allows 0");
  });

  test("testBackoffTime: after the delay, none included", () => {
    expect(new Failing({ strategy: "fixed-delay", attempts: 1, delay: 0 }).fail()).toBe(0);
  });

  test("its defaults are Flink's: once, after 1 s", () => {
    const config = restartConfig({ strategy: "fixed-delay" });
    expect(config).toEqual({ strategy: "fixed-delay", attempts: 1, delay: 1_000 });
    expect(new Failing(config).run([0, 0])).toEqual([
      1_000,
      "It was restarted once, and its fixed-delay strategy allows 1.",
    ]);
  });
});

describe("FailureRateRestartBackoffTimeStrategyTest", () => {
  const rate = { strategy: "failure-rate", maxFailures: 3, interval: 10_000, delay: 5 } as const;

  test("testManyFailuresWithinRate: for ever", () => {
    const failing = new Failing({ ...rate, maxFailures: 1, interval: 1 });
    expect(failing.run(Array.from({ length: 50 }, () => 2))).toEqual(Array(50).fill(5));
  });

  test("testFailuresExceedingRate: one too many ends the job", () => {
    expect(new Failing(rate).run([0, 0, 0, 0])).toEqual([
      5,
      5,
      5,
      "It failed 4 times within 10000 ms, and its failure-rate strategy allows 3.",
    ]);
  });

  test("an interval is any stretch of time, its end included", () => {
    const failing = new Failing(rate);
    for (const after of [0, 4_000, 4_000]) expect(failing.fail(after)).toBe(5);
    const { now, history } = failing;
    expect(failing.fail(2_000)).toContain("4 times");
    failing.now = now;
    failing.history = history;
    expect(failing.fail(2_001)).toBe(5);
    expect(failing.history.recent).toHaveLength(3);
  });

  test("its defaults are Flink's", () => {
    expect(restartConfig({ strategy: "failure-rate" })).toEqual({
      strategy: "failure-rate",
      maxFailures: 1,
      interval: 60_000,
      delay: 1_000,
    });
  });
});

describe("ExponentialDelayRestartBackoffTimeStrategyTest", () => {
  test("testAlwaysRestart: by default without end, from 1 s to 1 min", () => {
    const config = restartConfig({ strategy: "exponential-delay" });
    expect(config).toEqual({
      strategy: "exponential-delay",
      initialBackoff: 1_000,
      maxBackoff: 60_000,
      multiplier: 1.5,
      resetThreshold: 3_600_000,
      jitter: 0.1,
      attempts: 2_147_483_647,
    });
    const failing = new Failing(config);
    const delays = failing.run(Array.from({ length: 2_000 }, () => 10));
    expect(delays.slice(0, 4)).toEqual([1_000, 1_500, 2_250, 3_375]);
    expect(delays.at(-1)).toBe(60_000);
  });

  test("testMaxAttempts: ends the job", () => {
    const failing = new Failing({ ...exponential, attempts: 3 });
    expect(failing.run([0, 0, 0, 0])).toEqual([
      1_000,
      2_000,
      4_000,
      "It was restarted 3 times without running for 60000 ms, " +
        "and its exponential-delay strategy allows 3.",
    ]);
  });

  test("testNotCallNotifyFailure, testInitialBackoff: the first backoff is the initial one", () => {
    expect(new Failing(exponential).fail()).toBe(1_000);
  });

  test("testMaxBackoff: none is longer", () => {
    expect(new Failing(exponential).run([0, 0, 0, 0, 0])).toEqual([
      1_000, 2_000, 4_000, 6_000, 6_000,
    ]);
  });

  test("testResetBackoff: by running for the threshold, counted from the restart", () => {
    const failing = new Failing(exponential);
    expect(failing.run([0, 0, 59_999, 60_000, 0])).toEqual([1_000, 2_000, 4_000, 1_000, 2_000]);
  });

  test("testMaxAttempts with reset: attempts count anew with the backoff", () => {
    const failing = new Failing({ ...exponential, attempts: 2 });
    expect(failing.run([0, 0, 60_000, 0])).toEqual([1_000, 2_000, 1_000, 2_000]);
    expect(failing.fail()).toContain("restarted 2 times");
    expect(failing.history.restarts).toBe(4);
  });

  test("testBackoffMultiplier: of 1 keeps the backoff as it is", () => {
    expect(new Failing({ ...exponential, multiplier: 1 }).run([0, 0, 0])).toEqual([
      1_000, 1_000, 1_000,
    ]);
    expect(new Failing({ ...exponential, multiplier: 1.2 }).run([0, 0, 0])).toEqual([
      1_000, 1_200, 1_440,
    ]);
  });

  test("testJitter: a share of the backoff, up and down", () => {
    const jittered = { ...exponential, jitter: 0.25 };
    const second = (random: number): unknown => {
      const failing = new Failing(jittered);
      failing.fail();
      return failing.fail(0, random);
    };
    expect([0, 0.25, 0.5, 0.75].map(second)).toEqual([1_500, 1_750, 2_000, 2_250]);
  });

  test("testJitterNoHigherThanMax: and never below the initial backoff nor above the highest", () => {
    const anything = fc.record({
      initialBackoff: fc.integer({ min: 1, max: 10_000 }),
      multiplier: fc.double({ min: 1, max: 10, noNaN: true }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      before: fc.nat(1_000),
    });
    fc.assert(
      fc.property(anything, ({ random, before, ...given }) => {
        const config = { ...exponential, ...given, maxBackoff: 20_000, attempts: 2_000 };
        const history = { ...noRestarts, sinceReset: before, lastRestartAt: millis(start) };
        const decision = decideRestart(config, history, millis(start + 1), random);
        if (decision.kind !== "restart") throw new Error(decision.reason);
        const delay = decision.at - (start + 1);
        const plain = Math.min(20_000, given.initialBackoff * given.multiplier ** before);
        expect(delay).toBeGreaterThanOrEqual(
          Math.floor(Math.max(given.initialBackoff, plain * (1 - given.jitter))),
        );
        expect(delay).toBeLessThanOrEqual(Math.ceil(Math.min(20_000, plain * (1 + given.jitter))));
      }),
    );
  });

  test("testMultipleSettings: jitter and reset together", () => {
    const failing = new Failing({ ...exponential, jitter: 0.25, maxBackoff: 7_000 });
    const delays = failing.run([0, 0, 0, 0, 60_000, 0], 0.999_999);
    expect(delays).toEqual([1_250, 2_500, 5_000, 7_000, 1_250, 2_500]);
  });

  test("testMergeMultipleExceptionsIntoOneAttempt: while it waits, failures add nothing (J2)", () => {
    const driver = new JobDriver({ restart: exponential });
    driver.deployAll();
    for (const task of driver.tasks) driver.fail(task);
    driver.advance(999);
    driver.fail(driver.tasks[1]);
    const { restartHistory } = driver.record;
    expect(restartHistory).toMatchObject({ restarts: 1, sinceReset: 1 });
    driver.advance(1);
    expect(driver.attempt).toBe(2);
    driver.fail();
    expect(driver.record.restartHistory).toMatchObject({ restarts: 2, sinceReset: 2 });
  });

  test("a coordinator that lost its memory goes on with the backoff it had", () => {
    const driver = new JobDriver({ restart: exponential });
    const delays: number[] = [];
    for (let round = 0; round < 4; round++) {
      driver.deployAll();
      driver.fail();
      delays.push(driver.restartAt! - driver.now);
      driver.reload();
      driver.advance(delays.at(-1)!);
    }
    expect(delays).toEqual([1_000, 2_000, 4_000, 6_000]);
  });

  test("a clock that goes back does no harm", () => {
    const failing = new Failing(exponential);
    failing.fail();
    expect(failing.fail(-500_000)).toBe(2_000);
  });

  test("jobs that fail together do not come back together; the same failure, the same delay", () => {
    const jobs = Array.from({ length: 200 }, (_, n) => jobIdFrom(new Uint8Array(16).fill(n)));
    const drawn = jobs.map((job) => jitterOf(job, attempt(1)));
    expect(drawn.every((random) => random >= 0 && random < 1)).toBe(true);
    expect(new Set(drawn).size).toBe(200);
    expect(Math.min(...drawn)).toBeLessThan(0.05);
    expect(Math.max(...drawn)).toBeGreaterThan(0.95);
    expect(jitterOf(jobs[0]!, attempt(2))).not.toBe(drawn[0]);
    expect(jitterOf(jobs[0]!, attempt(1))).toBe(drawn[0]);
  });
});

describe("RestartBackoffTimeStrategyFactoryLoaderTest", () => {
  const checkpointing = { "execution.checkpointing.interval": "1 s" };
  const deployment = { restart: restartConfig({ strategy: "failure-rate" }) };
  const strategyOf = (
    entries: Record<string, string>,
    { options, fallback }: { options?: JobOptions; fallback?: typeof deployment } = {},
  ): string => applyFlinkConfiguration(jobConfig(options), entries, fallback).restart.strategy;

  test("testNoRestartStrategySpecifiedWhenCheckpointingDisabled: none", () => {
    expect(jobConfig().restart.strategy).toBe("none");
    expect(strategyOf({})).toBe("none");
  });

  test("testExponentialDelayStrategySpecifiedWhenCheckpointingEnabled: exponential delay", () => {
    const options = { checkpointing: { interval: "1s" } } as const;
    expect(jobConfig(options).restart.strategy).toBe("exponential-delay");
    expect(strategyOf({}, { options })).toBe("exponential-delay");
    expect(strategyOf(checkpointing)).toBe("exponential-delay");
  });

  test.each(["none", "off", "disable"])(
    "testNoRestartStrategySpecifiedInJobConfig: %s is none, with checkpoints and a fallback",
    (word) => {
      const type = { "restart-strategy.type": word };
      expect(strategyOf({ ...checkpointing, ...type }, { fallback: deployment })).toBe("none");
    },
  );

  test.each(["fixed-delay", "failure-rate", "exponential-delay"] as const)(
    "test…StrategySpecifiedInJobConfig: %s, in code or at submission",
    (strategy) => {
      const options = { restart: { strategy } };
      expect(strategyOf({}, { options, fallback: deployment })).toBe(strategy);
      expect(strategyOf({ "restart-strategy.type": strategy })).toBe(strategy);
      expect(strategyOf({ "restart-strategy": strategy })).toBe(strategy);
    },
  );

  test("test…StrategySpecifiedInClusterConfig: the deployment's, where the job says nothing", () => {
    expect(strategyOf({}, { fallback: deployment })).toBe("failure-rate");
    expect(strategyOf(checkpointing, { fallback: deployment })).toBe("failure-rate");
    const none = { restart: restartConfig({ strategy: "none" }) };
    expect(strategyOf(checkpointing, { fallback: none })).toBe("none");
  });

  test("a submission that turns checkpoints on leaves a strategy that the job chose", () => {
    const options = { restart: { strategy: "none" } } as const;
    expect(strategyOf(checkpointing, { options })).toBe("none");
  });

  test("a submission changes one setting of the strategy, and the others stay", () => {
    const base = jobConfig({ restart: { strategy: "fixed-delay", attempts: 7, delay: "3s" } });
    const changed = applyFlinkConfiguration(base, {
      "restart-strategy.type": "fixed-delay",
      "restart-strategy.fixed-delay.delay": "1 h",
    });
    expect(changed.restart).toEqual({ strategy: "fixed-delay", attempts: 7, delay: 3_600_000 });
    const implied = applyFlinkConfiguration(jobConfig({ checkpointing: { interval: "1s" } }), {
      "restart-strategy.exponential-delay.initial-backoff": "100 ms",
    });
    expect(implied.restart).toMatchObject({ initialBackoff: 100, multiplier: 1.5 });
    expect(applyFlinkConfiguration(implied, {}, deployment).restart).toEqual(implied.restart);
  });
});
