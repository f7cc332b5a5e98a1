// How a job is configured: as a user writes it in code, and under the names Flink gives the same
// settings. Both end as a `JobConfig` with nothing left out.
//   C1. One table holds every setting once: its place, its names in Flink, what it accepts.
//   C2. A setting that is unknown or not allowed, or that would have no effect because another
//       restart strategy is chosen, is an error that names it; nothing is ignored.
//   C3. What follows a failure is said, in this order, by the submission, the job, the deployment;
//       where all are silent, a job with checkpoints restarts by exponential delay, others never.

import type {
  CheckpointConfig,
  CheckpointingMode,
  CheckpointRetention,
  JobConfig,
  RestartConfig,
  RestartStrategy,
  StateConfig,
} from "../format/config.ts";
import { maxParallelismDefault, maxParallelismMax } from "../format/key-groups.ts";
import { KiB, MiB, stateMemoryBudget } from "../format/limits.ts";
import { ConfigError } from "./errors.ts";
import { shown } from "./names.ts";
import type { OnError } from "./on-error.ts";

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
  /** Checkpoints that may be under way at a time; 1 where absent. */
  readonly maxConcurrent?: number;
  /** Failed checkpoints in a row that do not yet fail the job; 0 where absent. */
  readonly tolerableFailures?: number;
  /** Completed checkpoints kept; 1 where absent. */
  readonly retained?: number;
  /** Whether they outlive the job; `NO_EXTERNALIZED_CHECKPOINTS` where absent: they do not. */
  readonly retention?: CheckpointRetention;
  /** `r2` where absent; `inline`: in the coordinator, for small state. */
  readonly storage?: CheckpointConfig["storage"];
  /** Up to this size a subtask's snapshot goes into the manifest, at most 1 MiB; 20 KiB. */
  readonly inlineThreshold?: Size;
  /** Whether a snapshot may hold only what changed; true where absent. */
  readonly incremental?: boolean;
  /** Whether barriers may overtake rows; false where absent. */
  readonly unaligned?: boolean;
  /** How long an unaligned checkpoint tries to align first; 0 where absent: not at all. */
  readonly alignedTimeout?: Duration;
}

/** Where running state is held. */
export interface StateBackendOptions {
  /** `memory` where absent. */
  readonly backend?: StateConfig["backend"];
  /**
   * Memory for the state of one subtask, 64 MiB where absent. More than that fails a job on the
   * memory backend; on the sqlite backend it is what the cache may take.
   */
  readonly memoryBudget?: Size;
  /** Whether subtasks keep a copy of their last snapshot at hand; false where absent. */
  readonly localRecovery?: boolean;
}

/** What follows when an attempt of the job fails; defaults are Flink's. */
export type RestartOptions =
  | { readonly strategy: "none" }
  | {
      readonly strategy: "fixed-delay";
      /** Restarts before the job fails for good; 1 where absent. */
      readonly attempts?: number;
      /** Time between a failure and the restart; 1 s where absent. */
      readonly delay?: Duration;
    }
  | {
      readonly strategy: "failure-rate";
      /** Failures within `interval` that a restart may follow; 1 where absent. */
      readonly maxFailures?: number;
      /** 1 min where absent. */
      readonly interval?: Duration;
      /** Time between a failure and the restart; 1 s where absent. */
      readonly delay?: Duration;
    }
  | {
      readonly strategy: "exponential-delay";
      /** Time between the first failure and the restart; 1 s where absent. */
      readonly initialBackoff?: Duration;
      /** 1 min where absent. */
      readonly maxBackoff?: Duration;
      /** By how much the time grows from failure to failure; 1.5 where absent. */
      readonly multiplier?: number;
      /** Time without a failure after which all begins anew; 1 h where absent. */
      readonly resetThreshold?: Duration;
      /** Share of the time by which it varies at random, up and down; 0.1 where absent. */
      readonly jitter?: number;
      /** Restarts before the job fails for good; without end where absent. */
      readonly attempts?: number;
    };

/** What a job may set for itself, as the last argument of `defineJob`. */
export interface JobOptions {
  /** Subtasks of every operator that names no parallelism of its own; 1 where absent. */
  readonly parallelism?: number;
  /** Key groups; 128 where absent. A job with state can never change it. */
  readonly maxParallelism?: number;
  /** Of single vertices, by their ids in the plan of the program, whatever their operators set. */
  readonly parallelismOverrides?: Readonly<Record<string, number>>;
  /**
   * How long a row may wait for others to be sent with; 100 ms where absent, 0 sends at once. It waits
   * longer where its receiver is still busy with rows that were sent before; and, of rows to 16 receivers
   * or more, for up to four timeouts more where those come late, as the thread has too much to do.
   */
  readonly bufferTimeout?: Duration;
  readonly checkpointing?: CheckpointOptions;
  readonly state?: StateBackendOptions;
  /** The deployment's where absent. */
  readonly restart?: RestartOptions;
  /** What follows when an operator's code throws on a row; `"fail"` where absent. */
  readonly onError?: OnError;
}

interface Setting<V> {
  /** Flink's key, and what it was called before. */
  readonly flink: readonly [key: string, ...old: string[]];
  readonly allowed: string;
  /** Of the numbers it has; the smallest one. */
  readonly unit?: string;
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

type Names = string | Setting<unknown>["flink"];

const namesOf = (flink: Names): Setting<unknown>["flink"] =>
  typeof flink === "string" ? [flink] : flink;

function whole(flink: Names, least: number, most: number): Setting<number> {
  return {
    flink: namesOf(flink),
    allowed: `a whole number from ${least} to ${most}`,
    parse: (given) => quantity(given, {}, least, most),
  };
}

function decimal(flink: Names, least: number, most: number): Setting<number> {
  return {
    flink: namesOf(flink),
    allowed: `a number from ${least} to ${most}`,
    parse: (given) => {
      const value = typeof given === "string" && given.trim() !== "" ? Number(given) : given;
      // Not a number is in no range.
      return typeof value === "number" && value >= least && value <= most ? value : undefined;
    },
  };
}

/** As Flink writes a map in a text: `key:1,other:2`. */
function counts(flink: Names): Setting<Readonly<Record<string, number>>> {
  return {
    flink: namesOf(flink),
    allowed: `a map of whole numbers from 1, as a text "id:4,other-id:2"`,
    parse: (given) => {
      if (typeof given !== "string" && !isRecord(given)) return undefined;
      const entries = typeof given === "string" ? entriesIn(given) : Object.entries(given);
      const parsed = entries.map(([key, value]) => {
        return [key, quantity(value, {}, 1, maxParallelismMax)] as const;
      });
      const isWhole = parsed.every(([key, value]) => key !== "" && value !== undefined);
      const isMap = isWhole && new Set(parsed.map(([key]) => key)).size === parsed.length;
      return isMap ? (Object.fromEntries(parsed) as Record<string, number>) : undefined;
    },
  };
}

const isRecord = (given: unknown): given is Readonly<Record<string, unknown>> =>
  typeof given === "object" && given !== null && !Array.isArray(given);

const entriesIn = (text: string): [string, string][] =>
  text.trim() === ""
    ? []
    : text.split(",").map((entry) => {
        const [key = "", ...value] = entry.split(":");
        return [key.trim(), value.join(":")];
      });

function flag(flink: Names): Setting<boolean> {
  const words = new Map<unknown, boolean>([
    [true, true],
    [false, false],
    ["true", true],
    ["false", false],
  ]);
  return {
    flink: namesOf(flink),
    allowed: "true, false",
    parse: (given) => words.get(typeof given === "string" ? given.toLowerCase() : given),
  };
}

function duration(flink: Names, least: number): Setting<number> {
  return {
    flink: namesOf(flink),
    unit: "ms",
    allowed:
      `a number of milliseconds or a text such as "10 s" (units ms, s, min, h, d), ` +
      `from ${least} ms to 365 d`,
    parse: (given) => quantity(given, durationUnits, least, 365 * day),
  };
}

function size(flink: Names, most: number, least = 0): Setting<number> {
  const from = least === 0 ? "" : `from ${least} `;
  return {
    flink: namesOf(flink),
    unit: "b",
    allowed: `a number of bytes or a text such as "20 kb" (units b, kb, mb), ${from}up to ${most} bytes`,
    parse: (given) => quantity(given, sizeUnits, least, most),
  };
}

function choice<V extends string>(flink: Names, words: Readonly<Record<string, V>>): Setting<V> {
  const named = new Map(Object.entries(words).map(([word, value]) => [word.toLowerCase(), value]));
  return {
    flink: namesOf(flink),
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

/** Flink's key of `parallelismOverrides`. */
export const jobVertexOverridesKey = "pipeline.jobvertex-parallelism-overrides";

const topLevel: Section<
  JobConfig,
  "parallelism" | "maxParallelism" | "parallelismOverrides" | "bufferTimeout"
> = {
  parallelism: whole("parallelism.default", 1, maxParallelismMax),
  maxParallelism: whole("pipeline.max-parallelism", 1, maxParallelismMax),
  parallelismOverrides: counts(jobVertexOverridesKey),
  bufferTimeout: duration(["execution.buffer-timeout.interval", "execution.buffer-timeout"], 0),
};

const checkpointing: Section<CheckpointConfig> = {
  interval: duration("execution.checkpointing.interval", 10),
  mode: choice("execution.checkpointing.mode", {
    EXACTLY_ONCE: "EXACTLY_ONCE",
    AT_LEAST_ONCE: "AT_LEAST_ONCE",
  }),
  timeout: duration("execution.checkpointing.timeout", 10),
  minPause: duration("execution.checkpointing.min-pause", 0),
  maxConcurrent: whole("execution.checkpointing.max-concurrent-checkpoints", 1, 100),
  tolerableFailures: whole("execution.checkpointing.tolerable-failed-checkpoints", 0, intMax),
  retained: whole(
    ["execution.checkpointing.num-retained", "state.checkpoints.num-retained"],
    1,
    1_000,
  ),
  retention: choice("execution.checkpointing.externalized-checkpoint-retention", {
    NO_EXTERNALIZED_CHECKPOINTS: "NO_EXTERNALIZED_CHECKPOINTS",
    DELETE_ON_CANCELLATION: "DELETE_ON_CANCELLATION",
    RETAIN_ON_CANCELLATION: "RETAIN_ON_CANCELLATION",
  }),
  storage: choice(["execution.checkpointing.storage", "state.checkpoint-storage"], {
    r2: "r2",
    filesystem: "r2",
    inline: "inline",
    jobmanager: "inline",
  }),
  inlineThreshold: size(
    ["execution.checkpointing.data-inline-threshold", "state.storage.fs.memory-threshold"],
    1 * MiB,
  ),
  incremental: flag(["execution.checkpointing.incremental", "state.backend.incremental"]),
  unaligned: flag([
    "execution.checkpointing.unaligned.enabled",
    "execution.checkpointing.unaligned",
  ]),
  alignedTimeout: duration(
    [
      "execution.checkpointing.aligned-checkpoint-timeout",
      "execution.checkpointing.alignment-timeout",
    ],
    0,
  ),
};

const state: Section<StateConfig> = {
  backend: choice(["state.backend.type", "state.backend"], {
    memory: "memory",
    hashmap: "memory",
    sqlite: "sqlite",
    rocksdb: "sqlite",
  }),
  memoryBudget: size("taskmanager.memory.managed.size", 1_024 * MiB, 64 * KiB),
  // Flink has a key for writing local copies and one for using them; here they come together.
  localRecovery: flag([
    "execution.state-recovery.from-local",
    "execution.checkpointing.local-backup.enabled",
    "state.backend.local-recovery",
  ]),
};

type RestartOf<S extends RestartStrategy> = Extract<RestartConfig, { strategy: S }>;

const restartStrategy: Setting<RestartStrategy> = choice(
  ["restart-strategy.type", "restart-strategy"],
  {
    "fixed-delay": "fixed-delay",
    "failure-rate": "failure-rate",
    "exponential-delay": "exponential-delay",
    none: "none",
    off: "none",
    disable: "none",
  },
);

const restart: {
  readonly [S in RestartStrategy]: Section<RestartOf<S>, Exclude<keyof RestartOf<S>, "strategy">>;
} = {
  none: {},
  "fixed-delay": {
    attempts: whole("restart-strategy.fixed-delay.attempts", 0, intMax),
    delay: duration("restart-strategy.fixed-delay.delay", 0),
  },
  "failure-rate": {
    maxFailures: whole("restart-strategy.failure-rate.max-failures-per-interval", 0, 1_000),
    interval: duration("restart-strategy.failure-rate.failure-rate-interval", 1),
    delay: duration("restart-strategy.failure-rate.delay", 0),
  },
  "exponential-delay": {
    initialBackoff: duration("restart-strategy.exponential-delay.initial-backoff", 1),
    maxBackoff: duration("restart-strategy.exponential-delay.max-backoff", 1),
    multiplier: decimal("restart-strategy.exponential-delay.backoff-multiplier", 1, 1_000),
    resetThreshold: duration("restart-strategy.exponential-delay.reset-backoff-threshold", 1),
    jitter: decimal("restart-strategy.exponential-delay.jitter-factor", 0, 1),
    attempts: whole("restart-strategy.exponential-delay.attempts-before-reset-backoff", 0, intMax),
  },
};

/** A setting and its place: a field of the configuration, or of one of its sections. */
interface Place {
  readonly option: string;
  readonly section: "checkpointing" | "state" | "restart" | undefined;
  readonly field: string;
  /** The restart strategy that it is a setting of. */
  readonly strategy: RestartStrategy | undefined;
  readonly setting: Setting<unknown>;
}

function placed(
  section: Place["section"],
  settings: Readonly<Record<string, Setting<unknown>>>,
  strategy?: RestartStrategy,
): Place[] {
  return Object.entries(settings).map(([field, setting]) => ({
    option: section === undefined ? field : `${section}.${field}`,
    section,
    field,
    strategy,
    setting,
  }));
}

const places: readonly Place[] = [
  ...placed(undefined, topLevel),
  ...placed("checkpointing", checkpointing),
  ...placed("state", state),
  ...placed("restart", { strategy: restartStrategy }),
  ...placed("restart", restart["fixed-delay"], "fixed-delay"),
  ...placed("restart", restart["failure-rate"], "failure-rate"),
  ...placed("restart", restart["exponential-delay"], "exponential-delay"),
];

/** What may be written as options, where a field of `restart` means what the strategy makes of it. */
const optionsWith = (strategy: RestartStrategy | undefined): ReadonlyMap<string, Place> =>
  new Map(
    places
      .filter((place) => place.strategy === undefined || place.strategy === strategy)
      .map((place) => [place.option, place]),
  );

const flinkKeys: ReadonlyMap<string, Place> = new Map(
  places.flatMap((place) => place.setting.flink.map((key) => [key, place])),
);

const restartDefaults: { readonly [S in RestartStrategy]: RestartOf<S> } = {
  none: { strategy: "none" },
  "fixed-delay": { strategy: "fixed-delay", attempts: 1, delay: 1_000 },
  "failure-rate": {
    strategy: "failure-rate",
    maxFailures: 1,
    interval: 1 * minute,
    delay: 1_000,
  },
  "exponential-delay": {
    strategy: "exponential-delay",
    initialBackoff: 1_000,
    maxBackoff: 1 * minute,
    multiplier: 1.5,
    resetThreshold: 60 * minute,
    jitter: 0.1,
    attempts: intMax,
  },
};

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
    retention: "NO_EXTERNALIZED_CHECKPOINTS",
    storage: "r2",
    inlineThreshold: 20 * KiB,
    incremental: true,
    unaligned: false,
    alignedTimeout: 0,
  },
  state: { backend: "memory", memoryBudget: stateMemoryBudget, localRecovery: false },
  restart: restartDefaults.none,
  restartIsImplied: true,
};

/** One setting as it was given. */
interface Given {
  /** As the caller spelled it. */
  readonly key: string;
  readonly place: Place;
  readonly value: unknown;
}

/**
 * A job's options with every default filled in. Throws `ConfigError`.
 *
 * @example jobConfig({ parallelism: 4, checkpointing: { interval: "1s" } }).checkpointing.interval // 1000
 */
export function jobConfig(options: JobOptions = {}): JobConfig {
  // `onError` becomes part of the graph, operator by operator: it holds a topic, and is no setting.
  const { checkpointing, state, restart, onError: _, ...rest } = options;
  const entries = [
    ...Object.entries(rest),
    ...inSection("checkpointing", checkpointing),
    ...inSection("state", state),
    ...inSection("restart", restart),
  ].filter(([, given]) => given !== undefined);
  const strategy =
    restart === undefined
      ? undefined
      : parsed("restart.strategy", restartStrategy, restart?.strategy);
  return settled(defaults, read(entries, optionsWith(strategy)), {}, (place) => place.option);
}

/**
 * What follows a failure, with every default filled in. Throws `ConfigError`.
 *
 * @example restartConfig({ strategy: "fixed-delay", attempts: 3 }) // { …, attempts: 3, delay: 1000 }
 */
export const restartConfig = (options: RestartOptions): RestartConfig =>
  jobConfig({ restart: options }).restart;

/** Settings of Flink's that can only have one value here, and why. */
const fixed: ReadonlyMap<string, { readonly value: string; readonly why: string }> = new Map([
  [
    "execution.checkpointing.checkpoints-after-tasks-finish.enabled",
    {
      value: "true",
      why:
        "subtasks whose input has ended take part in checkpoints until the whole job has finished, as what " +
        "they wrote is committed with them",
    },
  ],
]);

/** What is left of `entries` without those that are fixed. @throws ConfigError for another value of these */
function withoutFixed(entries: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(entries).filter(([key, value]) => {
    const setting = fixed.get(key);
    if (setting === undefined) return true;
    if (String(value).trim().toLowerCase() === setting.value) return false;
    throw badValue(key, value, `${setting.value} only: ${setting.why}`);
  });
}

/**
 * `base` with settings given under Flink's keys, as a submission carries them. Where neither says
 * what follows a failure, `deployment` does (C3). Throws `ConfigError`.
 *
 * @example applyFlinkConfiguration(jobConfig(), { "execution.checkpointing.interval": "1 s" })
 */
export const applyFlinkConfiguration = (
  base: JobConfig,
  entries: Readonly<Record<string, string>>,
  deployment: { readonly restart?: RestartConfig } = {},
): JobConfig =>
  settled(base, read(withoutFixed(entries), flinkKeys), deployment, ({ setting }) => {
    const [key] = setting.flink;
    return setting.flink.find((name) => name in entries) ?? key;
  });

/**
 * `config` under Flink's keys, as a submission would carry it. What is off is left out.
 *
 * @example flinkConfigurationOf(jobConfig())["pipeline.max-parallelism"] // "128"
 */
export function flinkConfigurationOf(config: JobConfig): Record<string, string> {
  const own = places.filter(
    ({ strategy }) => strategy === undefined || strategy === config.restart.strategy,
  );
  return Object.fromEntries(
    own.flatMap(({ section, field, setting: { flink, unit } }) => {
      // Settings are texts, numbers, booleans and one map, by their own types.
      const from = (section === undefined ? config : config[section]) as object;
      const value = (from as Readonly<Record<string, Shown | undefined>>)[field];
      if (value === undefined) return [];
      if (typeof value === "object") return [[flink[0], mapText(value)]];
      return [[flink[0], unit === undefined ? String(value) : `${value} ${unit}`]];
    }),
  );
}

type Shown = string | number | boolean | Readonly<Record<string, number>>;

const mapText = (map: Readonly<Record<string, number>>): string =>
  Object.entries(map)
    .map(([key, count]) => `${key}:${count}`)
    .join(",");

/** `{ delay: 5 }` of the section `restart` as `["restart.delay", 5]`. */
const inSection = (section: string, given: object | undefined): [string, unknown][] =>
  Object.entries(given ?? {}).map(([field, value]) => [`${section}.${field}`, value]);

function read(
  entries: readonly (readonly [string, unknown])[],
  known: ReadonlyMap<string, Place>,
): Given[] {
  const all: Given[] = [];
  for (const [key, given] of entries) {
    const place = known.get(key);
    if (place === undefined) throw unknown(key, known);
    const value = parsed(key, place.setting, given);
    const other = all.find((one) => one.place === place);
    if (other !== undefined && other.value !== value) {
      throw badValue(key, given, `what ${other.key} says, which is the same setting`);
    }
    all.push({ key, place, value });
  }
  return all;
}

function parsed<V>(key: string, setting: Setting<V>, given: unknown): V {
  const value = setting.parse(given);
  if (value === undefined) throw badValue(key, given, setting.allowed);
  return value;
}

function settled(
  base: JobConfig,
  given: readonly Given[],
  deployment: { readonly restart?: RestartConfig },
  nameOf: (place: Place) => string,
): JobConfig {
  let config = base;
  for (const { place, value } of given) {
    if (place.section !== "restart") config = withValue(config, place, value);
  }
  config = withStrategy(config, given, deployment);
  for (const { key, place, value } of given) {
    if (place.strategy === undefined) continue;
    const { strategy } = config.restart;
    if (place.strategy !== strategy) {
      const own = `settings of the restart strategy, which is ${strategy}`;
      const [type] = restartStrategy.flink;
      throw badValue(key, value, `${own}. Set ${type} to ${place.strategy}, or leave this out`);
    }
    config = chosen(withValue(config, place, value));
  }
  return checked(config, (option) => {
    const place = places.find((one) => one.option === option);
    return place === undefined ? option : nameOf(place);
  });
}

function withStrategy(
  config: JobConfig,
  given: readonly Given[],
  deployment: { readonly restart?: RestartConfig },
): JobConfig {
  const { restart, restartIsImplied } = config;
  const choice = given.find(({ place }) => place.setting === restartStrategy)?.value;
  if (choice !== undefined) {
    const strategy = choice as RestartStrategy;
    const isSame = restartIsImplied !== true && restart.strategy === strategy;
    return chosen({ ...config, restart: isSame ? restart : restartDefaults[strategy] });
  }
  if (restartIsImplied !== true) return config;
  const strategy = config.checkpointing.interval === undefined ? "none" : "exponential-delay";
  return { ...config, restart: deployment.restart ?? restartDefaults[strategy] };
}

function chosen(config: JobConfig): JobConfig {
  const { restartIsImplied: _, ...rest } = config;
  return rest;
}

function withValue(config: JobConfig, { section, field }: Place, value: unknown): JobConfig {
  if (section === undefined) return { ...config, [field]: value };
  return { ...config, [section]: { ...config[section], [field]: value } };
}

/** What no setting can tell alone. */
function checked(config: JobConfig, nameOf: (option: string) => string): JobConfig {
  const { parallelism, maxParallelism, checkpointing, restart } = config;
  const refuse = (option: string, value: unknown, allowed: string): never => {
    throw badValue(nameOf(option), value, allowed);
  };
  if (parallelism > maxParallelism) {
    refuse(
      "parallelism",
      parallelism,
      `up to the max parallelism, which is ${maxParallelism}. ` +
        `Lower the one, or raise the other if the job has no state yet`,
    );
  }
  const { unaligned, mode, maxConcurrent } = checkpointing;
  if (unaligned && mode !== "EXACTLY_ONCE") {
    const modeName = nameOf("checkpointing.mode");
    refuse("checkpointing.unaligned", unaligned, `false while ${modeName} is ${mode}`);
  }
  if (unaligned && maxConcurrent > 1) {
    const limit = nameOf("checkpointing.maxConcurrent");
    refuse("checkpointing.unaligned", unaligned, `false while ${limit} is ${maxConcurrent}`);
  }
  if (restart.strategy === "exponential-delay" && restart.initialBackoff > restart.maxBackoff) {
    const most = `up to ${nameOf("restart.maxBackoff")}, which is ${restart.maxBackoff} ms`;
    refuse("restart.initialBackoff", restart.initialBackoff, most);
  }
  return config;
}

const badValue = (key: string, given: unknown, allowed: string): ConfigError =>
  new ConfigError("BAD_VALUE", key, `${key} is ${shown(given)}; allowed: ${allowed}.`);

function unknown(key: string, known: ReadonlyMap<string, Place>): ConfigError {
  const list = [...known.keys()].join(", ");
  return new ConfigError("UNKNOWN_SETTING", key, `Unknown setting "${key}". Known: ${list}.`);
}
