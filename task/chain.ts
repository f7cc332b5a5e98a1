// The operators of one vertex, fused: a batch goes through all of them in one call, without a frame
// or a copy in between.
//   H1. An operator's results reach everything after it before the call that made them returns.
//   H2. Only the first operator may have several inputs (C1 of the plan); all others have input 0.

import type { CheckpointId } from "../format/ids.ts";
import type { EdgePlan, ExecutionPlan, VertexPlan } from "../format/plan.ts";
import { createOperator } from "../operators/create.ts";
import {
  isSink,
  isTimed,
  type Operator,
  type OperatorContext,
  type Output,
  type RecordBatch,
  type SinkOperator,
  type TimedOperator,
} from "../operators/operator.ts";
import type { TableOperator } from "../operators/table.ts";
import { isSource, type GraphNode, type JobGraph, type KeySelector } from "../stream/graph.ts";

export interface ChainOptions {
  readonly graph: JobGraph;
  readonly plan: ExecutionPlan;
  readonly vertex: VertexPlan;
  readonly contextOf: (node: GraphNode) => OperatorContext;
  /** Takes what leaves the vertex by `edge`, an id of the plan. */
  readonly send: (edge: number, batch: RecordBatch) => void;
}

/** What takes the rows of an operator. */
type Entry = (batch: RecordBatch, input: number) => void;

export class Chain {
  readonly sinks: readonly SinkOperator[];
  /** Sinks that answer reads, by the name of their table. */
  readonly tables: ReadonlyMap<string, TableOperator>;
  /** Operators that act by the time, in the order of the chain. */
  readonly #timed: readonly { readonly operator: TimedOperator; readonly output: Output }[];
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #head: Entry;

  constructor(options: ChainOptions) {
    const { graph, vertex } = options;
    const operators = new Map<string, Operator>();
    const timed: { operator: TimedOperator; output: Output }[] = [];
    const tables = new Map<string, TableOperator>();
    const nodes = vertex.operators.map((uid) => nodeOf(graph, uid));

    // Backwards, so that what an operator emits to exists before it.
    const entries = new Map<string, Entry>();
    for (const node of nodes.toReversed()) {
      const output = outputOf(node, options, entries);
      if (isSource(node.spec)) {
        entries.set(node.uid, (batch) => output.emit(batch));
        continue;
      }
      const operator = createOperator(node, options.contextOf(node));
      operators.set(node.uid, operator);
      if (isTimed(operator)) timed.unshift({ operator, output });
      if (node.spec.kind === "sink") tables.set(node.spec.table.name, operator as TableOperator);
      entries.set(node.uid, (batch, input) => operator.processBatch(batch, output, input));
    }
    this.sinks = [...operators.values()].filter(isSink);
    this.#timed = timed;
    this.tables = tables;
    this.#entries = entries;
    this.#head = entries.get(nodes[0]!.uid)!;
  }

  /** `input`: the one of the first operator that the rows came by. */
  process(batch: RecordBatch, input: number): void {
    this.#head(batch, input);
  }

  /** The same for rows that were on their way to any operator of the chain. */
  processAt(uid: string, batch: RecordBatch, input: number): void {
    this.#entries.get(uid)!(batch, input);
  }

  /** When the next timer of any operator is due; undefined where there is none. */
  get nextTimerAt(): number | undefined {
    let next: number | undefined;
    for (const { operator } of this.#timed) {
      const at = operator.nextTimerAt;
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  /** Fires what is due, or a good deal of it. */
  fireTimers(now: number): void {
    for (const { operator, output } of this.#timed) {
      if ((operator.nextTimerAt ?? Infinity) <= now) operator.fireTimers(now, output);
    }
  }

  prepareCommit(checkpoint: CheckpointId): void {
    for (const sink of this.sinks) sink.prepareCommit(checkpoint);
  }

  commit(checkpoint: CheckpointId): void {
    for (const sink of this.sinks) sink.commit(checkpoint);
  }
}

function outputOf(
  node: GraphNode,
  { graph, plan, vertex, send }: ChainOptions,
  entries: ReadonlyMap<string, Entry>,
): Output {
  const next = graph.edges
    .filter((edge) => edge.from === node.uid && vertex.operators.includes(edge.to))
    .map((edge) => entries.get(edge.to)!);
  const edges = plan.edges.filter((edge) => edge.fromUid === node.uid).map((edge) => edge.id);
  return {
    emit(batch) {
      if (batch.length === 0) return;
      for (const entry of next) entry(batch, 0);
      for (const edge of edges) send(edge, batch);
    },
  };
}

/** By which the rows of an edge are given to subtasks; undefined where they have no key. */
export const selectorOf = (graph: JobGraph, edge: EdgePlan): KeySelector | undefined =>
  graph.edges.find(
    (one) => one.from === edge.fromUid && one.to === edge.toUid && one.input === edge.input,
  )?.key ?? nodeOf(graph, edge.toUid).key;

export function nodeOf(graph: JobGraph, uid: string): GraphNode {
  const node = graph.nodes.find((candidate) => candidate.uid === uid);
  if (node === undefined) throw new Error(`Job "${graph.name}" has no operator "${uid}".`);
  return node;
}
