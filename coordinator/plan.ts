// From the logical graph to the plan: forward edges are fused into chains, chains become vertices.
//   C0. A forward edge between unequal parallelisms goes by the target's key, or else in turn.
//   C1. An edge is fused when its target has no other input, rows keep their subtask, and both ends
//       have the same parallelism. What is not fused is a channel. So an operator with two inputs is the
//       first of its chain, and only the first has more than one.
//   C2. Vertex ids depend on the uid of the chain's first operator alone, so they outlive edits
//       elsewhere in the program.
//   C3. What is set for a single vertex resizes its chain as a whole. Chains are cut before, by what
//       the program and the job's parallelism say, and never by it: neither a vertex nor its id comes
//       or goes with a size. An edge that keeps rows in their subtask does so while its ends are equal,
//       and is one of C0 while they are not; one between chains that could be fused stays a channel.

import type { JobConfig } from "../format/config.ts";
import { hex128 } from "../format/digest.ts";
import {
  type EdgePlan,
  type ExecutionPlan,
  type Partitioning,
  type VertexPlan,
  vertexOf,
} from "../format/plan.ts";
import { jobVertexOverridesKey } from "../stream/config.ts";
import { ConfigError } from "../stream/errors.ts";
import { fingerprintOf, shapeOf } from "../stream/fingerprint.ts";
import {
  endsStream,
  isSource,
  type GraphEdge,
  type GraphNode,
  type JobGraph,
} from "../stream/graph.ts";

/** Of some vertices or all, by id. */
export type Parallelisms = Readonly<Record<string, number>>;

/**
 * The plan of `graph` under `config`; `config.parallelism` replaces the graph's own default.
 *
 * @throws ConfigError where a vertex is resized that there is not, or not to that size
 */
export function planOf(graph: JobGraph, config: JobConfig = graph.config): ExecutionPlan {
  const plan = chainsOf(graph, config);
  const { parallelismOverrides: sizes = {} } = config;
  const [wrong] = wrongSizes(plan, sizes);
  if (wrong === undefined) return resized(plan, sizes);
  throw new ConfigError("BAD_VALUE", jobVertexOverridesKey, `${jobVertexOverridesKey}: ${wrong}`);
}

/** The same vertices in other numbers (C3); those that are not named stay as they are. */
export function resized(plan: ExecutionPlan, sizes: Parallelisms): ExecutionPlan {
  const vertices = plan.vertices.map((vertex) => {
    return { ...vertex, parallelism: sizes[vertex.id] ?? vertex.parallelism };
  });
  const after = { ...plan, vertices };
  const edges = plan.edges.map((edge): EdgePlan => {
    if (edge.apart === undefined) return edge;
    return { ...edge, partitioning: isEven(after, edge) ? "forward" : edge.apart };
  });
  return { ...after, edges };
}

/** What is wrong with such sizes: a sentence each. */
export function wrongSizes(plan: ExecutionPlan, sizes: Parallelisms): string[] {
  const known = plan.vertices.map(({ id, name }) => `${id} (${name})`).join(", ");
  const most = plan.maxParallelism;
  return Object.entries(sizes).flatMap(([id, size]) => {
    const vertex = plan.vertices.find((each) => each.id === id);
    if (vertex === undefined) {
      return [`"${plan.program}" has no vertex "${id}"; it has ${known}.`];
    }
    if (Number.isInteger(size) && size >= 1 && size <= most) return [];
    return [
      `Vertex ${id} (${vertex.name}) cannot have parallelism ${size}; allowed: 1 to the max ` +
        `parallelism, which is ${most}.`,
    ];
  });
}

export const sizesOf = ({ vertices }: ExecutionPlan): Parallelisms =>
  Object.fromEntries(vertices.map(({ id, parallelism }) => [id, parallelism]));

const isEven = (plan: ExecutionPlan, { from, to }: Pick<EdgePlan, "from" | "to">): boolean =>
  vertexOf(plan, from).parallelism === vertexOf(plan, to).parallelism;

/** The plan before single vertices are resized. */
function chainsOf(graph: JobGraph, config: JobConfig): ExecutionPlan {
  const nodes = graph.nodes.map((node) => ({
    ...node,
    parallelism: node.parallelism ?? config.parallelism,
  }));
  const byUid = new Map(nodes.map((node) => [node.uid, node]));
  const inputs = Map.groupBy(graph.edges, (edge) => edge.to);

  const apart = ({ partitioning, to }: GraphEdge): EdgePlan["apart"] => {
    if (partitioning !== "forward") return undefined;
    return nodeAt(byUid, to).key === undefined ? "rebalance" : "hash";
  };
  const effective = (edge: GraphEdge): Partitioning => {
    const { from, to } = edge;
    const isUneven = nodeAt(byUid, from).parallelism !== nodeAt(byUid, to).parallelism;
    return (isUneven ? apart(edge) : undefined) ?? edge.partitioning;
  };
  const isFused = (edge: GraphEdge): boolean =>
    effective(edge) === "forward" && inputs.get(edge.to)?.length === 1;

  // Nodes come in the order of definition, so the one that feeds a node stands before it.
  const headOf = new Map<string, string>();
  for (const node of nodes) {
    const fused = inputs.get(node.uid)?.find(isFused);
    headOf.set(node.uid, fused === undefined ? node.uid : (headOf.get(fused.from) ?? fused.from));
  }
  const chains = Map.groupBy(nodes, (node) => headOf.get(node.uid) ?? node.uid);

  const vertices = [...chains.entries()].map(([head, chain]) => vertexPlan(head, chain));
  const vertexIdOf = (uid: string): string => hex128(headOf.get(uid) ?? uid);
  const edges = graph.edges.map((edge, id): EdgePlan => {
    const otherwise = apart(edge);
    return {
      id,
      from: vertexIdOf(edge.from),
      fromUid: edge.from,
      to: vertexIdOf(edge.to),
      toUid: edge.to,
      input: edge.input,
      partitioning: effective(edge),
      ...(edge.tag !== undefined && { tag: edge.tag }),
      ...(otherwise !== undefined && { apart: otherwise }),
    };
  });
  return {
    program: graph.name,
    fingerprint: fingerprintOf(graph),
    maxParallelism: config.maxParallelism,
    shapes: Object.fromEntries(
      graph.nodes.flatMap((node) => {
        const shape = shapeOf(node);
        return shape === undefined ? [] : [[node.uid, shape]];
      }),
    ),
    vertices,
    edges: edges.filter(({ id }) => !isFused(graph.edges[id]!)),
    fused: edges.filter(({ id }) => isFused(graph.edges[id]!)),
  };
}

function vertexPlan(
  head: string,
  chain: readonly (GraphNode & { parallelism: number })[],
): VertexPlan {
  const first = chain[0]!;
  const { alignment } = ("watermarks" in first.spec ? first.spec.watermarks : undefined) ?? {};
  const name = chain.map((node) => titleOf(node)).join(" -> ");
  return {
    id: hex128(head),
    name,
    parallelism: first.parallelism,
    operators: chain.map((node) => node.uid),
    ...(first.spec.kind === "source" && {
      source: { topic: first.spec.topic.name, partitions: first.spec.topic.partitions },
    }),
    ...(alignment !== undefined && { alignmentGroup: alignment.group }),
  };
}

function titleOf(node: GraphNode): string {
  if (isSource(node.spec)) return `Source: ${node.uid}`;
  if (endsStream(node.spec)) return `Sink: ${node.uid}`;
  return node.uid;
}

function nodeAt<T>(byUid: ReadonlyMap<string, T>, uid: string): T {
  const node = byUid.get(uid);
  if (node === undefined) throw new Error(`An edge names "${uid}", which the graph does not hold.`);
  return node;
}
