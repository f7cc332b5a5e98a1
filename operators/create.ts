// From a node of the graph to the operator that does its work. Names the states each operator
// keeps; the names are part of what checkpoints hold.

import type { AnyBroadcastFunction } from "../stream/broadcast.ts";
import type { AnyCoProcessFunction } from "../stream/connect.ts";
import type { AnyProcessFunction, GraphNode, KeySelector } from "../stream/graph.ts";
import { foldsByPanes, type WindowSpec } from "../stream/windowed-stream.ts";
import { AggregateOperator } from "./aggregate.ts";
import { asyncMap } from "./async-map.ts";
import { aggregateChanges, toChangelog } from "./changelog.ts";
import { BroadcastProcessOperator } from "./broadcast-process.ts";
import { dedupe } from "./dedupe.ts";
import { discardOperator } from "./discard.ts";
import { FilesOperator } from "./files.ts";
import { FilterOperator } from "./filter.ts";
import { FlatMapOperator } from "./flat-map.ts";
import { intervalJoin } from "./interval-join.ts";
import { lookupJoin } from "./lookup-join.ts";
import { MapOperator } from "./map.ts";
import type { Operator, OperatorContext } from "./operator.ts";
import { outerJoin } from "./outer-join.ts";
import { PaneWindowOperator } from "./pane-window.ts";
import { ProcessOperator } from "./process.ts";
import { ReduceOperator } from "./reduce.ts";
import { TimestampsAssigner } from "./timestamps-assigner.ts";
import { regularJoin } from "./regular-join.ts";
import { TableOperator } from "./table.ts";
import { temporalJoin } from "./temporal-join.ts";
import { type WindowInput, WindowOperator } from "./window.ts";
import { coGroupOperator, windowJoinOperator } from "./window-join.ts";
import { ClosingProcessOperator, type RowCall, UnkeyedProcessOperator } from "./unkeyed-process.ts";

/**
 * The operator of a node, with its state behind `ctx`. Sources are none: they have no input, and
 * the task drives them itself.
 *
 * @example createOperator({ uid: "late", spec: { kind: "filter", fn: isLate }, parallelism: 1 }, ctx)
 */
export function createOperator(node: GraphNode, ctx: OperatorContext): Operator {
  const { uid, spec } = node;
  switch (spec.kind) {
    case "source":
    case "generator":
      throw new Error(`"${uid}" is a source; only what has inputs is an operator.`);
    case "map":
      return new MapOperator(ctx, spec.fn);
    case "flatMap":
      return new FlatMapOperator(ctx, spec.fn);
    case "filter":
      return new FilterOperator(ctx, spec.fn);
    case "asyncMap":
      return asyncMap(ctx, spec.map, spec.calls);
    case "lookupJoin":
      return lookupJoin(ctx, spec.join, spec.calls);
    case "reduce":
      return new ReduceOperator(ctx, keyOf(node), spec.fn, ctx.state.table("reduced"));
    case "aggregate":
      return new AggregateOperator(
        ctx,
        keyOf(node),
        spec.aggregates,
        ctx.state.table("accumulators"),
      );
    case "process":
      return rowsOf(node, spec.fn, ctx);
    case "processBroadcast": {
      const { fn, broadcast } = spec;
      return new BroadcastProcessOperator(fn, broadcast, ctx, (more) =>
        rowsOf(node, fn, ctx, more),
      );
    }
    case "coProcess":
      return bothOf(node, spec.fn, spec.rightKey, ctx);
    case "timestamps":
      return new TimestampsAssigner(ctx, spec.watermarks);
    case "intervalJoin":
      return bothOf(node, intervalJoin(spec.join), spec.rightKey, ctx);
    case "temporalJoin":
      return bothOf(node, temporalJoin(spec.join), spec.rightKey, ctx);
    case "regularJoin":
      return bothOf(
        node,
        spec.join.type === "inner" ? regularJoin(spec.join) : outerJoin(spec.join),
        spec.rightKey,
        ctx,
      );
    case "windowJoin":
      return windowJoinOperator(ctx, { left: keyOf(node), right: spec.rightKey }, spec.join);
    case "coGroup":
      return coGroupOperator(ctx, { left: keyOf(node), right: spec.rightKey }, spec.join);
    case "dedupe":
      return rowsOf(node, dedupe(spec.dedupe) as never, ctx);
    case "toChangelog":
      return rowsOf(node, toChangelog() as never, ctx);
    case "aggregateChanges":
      return rowsOf(node, aggregateChanges(spec.aggregates) as never, ctx);
    case "files":
      return new FilesOperator(ctx, spec.files.name, spec.files.partition);
    case "discard":
      return discardOperator;
    case "window":
      return foldsByPanes(spec)
        ? new PaneWindowOperator(ctx, keyOf(node), spec)
        : new WindowOperator(ctx, [windowInput(node, spec)], spec);
    case "sink":
      return new TableOperator(ctx, spec.table.name, keyOf(node), ctx.state.table("rows"));
  }
}

/** What calls `process` of a function for the rows of a stream, with a key or without. */
const rowsOf = (
  { key, spec }: GraphNode,
  fn: AnyProcessFunction | AnyBroadcastFunction,
  ctx: OperatorContext,
  more?: object,
): Operator => {
  const process = fn.process.bind(fn) as RowCall;
  const isOurs =
    spec.kind === "dedupe" || spec.kind === "toChangelog" || spec.kind === "aggregateChanges";
  const name = isOurs ? spec.kind : "process";
  if (key !== undefined) {
    return new ProcessOperator([{ key, name, process }], fn as never, ctx, more);
  }
  return unkeyedOf([process], fn, ctx, more);
};

/** The same for the rows of two streams, both with keys or neither. */
function bothOf(
  { key: leftKey, spec }: GraphNode,
  fn: AnyCoProcessFunction,
  rightKey: KeySelector | undefined,
  ctx: OperatorContext,
): Operator {
  const left = fn.processLeft.bind(fn) as RowCall;
  const right = fn.processRight.bind(fn) as RowCall;
  if (leftKey === undefined || rightKey === undefined) return unkeyedOf([left, right], fn, ctx);
  const isJoin = spec.kind !== "coProcess";
  const inputs = [
    { key: leftKey, name: isJoin ? spec.kind : "processLeft", process: left },
    { key: rightKey, name: isJoin ? spec.kind : "processRight", process: right },
  ];
  return new ProcessOperator(inputs, fn as never, ctx);
}

function unkeyedOf(
  inputs: readonly RowCall[],
  fn: AnyProcessFunction | AnyBroadcastFunction | AnyCoProcessFunction,
  ctx: OperatorContext,
  more?: object,
): Operator {
  const closes = "close" in fn && fn.close !== undefined;
  const Unkeyed = closes ? ClosingProcessOperator : UnkeyedProcessOperator;
  return new Unkeyed(inputs, fn as never, ctx, more);
}

const windowInput = (node: GraphNode, { kind, lateOutput }: WindowSpec): WindowInput => ({
  name: kind,
  key: keyOf(node),
  lateOutput,
});

function keyOf({ uid, key }: GraphNode): KeySelector {
  if (key === undefined) throw new Error(`G2: "${uid}" needs a key and its node has none.`);
  return key;
}
