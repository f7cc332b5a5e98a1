// Options in code and Flink's keys: defaults, units, limits, and what is refused in which words.

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { applyFlinkConfiguration, ConfigError, jobConfig, type JobOptions } from "tidemark";

import { flinkConfigurationOf } from "../../stream/config.ts";
import { shown } from "../../stream/names.ts";

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
        retention: "NO_EXTERNALIZED_CHECKPOINTS",
        storage: "r2",
        inlineThreshold: 20_480,
        incremental: true,
        unaligned: false,
        alignedTimeout: 0,
      },
      state: { backend: "memory", memoryBudget: 64 * 1024 * 1024, localRecovery: false },
      restart: { strategy: "none" },
      restartIsImplied: true,
    });
  });

  test("of a restart strategy are filled in, and the choice is remembered", () => {
    const config = jobConfig({ restart: { strategy: "failure-rate", maxFailures: 5 } });
    expect(config.restart).toEqual({
      strategy: "failure-rate",
      maxFailures: 5,
      interval: 60_000,
      delay: 1_000,
    });
    expect(config).not.toHaveProperty("restartIsImplied");
    expect(jobConfig(untyped({ restart: { strategy: "Disable" } })).restart.strategy).toBe("none");
  });

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
    [
      { checkpointing: { maxConcurrent: 0 } },
      "checkpointing.maxConcurrent is 0; allowed: a whole number from 1 to 100.",
    ],
    [
      { checkpointing: { retention: "RETAIN" } },
      'checkpointing.retention is "RETAIN"; allowed: NO_EXTERNALIZED_CHECKPOINTS, ' +
        "DELETE_ON_CANCELLATION, RETAIN_ON_CANCELLATION.",
    ],
    [
      { checkpointing: { storage: "s3" } },
      'checkpointing.storage is "s3"; allowed: r2, filesystem, inline, jobmanager.',
    ],
    [
      { checkpointing: { incremental: 1 } },
      "checkpointing.incremental is 1; allowed: true, false.",
    ],
    [
      { checkpointing: { unaligned: true, mode: "AT_LEAST_ONCE" } },
      "checkpointing.unaligned is true; allowed: false while checkpointing.mode is AT_LEAST_ONCE.",
    ],
    [
      { checkpointing: { unaligned: true, maxConcurrent: 2 } },
      "checkpointing.unaligned is true; allowed: false while checkpointing.maxConcurrent is 2.",
    ],
    [
      { state: { backend: "forst" } },
      'state.backend is "forst"; allowed: memory, hashmap, sqlite, rocksdb.',
    ],
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
      'restart.strategy is "always"; allowed: fixed-delay, failure-rate, exponential-delay, none, ' +
        "off, disable.",
    ],
    [
      { restart: { attempts: 3 } },
      "restart.strategy is undefined; allowed: fixed-delay, failure-rate, exponential-delay, " +
        "none, off, disable.",
    ],
    [
      { restart: { strategy: "exponential-delay", multiplier: 0.9 } },
      "restart.multiplier is 0.9; allowed: a number from 1 to 1000.",
    ],
    [
      { restart: { strategy: "exponential-delay", jitter: "a lot" } },
      'restart.jitter is "a lot"; allowed: a number from 0 to 1.',
    ],
    [
      { restart: { strategy: "exponential-delay", jitter: "" } },
      'restart.jitter is ""; allowed: a number from 0 to 1.',
    ],
    [
      { restart: { strategy: "exponential-delay", initialBackoff: "2 min" } },
      "restart.initialBackoff is 120000; allowed: up to restart.maxBackoff, which is 60000 ms.",
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
    ...["a:2,a:3", "a:0", "a:1.5", "a", ":4", "a:2,", 4, ["a:2"], { a: 0 }, { a: null }].map(
      (map): [object, string] => [
        { parallelismOverrides: map },
        `parallelismOverrides is ${shown(map)}; allowed: a map of whole numbers from 1, as a text ` +
          `"id:4,other-id:2".`,
      ],
    ),
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
      'Unknown setting "checkpointing.every". Known: parallelism, maxParallelism, parallelismOverrides, ' +
        "bufferTimeout, checkpointing.interval, checkpointing.mode, checkpointing.timeout, " +
        "checkpointing.minPause, checkpointing.maxConcurrent, checkpointing.tolerableFailures, " +
        "checkpointing.retained, checkpointing.retention, checkpointing.storage, " +
        "checkpointing.inlineThreshold, checkpointing.incremental, checkpointing.unaligned, " +
        "checkpointing.alignedTimeout, state.backend, state.memoryBudget, state.localRecovery, " +
        "restart.strategy.",
    );
    const strange = untyped({ restart: { strategy: "fixed-delay", initialBackoff: "1 s" } });
    expect(refusalOf(() => jobConfig(strange)).message).toMatch(
      /^Unknown setting "restart\.initialBackoff"\. .* restart\.strategy, restart\.attempts, restart\.delay\.$/,
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
      "pipeline.jobvertex-parallelism-overrides": "a1:4, b2 :2",
      "execution.buffer-timeout.interval": "5 ms",
      "execution.checkpointing.interval": "1 s",
      "execution.checkpointing.mode": "at_least_once",
      "execution.checkpointing.timeout": "1 min",
      "execution.checkpointing.min-pause": "500 ms",
      "execution.checkpointing.max-concurrent-checkpoints": "2",
      "execution.checkpointing.tolerable-failed-checkpoints": "3",
      "execution.checkpointing.num-retained": "2",
      "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
      "execution.checkpointing.storage": "jobmanager",
      "execution.checkpointing.data-inline-threshold": "20 kb",
      "execution.checkpointing.incremental": "false",
      "execution.checkpointing.unaligned.enabled": "FALSE",
      "execution.checkpointing.aligned-checkpoint-timeout": "10 s",
      "state.backend.type": "hashmap",
      "execution.state-recovery.from-local": "false",
      "restart-strategy.type": "fixed-delay",
      "restart-strategy.fixed-delay.attempts": "5",
      "restart-strategy.fixed-delay.delay": "10 s",
    });
    expect(config).toEqual(
      jobConfig({
        parallelism: 8,
        maxParallelism: 256,
        parallelismOverrides: { a1: 4, b2: 2 },
        bufferTimeout: 5,
        checkpointing: {
          interval: "1s",
          mode: "AT_LEAST_ONCE",
          timeout: "1 min",
          minPause: "500 ms",
          maxConcurrent: 2,
          tolerableFailures: 3,
          retained: 2,
          retention: "RETAIN_ON_CANCELLATION",
          storage: "inline",
          inlineThreshold: "20 kb",
          incremental: false,
          unaligned: false,
          alignedTimeout: "10 s",
        },
        state: { backend: "memory", memoryBudget: 64 * 1024 * 1024, localRecovery: false },
        restart: { strategy: "fixed-delay", attempts: 5, delay: "10 s" },
      }),
    );
  });

  test.each([
    [
      {
        "restart-strategy.type": "failure-rate",
        "restart-strategy.failure-rate.max-failures-per-interval": "4",
        "restart-strategy.failure-rate.failure-rate-interval": "5 min",
        "restart-strategy.failure-rate.delay": "3 s",
      },
      { strategy: "failure-rate", maxFailures: 4, interval: "5 min", delay: "3 s" },
    ],
    [
      {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "2 s",
        "restart-strategy.exponential-delay.max-backoff": "2 min",
        "restart-strategy.exponential-delay.backoff-multiplier": "1.2",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "10 min",
        "restart-strategy.exponential-delay.jitter-factor": "0.5",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": "9",
      },
      {
        strategy: "exponential-delay",
        initialBackoff: "2 s",
        maxBackoff: "2 min",
        multiplier: 1.2,
        resetThreshold: "10 min",
        jitter: 0.5,
        attempts: 9,
      },
    ],
  ] as const)("set every restart strategy: $1.strategy", (entries, restart) => {
    expect(applyFlinkConfiguration(jobConfig(), entries)).toEqual(jobConfig({ restart }));
  });

  test("are taken under their old names as well", () => {
    const config = applyFlinkConfiguration(jobConfig(), {
      "state.checkpoints.num-retained": "4",
      "state.checkpoint-storage": "filesystem",
      "state.backend.incremental": "false",
      "state.backend": "hashmap",
      "execution.checkpointing.alignment-timeout": "1 s",
      "restart-strategy": "off",
      // Both names are fine as long as they agree.
      "state.backend.local-recovery": "false",
      "execution.checkpointing.local-backup.enabled": "false",
    });
    expect(config.checkpointing).toMatchObject({ retained: 4, storage: "r2", incremental: false });
    expect(config.checkpointing.alignedTimeout).toBe(1_000);
    expect(config.restart).toEqual({ strategy: "none" });
  });

  test.each([
    ["execution.checkpointing.unaligned.enabled", "true"],
    ["state.backend.type", "rocksdb"],
    ["execution.state-recovery.from-local", "true"],
  ])("that are switched on have their effect: %s", (key, value) => {
    const without = jobConfig();
    expect(applyFlinkConfiguration(without, { [key]: value })).not.toEqual(without);
  });

  test("and options are all in README.md", () => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const known = (configure: () => unknown): string[] =>
      refusalOf(configure)
        .message.replace(/.*Known: /, "")
        .replace(/\.$/, "")
        .split(", ");
    for (const option of known(() => jobConfig(untyped({ unheard: "of" })))) {
      expect(readme).toContain(`\`${option}\``);
    }
    const keys = known(() => applyFlinkConfiguration(jobConfig(), { unheard: "of" }));
    for (const key of keys.filter((each) => each.startsWith("restart-strategy."))) {
      expect(readme).toContain(`.${key.split(".").at(-1)}\``);
    }
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

  test("may say of what cannot be switched off that it is on, and not that it is off", () => {
    const key = "execution.checkpointing.checkpoints-after-tasks-finish.enabled";
    expect(applyFlinkConfiguration(jobConfig(), { [key]: "true" })).toEqual(jobConfig());
    const refusal = refusalOf(() => applyFlinkConfiguration(jobConfig(), { [key]: "false" }));
    expect(refusal.key).toBe(key);
    expect(refusal.message).toMatch(
      /is "false"; allowed: true only: subtasks whose input has ended/,
    );
  });

  test("are refused where unknown, with the list of the known", () => {
    const refusal = refusalOf(() =>
      applyFlinkConfiguration(jobConfig(), { "state.changelog.enabled": "true" }),
    );
    expect(refusal.key).toBe("state.changelog.enabled");
    expect(refusal.message).toMatch(
      /^Unknown setting "state\.changelog\.enabled"\. Known: parallelism\.default, .*restart-strategy\.fixed-delay\.delay/,
    );
  });

  test("name themselves, not the option, in a refusal", () => {
    const refusal = refusalOf(() =>
      applyFlinkConfiguration(jobConfig(), {
        "execution.checkpointing.max-concurrent-checkpoints": "none",
      }),
    );
    expect(refusal.message).toBe(
      'execution.checkpointing.max-concurrent-checkpoints is "none"; ' +
        "allowed: a whole number from 1 to 100.",
    );
    const tooWide = { "parallelism.default": "129" };
    expect(refusalOf(() => applyFlinkConfiguration(jobConfig(), tooWide)).key).toBe(
      "parallelism.default",
    );
  });

  test.each([
    [
      { "state.backend": "memory", "state.backend.type": "rocksdb" },
      "state.backend.type",
      'is "rocksdb"; allowed: what state.backend says, which is the same setting.',
    ],
    [
      { "restart-strategy.fixed-delay.delay": "1 s" },
      "restart-strategy.fixed-delay.delay",
      "is 1000; allowed: settings of the restart strategy, which is none. " +
        "Set restart-strategy.type to fixed-delay, or leave this out.",
    ],
    [
      {
        "execution.checkpointing.unaligned": "true",
        "execution.checkpointing.mode": "AT_LEAST_ONCE",
      },
      "execution.checkpointing.unaligned",
      "is true; allowed: false while execution.checkpointing.mode is AT_LEAST_ONCE.",
    ],
    [
      {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.max-backoff": "500 ms",
      },
      "restart-strategy.exponential-delay.initial-backoff",
      "is 1000; allowed: up to restart-strategy.exponential-delay.max-backoff, which is 500 ms.",
    ],
  ])("that do not go together are refused: %j", (entries, key, message) => {
    const refusal = refusalOf(() => applyFlinkConfiguration(jobConfig(), entries));
    expect(refusal.message).toBe(`${key} ${message}`);
    expect(refusal).toMatchObject({ key, code: "BAD_VALUE" });
  });
});

describe("a configuration under Flink's keys", () => {
  test.each<[string, JobOptions]>([
    ["defaults, but for the restart", { restart: { strategy: "none" } }],
    [
      "checkpoints",
      {
        parallelism: 3,
        checkpointing: { interval: "1 s", mode: "AT_LEAST_ONCE", inlineThreshold: "1 kb" },
        state: { backend: "sqlite", localRecovery: true },
        restart: { strategy: "fixed-delay", attempts: 4, delay: "2 s" },
      },
    ],
    ["failure rate", { restart: { strategy: "failure-rate", interval: "5 min" } }],
    ["exponential delay", { restart: { strategy: "exponential-delay", jitter: 0.25 } }],
  ])("is the same when it is submitted: %s", (_, options) => {
    const config = jobConfig(options);
    const written = flinkConfigurationOf(config);
    expect(applyFlinkConfiguration(jobConfig(), written)).toEqual(config);
    expect("execution.checkpointing.interval" in written).toBe("checkpointing" in options);
  });

  test("has units", () => {
    expect(flinkConfigurationOf(jobConfig())).toMatchObject({
      "execution.checkpointing.timeout": "600000 ms",
      "taskmanager.memory.managed.size": "67108864 b",
      "pipeline.max-parallelism": "128",
    });
  });
});
