// What tells two versions of a program apart on the wire: its topology, without the functions (which
// have no comparable form) and without the parallelism (which belongs to a run, not to the code).

import { hex128 } from "../format/digest.ts";
import type { JobGraph } from "./graph.ts";

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

const statesOf = ({
  state = {},
  operatorState = {},
}: {
  readonly state?: object;
  readonly operatorState?: object;
}): string[][] => [Object.keys(state), Object.keys(operatorState)];
