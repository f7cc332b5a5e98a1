// A subtask built from its deployment, and from the snapshot that it begins with: its channels, its state,
// its operators and its source, put together in the order in which they need each other.
//   Z1. State is restored before what keeps it is built, and carried on where nothing asks for it after
//       all is (I1 of task-state.ts).
//   Z2. Rows that were on their way are put where they were: before all else of their channel. Those that
//       are taken over from others have places in the inbox behind the inputs, the edge into the operator
//       furthest down the chain first (X5 of former-rows.ts).
//   Z3. What was built is what the checkpoint holds, unless rows were on their way, which will change it, or
//       values were migrated.

import type { Millis } from "../format/ids.ts";
import { rangeOfSubtask } from "../format/key-groups.ts";
import type { TaskDeployment } from "../format/messages.ts";
import type { FieldTexts } from "../format/row-columns.ts";
import {
  allEdges,
  type Channel,
  type EdgePlan,
  edgeOf,
  inputChannels,
  outputChannels,
  vertexOf,
} from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import type { Reject } from "../operators/rejection.ts";
import { plainElements } from "../operators/state/operator-state.ts";
import type { GraphNode, JobGraph } from "../stream/graph.ts";
import { Chain, nodeOf, selectorOf } from "./chain.ts";
import { positionOf } from "./channel-state.ts";
import type { RestoredChannel } from "./former-rows.ts";
import { Inbox } from "./inbox.ts";
import { type KeptTime, KeptWatermark } from "./kept-watermark.ts";
import type { SnapshotCut } from "./late-segments.ts";
import { type OutgoingEdge, Outbox } from "./outbox.ts";
import {
  BroadcastPartitioner,
  CustomPartitioner,
  forward,
  HashPartitioner,
  RebalancePartitioner,
} from "./partitioner.ts";
import { TaskSource } from "./task-source.ts";
import { type RestoredState, TaskState } from "./task-state.ts";
import { TwoPhase } from "./two-phase.ts";

/** The parts of a task. */
export interface Assembly {
  readonly inputs: readonly Channel[];
  /** By channel, the input of the chain's first operator that it feeds. */
  readonly inputOf: readonly number[];
  /** Edges with rows that were taken over from other subtasks; the inbox numbers them after the inputs. */
  readonly takenOver: readonly EdgePlan[];
  readonly outputs: readonly Channel[];
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly chain: Chain;
  readonly state: TaskState;
  readonly twoPhase: TwoPhase;
  readonly source: TaskSource | undefined;
  /** Whether it is what was restored, and nothing else (Z3). */
  readonly isAsRestored: boolean;
}

export interface AssemblyOptions {
  readonly deployment: TaskDeployment;
  readonly graph: JobGraph;
  readonly restored: RestoredState | undefined;
  /** Of the object this runs in; the sqlite backend needs it. */
  readonly database: SqlDatabase | undefined;
  readonly cut: SnapshotCut;
  /** Of rows that leave by that edge, shared with others who send such. */
  readonly textsOf: ((edge: number) => FieldTexts) | undefined;
  /** As of the event that runs. */
  readonly now: () => Millis;
  readonly dropLate: (rows: number) => void;
}

export function assemble(options: AssemblyOptions): Assembly {
  const { deployment, graph, restored, database, cut, now } = options;
  const { plan, task, config } = deployment;
  const vertex = vertexOf(plan, task.vertex);
  const inputs = inputChannels(plan, task);
  const outputs = outputChannels(plan, task);

  const state = new TaskState(deployment, restored, database, cut);
  const twoPhase = new TwoPhase(deployment, (uid) => state.operatorStateOf(uid), now);
  const edges = outgoingEdges(options, outputs, (node) => twoPhase.rejectOf(node));
  const outbox = new Outbox(edges, config.bufferTimeout);
  const chain = chainOf(options, { state, twoPhase, outbox });
  const source = TaskSource.of({
    deployment,
    node: nodeOf(graph, vertex.operators[0]!),
    store: state.operatorStateOf(vertex.operators[0]!),
    receivers: outputs.length,
    needsLineage: sendsDeadLetters(deployment, graph),
    now: now(),
  });
  state.restored();
  if (restored !== undefined) {
    for (const table of chain.tables.values()) table.restored(restored.checkpoint);
  }

  const channels = restored?.channels ?? [];
  const inbox = new Inbox(inputs.length);
  for (const channel of channels) {
    const { end, frames } = channel;
    if (end === "input") inbox.restore(positionOf(channel, inputs), frames);
    if (end === "output") outbox.restore(positionOf(channel, outputs), frames);
  }
  const takenOver = takenOverEdges(deployment, channels);
  takenOver.forEach(({ id }, at) => {
    const own = channels.filter(({ end, edge }) => end === "restored" && edge === id);
    inbox.takeOver(
      inputs.length + at,
      own.flatMap(({ frames }) => frames),
    );
  });
  const isQuiet = channels.every(({ frames }) => frames.length === 0);
  return {
    inputs,
    inputOf: inputs.map(({ edge: id }) => edgeOf(plan, id).input),
    takenOver,
    outputs,
    inbox,
    outbox,
    chain,
    state,
    twoPhase,
    source,
    isAsRestored: restored !== undefined && isQuiet && !state.isUpgraded,
  };
}

function chainOf(
  { deployment, graph, now, dropLate }: AssemblyOptions,
  { state, twoPhase, outbox }: Pick<Assembly, "state" | "twoPhase" | "outbox">,
): Chain {
  const { plan, task } = deployment;
  const vertex = vertexOf(plan, task.vertex);
  const subtask = { index: task.index, parallelism: vertex.parallelism };
  const outgoing = plan.edges.filter(({ from }) => from === vertex.id);
  const edgePosition = new Map(outgoing.map(({ id }, position) => [id, position]));
  const timed = hasEventTime(graph);
  return new Chain({
    graph,
    plan,
    vertex,
    contextOf: (node, watermark) => {
      const { uid } = node;
      const reject = twoPhase.rejectOf(node);
      return { uid, ...state.of(uid), subtask, now, watermark, reject, dropLate };
    },
    keepWatermark: (node, watermark) =>
      keptWatermark(deployment, node, { state, watermark: timed ? watermark : undefined }),
    send: (edge, batch) => outbox.emit(edgePosition.get(edge)!, batch, now()),
    flush: () => outbox.flush(),
    sendWatermark: (edge, time, isIdle) => {
      outbox.watermark(edgePosition.get(edge)!, { time, isIdle }, now());
    },
  });
}

/** Whether rows of the job come to have event times anywhere. */
const hasEventTime = ({ nodes }: JobGraph): boolean =>
  nodes.some(({ spec }) => "watermarks" in spec && spec.watermarks !== undefined);

/** How far an operator had come in event time, which it keeps from now on, where there is any. */
function keptWatermark(
  { plan, task }: TaskDeployment,
  { uid }: GraphNode,
  of: { readonly state: TaskState; readonly watermark: (() => number) | undefined },
): KeptWatermark {
  const { state, watermark } = of;
  const { parallelism } = vertexOf(plan, task.vertex);
  const own = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
  if (watermark === undefined) return new KeptWatermark(own, plan.maxParallelism, []);
  const restored = state.operatorStateOf(uid).register("watermark", {
    redistribution: "union",
    schema: plainElements,
    elements: () => kept.elements(watermark()),
    bytes: () => 0,
  });
  const kept = new KeptWatermark(own, plan.maxParallelism, restored as readonly KeptTime[]);
  return kept;
}

/** In the order in which their rows are processed (Z2). */
function takenOverEdges(
  { plan, task }: TaskDeployment,
  channels: readonly RestoredChannel[],
): EdgePlan[] {
  const { operators } = vertexOf(plan, task.vertex);
  const depthOf = ({ toUid }: EdgePlan): number => operators.indexOf(toUid);
  return allEdges(plan)
    .filter(({ id }) => channels.some(({ end, edge }) => end === "restored" && edge === id))
    .sort((left, right) => depthOf(right) - depthOf(left));
}

function outgoingEdges(
  { deployment: { plan, task }, graph, textsOf }: AssemblyOptions,
  outputs: readonly Channel[],
  rejectOf: (node: GraphNode) => Reject | undefined,
): OutgoingEdge[] {
  return plan.edges
    .filter((edge) => edge.from === task.vertex)
    .map((edge) => {
      const channels = outputs.flatMap((channel, at) => (channel.edge === edge.id ? [at] : []));
      const receivers = channels.length;
      const of = { channels, texts: textsOf?.(edge.id) };
      if (edge.partitioning === "forward") return { ...of, partitioner: forward };
      if (edge.partitioning === "broadcast") {
        return { ...of, partitioner: new BroadcastPartitioner(receivers) };
      }
      if (edge.partitioning === "rebalance" || edge.partitioning === "rescale") {
        return { ...of, partitioner: new RebalancePartitioner(receivers, task.index) };
      }
      const target = nodeOf(graph, edge.toUid);
      if (edge.partitioning === "custom") {
        const { custom } = graph.edges[edge.id]!;
        const self = { uid: target.uid, reject: rejectOf(target) };
        return { ...of, partitioner: new CustomPartitioner(self, custom!, receivers) };
      }
      const selector = selectorOf(graph, edge);
      if (selector === undefined) throw new Error(`G2: the edge into "${edge.toUid}" has no key.`);
      const { maxParallelism } = plan;
      const reject = rejectOf(target);
      const options = { uid: target.uid, reject, selector, receivers, maxParallelism };
      return { ...of, partitioner: new HashPartitioner(options) };
    });
}

/** Whether an operator of the chain, or one whose key is selected here, has a dead letter topic. */
function sendsDeadLetters({ plan, task }: TaskDeployment, graph: JobGraph): boolean {
  const { operators } = vertexOf(plan, task.vertex);
  const behind = plan.edges.filter((edge) => edge.from === task.vertex).map((edge) => edge.toUid);
  return [...operators, ...behind].some((uid) => typeof nodeOf(graph, uid).onError === "object");
}
