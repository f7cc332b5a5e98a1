// Whether a plan can go on from a checkpoint that was taken in another one, and which state goes to
// which of its subtasks: of a running job whose program is deployed in another version, and of a job
// that is started from a savepoint, in other code or at another size.
//   U1. State is known by the uid of its operator, never by its place: chains may be cut otherwise.
//   U2. No state is left behind and none is misread: an operator that has some must still be there,
//       and be what it was as far as its state depends on it (`shapes` of the plan). What a process
//       function declares is its own business: schemas are compared where the state is restored.
//       Rows that were on their way are no other than state (former-layout.ts).
//   U3. Functions are no part of a version: a program whose functions alone differ is the same, and
//       runs as soon as its objects are restarted.
//   U4. What is set for single vertices stays with those that are still there.

import type { JobConfig } from "../format/config.ts";
import { type Manifest, statesOf } from "../format/manifest.ts";
import type { TaskDeployment } from "../format/messages.ts";
import type { ExecutionPlan, VertexPlan } from "../format/plan.ts";
import type { TaskStateHandle } from "../format/state-handle.ts";
import { fingerprintOf } from "../stream/fingerprint.ts";
import type { JobGraph } from "../stream/graph.ts";
import type { JobDefinition } from "../stream/job.ts";
import { formerLayoutOf, isSameLayout, movedStates, strandedRows } from "./former-layout.ts";
import { planOf } from "./plan.ts";

/** The programs of this deployment, by name. */
export type Programs = ReadonlyMap<string, Pick<JobDefinition, "built">>;

/** What this deployment has in place of the program that a job runs. */
export type OwnCode =
  | { readonly kind: "same" }
  | { readonly kind: "missing"; readonly reason: string }
  | { readonly kind: "changed"; readonly plan: ExecutionPlan };

export function ownCodeOf(
  { program, fingerprint }: ExecutionPlan,
  config: JobConfig,
  programs: Programs,
): OwnCode {
  const own = programs.get(program);
  if (own === undefined) {
    return { kind: "missing", reason: "The deployment has no program of that name any more." };
  }
  let graph: JobGraph;
  try {
    ({ graph } = own.built(config.programArgs ?? []));
  } catch (error) {
    const reason = `The deployment's version of it does not take the job's arguments: ${String(error)}`;
    return { kind: "missing", reason };
  }
  if (fingerprintOf(graph) === fingerprint) return { kind: "same" };
  return { kind: "changed", plan: planOf(graph, stillThere(graph, config)) };
}

/** Without what is set for vertices that this program does not have. */
export function stillThere(graph: JobGraph, config: JobConfig): JobConfig {
  const { parallelismOverrides, ...rest } = config;
  if (parallelismOverrides === undefined) return config;
  const ids = new Set(planOf(graph, rest).vertices.map(({ id }) => id));
  const own = Object.entries(parallelismOverrides).filter(([id]) => ids.has(id));
  return { ...rest, parallelismOverrides: Object.fromEntries(own) };
}

/**
 * What keeps the plan from going on from that checkpoint: one sentence each, none where it can.
 *
 * @param from what the states were taken in, where the manifest does not say so itself; what both
 *   ends are called; and whether state may stay behind that no operator takes
 */
export function misfits(
  manifest: Manifest,
  plan: ExecutionPlan,
  from: {
    readonly shapes?: ExecutionPlan["shapes"];
    readonly checkpoint: string;
    readonly program: string;
    readonly allowNonRestoredState: boolean;
  },
): string[] {
  const { checkpoint, program } = from;
  if (manifest.maxParallelism !== plan.maxParallelism) {
    return [
      `${capital(checkpoint)} has ${manifest.maxParallelism} key groups, ${program} ${plan.maxParallelism}.`,
    ];
  }
  const states = manifest.tasks.map(({ state }) => state);
  const found = strandedRows(manifest, plan, from);
  const shapes = manifest.shapes ?? from.shapes;
  const operators = new Set(plan.vertices.flatMap((vertex) => vertex.operators));
  for (const uid of new Set(states.flatMap(uidsOf))) {
    const state = `Operator "${uid}" has state in ${checkpoint}`;
    if (!operators.has(uid)) {
      if (!from.allowNonRestoredState) found.push(`${state} and is not in ${program}.`);
      continue;
    }
    const [before, after] = [shapes?.[uid], plan.shapes?.[uid]];
    if (before === undefined || before === after) continue;
    found.push(`${state} as ${before}, and is now ${after ?? "an operator without state"}.`);
  }
  return found;
}

/** The part of a checkpoint that the subtasks of a vertex start from. */
export const statesFor = (
  manifest: Manifest,
  vertex: VertexPlan,
  plan: ExecutionPlan,
): Pick<NonNullable<TaskDeployment["restore"]>, "states" | "former"> =>
  isSameLayout(manifest, plan)
    ? { states: statesOf(manifest, vertex.id) }
    : {
        states: movedStates(manifest, vertex),
        former: formerLayoutOf(manifest, vertex, plan),
      };

const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

const uidsOf = ({ keyed, operator }: TaskStateHandle): string[] =>
  [...keyed, ...operator].map(({ uid }) => uid);
