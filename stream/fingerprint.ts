// What tells two versions of a program apart on the wire: its topology, without the functions (which
// have no comparable form) and without the parallelism (which belongs to a run, not to the code).

import { hex128 } from "../format/digest.ts";
import type { GraphNode, JobGraph } from "./graph.ts";

export function fingerprintOf(graph: JobGraph): string {
  const nodes = graph.nodes.map(({ uid, spec }) => {
    switch (spec.kind) {
      case "source":
        return [uid, spec.kind, spec.topic.name, spec.topic.partitions];
      case "sink":
        return [uid, spec.kind, spec.table.name];
      case "aggregate":
        return [uid, spec.kind, Object.keys(spec.aggregates)];
      case "process":
        return [uid, spec.kind, statesOf(spec.fn)];
      case "processBroadcast":
        return [uid, spec.kind, statesOf(spec.fn), Object.keys(spec.broadcast)];
      default:
        return [uid, spec.kind];
    }
  });
  const edges = graph.edges.map((edge) => [edge.from, edge.to, edge.input, edge.partitioning]);
  return hex128(JSON.stringify([graph.name, nodes, edges]));
}

/**
 * What an operator is as far as its state depends on it, in words; undefined where it has none. Two
 * versions of an operator whose shapes differ cannot take over one another's state.
 */
export function shapeOf({ spec }: GraphNode): string | undefined {
  switch (spec.kind) {
    case "map":
    case "flatMap":
    case "filter":
      return undefined;
    case "source":
      return `a source of topic "${spec.topic.name}" with ${spec.topic.partitions} partitions`;
    case "aggregate":
      return `an aggregate of ${Object.keys(spec.aggregates).join(", ")}`;
    case "sink":
      return "a table";
    default:
      return `a ${spec.kind}`;
  }
}

const statesOf = ({
  state = {},
  operatorState = {},
}: {
  readonly state?: object;
  readonly operatorState?: object;
}): string[][] => [Object.keys(state), Object.keys(operatorState)];
