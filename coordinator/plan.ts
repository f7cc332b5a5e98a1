// From the logical graph to the plan: forward edges are fused into chains, chains become vertices.
//   C0. A forward edge between unequal parallelisms goes by the target's key, or else in turn.
//   C1. An edge is fused when its target has no other input, rows keep their subtask, and both ends
//       have the same parallelism. What is not fused is a channel. So an operator with two inputs is the
//       first of its chain, and only the first has more than one.
//   C2. Vertex ids depend on the uid of the chain's first operator alone, so they outlive edits
//       elsewhere in the program.

import type { JobConfig } from "../format/config.ts";
import { hex128 } from "../format/digest.ts";
import type { EdgePlan, ExecutionPlan, Partitioning, VertexPlan } from "../format/plan.ts";
import { fingerprintOf, shapeOf } from "../stream/fingerprint.ts";
import { isSource, type GraphEdge, type GraphNode, type JobGraph } from "../stream/graph.ts";

/** The plan of `graph` under `config`; `config.parallelism` replaces the graph's own default. */
export function planOf(graph: JobGraph, config: JobConfig = graph.config): ExecutionPlan {
  const nodes = graph.nodes.map((node) => ({
    ...node,
    parallelism: node.parallelism ?? config.parallelism,
  }));
  const byUid = new Map(nodes.map((node) => [node.uid, node]));
  const inputs = Map.groupBy(graph.edges, (edge) => edge.to);

  const effective = ({ partitioning, from, to }: GraphEdge): Partitioning => {
    const target = nodeAt(byUid, to);
    if (partitioning !== "forward" || nodeAt(byUid, from).parallelism === target.parallelism) {
      return partitioning;
    }
    return target.key === undefined ? "rebalance" : "hash";
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
  const edges = graph.edges
    .filter((edge) => !isFused(edge))
    .map((edge, id): EdgePlan => ({
      id,
      from: vertexIdOf(edge.from),
      fromUid: edge.from,
      to: vertexIdOf(edge.to),
      toUid: edge.to,
      input: edge.input,
      partitioning: effective(edge),
    }));
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
    edges,
  };
}

function vertexPlan(
  head: string,
  chain: readonly (GraphNode & { parallelism: number })[],
): VertexPlan {
  const first = chain[0]!;
  const name = chain.map((node) => titleOf(node)).join(" -> ");
  return {
    id: hex128(head),
    name,
    parallelism: first.parallelism,
    operators: chain.map((node) => node.uid),
    ...(first.spec.kind === "source" && {
      source: { topic: first.spec.topic.name, partitions: first.spec.topic.partitions },
    }),
  };
}

function titleOf(node: GraphNode): string {
  if (isSource(node.spec)) return `Source: ${node.uid}`;
  if (node.spec.kind === "sink") return `Sink: ${node.uid}`;
  return node.uid;
}

function nodeAt<T>(byUid: ReadonlyMap<string, T>, uid: string): T {
  const node = byUid.get(uid);
  if (node === undefined) throw new Error(`An edge names "${uid}", which the graph does not hold.`);
  return node;
}
