// The physical shape of a job: vertices (fused chains of operators), their subtasks, and the
// channels between them. Plain data: it is stored with the job and sent to every subtask.
//   L1. Every subtask derives the same channels from the same plan, so a channel needs no
//       negotiation: it is known by its edge and the two indices.

import type { TaskId, TaskKey } from "./ids.ts";
import { taskKey } from "./ids.ts";

/**
 * How rows pick the receiving subtask. `forward` keeps the index, `broadcast` picks all, `rescale` deals
 * out among the few that a sender has channels to, and with `custom` the program says which.
 */
export type Partitioning = "forward" | "hash" | "rebalance" | "broadcast" | "rescale" | "custom";

export interface VertexPlan {
  /** 32 hex digits, derived from the uid of the chain's first operator. */
  readonly id: string;
  /** The chain's operators for people, in order: `Source: flights -> real-flights`. */
  readonly name: string;
  readonly parallelism: number;
  /** Uids of the fused operators; each stands after the one that feeds it. */
  readonly operators: readonly string[];
  /** Present where the chain starts with a topic. */
  readonly source?: { readonly topic: string; readonly partitions: number };
  /** Of a source that keeps in step with others: the name of their group. */
  readonly alignmentGroup?: string;
}

export interface EdgePlan {
  /** Position among the edges of the program; names the edge in channel keys. */
  readonly id: number;
  readonly from: string;
  readonly fromUid: string;
  readonly to: string;
  readonly toUid: string;
  /** Which input of `toUid` it feeds, from 0. */
  readonly input: number;
  readonly partitioning: Partitioning;
  /** The side output of `fromUid` whose rows it carries; absent: what `fromUid` emits. */
  readonly tag?: string;
  /**
   * Present where the program keeps rows in their subtask: how they go while both ends differ in
   * parallelism. While they do not, `partitioning` is `forward`.
   */
  readonly apart?: "hash" | "rebalance";
}

export interface ExecutionPlan {
  readonly program: string;
  /** Changes when the topology does; subtasks refuse a plan that is not their code's. */
  readonly fingerprint: string;
  readonly maxParallelism: number;
  /** What each operator that may hold state is, as far as its state depends on it; by uid. */
  readonly shapes?: Readonly<Record<string, string>>;
  readonly vertices: readonly VertexPlan[];
  /** Those whose rows go over channels. */
  readonly edges: readonly EdgePlan[];
  /** Those inside a chain: rows of theirs are on their way only right after a restore. */
  readonly fused?: readonly EdgePlan[];
}

/** One sender, one receiver, one order of frames. */
export interface Channel {
  readonly edge: number;
  readonly from: TaskId;
  readonly to: TaskId;
}

declare const brand: unique symbol;
export type ChannelKey = string & { readonly [brand]: "ChannelKey" };
export const channelKey = (channel: Channel): ChannelKey =>
  `${channel.edge}:${channel.from.index}>${channel.to.index}` as ChannelKey;

export function vertexOf(plan: ExecutionPlan, id: string): VertexPlan {
  const vertex = plan.vertices.find((candidate) => candidate.id === id);
  if (vertex === undefined) throw new Error(`The plan of "${plan.program}" has no vertex ${id}.`);
  return vertex;
}

export function edgeOf(plan: ExecutionPlan, id: number): EdgePlan {
  const edge = allEdges(plan).find((candidate) => candidate.id === id);
  if (edge === undefined) throw new Error(`The plan of "${plan.program}" has no edge ${id}.`);
  return edge;
}

export const allEdges = ({ edges, fused = [] }: ExecutionPlan): EdgePlan[] => [...edges, ...fused];

export const tasksOf = (plan: ExecutionPlan): TaskId[] =>
  plan.vertices.flatMap((vertex) =>
    Array.from({ length: vertex.parallelism }, (_, index) => ({ vertex: vertex.id, index })),
  );

export const taskKeysOf = (plan: ExecutionPlan): TaskKey[] => tasksOf(plan).map(taskKey);

export const sourceTasksOf = (plan: ExecutionPlan): TaskId[] =>
  tasksOf(plan).filter((task) => !plan.edges.some((edge) => edge.to === task.vertex));

/** The channels into `task`, in the order in which the task numbers its inputs. */
export const inputChannels = (plan: ExecutionPlan, task: TaskId): Channel[] =>
  plan.edges
    .filter((edge) => edge.to === task.vertex)
    .flatMap((edge) =>
      peers(plan, edge, "from", task.index).map((index) => ({
        edge: edge.id,
        from: { vertex: edge.from, index },
        to: task,
      })),
    );

/** The channels out of `task`, edge by edge, each edge's in the order of the receivers. */
export const outputChannels = (plan: ExecutionPlan, task: TaskId): Channel[] =>
  plan.edges
    .filter((edge) => edge.from === task.vertex)
    .flatMap((edge) =>
      peers(plan, edge, "to", task.index).map((index) => ({
        edge: edge.id,
        from: task,
        to: { vertex: edge.to, index },
      })),
    );

/** Those at the `end` of an edge that a subtask at its other end has channels with. */
function peers(plan: ExecutionPlan, edge: EdgePlan, end: "from" | "to", index: number): number[] {
  if (edge.partitioning === "forward") return [index];
  const [senders, receivers] = [edge.from, edge.to].map((id) => vertexOf(plan, id).parallelism);
  const count = end === "from" ? senders! : receivers!;
  const all = Array.from({ length: count }, (_, peer) => peer);
  if (edge.partitioning !== "rescale") return all;
  return all.filter((peer) =>
    end === "from"
      ? isPaired(peer, senders!, index, receivers!)
      : isPaired(index, senders!, peer, receivers!),
  );
}

/** Whether a sender and a receiver are next to one another: each has as few peers as there can be. */
function isPaired(sender: number, senders: number, receiver: number, receivers: number): boolean {
  const first = Math.floor((receiver * senders) / receivers);
  if (senders <= receivers) return sender === first;
  return sender >= first && sender < Math.floor(((receiver + 1) * senders) / receivers);
}
