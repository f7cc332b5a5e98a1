// The graph of a job as this object's own code has it. Objects of one job may run different versions
// of its program for a while: what an object builds counts only where it is what the job was planned
// for.

import type { TaskDeployment } from "../format/messages.ts";
import { fingerprintOf } from "../stream/fingerprint.ts";
import type { JobGraph } from "../stream/graph.ts";
import type { JobDefinition } from "../stream/job.ts";

export type OwnGraph =
  | { readonly kind: "same"; readonly graph: JobGraph }
  | { readonly kind: "other"; readonly reason: string };

export function ownGraph(
  programs: ReadonlyMap<string, JobDefinition>,
  { plan, config }: Pick<TaskDeployment, "plan" | "config">,
): OwnGraph {
  const named = `Program "${plan.program}"`;
  const program = programs.get(plan.program);
  if (program === undefined) {
    return { kind: "other", reason: `This deployment has no program "${plan.program}".` };
  }
  let graph: JobGraph;
  try {
    ({ graph } = program.built(config.programArgs ?? []));
  } catch (error) {
    const reason = `${named} of this deployment does not take the job's arguments: ${String(error)}`;
    return { kind: "other", reason };
  }
  if (fingerprintOf(graph) === plan.fingerprint) return { kind: "same", graph };
  const reason = `${named} has another topology in this deployment than the job has.`;
  return { kind: "other", reason };
}
