// The arguments that a job is started with: how a request carries them, and the program they make.
//   A1. Whatever keeps the program from being built with them is found here, before anything is
//       registered, and so is an argument that it does not read: a misspelt one has no effect, and
//       whoever gave it meant one.

import * as z from "zod";

import type { JobConfig } from "../format/config.ts";
import { KiB } from "../format/limits.ts";
import type { JobGraph } from "../stream/graph.ts";
import type { BuiltProgram, JobDefinition } from "../stream/job.ts";
import type { Catalog } from "./catalog.ts";
import { HttpError } from "./errors.ts";

/** Bytes of all arguments together: they are in every deployment of a subtask. */
const argumentBytesMax = 8 * KiB;

/** The fields of a body that carry them: Flink's, and the one that its dashboard still sends. */
export const argumentFields = {
  programArgs: z.string(),
  programArgsList: z.array(z.string()),
} as const;

/** The arguments that the fields mean. @throws HttpError */
export function argumentsOf(given: {
  readonly programArgs?: string | undefined;
  readonly programArgsList?: readonly string[] | undefined;
}): readonly string[] {
  const { programArgs, programArgsList = [] } = given;
  if (programArgs !== undefined && programArgsList.length > 0) {
    throw new HttpError(400, "programArgs and programArgsList are both given; leave one out.");
  }
  const args = programArgs === undefined ? programArgsList : tokens(programArgs);
  const bytes = new TextEncoder().encode(args.join("")).length;
  if (bytes <= argumentBytesMax) return args;
  throw new HttpError(
    400,
    `The program arguments are ${bytes} bytes long. Allowed: ${argumentBytesMax}.`,
  );
}

/** The graph of the program with these arguments. @throws HttpError that says why there is none */
export function graphWith(
  program: JobDefinition,
  args: readonly string[],
  { topics }: Pick<Catalog, "topics">,
): JobGraph {
  let built: BuiltProgram;
  try {
    built = program.built(args);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const what = args.length === 0 ? "without arguments" : "with these arguments";
    throw new HttpError(400, `Program "${program.name}" cannot be started ${what}: ${reason}`);
  }
  refuseUnread(program.name, built);
  refuseUnknownTopics(program.name, built.graph, topics);
  return built.graph;
}

/** The graph of a job that was started, in this deployment's code. @throws HttpError */
export function graphOfJob(program: JobDefinition, config: JobConfig): JobGraph {
  try {
    return program.built(config.programArgs ?? []).graph;
  } catch (error) {
    throw new HttpError(
      409,
      `Program "${program.name}" of this deployment does not take the job's arguments: ${String(error)}`,
    );
  }
}

/** As Flink's JarHandlerUtils splits them: by white space outside of quotes. */
const tokens = (text: string): string[] =>
  Array.from(text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g), ([, double, single, bare]) => {
    return double ?? single ?? bare ?? "";
  });

function refuseUnread(name: string, { unread, read }: BuiltProgram): void {
  if (unread.length === 0) return;
  const reads = read.length === 0 ? "no parameters" : read.map(dashed).join(", ");
  throw new HttpError(
    400,
    `Program "${name}" does not read ${unread.map(dashed).join(", ")}. Its build function reads: ${reads}.`,
  );
}

const dashed = (name: string): string => `--${name}`;

/** What nobody can write to is read in vain. */
function refuseUnknownTopics(name: string, graph: JobGraph, topics: Catalog["topics"]): void {
  for (const { spec } of graph.nodes) {
    if (spec.kind !== "source") continue;
    const { name: topic, partitions } = spec.topic;
    const declared = topics.get(topic);
    if (declared?.partitions === partitions) continue;
    const found =
      declared === undefined
        ? "this deployment has none of that name"
        : `this deployment has it with ${declared.partitions}`;
    throw new HttpError(
      400,
      `Program "${name}" would read topic "${topic}" with ${partitions} partitions, and ${found}. ` +
        `List it in tidemark({ topics }) and deploy again.`,
    );
  }
}
