// What a deployment offers: its programs by name and the topics they read and write. Those that a
// program reads only with certain arguments are listed beside, as topics of the deployment.
//   C1. A name means one thing: two programs, or two topics that differ, may not share one.

import type { RestartConfig } from "../format/config.ts";
import { ParameterError } from "../stream/errors.ts";
import type { GraphNode } from "../stream/graph.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Topic } from "../stream/topic.ts";
import { HttpError } from "./errors.ts";

export interface Catalog {
  readonly programs: ReadonlyMap<string, JobDefinition>;
  readonly topics: ReadonlyMap<string, Topic<unknown>>;
  /** Of jobs that do not say themselves what follows a failure. */
  readonly restart?: RestartConfig;
}

export function catalogOf(
  jobs: readonly JobDefinition[],
  topics: readonly Topic<unknown>[],
  restart?: RestartConfig,
): Catalog {
  const programs = new Map<string, JobDefinition>();
  for (const job of jobs) {
    if (programs.has(job.name)) throw new Error(`Two jobs are named "${job.name}"; rename one.`);
    programs.set(job.name, job);
  }
  const used = jobs.flatMap((job) =>
    nodesOf(job).flatMap(({ spec, onError }) => [
      ...(spec.kind === "source" ? [spec.topic] : []),
      ...(typeof onError === "object" ? [onError.topic] : []),
    ]),
  );
  const byName = new Map<string, Topic<unknown>>();
  for (const topic of [...used, ...topics]) {
    const other = byName.get(topic.name) ?? topic;
    if (other.partitions !== topic.partitions || other.key !== topic.key) {
      throw new Error(
        `Topic "${topic.name}" is declared twice, with other partitions or another key. ` +
          `Declare it once and import it where it is used.`,
      );
    }
    byName.set(topic.name, topic);
  }
  return { programs, topics: byName, ...(restart !== undefined && { restart }) };
}

/** The operators of a program without arguments; none where it needs some. */
function nodesOf(job: JobDefinition): readonly GraphNode[] {
  try {
    return job.graph.nodes;
  } catch (error) {
    if (error instanceof ParameterError) return [];
    throw error;
  }
}

/** What `names` holds under `name`, or a 404 that lists what there is. */
export function known<T>(what: string, names: ReadonlyMap<string, T>, name: string): T {
  const found = names.get(name);
  if (found !== undefined) return found;
  const all = [...names.keys()].sort().join(", ");
  throw new HttpError(
    404,
    `There is no ${what} "${name}". There are: ${all === "" ? "none" : all}.`,
  );
}
