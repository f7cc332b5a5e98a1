// How a job is configured: as a user writes it in code, and under the names Flink gives the same
// settings. Both end as a `JobConfig` with nothing left out.
//   C1. One table holds every setting once: its place, its name in Flink, what it accepts.
//   C2. A setting that is unknown or not allowed is an error that names it; nothing is ignored.
//   C3. Unless the job says otherwise it restarts exactly when it has checkpoints to restart from.

import type {
  CheckpointConfig,
  CheckpointingMode,
  JobConfig,
  RestartConfig,
} from "../format/config.ts";
import { maxParallelismDefault, maxParallelismMax } from "../format/key-groups.ts";
import { KiB, MiB } from "../format/limits.ts";
import { ConfigError } from "./errors.ts";
import { shown } from "./names.ts";

type Spaced<Unit extends string> = `${number}${"" | " "}${Unit}`;

/** Milliseconds, or a text: `"10s"`, `"500 ms"`, `"1 min"`, `"2 h"`, `"1 d"`. */
export type Duration = number | Spaced<"ms" | "s" | "min" | "h" | "d">;

/** Bytes, or a text: `"20 kb"`, `"1mb"`. Units are powers of 1024, as in Flink. */
export type Size = number | Spaced<"b" | "kb" | "mb">;

/** How a job takes checkpoints; off unless `interval` is given. */
export interface CheckpointOptions {
  /** Time between two checkpoints, at least 10 ms. Absent: no checkpoints, nothing survives. */
  readonly interval?: Duration;
  /** `EXACTLY_ONCE` where absent. */
  readonly mode?: CheckpointingMode;
  /** When a checkpoint that has not completed is given up; 10 min where absent. */
  readonly timeout?: Duration;
  /** Time from the end of one checkpoint to the start of the next; none where absent. */
  readonly minPause?: Duration;
  readonly maxConcurrent?: 1;
  /** Failed checkpoints in a row that do not yet fail the job; 0 where absent. */
  readonly tolerableFailures?: number;
  /** Completed checkpoints kept; 1 where absent. */
  readonly retained?: number;
  /** Up to this size a subtask's snapshot goes into the manifest, at most 1 MiB; 20 KiB. */
  readonly inlineThreshold?: Size;
}

/** What follows when an attempt of the job fails. */
export interface RestartOptions {
  /** `fixed-delay` where there are checkpoints or other restart options, else `none`. */
  readonly strategy?: RestartConfig["strategy"];
  /** Restarts before the job fails for good; without end where absent. */
  readonly attempts?: number;
  /** Time between a failure and the restart; 1 s where absent. */
  readonly delay?: Duration;
}

/** What a job may set for itself, as the last argument of `defineJob`. */
export interface JobOptions {
  /** Subtasks of every operator that names no parallelism of its own; 1 where absent. */
  readonly parallelism?: number;
  /** Key groups; 128 where absent. A job with state can never change it. */
  readonly maxParallelism?: number;
  /** How long a row may wait for others to be sent with; 100 ms where absent, 0 sends at once. */
  readonly bufferTimeout?: Duration;
  readonly checkpointing?: CheckpointOptions;
  readonly restart?: RestartOptions;
}

interface Setting<V> {
  readonly flink: string;
  readonly allowed: string;
  /** The value meant, or undefined where it is not allowed. */
  parse(given: unknown): V | undefined;
}

type Section<C, Names extends keyof C = keyof C> = {
  readonly [Name in Names]-?: Setting<Exclude<C[Name], undefined>>;
};

const intMax = 2_147_483_647;
const minute = 60_000;
const day = 24 * 60 * minute;
const durationUnits = { ms: 1, s: 1_000, min: minute, h: 60 * minute, d: day };
const sizeUnits = { b: 1, kb: KiB, mb: MiB };

function whole(flink: string, least: number, most: number): Setting<number> {
  return {
    flink,
    allowed: least === most ? `${least}` : `a whole number from ${least} to ${most}`,
    parse: (given) => quantity(given, {}, least, most),
  };
}

function duration(flink: string, least: number): Setting<number> {
  return {
    flink,
    allowed:
      `a number of milliseconds or a text such as "10 s" (units ms, s, min, h, d), ` +
      `from ${least} ms to 365 d`,
    parse: (given) => quantity(given, durationUnits, least, 365 * day),
  };
}

function size(flink: string, most: number): Setting<number> {
  return {
    flink,
    allowed: `a number of bytes or a text such as "20 kb" (units b, kb, mb), up to ${most} bytes`,
    parse: (given) => quantity(given, sizeUnits, 0, most),
  };
}

function choice<V extends string>(flink: string, words: Readonly<Record<string, V>>): Setting<V> {
  const named = new Map(Object.entries(words).map(([word, value]) => [word.toLowerCase(), value]));
  return {
    flink,
    allowed: Object.keys(words).join(", "),
    parse: (given) => (typeof given === "string" ? named.get(given.toLowerCase()) : undefined),
  };
}

function quantity(
  given: unknown,
  units: Readonly<Record<string, number>>,
  least: number,
  most: number,
): number | undefined {
  const value = typeof given === "string" ? measure(given, units) : given;
  if (typeof value !== "number" || !Number.isInteger(value)) return undefined;
  return value >= least && value <= most ? value : undefined;
}

function measure(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, number, unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = unit === "" ? 1 : units[unit.toLowerCase()];
  if (number === undefined || factor === undefined) return undefined;
  return unit === "" ? Number(number) : Math.round(Number(number) * factor);
}

const topLevel: Section<JobConfig, "parallelism" | "maxParallelism" | "bufferTimeout"> = {
  parallelism: whole("parallelism.default", 1, maxParallelismMax),
  maxParallelism: whole("pipeline.max-parallelism", 1, maxParallelismMax),
  bufferTimeout: duration("execution.buffer-timeout.interval", 0),
};

const checkpointing: Section<CheckpointConfig> = {
  interval: duration("execution.checkpointing.interval", 10),
  mode: choice("execution.checkpointing.mode", {
    EXACTLY_ONCE: "EXACTLY_ONCE",
    AT_LEAST_ONCE: "AT_LEAST_ONCE",
  }),
  timeout: duration("execution.checkpointing.timeout", 10),
  minPause: duration("execution.checkpointing.min-pause", 0),
  maxConcurrent: whole("execution.checkpointing.max-concurrent-checkpoints", 1, 1),
  tolerableFailures: whole("execution.checkpointing.tolerable-failed-checkpoints", 0, intMax),
  retained: whole("execution.checkpointing.num-retained", 1, 1_000),
  inlineThreshold: size("execution.checkpointing.data-inline-threshold", 1 * MiB),
};

const restart: Section<RestartConfig> = {
  strategy: choice("restart-strategy.type", {
    "fixed-delay": "fixed-delay",
    none: "none",
    off: "none",
    disable: "none",
  }),
  attempts: whole("restart-strategy.fixed-delay.attempts", 0, intMax),
  delay: duration("restart-strategy.fixed-delay.delay", 0),
};

/** A setting and its place: a field of the configuration, or of one of its sections. */
interface Place {
  readonly option: string;
  readonly section: "checkpointing" | "restart" | undefined;
  readonly field: string;
  readonly setting: Setting<unknown>;
}

const places: readonly Place[] = [
  ...placed(undefined, topLevel),
  ...placed("checkpointing", checkpointing),
  ...placed("restart", restart),
];

function placed(section: Place["section"], settings: Record<string, Setting<unknown>>): Place[] {
  return Object.entries(settings).map(([field, setting]) => ({
    option: section === undefined ? field : `${section}.${field}`,
    section,
    field,
    setting,
  }));
}

const byOption = new Map(places.map((place) => [place.option, place]));
const byFlinkKey = new Map(places.map((place) => [place.setting.flink, place]));

const defaults: JobConfig = {
  parallelism: 1,
  maxParallelism: maxParallelismDefault,
  bufferTimeout: 100,
  checkpointing: {
    interval: undefined,
    mode: "EXACTLY_ONCE",
    timeout: 10 * minute,
    minPause: 0,
    maxConcurrent: 1,
    tolerableFailures: 0,
    retained: 1,
    inlineThreshold: 20 * KiB,
  },
  restart: { strategy: "none", attempts: intMax, delay: 1_000 },
};

/**
 * A job's options with every default filled in. Throws `ConfigError`.
 *
 * @example jobConfig({ parallelism: 4, checkpointing: { interval: "1s" } }).checkpointing.interval // 1000
 */
export function jobConfig(options: JobOptions = {}): JobConfig {
  let config = defaults;
  for (const [option, given] of flattened(options)) {
    const place = byOption.get(option);
    if (place === undefined) throw unknown(option, byOption);
    config = withValue(config, place, option, given);
  }
  const restarts = options.restart !== undefined || config.checkpointing.interval !== undefined;
  if (options.restart?.strategy === undefined && restarts) config = restarting(config);
  return checked(config, "parallelism");
}

/**
 * `base` with settings given under Flink's keys, as a submission carries them. Turning checkpoints
 * on also turns restarts on, unless `restart-strategy.type` is among the entries. Throws
 * `ConfigError`.
 *
 * @example applyFlinkConfiguration(jobConfig(), { "execution.checkpointing.interval": "1 s" })
 */
export function applyFlinkConfiguration(
  base: JobConfig,
  entries: Readonly<Record<string, string>>,
): JobConfig {
  let config = base;
  for (const [key, given] of Object.entries(entries)) {
    const place = byFlinkKey.get(key);
    if (place === undefined) throw unknown(key, byFlinkKey);
    config = withValue(config, place, key, given);
  }
  const turnedOn =
    base.checkpointing.interval === undefined && config.checkpointing.interval !== undefined;
  if (turnedOn && entries[restart.strategy.flink] === undefined) config = restarting(config);
  return checked(config, topLevel.parallelism.flink);
}

/** `{ restart: { delay: 5 } }` as `["restart.delay", 5]`; drops what is absent. */
function flattened(options: JobOptions): [string, unknown][] {
  const { checkpointing, restart, ...rest } = options;
  const inSection = (section: string, given: object | undefined): [string, unknown][] =>
    Object.entries(given ?? {}).map(([field, value]) => [`${section}.${field}`, value]);
  return [
    ...Object.entries(rest),
    ...inSection("checkpointing", checkpointing),
    ...inSection("restart", restart),
  ].filter(([, given]) => given !== undefined);
}

function withValue(config: JobConfig, place: Place, key: string, given: unknown): JobConfig {
  const value = place.setting.parse(given);
  if (value === undefined) {
    const { allowed } = place.setting;
    throw new ConfigError("BAD_VALUE", key, `${key} is ${shown(given)}; allowed: ${allowed}.`);
  }
  const { section, field } = place;
  if (section === undefined) return { ...config, [field]: value };
  return { ...config, [section]: { ...config[section], [field]: value } };
}

const restarting = (config: JobConfig): JobConfig => ({
  ...config,
  restart: { ...config.restart, strategy: "fixed-delay" },
});

function checked(config: JobConfig, key: string): JobConfig {
  const { parallelism, maxParallelism } = config;
  if (parallelism <= maxParallelism) return config;
  throw new ConfigError(
    "BAD_VALUE",
    key,
    `${key} is ${parallelism}; allowed: up to the max parallelism, which is ${maxParallelism}. ` +
      `Lower the one, or raise the other if the job has no state yet.`,
  );
}

function unknown(key: string, known: ReadonlyMap<string, Place>): ConfigError {
  const list = [...known.keys()].join(", ");
  return new ConfigError("UNKNOWN_SETTING", key, `Unknown setting "${key}". Known: ${list}.`);
}
