// The operators of one vertex, fused: a batch goes through all of them in one call, without a frame
// or a copy in between.
//   H1. An operator's results reach everything after it before the call that made them returns.
//   H3. Event time passes an operator once the operator has done all that is due by it; what that made
//       is ahead of it. An operator's own event time is in its state, and never goes back. The end of
//       time is not: whoever goes on from a state has rows to come, and tells of the end again.
//   H2. Only the first operator may have several inputs (C1 of the plan); all others have input 0.
//   H4. Where an operator has no room nothing is to be given to any: no rows, no event time, no timers but
//       those of operators that make calls.
//   H5. What is idle is told to be so after the event time that it has come to, and after what that made:
//       nobody behind may go on without it before.

import { endOfTime, noTime, type Watermark } from "../format/frame.ts";
import type { CheckpointId } from "../format/ids.ts";
import type { Key } from "../format/key.ts";
import { type EdgePlan, edgeOf, type ExecutionPlan, type VertexPlan } from "../format/plan.ts";
import type { CallAnswer } from "../operators/async-requests.ts";
import { createOperator } from "../operators/create.ts";
import {
  type CallingOperator,
  decidesTime,
  type EventTimeOperator,
  type FilingOperator,
  isCalling,
  isEventTimed,
  isFiling,
  isSink,
  isTimed,
  isWatermarking,
  type Operator,
  type OperatorContext,
  type Output,
  type RecordBatch,
  type SinkOperator,
  type TimedOperator,
  type WatermarkingOperator,
  type WatermarkOutput,
} from "../operators/operator.ts";
import type { TableOperator } from "../operators/table.ts";
import { isSource, type GraphNode, type JobGraph, type KeySelector } from "../stream/graph.ts";
import type { KeptWatermark } from "./kept-watermark.ts";

export interface ChainOptions {
  readonly graph: JobGraph;
  readonly plan: ExecutionPlan;
  readonly vertex: VertexPlan;
  readonly contextOf: (node: GraphNode, watermark: (key?: Key) => number) => OperatorContext;
  /** What is kept of an operator's event time: as far as it had come, whoever restores it. */
  readonly keepWatermark: (node: GraphNode, watermark: () => number) => KeptWatermark;
  /** Takes what leaves the vertex by `edge`, an id of the plan. */
  readonly send: (edge: number, batch: RecordBatch) => void;
  /** Takes how far event time has come on an edge. */
  readonly sendWatermark: (edge: number, time: number, isIdle: boolean) => void;
  /** What was sent so far leaves before what is sent from now on. */
  readonly flush: () => void;
}

/** Event time on its way through an operator. */
interface Link {
  readonly node: GraphNode;
  /** As far as the operator has come, and as far as it is to come. */
  watermark: number;
  due: number;
  /** As far as it acts on: what fires on the way to a time is told that this time has come, as in Flink. */
  acts: number;
  /** As far as the operator had come before the end of time (H3). */
  kept: number;
  /** Of an operator that acts on it: how far it had come for each key that it took over. */
  keys: KeptWatermark | undefined;
  operator: EventTimeOperator | WatermarkingOperator | undefined;
  /** How far event time is to come behind the operator, and whether it is to be waited for there. */
  behind: number;
  isIdle: boolean;
  /** Whether it is to become idle once event time is through it (H5). */
  isToIdle: boolean;
  output: WatermarkOutput;
  /** Positions of those it feeds, and its edges. */
  readonly next: readonly number[];
  readonly edges: readonly number[];
}

/** An operator that makes calls, in its place. */
interface Caller {
  readonly uid: string;
  readonly operator: CallingOperator;
  readonly output: WatermarkOutput;
}

/** What takes the rows of an operator. */
type Entry = (batch: RecordBatch, input: number) => void;

export class Chain {
  readonly sinks: readonly SinkOperator[];
  /** Sinks whose rows leave as files. */
  readonly filing: readonly FilingOperator[];
  /** Sinks that answer reads, by the name of their table. */
  readonly tables: ReadonlyMap<string, TableOperator>;
  /** Operators that act by the time, in the order of the chain. */
  readonly #timed: readonly { readonly operator: TimedOperator; readonly output: Output }[];
  /** Operators that make calls, by their uids. */
  readonly callers: ReadonlyMap<string, Caller>;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #head: Entry;
  /** In the order of the chain. */
  readonly #links: readonly Link[];
  readonly #sendWatermark: ChainOptions["sendWatermark"];

  constructor(options: ChainOptions) {
    const { graph, plan, vertex } = options;
    const operators = new Map<string, Operator>();
    const timed: { operator: TimedOperator; output: Output }[] = [];
    const tables = new Map<string, TableOperator>();
    const callers = new Map<string, Caller>();
    const nodes = vertex.operators.map((uid) => nodeOf(graph, uid));

    const links = nodes.map((node): Link => {
      const fed = new Set(graph.edges.flatMap(({ from, to }) => (from === node.uid ? [to] : [])));
      const next = vertex.operators.flatMap((uid, at) => (fed.has(uid) ? [at] : []));
      const edges = plan.edges.filter((edge) => edge.fromUid === node.uid).map((edge) => edge.id);
      const output = { emit: () => {}, advance: () => {} };
      const times = { watermark: noTime, due: noTime, acts: noTime, kept: noTime, behind: noTime };
      return {
        node,
        ...times,
        isIdle: false,
        isToIdle: false,
        keys: undefined,
        operator: undefined,
        output,
        next,
        edges,
      };
    });

    // Backwards, so that what an operator emits to exists before it.
    const entries = new Map<string, Entry>();
    for (const [at, link] of [...links.entries()].toReversed()) {
      const { node } = link;
      const output = {
        ...outputOf(link, links, options, entries),
        advance: (watermark: number, isIdle = false) => this.#behind(link, watermark, isIdle),
      };
      link.output = output;
      if (isSource(node.spec)) {
        entries.set(node.uid, (batch) => output.emit(batch));
        continue;
      }
      const operator = createOperator(
        node,
        options.contextOf(node, (key) => {
          // What is kept by key is asked for no more than the operator has come to: it forgets the rest.
          return Math.max(link.acts, link.keys?.of(link.watermark, key) ?? link.watermark);
        }),
      );
      if (isWatermarking(operator)) {
        link.operator = operator;
        link.behind = operator.behind;
        const { emit } = output;
        // Rows that follow event time are behind it also where it is still on its way.
        output.emit = (batch, tag) => {
          while (this.#isAdvancingFrom(at + 1)) this.#advanceFrom(at + 1);
          if (operator.isPunctuated) options.flush();
          emit(batch, tag);
        };
      } else if (isEventTimed(operator)) {
        link.operator = operator;
        link.keys = options.keepWatermark(node, () => link.kept);
        link.watermark = link.keys.least;
        link.kept = link.watermark;
        link.due = link.watermark;
        link.behind = link.watermark;
      }
      operators.set(node.uid, operator);
      if (isCalling(operator)) callers.set(node.uid, { uid: node.uid, operator, output });
      if (isTimed(operator)) timed.unshift({ operator, output });
      if (node.spec.kind === "sink") tables.set(node.spec.table.name, operator as TableOperator);
      entries.set(node.uid, (batch, input) => operator.processBatch(batch, output, input));
    }
    this.sinks = [...operators.values()].filter(isSink);
    this.filing = [...operators.values()].filter(isFiling);
    this.#timed = timed;
    this.tables = tables;
    this.callers = callers;
    this.#entries = entries;
    this.#head = entries.get(nodes[0]!.uid)!;
    this.#links = links;
    this.#sendWatermark = options.sendWatermark;
  }

  /** Tells every edge how far event time has come, and every operator behind one that is further. */
  announce(): void {
    for (const link of this.#links) this.#behind(link, link.behind, link.isIdle);
  }

  /** Whether anybody behind is to wait for this chain; who decides himself how far it is stays as he is. */
  idle(isIdle: boolean): void {
    this.#links.forEach((link, at) => {
      if (at === 0 && !decidesTime(link.operator)) this.#idled(link, isIdle);
      else this.#behind(link, link.behind, link.isIdle);
    });
  }

  /** Goes on where another chain stood, which event time had come through that far. */
  resume({ time: watermark, isIdle }: Watermark): void {
    const head = this.#links[0]!;
    head.watermark = Math.max(head.watermark, watermark);
    for (const link of this.#links) {
      link.due = link.watermark;
      const decides = decidesTime(link.operator);
      if (!decides || watermark === endOfTime) link.behind = link.watermark;
      if (!decides) link.isIdle = isIdle;
      for (const at of link.next) {
        const follower = this.#links[at]!;
        follower.watermark = Math.max(follower.watermark, link.behind);
      }
    }
  }

  /** Whether event time has come to its end, here and behind every operator: nothing waits for it. */
  get hasEnded(): boolean {
    return this.#links.every(({ behind }) => behind === endOfTime);
  }

  /** How far event time has come behind all that leaves. */
  get output(): number {
    let least = endOfTime;
    for (const { next, behind } of this.#links)
      if (next.length === 0) least = Math.min(least, behind);
    return least;
  }

  /** Whether event time is on its way through (H3): nothing else may be. */
  get isAdvancing(): boolean {
    return this.#isAdvancingFrom(0);
  }

  #isAdvancingFrom(first: number): boolean {
    for (let at = first; at < this.#links.length; at++) {
      const { watermark, due } = this.#links[at]!;
      if (due > watermark) return true;
    }
    return false;
  }

  /** Event time has come that far at the head of the chain; `advance` takes it through. */
  reached(watermark: number): void {
    const head = this.#links[0]!;
    head.due = Math.max(head.due, watermark);
  }

  /** Takes event time through, or a good part of the way; whether it has arrived. */
  advance(): boolean {
    return this.#advanceFrom(0);
  }

  #advanceFrom(first: number): boolean {
    for (let at = first; at < this.#links.length; at++) {
      const link = this.#links[at]!;
      const { operator, due, output } = link;
      if (due <= link.watermark) continue;
      if (operator !== undefined && isWatermarking(operator)) {
        this.#reach(link);
        operator.reached(due, output);
        if (link.isToIdle) this.#idled(link, true);
        continue;
      }
      link.acts = due;
      if (operator?.advance(due, output) === false) return false;
      this.#reach(link);
      const isIdle = link.isIdle || link.isToIdle;
      link.isToIdle = false;
      this.#behind(link, due, isIdle);
    }
    return true;
  }

  #reach(link: Link): void {
    link.watermark = link.due;
    if (link.due !== endOfTime) link.kept = link.due;
  }

  /** Event time has come through an operator. */
  #behind(link: Link, watermark: number, isIdle: boolean): void {
    link.behind = Math.max(link.behind, watermark);
    link.isIdle = isIdle && link.behind !== endOfTime;
    for (const at of link.next) {
      const follower = this.#links[at]!;
      follower.due = Math.max(follower.due, link.behind);
      if (!decidesTime(follower.operator)) this.#idled(follower, link.isIdle);
    }
    for (const edge of link.edges) this.#sendWatermark(edge, link.behind, link.isIdle);
  }

  /** Rows before an operator that does not decide by itself are idle, or no longer. */
  #idled(link: Link, isIdle: boolean): void {
    const { operator, output } = link;
    link.isToIdle = isIdle && link.due > link.watermark;
    if (link.isToIdle) return;
    if (operator !== undefined && isWatermarking(operator)) operator.idled?.(isIdle, output);
    else if (link.isIdle !== isIdle) this.#behind(link, link.behind, isIdle);
  }

  /** `input`: the one of the first operator that the rows came by. */
  process(batch: RecordBatch, input: number): void {
    this.#head(batch, input);
  }

  /** The same for rows that were on their way to any operator of the chain. */
  processAt(uid: string, batch: RecordBatch, input: number): void {
    this.#entries.get(uid)!(batch, input);
  }

  /** When the next timer is due of any operator that may act (H4); undefined where there is none. */
  get nextTimerAt(): number | undefined {
    const { hasRoom } = this;
    let next: number | undefined;
    for (const { operator } of this.#timed) {
      if (!hasRoom && !isCalling(operator)) continue;
      const at = operator.nextTimerAt;
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  /** Fires what is due, or a good deal of it. */
  fireTimers(now: number): void {
    for (const { operator, output } of this.#timed) {
      if (!this.hasRoom && !isCalling(operator)) continue;
      if ((operator.nextTimerAt ?? Infinity) <= now) operator.fireTimers(now, output);
    }
  }

  /** Whether it is to be given anything (H4). */
  get hasRoom(): boolean {
    for (const { operator } of this.callers.values()) if (!operator.hasRoom) return false;
    return true;
  }

  /** Whether rows wait in it for answers. */
  get isWaiting(): boolean {
    for (const { operator } of this.callers.values()) if (operator.isWaiting) return true;
    return false;
  }

  /** What came of calls of an operator. */
  answered(uid: string, answers: readonly CallAnswer[]): void {
    this.callers.get(uid)!.operator.answered(answers);
  }

  /** Lets go on what is answered; whether there was anything. */
  release(): boolean {
    let hasReleased = false;
    for (const { operator, output } of this.callers.values()) {
      if (!operator.hasReady) continue;
      operator.release(output);
      hasReleased = true;
    }
    return hasReleased;
  }

  prepareCommit(checkpoint: CheckpointId): void {
    for (const sink of this.sinks) sink.prepareCommit(checkpoint);
  }

  commit(checkpoint: CheckpointId): void {
    for (const sink of this.sinks) sink.commit(checkpoint);
  }
}

/** Where the rows of one output of an operator go. */
interface Route {
  readonly next: Entry[];
  readonly edges: number[];
}

function outputOf(
  { node, edges, next: positions }: Link,
  links: readonly Link[],
  { graph, plan, send }: ChainOptions,
  entries: ReadonlyMap<string, Entry>,
): Pick<Output, "emit"> {
  const routes = new Map<string | undefined, Route>();
  const routeOf = (tag: string | undefined): Route => {
    const route = routes.get(tag) ?? { next: [], edges: [] };
    routes.set(tag, route);
    return route;
  };
  const main = routeOf(undefined);
  for (const at of positions) {
    // One that is not the first of its chain has one input (C1 of the plan).
    const { uid } = links[at]!.node;
    const { tag } = graph.edges.find(({ from, to }) => from === node.uid && to === uid)!;
    routeOf(tag).next.push(entries.get(uid)!);
  }
  for (const edge of edges) routeOf(edgeOf(plan, edge).tag).edges.push(edge);
  return {
    emit(batch, tag) {
      if (batch.length === 0) return;
      const route = tag === undefined ? main : routes.get(tag);
      if (route === undefined) return; // T2 of side outputs
      for (const entry of route.next) entry(batch, 0);
      for (const edge of route.edges) send(edge, batch);
    },
  };
}

/** By which the rows of an edge are given to subtasks; undefined where they have no key. */
export const selectorOf = (graph: JobGraph, edge: EdgePlan): KeySelector | undefined =>
  graph.edges.find(
    (one) =>
      one.from === edge.fromUid &&
      one.to === edge.toUid &&
      one.input === edge.input &&
      one.tag === edge.tag,
  )?.key ?? nodeOf(graph, edge.toUid).key;

export function nodeOf(graph: JobGraph, uid: string): GraphNode {
  const node = graph.nodes.find((candidate) => candidate.uid === uid);
  if (node === undefined) throw new Error(`Job "${graph.name}" has no operator "${uid}".`);
  return node;
}
