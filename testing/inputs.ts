// What a run is given, checked before anything runs.
//   I1. Inputs are those of topics that the job reads, each a list, and steps alone of sources that make
//       their rows themselves.
//   I2. Every source comes to an end, or makes its rows by the clock: a run of any other would have none.
//   I3. Steps of a source with an end come between parts of its rows, all of the same size. One
//       without a pace is given one: it would have made all of them before the first step.

import { GraphError } from "../stream/errors.ts";
import type { GeneratorSource } from "../stream/generate.ts";
import type { JobDefinition } from "../stream/job.ts";
import { shown } from "../stream/names.ts";
import type { Topic } from "../stream/topic.ts";
import { checkedParallelism, stepOf } from "./steps.ts";

/**
 * By topic, its rows in order, and steps between them; by uid of a source that makes its rows itself, steps
 * that come between parts of them. Inputs take turns, one row or step each.
 */
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
    if (spec.kind === "source") topics.set(spec.topic.name, spec.topic);
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
export function checkInputs(job: JobDefinition, sources: Sources, inputs: Inputs): void {
  const { topics, generators } = sources;
  const listed = (names: Iterable<string>): string =>
    Array.from(names, (one) => `"${one}"`).join(", ");
  for (const [name, given] of Object.entries<unknown>(inputs)) {
    if (!topics.has(name) && !generators.has(name)) {
      const made = listed(generators.keys());
      throw new GraphError(
        "BAD_ARGUMENT",
        `runJob was given rows of topic "${name}", which job "${job.name}" does not read. ` +
          `Its topics: ${listed(topics.keys()) || "none"}.` +
          (made && ` Its sources that make their rows themselves, and take steps alone: ${made}.`),
      );
    }
    if (!Array.isArray(given)) {
      throw new GraphError(
        "BAD_ARGUMENT",
        `runJob was given ${shown(given)} for "${name}". Allowed: an array of rows and steps.`,
      );
    }
    for (const one of given as readonly unknown[]) {
      const step = stepOf(one);
      if (step === undefined && !topics.has(name)) {
        throw new GraphError(
          "BAD_ARGUMENT",
          `runJob was given ${shown(one)} for source "${name}", which makes its rows itself. ` +
            `Allowed: steps, such as crash() and rescale(4).`,
          name,
        );
      }
      if (step?.kind !== "rescale") continue;
      checkedParallelism("rescale", step.parallelism, job.graph.config.maxParallelism);
    }
  }
}

/** Milliseconds between two steps of a source that is given a pace. */
const partMillis = 100;

/** The job with a pace for sources that need one (I3). */
export function paced(job: JobDefinition, inputs: Inputs): JobDefinition {
  const { graph } = job;
  const given = new Map(Object.entries(inputs));
  const nodes = graph.nodes.map((node) => {
    const { spec } = node;
    if (spec.kind !== "generator") return node;
    const { rows, rowsPerSecond } = spec.generator;
    const steps = given.get(node.uid)?.length ?? 0;
    if (steps === 0 || rows === 0 || rowsPerSecond !== undefined) return node;
    const pace = (rows * 1_000) / ((steps + 1) * partMillis);
    return { ...node, spec: { ...spec, generator: { ...spec.generator, rowsPerSecond: pace } } };
  });
  return { ...job, graph: { ...graph, nodes } };
}

/** Milliseconds that a source takes for the rows between two of so many steps; 0 where it has no end. */
export function partOf(generator: GeneratorSource<unknown>, steps: number): number {
  const { rows, rowsPerSecond = Infinity } = generator;
  return rows === Infinity ? 0 : (rows * 1_000) / rowsPerSecond / (steps + 1);
}
