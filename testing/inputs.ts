// What a run is given, checked before anything runs.
//   I1. Inputs are those of topics that the job reads, each a list.
//   I2. Every source comes to an end, or makes its rows by the clock: a run of any other would have none.

import { GraphError } from "../stream/errors.ts";
import type { GeneratorSource } from "../stream/generate.ts";
import { isSource } from "../stream/graph.ts";
import type { JobDefinition } from "../stream/job.ts";
import { shown } from "../stream/names.ts";
import type { Topic } from "../stream/topic.ts";
import { checkedParallelism, stepOf } from "./steps.ts";

/** By topic, its rows in order, and steps between them. Topics take turns, one row each. */
export type Inputs = Readonly<Record<string, readonly unknown[]>>;

/** Where the rows of a job come from. */
export interface Sources {
  /** By name. */
  readonly topics: ReadonlyMap<string, Topic<unknown>>;
  /** Those that make their rows themselves, by uid. */
  readonly generators: ReadonlyMap<string, GeneratorSource<unknown>>;
}

/** @throws GraphError where a run of the job could not end (I2) */
export function sourcesOf({ name, graph }: JobDefinition): Sources {
  const topics = new Map<string, Topic<unknown>>();
  const generators = new Map<string, GeneratorSource<unknown>>();
  for (const { uid, spec } of graph.nodes) {
    if (isSource(spec) && spec.kind === "source") topics.set(spec.topic.name, spec.topic);
    if (spec.kind !== "generator") continue;
    const { rows, rowsPerSecond } = spec.generator;
    if (rows === Infinity && rowsPerSecond === undefined) {
      throw new GraphError(
        "BAD_ARGUMENT",
        `runJob cannot run job "${name}" to its end: source "${uid}" has no end and no pace. Give its ` +
          `generator rows, as in generate(…, { rows: 1000 }), or a pace, as in { rowsPerSecond: 100 }: ` +
          `then it makes rows as long as virtual time passes, by wait("10s") in an input.`,
        uid,
      );
    }
    generators.set(uid, spec.generator);
  }
  return { topics, generators };
}

/** How a job is run. */
export interface RunOptions {
  /** Draws what is left to chance; 1 where absent. Another one is another run of the same test. */
  readonly seed?: number;
  /** Instead of the job's own. */
  readonly parallelism?: number;
  /** Checkpoints that are taken on the way, per row; 0.02 where absent, and 0 for none. */
  readonly checkpointsPerRow?: number;
  /**
   * Whether event time ends with the inputs, as it does where a job is drained: windows and timers of event
   * time fire, whatever they wait for. True where absent.
   */
  readonly drain?: boolean;
  /** The virtual clock at the beginning, in milliseconds since 1970; 0 where absent. */
  readonly now?: number;
}

/** @throws GraphError for what is not allowed */
export function checkedOptions(
  { graph: { config } }: JobDefinition,
  given: RunOptions,
): Required<RunOptions> {
  const {
    seed = 1,
    parallelism = config.parallelism,
    checkpointsPerRow = 0.02,
    drain = true,
    now = 0,
  } = given;
  const refuse = (option: string, value: unknown, allowed: string): never => {
    throw new GraphError(
      "BAD_ARGUMENT",
      `runJob was given ${shown(value)} as ${option}. Allowed: ${allowed}.`,
    );
  };
  if (!Number.isSafeInteger(seed)) refuse("seed", seed, "a whole number");
  checkedParallelism("runJob", parallelism, config.maxParallelism);
  if (!(checkpointsPerRow >= 0 && checkpointsPerRow <= 1)) {
    refuse("checkpointsPerRow", checkpointsPerRow, "a number from 0 to 1");
  }
  if (typeof drain !== "boolean") refuse("drain", drain, "true or false");
  if (!Number.isSafeInteger(now) || now < 0) {
    refuse("now", now, "whole milliseconds since 1970, from 0 on");
  }
  return { seed, parallelism, checkpointsPerRow, drain, now };
}

/** @throws GraphError for inputs that the job has no use for (I1) */
export function checkInputs(job: JobDefinition, { topics }: Sources, inputs: Inputs): void {
  for (const [name, given] of Object.entries<unknown>(inputs)) {
    if (!topics.has(name)) {
      const read = [...topics.keys()].map((one) => `"${one}"`).join(", ") || "none";
      throw new GraphError(
        "BAD_ARGUMENT",
        `runJob was given rows of topic "${name}", which job "${job.name}" does not read. Its topics: ${read}.`,
      );
    }
    if (!Array.isArray(given)) {
      throw new GraphError(
        "BAD_ARGUMENT",
        `runJob was given ${shown(given)} for topic "${name}". Allowed: an array of rows and steps.`,
      );
    }
    for (const step of given.map(stepOf)) {
      if (step?.kind !== "rescale") continue;
      checkedParallelism("rescale", step.parallelism, job.graph.config.maxParallelism);
    }
  }
}
