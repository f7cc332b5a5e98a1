// Options in code and Flink's keys: defaults, units, limits, and what is refused in which words.

import { describe, expect, test } from "vitest";

import { applyFlinkConfiguration, ConfigError, jobConfig, type JobOptions } from "tidemark";

function refusalOf(configure: () => unknown): ConfigError {
  try {
    configure();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("It was not refused.");
}

const untyped = (options: unknown): JobOptions => options as JobOptions;

describe("options", () => {
  test("are all filled in", () => {
    expect(jobConfig()).toEqual({
      parallelism: 1,
      maxParallelism: 128,
      bufferTimeout: 100,
      checkpointing: {
        interval: undefined,
        mode: "EXACTLY_ONCE",
        timeout: 600_000,
        minPause: 0,
        maxConcurrent: 1,
        tolerableFailures: 0,
        retained: 1,
        inlineThreshold: 20_480,
      },
      restart: { strategy: "none", attempts: 2_147_483_647, delay: 1_000 },
    });
  });

  test.each([
    [undefined, undefined, "none"],
    ["1s", undefined, "fixed-delay"],
    ["1s", { strategy: "none" }, "none"],
    ["1s", { attempts: 3 }, "fixed-delay"],
    [undefined, { attempts: 3 }, "fixed-delay"],
    [undefined, { strategy: "fixed-delay" }, "fixed-delay"],
  ] as const)(
    "with checkpoints every %s and restart %o, restart by %s",
    (interval, restart, is) => {
      const checkpointing = interval === undefined ? {} : { interval };
      const config = jobConfig({ checkpointing, ...(restart === undefined ? {} : { restart }) });
      expect(config.restart.strategy).toBe(is);
    },
  );

  test.each([
    [250, 250],
    ["250", 250],
    ["250ms", 250],
    ["500 ms", 500],
    ["10s", 10_000],
    ["1.5 s", 1_500],
    ["1.005 s", 1_005],
    ["1 min", 60_000],
    ["2 h", 7_200_000],
    ["1 d", 86_400_000],
    [" 3 S ", 3_000],
  ])("take the duration %j as %d ms", (given, ms) => {
    const options = untyped({ checkpointing: { timeout: given } });
    expect(jobConfig(options).checkpointing.timeout).toBe(ms);
  });

  test.each([
    [4096, 4096],
    ["20 kb", 20_480],
    ["1mb", 1_048_576],
    ["512 b", 512],
  ] as const)("take the size %j as %d bytes", (given, bytes) => {
    const config = jobConfig({ checkpointing: { inlineThreshold: given } });
    expect(config.checkpointing.inlineThreshold).toBe(bytes);
  });

  const duration = 'a number of milliseconds or a text such as "10 s" (units ms, s, min, h, d)';
  test.each([
    [
      { checkpointing: { interval: 9 } },
      `checkpointing.interval is 9; allowed: ${duration}, from 10 ms to 365 d.`,
    ],
    [
      { checkpointing: { interval: "1 fortnight" } },
      `checkpointing.interval is "1 fortnight"; allowed: ${duration}, from 10 ms to 365 d.`,
    ],
    [{ bufferTimeout: -1 }, `bufferTimeout is -1; allowed: ${duration}, from 0 ms to 365 d.`],
    [
      { checkpointing: { mode: "AT_MOST_ONCE" } },
      'checkpointing.mode is "AT_MOST_ONCE"; allowed: EXACTLY_ONCE, AT_LEAST_ONCE.',
    ],
    [{ checkpointing: { maxConcurrent: 2 } }, "checkpointing.maxConcurrent is 2; allowed: 1."],
    [
      { checkpointing: { inlineThreshold: "2 mb" } },
      'checkpointing.inlineThreshold is "2 mb"; allowed: a number of bytes or a text such as ' +
        '"20 kb" (units b, kb, mb), up to 1048576 bytes.',
    ],
    [
      { checkpointing: { retained: 0 } },
      "checkpointing.retained is 0; allowed: a whole number from 1 to 1000.",
    ],
    [
      { restart: { strategy: "always" } },
      'restart.strategy is "always"; allowed: fixed-delay, none, off, disable.',
    ],
    [
      { maxParallelism: 32_769 },
      "maxParallelism is 32769; allowed: a whole number from 1 to 32768.",
    ],
    [{ parallelism: "1.5" }, 'parallelism is "1.5"; allowed: a whole number from 1 to 32768.'],
    [
      { parallelism: 200 },
      "parallelism is 200; allowed: up to the max parallelism, which is 128. " +
        "Lower the one, or raise the other if the job has no state yet.",
    ],
    [{ parallelism: {} }, "parallelism is an object; allowed: a whole number from 1 to 32768."],
  ])("refuse %j", (options, message) => {
    const refusal = refusalOf(() => jobConfig(untyped(options)));
    expect(refusal.message).toBe(message);
    expect(refusal.code).toBe("BAD_VALUE");
    expect(message.startsWith(`${refusal.key} `)).toBe(true);
  });

  test("refuse what they do not know, and say what they do", () => {
    const refusal = refusalOf(() => jobConfig(untyped({ checkpointing: { every: "1s" } })));
    expect(refusal.code).toBe("UNKNOWN_SETTING");
    expect(refusal.message).toBe(
      'Unknown setting "checkpointing.every". Known: parallelism, maxParallelism, bufferTimeout, ' +
        "checkpointing.interval, checkpointing.mode, checkpointing.timeout, " +
        "checkpointing.minPause, checkpointing.maxConcurrent, checkpointing.tolerableFailures, " +
        "checkpointing.retained, checkpointing.inlineThreshold, restart.strategy, " +
        "restart.attempts, restart.delay.",
    );
    expect(refusalOf(() => jobConfig(untyped({ checkpointing: "1s" }))).code).toBe(
      "UNKNOWN_SETTING",
    );
  });
});

describe("Flink's keys", () => {
  test("set everything that options set", () => {
    const config = applyFlinkConfiguration(jobConfig(), {
      "parallelism.default": "8",
      "pipeline.max-parallelism": "256",
      "execution.buffer-timeout.interval": "5 ms",
      "execution.checkpointing.interval": "1 s",
      "execution.checkpointing.mode": "at_least_once",
      "execution.checkpointing.timeout": "1 min",
      "execution.checkpointing.min-pause": "500 ms",
      "execution.checkpointing.max-concurrent-checkpoints": "1",
      "execution.checkpointing.tolerable-failed-checkpoints": "3",
      "execution.checkpointing.num-retained": "2",
      "execution.checkpointing.data-inline-threshold": "20 kb",
      "restart-strategy.type": "fixed-delay",
      "restart-strategy.fixed-delay.attempts": "5",
      "restart-strategy.fixed-delay.delay": "10 s",
    });
    expect(config).toEqual(
      jobConfig({
        parallelism: 8,
        maxParallelism: 256,
        bufferTimeout: 5,
        checkpointing: {
          interval: "1s",
          mode: "AT_LEAST_ONCE",
          timeout: "1 min",
          minPause: "500 ms",
          maxConcurrent: 1,
          tolerableFailures: 3,
          retained: 2,
          inlineThreshold: "20 kb",
        },
        restart: { strategy: "fixed-delay", attempts: 5, delay: "10 s" },
      }),
    );
  });

  test("leave the rest, and the base itself, as they were", () => {
    const base = jobConfig({ parallelism: 4, checkpointing: { interval: "1s", retained: 3 } });
    const before = structuredClone(base);
    const config = applyFlinkConfiguration(base, { "execution.checkpointing.min-pause": "1 s" });
    expect(config).toEqual({
      ...before,
      checkpointing: { ...before.checkpointing, minPause: 1000 },
    });
    expect(base).toEqual(before);
  });

  test("turn restarts on with checkpoints, unless they say otherwise", () => {
    const interval = { "execution.checkpointing.interval": "1 s" };
    const restartOf = (entries: Record<string, string>, options?: JobOptions): string =>
      applyFlinkConfiguration(jobConfig(options), entries).restart.strategy;
    expect(restartOf(interval)).toBe("fixed-delay");
    expect(restartOf({ ...interval, "restart-strategy.type": "off" })).toBe("none");
    expect(
      restartOf(interval, { checkpointing: { interval: 100 }, restart: { strategy: "none" } }),
    ).toBe("none");
  });

  test("are refused where unknown, with the list of the known", () => {
    const refusal = refusalOf(() =>
      applyFlinkConfiguration(jobConfig(), { "state.backend.type": "rocksdb" }),
    );
    expect(refusal.key).toBe("state.backend.type");
    expect(refusal.message).toMatch(
      /^Unknown setting "state\.backend\.type"\. Known: parallelism\.default, .*restart-strategy\.fixed-delay\.delay\.$/,
    );
  });

  test("name themselves, not the option, in a refusal", () => {
    const refusal = refusalOf(() =>
      applyFlinkConfiguration(jobConfig(), {
        "execution.checkpointing.max-concurrent-checkpoints": "2",
      }),
    );
    expect(refusal.message).toBe(
      'execution.checkpointing.max-concurrent-checkpoints is "2"; allowed: 1.',
    );
    const tooWide = { "parallelism.default": "129" };
    expect(refusalOf(() => applyFlinkConfiguration(jobConfig(), tooWide)).key).toBe(
      "parallelism.default",
    );
  });
});
