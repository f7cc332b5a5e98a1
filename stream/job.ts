// Jobs: a name, a function that builds a graph, and options. The function runs once, here, when the
// module is loaded; what it builds is complete and checked before anything runs.

import { jobConfig, type JobOptions } from "./config.ts";
import { RecordedStream, type DataStream } from "./data-stream.ts";
import { GraphError, refusal } from "./errors.ts";
import type { JobGraph } from "./graph.ts";
import { checkedName, shown } from "./names.ts";
import { GraphRecorder, type OperatorOptions } from "./recorder.ts";
import type { Topic } from "./topic.ts";

/** Where streams begin. Of use only inside the build function it was given to. */
export interface JobEnvironment {
  /**
   * The rows of a topic, each partition in its order. Subtasks beyond the topic's partitions idle.
   *
   * @example env.from(topic<Flight>("flights"), { uid: "flights" })
   */
  from<T>(source: Topic<T>, options: Omit<OperatorOptions, "onError">): DataStream<T>;
}

/** A program: what a deployment runs jobs of. */
export interface JobDefinition {
  readonly name: string;
  readonly graph: JobGraph;
}

/**
 * Defines a job. `build` must be synchronous and deterministic: every object of a deployment runs
 * it for itself, and all must get the same graph. Throws `GraphError` and `ConfigError`.
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
  const recorder = new GraphRecorder(name, jobConfig(options), options?.onError);
  const built: unknown = build({
    from<T>(source: Topic<T>, operator: OperatorOptions): DataStream<T> {
      if ((source as Partial<typeof source> | undefined)?.kind !== "topic") {
        throw refusal("BAD_ARGUMENT", "from", operator, `was given ${shown(source)}`, "topic(…)");
      }
      const node = recorder.add({ kind: "source", topic: source }, operator);
      return new RecordedStream(recorder, [{ node, partitioning: "forward" }]);
    },
  });
  if (typeof (built as { then?: unknown } | undefined)?.then === "function") {
    throw new GraphError(
      "ASYNC_BUILD",
      `The build function of job "${name}" returned a promise. Allowed: a synchronous function; ` +
        `await what it needs before you call defineJob.`,
    );
  }
  return { name, graph: recorder.finish() };
}
