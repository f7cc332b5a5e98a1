// What tells two versions of a program apart on the wire: its topology, without the functions (which
// have no comparable form) and without the parallelism (which belongs to a run, not to the code).

import { hex128 } from "../format/digest.ts";
import type { GraphNode, JobGraph, OperatorSpec } from "./graph.ts";
import type { Topic } from "./topic.ts";
import type { WatermarkStrategy } from "./watermarks.ts";
import { foldsByPanes, type WindowSpec } from "./windowed-stream.ts";

export function fingerprintOf(graph: JobGraph): string {
  const nodes = graph.nodes.map(({ uid, spec, onError }) => [
    ...ofSpec(uid, spec),
    ...(onError === undefined ? [] : [onError === "drop" ? onError : ofTopic(onError.topic)]),
  ]);
  const edges = graph.edges.map(({ from, to, input, partitioning, tag }) =>
    tag === undefined ? [from, to, input, partitioning] : [from, to, input, partitioning, tag],
  );
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
    case "discard":
      return undefined;
    case "source":
      return `a source of topic "${spec.topic.name}" with ${spec.topic.partitions} partitions`;
    case "generator":
      return "a generator";
    case "timestamps":
      return "an assigner of event times";
    case "aggregate":
      return `an aggregate of ${Object.keys(spec.aggregates).join(", ")}`;
    case "intervalJoin":
      // What was kept is cleaned by the bounds that it was kept under.
      return `an interval join between ${spec.join.lower} and ${spec.join.upper} ms`;
    case "asyncMap":
    case "lookupJoin":
      return "rows with calls under way";
    case "regularJoin":
      return `${spec.join.type === "inner" ? "a" : `a ${spec.join.type} outer`} regularJoin`;
    case "aggregateChanges":
      return `an aggregate of the changes of ${Object.keys(spec.aggregates).join(", ")}`;
    case "dedupe":
      return `a dedupe that keeps the ${spec.dedupe.keep}`;
    case "sink":
      return "a table";
    case "files":
      return "a sink of files";
    case "window":
      return shapeOfWindows(spec);
    case "windowJoin":
    case "coGroup":
      return `both sides in ${shapeOfWindows(spec.join.windows)}`;
    default:
      return `a ${spec.kind}`;
  }
}

function shapeOfWindows(spec: WindowSpec): string {
  const { assigner, fold } = spec;
  const fields = fold.kind === "aggregate" ? ` of ${Object.keys(fold.aggregates).join(", ")}` : "";
  const own = assigner.merging === true ? "windows that merge" : "windows";
  const panes = foldsByPanes(spec) ? ", by panes" : "";
  return `${assigner.name ?? own}: ${fold.kind}${fields}${panes}`;
}

const ofTopic = ({ name, partitions }: Topic<unknown>): unknown[] => [name, partitions];

/** The coordinator goes by it: who keeps in step with whom. */
const ofAlignment = (watermarks: WatermarkStrategy<never> | undefined): unknown[] =>
  watermarks?.alignment === undefined ? [] : [`aligned in ${watermarks.alignment.group}`];

function ofSpec(uid: string, spec: OperatorSpec): unknown[] {
  switch (spec.kind) {
    case "source":
      return [uid, spec.kind, ...ofTopic(spec.topic), ...ofAlignment(spec.watermarks)];
    case "generator":
      return [uid, spec.kind, ...ofAlignment(spec.watermarks)];
    case "sink":
      return [uid, spec.kind, spec.table.name];
    case "files":
      return [uid, spec.kind, spec.files.name];
    case "aggregate":
      return [uid, spec.kind, Object.keys(spec.aggregates)];
    case "window":
      return [uid, spec.kind, shapeOfWindows(spec), spec.allowedLateness];
    case "process":
    case "coProcess":
      return [uid, spec.kind, ...ofFunction(spec.fn)];
    case "intervalJoin":
      return [uid, spec.kind, spec.join.lower, spec.join.upper];
    case "windowJoin":
    case "coGroup": {
      const { windows } = spec.join;
      const type = spec.kind === "windowJoin" ? [spec.join.type] : [];
      return [uid, spec.kind, shapeOfWindows(windows), windows.allowedLateness, ...type];
    }
    case "temporalJoin":
      return [uid, spec.kind, spec.join.type];
    case "dedupe":
      return [uid, spec.kind, spec.dedupe.keep];
    case "regularJoin":
      return [uid, spec.kind, ...(spec.join.type === "inner" ? [] : [spec.join.type])];
    case "aggregateChanges":
      return [uid, spec.kind, Object.keys(spec.aggregates)];
    case "processBroadcast":
      return [uid, spec.kind, ...ofFunction(spec.fn), Object.keys(spec.broadcast)];
    default:
      return [uid, spec.kind];
  }
}

const ofFunction = ({
  state = {},
  operatorState = {},
  onTimer,
  close,
}: {
  readonly state?: object;
  readonly operatorState?: object;
  readonly onTimer?: unknown;
  readonly close?: unknown;
}): unknown[] => [
  Object.keys(state),
  Object.keys(operatorState),
  ...(onTimer === undefined ? [] : ["timers"]),
  ...(close === undefined ? [] : ["close"]),
];
