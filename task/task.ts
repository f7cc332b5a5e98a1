// One subtask in one attempt: frames and source batches in, rows through the chain, frames, barriers
// and snapshots out. Every event is a method; each returns what the shell must do.
//   A1. Events run one at a time to completion; nothing of this file waits.
//   A2. A frame is settled only after everything it caused is in the state or in the outbox.
//   A3. At a barrier, in one step: pending rows leave before it, it leaves on every channel, the
//       state is frozen. No row is processed in between.
//   A4. Once failed or cancelled it does nothing more; a later attempt is another Task.

import { decodeBatch } from "../format/batch.ts";
import { decodeFrame } from "../format/frame.ts";
import type { CheckpointId, Millis, Seq } from "../format/ids.ts";
import { rangeOfSubtask } from "../format/key-groups.ts";
import type {
  CheckpointAck,
  CheckpointDecline,
  StoredBatch,
  TaskDeployment,
  TaskFailure,
  TaskMetrics,
} from "../format/messages.ts";
import { type Channel, inputChannels, outputChannels, vertexOf } from "../format/plan.ts";
import type { KeyedStateHandle, OperatorStateHandle } from "../format/state-handle.ts";
import { decodeValue, encodeValue } from "../format/value.ts";
import { type TopicOffsets, TopicSource } from "../connectors/topic-source.ts";
import { RowBatch } from "../operators/row-batch.ts";
import { MemoryStateStore } from "../operators/state/memory.ts";
import type { TableOperator } from "../operators/table.ts";
import type { JobGraph } from "../stream/graph.ts";
import { readSegment } from "../format/segment.ts";
import { Aligner } from "./alignment.ts";
import { Chain, nodeOf } from "./chain.ts";
import { Inbox, type ReceiveOutcome } from "./inbox.ts";
import { type OutgoingEdge, Outbox } from "./outbox.ts";
import { forward, HashPartitioner, RebalancePartitioner } from "./partitioner.ts";
import { StateSnapshots } from "./state-snapshots.ts";

export type TaskEffect =
  /** Open a session on this output; `reopened` tells how it went. */
  | { readonly kind: "open"; readonly channel: number }
  | {
      readonly kind: "push";
      readonly channel: number;
      readonly seq: Seq;
      readonly frame: Uint8Array;
    }
  /** Learn when the receiver has processed this frame of an earlier session. */
  | { readonly kind: "awaitSettled"; readonly channel: number; readonly seq: Seq }
  /** A frame of this input was processed: its credit goes back. */
  | { readonly kind: "release"; readonly channel: number; readonly seq: Seq }
  | { readonly kind: "read"; readonly partition: number; readonly from: StoredBatch["first"] }
  /** Store the file, then acknowledge; where that fails, `snapshotLost` and decline. */
  | {
      readonly kind: "snapshot";
      readonly file: SnapshotFile | undefined;
      readonly ack: CheckpointAck;
    }
  | { readonly kind: "decline"; readonly decline: CheckpointDecline }
  | { readonly kind: "fail"; readonly failure: TaskFailure };

export interface SnapshotFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** A restored state with its bytes at hand. */
export interface RestoredState {
  readonly checkpoint: CheckpointId;
  readonly keyed: readonly {
    readonly handle: KeyedStateHandle;
    readonly segments: readonly Uint8Array[];
  }[];
  readonly operator: readonly OperatorStateHandle[];
}

export class Task {
  readonly #deployment: TaskDeployment;
  readonly #inputs: readonly Channel[];
  readonly #outputs: readonly Channel[];
  readonly #aligner: Aligner;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #chain: Chain;
  readonly #source: TopicSource | undefined;
  readonly #snapshots: StateSnapshots;
  #phase: "deployed" | "running" | "over" = "deployed";
  #now: Millis;
  #effects: TaskEffect[] = [];
  /** Highest checkpoint that was triggered here; a repeated call changes nothing. */
  #lastTriggered = 0;
  #recordsIn = 0;
  #bytesIn = 0;

  constructor(
    deployment: TaskDeployment,
    graph: JobGraph,
    restored: RestoredState | undefined,
    now: Millis,
  ) {
    const { plan, task, config, job, attempt } = deployment;
    const vertex = vertexOf(plan, task.vertex);
    const { maxParallelism } = plan;
    this.#deployment = deployment;
    this.#now = now;
    this.#inputs = inputChannels(plan, task);
    this.#outputs = outputChannels(plan, task);
    this.#aligner = new Aligner(this.#inputs.length, config.checkpointing.mode);
    this.#inbox = new Inbox(this.#inputs.length);
    this.#outbox = new Outbox(
      outgoingEdges(deployment, graph, this.#outputs),
      config.bufferTimeout,
    );
    this.#snapshots = new StateSnapshots({
      job,
      attempt,
      task,
      range: rangeOfSubtask(task.index, vertex.parallelism, maxParallelism),
      maxParallelism,
      inlineThreshold: config.checkpointing.inlineThreshold,
    });
    const edgePosition = new Map(
      plan.edges
        .filter((edge) => edge.from === vertex.id)
        .map((edge, position) => [edge.id, position]),
    );
    const stores = new Map<string, MemoryStateStore>();
    this.#chain = new Chain({
      graph,
      plan,
      vertex,
      contextOf: (node) => {
        const state = new MemoryStateStore(maxParallelism);
        stores.set(node.uid, state);
        this.#snapshots.add(node.uid, state);
        this.#restoreKeyed(node.uid, state, restored);
        const subtask = { index: task.index, parallelism: vertex.parallelism };
        return { uid: node.uid, state, subtask };
      },
      send: (edge, batch) => this.#outbox.emit(edgePosition.get(edge)!, batch, this.#now),
    });
    if (restored !== undefined) {
      for (const table of this.#chain.tables.values()) table.restored(restored.checkpoint);
    }
    this.#source = vertex.source && sourceOf(deployment, vertex.source.partitions, restored);
  }

  get deployment(): TaskDeployment {
    return this.#deployment;
  }

  get inputs(): readonly Channel[] {
    return this.#inputs;
  }

  get outputs(): readonly Channel[] {
    return this.#outputs;
  }

  get metrics(): TaskMetrics {
    const { recordsOut, bytesOut } = this.#outbox;
    return { recordsIn: this.#recordsIn, recordsOut, bytesIn: this.#bytesIn, bytesOut };
  }

  /** When `tick` is due, for rows that wait in a buffer. */
  get wakeAt(): number | undefined {
    return this.#phase === "running" ? this.#outbox.flushAt : undefined;
  }

  table(name: string): TableOperator | undefined {
    return this.#chain.tables.get(name);
  }

  /** Every subtask of the attempt is deployed: channels open, sources read. Repeatable. */
  start(now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      if (this.#phase !== "deployed") return;
      this.#phase = "running";
      for (let channel = 0; channel < this.#outputs.length; channel++) {
        this.#effects.push({ kind: "open", channel });
      }
    });
  }

  /** The attempt is over for this subtask. */
  stop(): void {
    this.#phase = "over";
  }

  // Inputs.

  expected(channel: number): Seq {
    return this.#inbox.expected(channel);
  }

  isSettled(channel: number, seq: Seq): boolean {
    return this.#inbox.isSettled(channel, seq);
  }

  receive(
    channel: number,
    seq: Seq,
    frame: Uint8Array,
    now: Millis,
  ): { readonly outcome: ReceiveOutcome; readonly effects: TaskEffect[] } {
    const outcome = this.#inbox.receive(channel, seq, frame);
    const effects = this.#event(now, () => {
      if (outcome.kind !== "gap") return;
      const message = `Channel ${channel} delivered frame ${seq}, ${outcome.expected} was expected.`;
      this.#fail(new Error(message));
    });
    return { outcome, effects };
  }

  sourceBatches(partition: number, batches: readonly StoredBatch[], now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#source?.received(partition, batches));
  }

  // Outputs.

  reopened(channel: number, expected: Seq, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      const outcome = this.#outbox.reopened(channel, expected);
      if (outcome.kind === "gap") {
        const held = `${outcome.oldest} to ${outcome.next}`;
        return this.#fail(
          new Error(`Output ${channel}: the receiver expects frame ${expected}, held are ${held}.`),
        );
      }
      for (const seq of outcome.settle) this.#effects.push({ kind: "awaitSettled", channel, seq });
    });
  }

  disconnected(channel: number, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      this.#outbox.disconnected(channel);
      this.#effects.push({ kind: "open", channel });
    });
  }

  settled(channel: number, seq: Seq, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#outbox.settled(channel, seq));
  }

  // Checkpoints.

  /** Of a source: the barrier enters the stream here, between two batches. Repeatable. */
  trigger(checkpoint: CheckpointId, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      if (this.#isRunning() && checkpoint > this.#lastTriggered) this.#checkpoint(checkpoint, 0);
      this.#lastTriggered = Math.max(this.#lastTriggered, checkpoint);
    });
  }

  notifyComplete(checkpoint: CheckpointId): void {
    if (this.#phase !== "over") this.#chain.commit(checkpoint);
  }

  notifyAborted(checkpoint: CheckpointId, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#aligner.onAborted(checkpoint));
  }

  /** A file of a snapshot did not reach R2. */
  snapshotLost(): void {
    this.#snapshots.lost();
  }

  tick(now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      const due = this.#outbox.flushAt;
      if (due !== undefined && now >= due) this.#outbox.flush();
    });
  }

  // Steps.

  #event(now: Millis, step: () => void): TaskEffect[] {
    if (this.#phase === "over") return [];
    this.#now = now;
    try {
      step();
      if (this.#isRunning()) this.#pump();
    } catch (error) {
      this.#fail(error);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Takes input as long as there is some and the outputs have room. */
  #pump(): void {
    this.#push();
    while (this.#isRunning() && !this.#outbox.hasBacklog && this.#step()) this.#push();
    if (this.#source === undefined || !this.#isRunning()) return;
    for (const { partition, from } of this.#source.wanted()) {
      this.#effects.push({ kind: "read", partition, from });
    }
  }

  #push(): void {
    for (const push of this.#outbox.take()) this.#effects.push({ kind: "push", ...push });
  }

  #step(): boolean {
    return this.#source === undefined ? this.#stepInbox() : this.#stepSource(this.#source);
  }

  #stepInbox(): boolean {
    const item = this.#inbox.next((channel) => this.#aligner.isBlocked(channel));
    if (item === undefined) return false;
    const { channel, seq } = item;
    const frame = decodeFrame(item.frame);
    switch (frame.kind) {
      case "data": {
        const batch = decodeBatch(frame.rows);
        this.#recordsIn += batch.length;
        this.#bytesIn += frame.rows.length;
        this.#chain.process(batch);
        break;
      }
      case "barrier":
        this.#onBarrier(channel, frame.checkpoint);
        break;
      default:
        frame satisfies never;
    }
    this.#effects.push({ kind: "release", channel, seq });
    return true;
  }

  #stepSource(source: TopicSource): boolean {
    const stored = source.take();
    if (stored === undefined) return false;
    const batch = decodeBatch(stored.bytes);
    this.#recordsIn += batch.length - stored.skip;
    this.#bytesIn += stored.bytes.length;
    this.#chain.process(stored.skip === 0 ? batch : new RowBatch(batch.rows().slice(stored.skip)));
    return true;
  }

  #onBarrier(channel: number, checkpoint: CheckpointId): void {
    const outcome = this.#aligner.onBarrier(channel, checkpoint, this.#now);
    if (outcome.kind === "ignored") return;
    if (outcome.superseded !== undefined) {
      const { attempt, task } = this.#deployment;
      const reason = `Its barriers were overtaken by those of checkpoint ${checkpoint}.`;
      const decline = { attempt, task, checkpoint: outcome.superseded, reason };
      this.#effects.push({ kind: "decline", decline });
    }
    if (outcome.kind === "aligned") this.#checkpoint(checkpoint, outcome.duration);
  }

  #checkpoint(checkpoint: CheckpointId, alignment: number): void {
    this.#outbox.broadcastBarrier(checkpoint);
    this.#chain.prepareCommit(checkpoint);
    const frozen = this.#snapshots.freeze(checkpoint);
    const operator =
      this.#source === undefined ? [] : [sourceState(this.#deployment, this.#source.snapshot())];
    const operatorBytes = operator.reduce((total, state) => total + state.bytes.length, 0);
    const { attempt, task } = this.#deployment;
    this.#effects.push({
      kind: "snapshot",
      file: frozen.file,
      ack: {
        attempt,
        checkpoint,
        task,
        state: { keyed: frozen.keyed, operator },
        // The shell, which has the clock, fills in how long freezing and storing took.
        metrics: {
          alignment,
          syncDuration: 0,
          asyncDuration: 0,
          bytes: frozen.bytes + operatorBytes,
          stateBytes: frozen.stateBytes + operatorBytes,
        },
      },
    });
  }

  #restoreKeyed(uid: string, store: MemoryStateStore, restored: RestoredState | undefined): void {
    const { plan, task } = this.#deployment;
    const vertex = vertexOf(plan, task.vertex);
    const range = rangeOfSubtask(task.index, vertex.parallelism, plan.maxParallelism);
    const own = restored?.keyed.filter(({ handle }) => handle.uid === uid) ?? [];
    for (const { handle, segments } of own) {
      const table = store.table(handle.state);
      for (const bytes of segments) table.restore(readSegment(bytes).entries(range));
      const { first, last } = handle.range;
      if (first === range.first && last === range.last) this.#snapshots.adopt(handle);
    }
  }

  #fail(error: unknown): void {
    this.#phase = "over";
    const { attempt, task } = this.#deployment;
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    const failure = { attempt, task, name, message, ...(stack !== undefined && { stack }) };
    // What was to be sent or stored is not: an attempt that fails leaves no half step behind.
    this.#effects = [{ kind: "fail", failure }];
  }

  #isRunning(): boolean {
    return this.#phase === "running";
  }
}

function outgoingEdges(
  { plan, task }: TaskDeployment,
  graph: JobGraph,
  outputs: readonly Channel[],
): OutgoingEdge[] {
  return plan.edges
    .filter((edge) => edge.from === task.vertex)
    .map((edge) => {
      const channels = outputs.flatMap((channel, at) => (channel.edge === edge.id ? [at] : []));
      const receivers = channels.length;
      if (edge.partitioning === "forward") return { channels, partitioner: forward };
      if (edge.partitioning === "rebalance") {
        return { channels, partitioner: new RebalancePartitioner(receivers, task.index) };
      }
      const target = nodeOf(graph, edge.toUid);
      const drawn = graph.edges.find((one) => one.from === edge.fromUid && one.to === edge.toUid);
      const selector = drawn?.key ?? target.key;
      if (selector === undefined) throw new Error(`G2: the edge into "${edge.toUid}" has no key.`);
      const { maxParallelism } = plan;
      const options = { uid: target.uid, selector, receivers, maxParallelism };
      return { channels, partitioner: new HashPartitioner(options) };
    });
}

const sourceOf = (
  { plan, task }: TaskDeployment,
  partitions: number,
  restored: RestoredState | undefined,
): TopicSource =>
  new TopicSource({
    partitions,
    index: task.index,
    parallelism: vertexOf(plan, task.vertex).parallelism,
    restored: restored?.operator.flatMap((state) => decodeValue(state.bytes) as TopicOffsets) ?? [],
  });

const sourceState = (
  { plan, task }: TaskDeployment,
  offsets: TopicOffsets,
): OperatorStateHandle => ({
  uid: vertexOf(plan, task.vertex).operators[0]!,
  bytes: encodeValue(offsets),
});
