// A checkpoint that was taken in another layout than the plan's, at other parallelisms or in other
// code: what each vertex must know of that layout to take its part.
//   L1. Operators are the same where their uids are, and edges where the uids of both ends, the
//       input and the side output are: whatever vertices, channels or chains they are in.
//   L2. Rows on their way belong to the operator they go to, whichever end of their channel kept them.
//       They go to the vertex of that operator and to no other.
//   L3. Older rows come first: what was restored before, then what its receiver had, then what its
//       sender had.

import { type Manifest, hasRowsOnTheirWay } from "../format/manifest.ts";
import { parseTaskKey } from "../format/ids.ts";
import type { FormerEdge, FormerLayout } from "../format/messages.ts";
import {
  allEdges,
  type EdgePlan,
  type ExecutionPlan,
  taskKeysOf,
  type VertexPlan,
} from "../format/plan.ts";
import type { ChannelStateHandle, TaskStateHandle } from "../format/state-handle.ts";

/** Whether each subtask of the plan is one of those that the checkpoint was taken of. */
export function isSameLayout({ fingerprint, tasks }: Manifest, plan: ExecutionPlan): boolean {
  if (fingerprint !== plan.fingerprint) return false;
  const taken = new Set(tasks.map(({ task }) => task));
  const own = taskKeysOf(plan);
  return own.length === taken.size && own.every((task) => taken.has(task));
}

/** What keeps rows on their way from going on in the plan: one sentence each. */
export function strandedRows(
  manifest: Manifest,
  plan: ExecutionPlan,
  from: {
    readonly checkpoint: string;
    readonly program: string;
    readonly allowNonRestoredState: boolean;
  },
): string[] {
  if (!hasRowsOnTheirWay(manifest) || isSameLayout(manifest, plan)) return [];
  return [...rowsByEdge(manifest).keys()].flatMap((id) => {
    const before = manifest.edges?.find((edge) => edge.id === id);
    if (before === undefined) {
      return [`In ${from.checkpoint} rows were on their way, and it does not say between whom.`];
    }
    const rows = `Rows were on their way from "${before.fromUid}" to "${before.toUid}" in ${from.checkpoint}`;
    const now = sameEdge(before, plan);
    if (now === undefined) {
      if (from.allowNonRestoredState) return [];
      return [`${rows}, and ${from.program} has no such edge.`];
    }
    const [was, is] = [before, now].map(({ partitioning }) => partitioning === "broadcast");
    if (was === is) return [];
    const [then, since] = was ? ["a broadcast", "none"] : ["no broadcast", "one"];
    return [`${rows}, which was ${then}, and is ${since} in ${from.program}.`];
  });
}

/** The part of a checkpoint of another layout that the subtasks of a vertex start from. */
export function movedStates(manifest: Manifest, vertex: VertexPlan): TaskStateHandle[] {
  const isOwn = ({ uid }: { readonly uid: string }): boolean => vertex.operators.includes(uid);
  const states: { keyed: TaskStateHandle["keyed"]; operator: TaskStateHandle["operator"] }[] = [];
  for (const { task, state } of manifest.tasks) {
    const keyed = state.keyed.filter(isOwn);
    const operator = state.operator.filter(isOwn);
    if (keyed.length + operator.length === 0) continue;
    const { index } = parseTaskKey(task);
    // A subtask may have taken part with no state of its own: it counts, or others would be off by one.
    while (states.length <= index) states.push({ keyed: [], operator: [] });
    const before = states[index]!;
    states[index] = {
      keyed: [...before.keyed, ...keyed],
      operator: [...before.operator, ...operator],
    };
  }
  return states;
}

export function formerLayoutOf(
  manifest: Manifest,
  vertex: VertexPlan,
  plan: ExecutionPlan,
): FormerLayout {
  const sizes: Record<string, number> = {};
  const subtasks = Map.groupBy(manifest.tasks, ({ task }) => parseTaskKey(task).vertex);
  for (const tasks of subtasks.values()) {
    const uids = tasks.flatMap(({ state: { keyed, operator } }) => [...keyed, ...operator]);
    for (const { uid } of uids) if (vertex.operators.includes(uid)) sizes[uid] = tasks.length;
  }
  const edges = [...rowsByEdge(manifest)].flatMap(([id, channels]): FormerEdge[] => {
    const before = manifest.edges?.find((edge) => edge.id === id);
    const now = before && sameEdge(before, plan);
    if (before === undefined || now?.to !== vertex.id) return [];
    const receivers = subtasks.get(before.to)?.length ?? 0;
    const named = channels.toSorted(oldestFirst).map((one) => ({ ...one, edge: now.id }));
    return [{ edge: now.id, receivers, channels: named }];
  });
  return { sizes, edges };
}

const rowsByEdge = ({ tasks }: Manifest): Map<number, ChannelStateHandle[]> =>
  Map.groupBy(
    tasks.flatMap(({ state: { channels = [] } }) => channels),
    ({ edge }) => edge,
  );

/** L1. */
const sameEdge = (before: EdgePlan, plan: ExecutionPlan): EdgePlan | undefined =>
  allEdges(plan).find(
    ({ fromUid, toUid, input, tag }) =>
      fromUid === before.fromUid &&
      toUid === before.toUid &&
      input === before.input &&
      tag === before.tag,
  );

/** L3. */
const ages = { restored: 0, input: 1, output: 2 };

const oldestFirst = (left: ChannelStateHandle, right: ChannelStateHandle): number =>
  ages[left.end] - ages[right.end] || left.to - right.to || (left.from ?? 0) - (right.from ?? 0);
