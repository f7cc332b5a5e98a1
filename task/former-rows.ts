// Rows that were on their way when the checkpoint was taken that a subtask starts from: which of them
// are its own. In the layout that it was taken in each end of a channel has its own back; in another
// one nobody sends anything again, and these rules hold.
//   X1. The rows of both ends go to the receivers. Each is taken over by exactly one of them, but those
//       of a broadcast: of them each receiver takes what the copy of broadcast state lacked that it
//       takes (Q4), and so all copies come to be equal.
//   X2. A row with a key goes to the owner of its key group. The same key was always the same
//       receiver's, so the rows of a key are in the order in which they were sent.
//   X3. A row without a key goes where all rows of its channel go: to the heir, who has the first of
//       the key groups that their receiver had. So does one whose key cannot be told, or was not the
//       receiver's: the code is another. The operator rejects it, or does not, as any other row.
//   X4. A subtask reads a channel only where rows of it may be its own, one channel after the other,
//       and keeps nothing of the others' rows.
//   X5. What it takes over it processes before anything else that comes by the edge (N5), what is
//       further down its chain first.

import { decodeBatch, encodeRows } from "../format/batch.ts";
import { decodeFrame, encodeData } from "../format/frame.ts";
import { type Key, keyProblem } from "../format/key.ts";
import {
  intersectRanges,
  keyGroupOf,
  type KeyGroupRange,
  ownerOfGroup,
  rangeHas,
  rangeOfSubtask,
} from "../format/key-groups.ts";
import type { FormerEdge, TaskDeployment } from "../format/messages.ts";
import { edgeOf, vertexOf } from "../format/plan.ts";
import type { ChannelStateHandle } from "../format/state-handle.ts";
import type { JobGraph, KeySelector } from "../stream/graph.ts";
import { selectorOf } from "./chain.ts";

/** Frames of one channel that a subtask begins with. */
export interface RestoredChannel extends Pick<ChannelStateHandle, "end" | "edge" | "from" | "to"> {
  readonly frames: readonly Uint8Array[];
}

/** The channels whose rows may be the subtask's own, in the order in which it takes them. */
export function channelsOf(deployment: TaskDeployment): ChannelStateHandle[] {
  const { restore, task } = deployment;
  if (restore === undefined) return [];
  if (restore.former === undefined) {
    return restore.states
      .flatMap(({ channels = [] }) => channels)
      .filter(({ end, from, to }) => (end === "output" ? from : to) === task.index);
  }
  return restore.former.edges.flatMap((edge) =>
    edge.channels.filter(({ to }) => mayOwn(deployment, edge, to)),
  );
}

/** What of a channel's rows is the subtask's own. The handle is one of `channelsOf`. */
export function restoredChannel(
  deployment: TaskDeployment,
  graph: JobGraph,
  { end, edge, from, to }: ChannelStateHandle,
  frames: readonly Uint8Array[],
): RestoredChannel {
  const former = deployment.restore?.former?.edges.find((one) => one.edge === edge);
  if (former === undefined) return { end, edge, ...(from !== undefined && { from }), to, frames };
  const isOwn = ownershipOf(deployment, graph, former, to);
  return {
    end: "restored",
    edge,
    to: deployment.task.index,
    frames: isOwn === undefined ? frames : frames.flatMap((frame) => filtered(frame, isOwn)),
  };
}

/** Which rows of that receiver's channels are the subtask's (X1 to X3); undefined: all. */
function ownershipOf(
  deployment: TaskDeployment,
  graph: JobGraph,
  { edge: id, receivers }: FormerEdge,
  to: number,
): ((row: unknown) => boolean) | undefined {
  const { plan, task, restore } = deployment;
  const edge = edgeOf(plan, id);
  if (edge.partitioning === "broadcast") return undefined;
  const isHeir = heirOf(deployment, receivers, to) === task.index;
  const selector = selectorOf(graph, edge);
  if (selector === undefined) return isHeir ? undefined : () => false;
  const { maxParallelism } = plan;
  const own = ownRange(deployment);
  return (row) => {
    const group = groupOf(selector, row, maxParallelism);
    if (group === undefined) return isHeir;
    // Its other readers do not read this channel where the code is the same (`mayOwn`).
    const isForeign = ownerOfGroup(group, receivers, maxParallelism) !== to;
    return isForeign && restore?.isOtherCode !== true ? isHeir : rangeHas(own, group);
  };
}

function groupOf(selector: KeySelector, row: unknown, maxParallelism: number) {
  let key: unknown;
  try {
    key = selector(row as never);
  } catch {
    return undefined;
  }
  return keyProblem(key) === undefined ? keyGroupOf(key as Key, maxParallelism) : undefined;
}

function filtered(bytes: Uint8Array, isOwn: (row: unknown) => boolean): Uint8Array[] {
  const frame = decodeFrame(bytes);
  if (frame.kind !== "data") throw new Error("Y2: channel state is of rows alone.");
  const batch = decodeBatch(frame.rows);
  const rows = batch.rows();
  const select = [...rows.keys()].filter((i) => isOwn(rows[i]));
  if (select.length === rows.length) return [bytes];
  if (select.length === 0) return [];
  const { timestamps } = batch;
  return [encodeData(encodeRows(rows, { select, ...(timestamps && { timestamps }) }))];
}

/** X4. In other code a key may be anybody's. */
function mayOwn(deployment: TaskDeployment, { edge, receivers }: FormerEdge, to: number): boolean {
  const { plan, task, restore } = deployment;
  switch (edgeOf(plan, edge).partitioning) {
    case "broadcast":
      return to === task.index % receivers;
    case "rebalance":
    case "rescale":
    case "custom":
      return heirOf(deployment, receivers, to) === task.index;
    case "hash":
    case "forward": {
      if (restore?.isOtherCode) return true;
      const before = rangeOfSubtask(to, receivers, plan.maxParallelism);
      return intersectRanges(before, ownRange(deployment)) !== undefined;
    }
  }
}

/** X3. */
function heirOf({ plan, task }: TaskDeployment, receivers: number, to: number): number {
  const { first } = rangeOfSubtask(to, receivers, plan.maxParallelism);
  return ownerOfGroup(first, vertexOf(plan, task.vertex).parallelism, plan.maxParallelism);
}

function ownRange({ plan, task }: TaskDeployment): KeyGroupRange {
  const { parallelism } = vertexOf(plan, task.vertex);
  return rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
}
