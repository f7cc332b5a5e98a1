// Jobs: a name, a function that builds a graph, and options. The function runs here, when the module is
// loaded and again for other arguments; what it builds is complete and checked before anything runs.
//   B1. The same arguments give the same graph, whichever object builds it. One that is kept is as
//       good as one that is built again.

import type { JobConfig } from "../format/config.ts";
import { jobConfig, type JobOptions } from "./config.ts";
import { RecordedStream, type DataStream } from "./data-stream.ts";
import { GraphError, ParameterError, refusal } from "./errors.ts";
import type { GeneratorSource } from "./generate.ts";
import type { JobGraph, OperatorSpec } from "./graph.ts";
import { checkedName, shown } from "./names.ts";
import { ParsedParameters, type ProgramParameters } from "./parameters.ts";
import { GraphRecorder, type OperatorOptions } from "./recorder.ts";
import type { Topic } from "./topic.ts";
import { checkedStrategy, type WatermarkStrategy } from "./watermarks.ts";

/** What a source may be given. */
export interface SourceOptions<T> extends Omit<OperatorOptions, "onError"> {
  /**
   * Where the event times of the rows come from, and how far out of order they are; for windows,
   * event-time timers and joins. Without it the rows have no event time.
   */
  readonly watermarks?: WatermarkStrategy<T>;
}

/** Where streams begin, and what the job was started with. Of use only inside the build function it was given to. */
export interface JobEnvironment {
  /**
   * The rows of a topic, each partition in its order, those of a generator or of an iterable. Subtasks
   * beyond the topic's partitions idle. A job finishes when all of its sources have come to an end.
   *
   * @example env.from(topic<Flight>("flights"), { uid: "flights" })
   */
  from<T>(source: Topic<T> | GeneratorSource<T>, options: SourceOptions<NoInfer<T>>): DataStream<T>;
  /** What the job was started with; empty while the module is loaded. */
  readonly parameters: ProgramParameters;
}

/** What a program is with certain arguments. */
export interface BuiltProgram {
  readonly graph: JobGraph;
  /** Parameters that the build function asked for, and those that were given and it did not. */
  readonly read: readonly string[];
  readonly unread: readonly string[];
}

/** A program: what a deployment runs jobs of. */
export interface JobDefinition {
  readonly name: string;
  /** Without arguments. Throws `ParameterError` where the program needs some. */
  readonly graph: JobGraph;
  /** With these arguments. Throws whatever the build function throws for them. */
  built(args: readonly string[]): BuiltProgram;
}

/** Graphs kept of one program, by arguments: requests for plans may come with any number of them. */
const builtMax = 16;

/**
 * Defines a job. `build` must be synchronous and deterministic: every object of a deployment runs
 * it for itself, and all must get the same graph. It runs when the module is loaded, without
 * arguments, and again with those that a job is started with. Throws `GraphError` and `ConfigError`.
 *
 * @example
 * export const worstDelays = defineJob("worst-delays", (env) => {
 *   env.from(topic<Flight>("flights"), { uid: "flights" })
 *     .keyBy((flight) => flight.origin)
 *     .aggregate({ worst: max((flight) => flight.delay) }, { uid: "by-origin" })
 *     .to(table("worst-delays"), { uid: "out" });
 * }, { parallelism: 4, checkpointing: { interval: "1s" } });
 */
export function defineJob(
  name: string,
  build: (env: JobEnvironment) => void,
  options?: JobOptions,
): JobDefinition {
  checkedName("job", name);
  const config = jobConfig(options);
  const cache = new Map<string, BuiltProgram>();
  const built = (args: readonly string[]): BuiltProgram => {
    const key = JSON.stringify(args);
    const program = cache.get(key) ?? builtWith(name, build, { config, options, args });
    // The last one that was used is the last to go.
    cache.delete(key);
    cache.set(key, program);
    if (cache.size > builtMax) cache.delete(cache.keys().next().value!);
    return program;
  };
  try {
    built([]);
  } catch (error) {
    // Whoever starts it has to give some.
    if (!(error instanceof ParameterError)) throw error;
  }
  return {
    name,
    get graph() {
      return built([]).graph;
    },
    built,
  };
}

function builtWith(
  name: string,
  build: (env: JobEnvironment) => void,
  from: {
    readonly config: JobConfig;
    readonly options: JobOptions | undefined;
    readonly args: readonly string[];
  },
): BuiltProgram {
  const recorder = new GraphRecorder(name, from.config, from.options?.onError);
  const parameters = new ParsedParameters(from.args);
  const returned: unknown = build({
    parameters,
    from<T>(
      source: Topic<T> | GeneratorSource<T>,
      operator: SourceOptions<NoInfer<T>>,
    ): DataStream<T> {
      const node = recorder.add(sourceSpec(source, operator), operator);
      // Streams know no row types (data-stream.ts), and to compare them with all of a stream is too deep.
      return new RecordedStream(recorder, [{ node, partitioning: "forward" }]) as never;
    },
  });
  if (typeof (returned as { then?: unknown } | undefined)?.then === "function") {
    throw new GraphError(
      "ASYNC_BUILD",
      `The build function of job "${name}" returned a promise. Allowed: a synchronous function; ` +
        `await what it needs before you call defineJob.`,
    );
  }
  const graph = recorder.finish();
  return { graph, read: parameters.read, unread: parameters.unread };
}

function sourceSpec(
  source: Topic<unknown> | GeneratorSource<unknown>,
  operator: SourceOptions<never>,
): OperatorSpec {
  const { watermarks: given } = operator ?? {};
  if (given !== undefined) checkedStrategy("from", given, operator);
  const time = given && { watermarks: given };
  switch ((source as Partial<typeof source> | undefined)?.kind) {
    case "topic":
      return { kind: "source", topic: source as Topic<unknown>, ...time };
    case "generator":
      return { kind: "generator", generator: source as GeneratorSource<unknown>, ...time };
    default: {
      const allowed = "topic(…), generate(…) or fromIterable(…)";
      throw refusal("BAD_ARGUMENT", "from", operator, `was given ${shown(source)}`, allowed);
    }
  }
}
