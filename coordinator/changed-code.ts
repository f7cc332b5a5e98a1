// What becomes of a running job when its program is deployed in another version: whether the new one
// can go on from the job's checkpoint, and which state goes to which of its subtasks.
//   U1. State is known by the uid of its operator, never by its place: chains may be cut otherwise.
//   U2. No state is left behind and none is misread: an operator that has some must still be there,
//       and be what it was as far as its state depends on it (`shapes` of the plan). What a process
//       function declares is its own business: schemas are compared where the state is restored.
//   U3. Functions are no part of a version: a program whose functions alone differ is the same, and
//       runs as soon as its objects are restarted.

import type { JobConfig } from "../format/config.ts";
import { type Manifest, statesOf } from "../format/manifest.ts";
import type { ExecutionPlan, VertexPlan } from "../format/plan.ts";
import type { TaskStateHandle } from "../format/state-handle.ts";
import { fingerprintOf } from "../stream/fingerprint.ts";
import type { JobGraph } from "../stream/graph.ts";
import { planOf } from "./plan.ts";

/** The programs of this deployment, by name. */
export type Programs = ReadonlyMap<string, { readonly graph: JobGraph }>;

/** What this deployment has in place of the program that a job runs. */
export type OwnCode =
  | { readonly kind: "same" }
  | { readonly kind: "missing" }
  | { readonly kind: "changed"; readonly plan: ExecutionPlan };

export function ownCodeOf(
  { program, fingerprint }: ExecutionPlan,
  config: JobConfig,
  programs: Programs,
): OwnCode {
  const own = programs.get(program);
  if (own === undefined) return { kind: "missing" };
  if (fingerprintOf(own.graph) === fingerprint) return { kind: "same" };
  return { kind: "changed", plan: planOf(own.graph, config) };
}

/**
 * Why the plan cannot go on from that checkpoint; undefined where it can.
 *
 * @param taken the plan that the job had until now
 */
export function incompatibility(
  manifest: Manifest,
  taken: ExecutionPlan,
  plan: ExecutionPlan,
): string | undefined {
  const of = `Checkpoint ${manifest.checkpoint}`;
  if (manifest.maxParallelism !== plan.maxParallelism) {
    return `${of} has ${manifest.maxParallelism} key groups, the new version ${plan.maxParallelism}.`;
  }
  const states = manifest.tasks.map(({ state }) => state);
  if (states.some(({ channels = [] }) => channels.length > 0)) {
    return (
      `${of} is unaligned: it holds rows that were on their way between operators, and they fit ` +
      `the version that it was taken in only.`
    );
  }
  const operators = new Set(plan.vertices.flatMap((vertex) => vertex.operators));
  for (const uid of new Set(states.flatMap(uidsOf))) {
    if (!operators.has(uid)) {
      return `Operator "${uid}" has state in checkpoint ${manifest.checkpoint} and is not in the new version.`;
    }
    const [before, after] = [taken.shapes?.[uid], plan.shapes?.[uid]];
    if (before !== undefined && before !== after) {
      const now = after === undefined ? "an operator without state" : after;
      return `Operator "${uid}" has state in checkpoint ${manifest.checkpoint} as ${before}, and is now ${now}.`;
    }
  }
  return undefined;
}

/** The part of a checkpoint that the subtasks of a vertex start from. */
export function statesFor(
  manifest: Manifest,
  { id, operators }: VertexPlan,
  { fingerprint }: ExecutionPlan,
): TaskStateHandle[] {
  if (manifest.fingerprint === fingerprint) return statesOf(manifest, id);
  const isOwn = ({ uid }: { readonly uid: string }): boolean => operators.includes(uid);
  return manifest.tasks
    .map(({ state: { keyed, operator } }) => {
      return { keyed: keyed.filter(isOwn), operator: operator.filter(isOwn) };
    })
    .filter((state) => uidsOf(state).length > 0);
}

const uidsOf = ({ keyed, operator }: TaskStateHandle): string[] =>
  [...keyed, ...operator].map(({ uid }) => uid);
