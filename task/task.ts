// One subtask in one attempt: frames and source batches in, rows through the chain, frames, barriers
// and snapshots out. Every event is a method; each returns what the shell must do.
//   A1. Events run one at a time to completion; nothing of this file waits.
//   A2. A frame is settled only after everything it caused is in the state or in the outbox.
//   A3. At a barrier, in one step: pending rows are put before it on every channel, the state is
//       frozen, and where it overtakes, what it overtook is kept (channel-state.ts). No row is
//       processed in between.
//   A4. Once failed or cancelled it does nothing more; a later attempt is another Task.
//   A5. A snapshot is acknowledged once it is whole. A newer checkpoint or an abort ends one that is
//       not; segments that its file would have held are then written again (S2).
//   A6. Where barriers may overtake, an event processes one frame from the inbox at most, and none
//       when others have for `turnMax`, until `tick` begins the next turn. In between the shell
//       receives what has come meanwhile: a barrier overtakes only frames that wait in the inbox.
//   A7. A task is clean since a barrier from its snapshot on until it processes anything; while it
//       is clean and idle, its image (image.ts) is all that there is to it.
//   A9. Behind the barrier of a savepoint that stops the job, or of its last checkpoint, nothing is done:
//       no record is taken, no timer fires and event time stays where it is, until it has failed or a
//       newer checkpoint, or anything from others, shows that it has. Savepoints that stop nothing
//       commit nothing: the next checkpoint does. Once all is committed, its image is all that there is
//       to the task.
//   A8. Timers that are due fire before input is taken, and like it only while the outputs have room.
//       A task is not idle shortly before one: it would rest and wake with every one of a row of them.
//   A10. A source that never waits for input keeps everybody busy without a pause: where objects share a
//       thread no alarm fires and no request is heard as long as one of them has something to do. So
//       after a number of rows (source-turn.ts) it takes none until `tick`, whatever is settled meanwhile;
//       or until a checkpoint is complete: alarms are heard then, and where very many subtasks take part
//       in one checkpoint after the other, nobody hears the timer.
//   A12. Event time comes as far as the inputs allow (channel-watermarks.ts), or the splits of a source
//       (split-watermarks.ts). Until it is through the chain no input is taken; a cut in between has the
//       operators as they are then, and whoever told of the time tells again after a restore.
//   A13. A source at its end says so by the end of time, whether its rows have event times or not; a
//       task has ended once that is through all of its chain. It goes on to take part in checkpoints,
//       and its timers of processing time keep nobody. The barrier of a savepoint that drains waits for
//       the end of time to be through, from the sources on.
//   A14. Where an operator that makes calls is full, nothing is taken but marks whose turn it is: a barrier
//       waits for no answer. What is answered is let go like input: while the outputs have room, after
//       what was taken over, and not behind a barrier that stops the task. With rows on their way
//       through an operator the task is not idle.
//   A15. What a source may not read yet, as it is ahead of others (source-alignment.ts), is nothing to do
//       here: it may rest, and is woken when it may go on. Barriers and the end do not wait for it.
//   A11. Rows that were taken over from other subtasks at a restore are processed before anything else
//       is: no input is taken and no timer fires before. A source's barrier that may not overtake waits
//       for them, too; to that of a subtask with inputs its turn comes only after them.

import { decodeBatch } from "../format/batch.ts";
import { FormatError } from "../format/format-error.ts";
import {
  atOnce,
  type Barrier,
  decodeFrame,
  endOfTime,
  endOfTimeMetric,
  never,
  noTime,
  type Purpose,
  savepointOf,
  stopsAll,
  type Watermark,
} from "../format/frame.ts";
import type { CheckpointId, Millis, Seq } from "../format/ids.ts";
import { rangeOfSubtask } from "../format/key-groups.ts";
import {
  deadLetterBytesPause,
  inlineSnapshotBytesMax,
  operatorStateInlineBytes,
  restMin,
} from "../format/limits.ts";
import type {
  AlignmentReport,
  CheckpointAck,
  CheckpointDecline,
  ReceiverPosition,
  StateAnswer,
  StateQuery,
  StoredBatch,
  TaskActivity,
  TaskDeployment,
  TaskFailure,
  TaskMetrics,
  WaitReason,
} from "../format/messages.ts";
import { rowsFilePath, savepointFilePath, snapshotPath } from "../format/paths.ts";
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
import { type GeneratorProgress, GeneratorReader } from "../connectors/generator-source.ts";
import {
  type SourceBatch,
  type SplitRead,
  type TopicOffsets,
  TopicSource,
} from "../connectors/topic-source.ts";
import type { Call, CallAnswer } from "../operators/async-requests.ts";
import type { CallingOperator, FilingOperator, RecordBatch } from "../operators/operator.ts";
import { Lineage, type Reject } from "../operators/rejection.ts";
import { RowBatch } from "../operators/row-batch.ts";
import { AnnotatedBatch } from "../operators/annotated-batch.ts";
import {
  furthestBehind,
  type SplitProgress,
  SplitWatermarks,
} from "../operators/split-watermarks.ts";
import type { StateBackend } from "../operators/state/backend.ts";
import { plainElements } from "../operators/state/operator-state.ts";
import type { TableOperator } from "../operators/table.ts";
import type { GraphNode, JobGraph } from "../stream/graph.ts";
import { Aligner, type Overtaking } from "./alignment.ts";
import { BackPressure } from "./back-pressure.ts";
import { Chain, nodeOf, selectorOf } from "./chain.ts";
import { ChannelWatermarks } from "./channel-watermarks.ts";
import { ChannelCapture, placeChannels, positionOf } from "./channel-state.ts";
import { type Append, Commits, effectOf, type FilePut } from "./commits.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { RestoredChannel } from "./former-rows.ts";
import { type KeptTime, KeptWatermark } from "./kept-watermark.ts";
import { Inbox, type ReceiveOutcome } from "./inbox.ts";
import { type OutgoingEdge, Outbox } from "./outbox.ts";
import {
  OperatorStates,
  type FrozenOperatorState,
  restoredWhole,
  type RestoredOperatorState,
} from "./operator-state.ts";
import {
  BroadcastPartitioner,
  CustomPartitioner,
  forward,
  HashPartitioner,
  RebalancePartitioner,
} from "./partitioner.ts";
import { bytesOf, place, type SnapshotFile } from "./snapshot-file.ts";
import type { TaskImage } from "./image.ts";
import { holdsState, stateBackendOf } from "./state-backend.ts";
import { answerStateQuery } from "./state-query.ts";
import { SourceAlignment } from "./source-alignment.ts";
import { SourceTurn } from "./source-turn.ts";
import { type FrozenState, type RestoredKeyedState, StateSnapshots } from "./state-snapshots.ts";

/** Milliseconds of work after which a task waits for `tick`, where barriers may overtake. */
const turnMax = 20;

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
  /** Append to a topic partition, until it is there; `committed` tells the core. */
  | { readonly kind: "append"; readonly commit: Append }
  /** Put the file into the bucket, until it is there; `committed` tells the core. */
  | { readonly kind: "put"; readonly commit: FilePut }
  /** Make these calls of an operator; `answered` tells what came of each. */
  | {
      readonly kind: "call";
      readonly uid: string;
      readonly invoke: CallingOperator["invoke"];
      readonly calls: readonly Call[];
    }
  /** These calls are of no use any more. */
  | { readonly kind: "abandon"; readonly uid: string; readonly calls: readonly Call["id"][] }
  | { readonly kind: "decline"; readonly decline: CheckpointDecline }
  /** Tell the coordinator, once: no row will come any more, and all is through (A13). */
  | { readonly kind: "ended" }
  /** Tell the coordinator where this source stands; `alignmentReported` with its answer. */
  | { readonly kind: "reportAlignment"; readonly report: AlignmentReport }
  | { readonly kind: "fail"; readonly failure: TaskFailure };

/** A restored state with its bytes at hand. */
export interface RestoredState {
  readonly checkpoint: CheckpointId;
  readonly keyed: readonly RestoredKeyedState[];
  /** Of `sharesOf` the deployment. */
  readonly operator: readonly RestoredOperatorState[];
  /** Of `channelsOf` the deployment. */
  readonly channels: readonly RestoredChannel[];
}

/** A snapshot that is frozen and not acknowledged. */
interface OpenSnapshot {
  readonly barrier: Barrier;
  readonly frozen: FrozenState;
  readonly operator: readonly FrozenOperatorState[];
  readonly channels: ChannelCapture;
  readonly frozenAt: Millis;
  readonly firstBarrierAt: number;
  lastBarrierAt: Millis;
}

export class Task {
  readonly #deployment: TaskDeployment;
  readonly #inputs: readonly Channel[];
  /** By channel, the input of the chain's first operator that it feeds. */
  readonly #inputOf: readonly number[];
  /** Edges with rows that were taken over from other subtasks; the inbox numbers them after the inputs. */
  readonly #takenOver: readonly EdgePlan[];
  readonly #outputs: readonly Channel[];
  readonly #aligner: Aligner;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #backPressure = new BackPressure();
  readonly #chain: Chain;
  readonly #source: TopicSource | undefined;
  readonly #generator: GeneratorReader | undefined;
  /** Of a source whose rows have event times. */
  readonly #splitTimes: SplitWatermarks | undefined;
  /** Of one that keeps in step with others (A15). */
  readonly #alignment: SourceAlignment | undefined;
  readonly #channelTimes: ChannelWatermarks;
  /** How far event time has come at the head of the chain. */
  #time: Watermark = { time: noTime, isIdle: false };
  #hasToldEnd = false;
  readonly #backend: StateBackend;
  readonly #snapshots: StateSnapshots;
  readonly #operatorStates: OperatorStates;
  readonly #commits: Commits;
  readonly #deadLetters: DeadLetters;
  /** Whether a dead letter may have to name the record it comes from. */
  readonly #needsLineage: boolean;
  #phase: "deployed" | "running" | "over" = "deployed";
  #now: Millis;
  #effects: TaskEffect[] = [];
  /** Highest checkpoint that was triggered here; a repeated call changes nothing. */
  #lastTriggered = 0;
  #snapshot: OpenSnapshot | undefined;
  /** The savepoint that stops this task (A9), and whether it is known to be complete. */
  #stopped: { readonly checkpoint: CheckpointId; readonly isComplete: boolean } | undefined;
  /** A barrier whose turn has come and that waits for rows that were taken over (A11), or for time (A13). */
  #held: Barrier | undefined;
  /** When the turn began (A6); undefined where the task has nothing to pause from. */
  #turn: Millis | undefined;
  #hasProcessed = false;
  /** Of the source (A10). */
  readonly #sourceTurn: SourceTurn;
  /** The first and the last barrier since which nothing was processed (A7). */
  #clean: { readonly from: CheckpointId; readonly upTo: CheckpointId } | undefined;
  /** Outputs without a session, which none is opened for until there is something to send. */
  readonly #dormant = new Set<number>();
  #recordsIn = 0;
  #bytesIn = 0;
  #lateDropped = 0;

  constructor(
    deployment: TaskDeployment,
    graph: JobGraph,
    restored: RestoredState | undefined,
    now: Millis,
    /** Of the object this runs in; the sqlite backend needs it. */
    database?: SqlDatabase,
  ) {
    const { plan, task, config, job, attempt } = deployment;
    const vertex = vertexOf(plan, task.vertex);
    const { maxParallelism } = plan;
    this.#deployment = deployment;
    this.#now = now;
    this.#inputs = inputChannels(plan, task);
    this.#inputOf = this.#inputs.map(({ edge: id }) => edgeOf(plan, id).input);
    this.#outputs = outputChannels(plan, task);
    this.#sourceTurn = new SourceTurn(config.bufferTimeout, this.#outputs.length);
    this.#channelTimes = new ChannelWatermarks(this.#inputs.length);
    this.#aligner = new Aligner(this.#inputs.length, config.checkpointing.mode);
    this.#inbox = new Inbox(this.#inputs.length);
    this.#deadLetters = new DeadLetters(deployment);
    this.#needsLineage = sendsDeadLetters(deployment, graph);
    const edges = outgoingEdges(deployment, graph, this.#outputs, (node) => this.#rejectOf(node));
    this.#outbox = new Outbox(edges, config.bufferTimeout);
    const isHeld = restored?.keyed.some(({ segments }) => segments === "held") === true;
    this.#backend = stateBackendOf(deployment, database, isHeld);
    this.#snapshots = new StateSnapshots({
      job,
      attempt,
      task,
      range: rangeOfSubtask(task.index, vertex.parallelism, maxParallelism),
      maxParallelism,
      inlineThreshold: config.checkpointing.inlineThreshold,
      incremental: config.checkpointing.incremental,
      storage: config.checkpointing.storage,
      backend: this.#backend,
    });
    const { restore } = deployment;
    const isBorrowed = restore?.isBorrowed === true;
    this.#snapshots.restore(restored?.keyed ?? [], { isBorrowed });
    this.#operatorStates = new OperatorStates(restored?.operator ?? [], task.index);
    const [first, ...others] = vertex.operators.map((uid) => this.#operatorStates.store(uid));
    this.#commits = new Commits(first!, others);
    const edgePosition = new Map(
      plan.edges
        .filter((edge) => edge.from === vertex.id)
        .map((edge, position) => [edge.id, position]),
    );
    this.#chain = new Chain({
      graph,
      plan,
      vertex,
      contextOf: (node, watermark) => {
        const subtask = { index: task.index, parallelism: vertex.parallelism };
        const { uid } = node;
        const state = this.#backend.store(uid);
        const operatorState = this.#operatorStates.store(uid);
        const reject = this.#rejectOf(node);
        const now = (): Millis => this.#now;
        const dropLate = (rows: number): void => {
          this.#lateDropped += rows;
        };
        return { uid, state, operatorState, subtask, now, watermark, reject, dropLate };
      },
      keepWatermark: (node, watermark) =>
        this.#keptWatermark(node, hasEventTime(graph) ? watermark : undefined),
      send: (edge, batch) => this.#outbox.emit(edgePosition.get(edge)!, batch, this.#now),
      flush: () => this.#outbox.flush(),
      sendWatermark: (edge, time, isIdle) => {
        this.#outbox.watermark(edgePosition.get(edge)!, { time, isIdle }, this.#now);
      },
    });
    this.#source = vertex.source && this.#sourceOf(vertex.operators[0]!, vertex.source.partitions);
    const head = nodeOf(graph, vertex.operators[0]!);
    this.#generator = this.#generatorOf(head);
    this.#splitTimes = this.#splitTimesOf(head);
    this.#alignment = this.#alignmentOf(head);
    this.#snapshots.restored();
    this.#operatorStates.restored();
    this.#checkMemory();
    if (restore?.isStopped) this.#stopped = { checkpoint: restore.checkpoint, isComplete: true };
    if (restored !== undefined) {
      for (const table of this.#chain.tables.values()) table.restored(restored.checkpoint);
    }
    const channels = restored?.channels ?? [];
    for (const channel of channels) this.#restore(channel);
    const depthOf = ({ toUid }: EdgePlan): number => vertex.operators.indexOf(toUid);
    this.#takenOver = allEdges(plan)
      .filter(({ id }) => channels.some(({ end, edge }) => end === "restored" && edge === id))
      .sort((left, right) => depthOf(right) - depthOf(left)); // X5
    this.#takenOver.forEach(({ id }, at) => {
      const own = channels.filter(({ end, edge }) => end === "restored" && edge === id);
      const frames = own.flatMap((channel) => channel.frames);
      this.#inbox.takeOver(this.#inputs.length + at, frames);
    });
    const isQuiet = channels.every(({ frames }) => frames.length === 0);
    if (restored !== undefined && isQuiet && !this.#snapshots.isUpgraded) {
      this.#clean = { from: restored.checkpoint, upTo: restored.checkpoint };
    }
  }

  #restore(channel: RestoredChannel): void {
    const { end, frames } = channel;
    if (end === "input") this.#inbox.restore(positionOf(channel, this.#inputs), frames);
    if (end === "output") this.#outbox.restore(positionOf(channel, this.#outputs), frames);
  }

  /** The task that an image was made of, running. @throws FormatError for a damaged image */
  static fromImage(image: TaskImage, graph: JobGraph, now: Millis, database?: SqlDatabase): Task {
    const { deployment, checkpoint, keyed } = image;
    const isHeld = keyed.some(({ segments }) => segments === "held");
    if (isHeld && (database === undefined || !holdsState(deployment, database))) {
      const problem = `there are no rows of checkpoint ${checkpoint}`;
      throw new FormatError("content", `The state of the image is in rows, and ${problem}.`);
    }
    const operator = image.operator.map(restoredWhole);
    const restored = { checkpoint, keyed, operator, channels: [] };
    const task = new Task(deployment, graph, restored, now, database);
    task.#resume(image);
    return task;
  }

  #resume({ positions, metrics }: TaskImage): void {
    const { inputs, outputs, barriers, lastTriggered, eventTime } = positions;
    this.#phase = "running";
    this.#lastTriggered = lastTriggered;
    this.#aligner.resume(barriers);
    inputs.forEach((expected, channel) => this.#inbox.resume(channel, expected));
    this.#outbox.resume(outputs, { records: metrics.recordsOut, bytes: metrics.bytesOut });
    for (const channel of outputs.keys()) this.#dormant.add(channel);
    if (eventTime !== undefined) {
      const { channels, edges, time, isIdle } = eventTime;
      this.#time = { time, isIdle };
      this.#channelTimes.resume(channels, this.#time);
      this.#chain.resume(this.#time);
      this.#outbox.resumeWatermarks(edges);
    }
    this.#recordsIn = metrics.recordsIn;
    this.#bytesIn = metrics.bytesIn;
    this.#lateDropped = metrics.lateRecordsDropped ?? 0;
    this.#deadLetters.resume(metrics);
    this.#backPressure.resume(metrics.backPressuredTime);
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

  /** As of the last event. */
  get metrics(): TaskMetrics {
    return this.metricsAt(this.#now);
  }

  metricsAt(now: Millis): TaskMetrics {
    const { recordsOut, bytesOut } = this.#outbox;
    return {
      recordsIn: this.#recordsIn,
      recordsOut,
      bytesIn: this.#bytesIn,
      bytesOut,
      recordsDropped: this.#deadLetters.dropped,
      recordsDeadLettered: this.#deadLetters.deadLettered,
      backPressuredTime: this.#backPressure.total(now),
      ...this.#timeMetrics(now),
      ...(this.#lateDropped > 0 && { lateRecordsDropped: this.#lateDropped }),
    };
  }

  #timeMetrics(now: Millis): Partial<TaskMetrics> {
    const input = this.#time.time;
    const { output } = this.#chain;
    const drift = this.#alignment?.drift;
    const lags = this.#splitTimes !== undefined && Number.isFinite(input);
    return {
      ...(input !== noTime && { inputWatermark: Math.min(input, endOfTimeMetric) }),
      ...(output !== noTime && { outputWatermark: Math.min(output, endOfTimeMetric) }),
      ...(lags && { watermarkLag: now - input }),
      ...(drift !== undefined && { watermarkAlignmentDrift: drift }),
    };
  }

  /** Whether rows are on their way through operators that make calls. */
  get awaitsAnswers(): boolean {
    return this.#chain.isWaiting;
  }

  /** Whether something that was prepared is not known to be committed. */
  get isCommitting(): boolean {
    return !this.#commits.isEmpty;
  }

  /**
   * When the next timer is due, or a split is to be waited for no longer, whether this runs or rests;
   * undefined where there is none.
   */
  get nextTimerAt(): number | undefined {
    const at = Math.min(this.#chain.nextTimerAt ?? never, this.#splitTimes?.idleAt ?? never);
    return at === never ? undefined : at;
  }

  /** When `tick` is due: for rows in a buffer, a barrier that is to overtake, a timer, the next turn. */
  get wakeAt(): number | undefined {
    if (!this.#isRunning()) return undefined;
    if (this.#turn !== undefined) return this.#turn;
    const { flushAt = never, hasBacklog } = this.#outbox;
    const barrierAt = this.#snapshot?.barrier.overtakesAt ?? never;
    const overtakesAt = barrierAt !== never && this.#outbox.holdsBarrier ? barrierAt : never;
    // Without room a timer waits for credit, not for the clock (A8).
    const mayFire = !hasBacklog && this.#stopped === undefined && !this.#inbox.hasTaken;
    const firesAt = mayFire ? (this.nextTimerAt ?? never) : never;
    const mayTake = mayFire && !this.#isHeldBack && this.#chain.hasRoom;
    const mayGenerate = mayTake && !this.#isGeneratorAhead;
    const generatesAt = mayGenerate ? (this.#generator?.readyAt(this.#now) ?? never) : never;
    const reportsAt = Math.max(this.#now, this.#alignment?.reportsAt ?? never);
    const readsAt = mayGenerate && this.#source !== undefined && this.#sourceTurn.isOver;
    const at = Math.min(
      flushAt,
      this.#aligner.overtakesAt,
      overtakesAt,
      firesAt,
      generatesAt,
      readsAt ? this.#now : never,
      reportsAt,
    );
    return at === never ? undefined : at;
  }

  get activity(): TaskActivity {
    return {
      isIdle: this.#isIdle,
      ...(this.#clean !== undefined && { cleanSince: this.#clean.upTo }),
      ...(this.#hasEnded && { hasEnded: true }),
      ...(this.#stopped !== undefined && {
        stopped: {
          checkpoint: this.#stopped.checkpoint,
          isCommitted: this.#stopped.isComplete && !this.isCommitting,
        },
      }),
    };
  }

  /** Whether all there is to this task is what it had at the barrier of that checkpoint (A7). */
  mayRest(checkpoint: CheckpointId): boolean {
    return this.#isIdle && this.#clean !== undefined && this.#clean.from <= checkpoint;
  }

  /** The checkpoint that this task has ended with, once all of it is committed (A9). */
  get finishedWith(): CheckpointId | undefined {
    const { isComplete = false, checkpoint } = this.#stopped ?? {};
    return isComplete && !this.isCommitting ? checkpoint : undefined;
  }

  /** Whether its rows are read from outside. */
  get hasTables(): boolean {
    return this.#chain.tables.size > 0;
  }

  /**
   * What a task is made of again, later. Only where it `mayRest`, and it goes on as if nothing was, or
   * where it has finished with that checkpoint.
   */
  image(checkpoint: CheckpointId): TaskImage {
    if (!this.mayRest(checkpoint) && this.finishedWith !== checkpoint) {
      throw new Error("A7: the task has something under way.");
    }
    const isStopped = this.#stopped !== undefined && { isStopped: true as const };
    return {
      deployment: { ...this.#deployment, restore: { checkpoint, states: [], ...isStopped } },
      checkpoint,
      keyed: this.#snapshots.image(),
      operator: this.#operatorStates.freeze(),
      positions: {
        inputs: this.#inputs.map((_, channel) => this.#inbox.expected(channel)),
        outputs: this.#outbox.next,
        barriers: this.#aligner.past,
        lastTriggered: this.#lastTriggered,
        ...this.#eventTime,
      },
      metrics: this.metrics,
    };
  }

  /** Of a source: where it waits for more, by partition. */
  get ends(): readonly SplitRead[] {
    return this.#source?.ends ?? [];
  }

  table(name: string): TableOperator | undefined {
    return this.#chain.tables.get(name);
  }

  /** A look into the state as it is now. */
  readState(query: StateQuery): StateAnswer {
    return answerStateQuery(this.#backend, this.#operatorStates, query);
  }

  /** Every subtask of the attempt is deployed: channels open, sources read. Repeatable. */
  start(now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      if (this.#phase !== "deployed") return;
      this.#phase = "running";
      for (let channel = 0; channel < this.#outputs.length; channel++) {
        this.#effects.push({ kind: "open", channel });
      }
      const { restore } = this.#deployment;
      if (restore !== undefined) this.#commit(restore.checkpoint);
      this.#chain.announce();
      this.#splitTimes?.started(now);
      this.#endSplits();
      if (this.#splitTimes !== undefined) this.#timeCame(this.#splitTimes.advance());
      this.#endTime();
    });
  }

  /** The attempt is over for this subtask. */
  stop(): void {
    this.#phase = "over";
  }

  // Inputs.

  /** Where this end of the channel stands, and what it waits for if it does. */
  position(channel: number): ReceiverPosition {
    const waitsFor = this.#waitsFor(channel);
    return {
      expected: this.#inbox.expected(channel),
      settled: this.#inbox.settled(channel),
      ...(waitsFor !== undefined && { waitsFor }),
    };
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
      if (outcome.kind === "accepted") this.#received(channel, frame);
      if (outcome.kind !== "gap") return;
      const message = `Channel ${channel} delivered frame ${seq}, ${outcome.expected} was expected.`;
      this.#fail(new Error(message));
    });
    return { outcome, effects };
  }

  sourceBatches(partition: number, batches: readonly StoredBatch[], now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#source?.received(partition, batches));
  }

  /** A partition has grown: the source looks, whatever its last read said. */
  appended(partition: number, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#source?.appended(partition));
  }

  /** The answer to `reportAlignment`. */
  alignmentReported(least: number | undefined, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#alignment?.answered(least, now));
  }

  /** How far the last of its group has come; undefined: the coordinator asks where this one stands. */
  align(least: number | undefined, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      if (least === undefined) this.#alignment?.asked();
      else this.#alignment?.came(least, now);
    });
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
  trigger(checkpoint: CheckpointId, now: Millis, purpose?: Purpose): TaskEffect[] {
    return this.#event(now, () => {
      if (this.#isRunning() && checkpoint > this.#lastTriggered) {
        const { alignedTimeout } = this.#deployment.config.checkpointing;
        const savepoint = savepointOf(purpose);
        // A savepoint has no rows on their way in it, so that it can be started from at another size.
        const isAligned = savepoint !== undefined || purpose === "aligned" || purpose === "final";
        const mayOvertake = this.#mayOvertake && !isAligned;
        const overtakesAt = mayOvertake ? this.#now + alignedTimeout : never;
        const barrier = { checkpoint, overtakesAt, ...(purpose && { purpose }) };
        if (this.#held !== undefined) this.#decline(this.#held.checkpoint, checkpoint);
        const drains = savepoint?.drains === true;
        if (drains) this.#timeCame({ time: endOfTime, isIdle: false });
        const waits = drains || (!mayOvertake && this.#inbox.hasTaken);
        this.#held = waits ? barrier : undefined;
        if (!waits) this.#checkpoint(barrier, this.#now);
      }
      this.#lastTriggered = Math.max(this.#lastTriggered, checkpoint);
    });
  }

  /** The checkpoint is durable, and so are all before it. Repeatable. */
  notifyComplete(checkpoint: CheckpointId, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      this.#sourceTurn.next(now);
      this.#chain.commit(checkpoint);
      this.#backend.completed(checkpoint);
      this.#commit(checkpoint);
      if (this.#stopped?.checkpoint === checkpoint) {
        this.#stopped = { checkpoint, isComplete: true };
      }
    });
  }

  /** The answer to `append`: it is there. */
  committed(id: string, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#commits.settled(id));
  }

  /** What came of calls that an operator has asked for. */
  answered(uid: string, answers: readonly CallAnswer[], now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#chain.answered(uid, answers));
  }

  notifyAborted(checkpoint: CheckpointId, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      this.#aligner.onAborted(checkpoint);
      if (this.#held !== undefined && this.#held.checkpoint <= checkpoint) this.#held = undefined;
      if (this.#stopped?.checkpoint === checkpoint) this.#stopped = undefined;
      if (this.#snapshot !== undefined && this.#snapshot.barrier.checkpoint <= checkpoint) {
        this.#abandonSnapshot();
      }
    });
  }

  /** A file of a snapshot did not reach R2. */
  snapshotLost(): void {
    this.#snapshots.lost();
  }

  tick(now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      this.#turn = undefined;
      this.#sourceTurn.next(now);
      const due = this.#outbox.flushAt;
      if (due !== undefined && now >= due) this.#outbox.flushDue(now);
    });
  }

  // Steps.

  #event(now: Millis, step: () => void): TaskEffect[] {
    if (this.#phase === "over") return [];
    this.#now = now;
    this.#hasProcessed = false;
    try {
      step();
      if (this.#isRunning()) this.#passTime();
      if (this.#isRunning()) this.#pump();
      if (this.#isRunning()) this.#checkMemory();
      if (this.#isRunning() && !this.#takesCheckpoints) this.#sendAtOnce();
      if (!this.#hasToldEnd && this.#hasEnded) {
        this.#hasToldEnd = true;
        this.#effects.push({ kind: "ended" });
      }
      this.#reportAlignment();
      this.#backPressure.observe(this.#heldUpFrom(), now);
    } catch (error) {
      this.#fail(error);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Takes input as long as there is some and the outputs have room. */
  #pump(): void {
    this.#overtake();
    this.#push();
    // Once: a timer that sets the next one for at once must let others have their turn.
    if (!this.#outbox.hasBacklog) this.#fireTimers();
    while (this.#isItsTurn && !this.#outbox.hasBacklog && this.#step()) this.#push();
    if (!this.#isRunning()) return;
    this.#call();
    if (this.#source === undefined) return;
    for (const { partition, from } of this.#source.wanted()) {
      this.#effects.push({ kind: "read", partition, from });
    }
  }

  #call(): void {
    for (const { uid, operator } of this.#chain.callers.values()) {
      const { invoke } = operator;
      const overdue = operator.takeOverdue();
      if (overdue.length > 0) this.#effects.push({ kind: "abandon", uid, calls: overdue });
      const calls = operator.takeCalls();
      if (calls.length > 0) this.#effects.push({ kind: "call", uid, invoke, calls });
    }
  }

  #push(): void {
    for (const push of this.#outbox.take()) this.#effects.push({ kind: "push", ...push });
    for (const channel of this.#dormant) {
      if (!this.#outbox.isWaiting(channel)) continue;
      this.#dormant.delete(channel);
      this.#effects.push({ kind: "open", channel });
    }
    // The barrier may have left with them.
    this.#acknowledge();
  }

  #fireTimers(): void {
    if (this.#stopped !== undefined || (this.nextTimerAt ?? never) > this.#now) return;
    if (this.#inbox.hasTaken) return;
    this.#clean = undefined;
    this.#chain.fireTimers(this.#now);
    this.#push();
  }

  #step(): boolean {
    if (this.#inbox.hasTaken) return this.#stepInbox();
    if (this.#stopped === undefined && this.#chain.release()) {
      this.#clean = undefined;
      return true;
    }
    if (!this.#chain.hasRoom) return this.#stepMarks();
    if (this.#chain.isAdvancing) {
      if (this.#hasStopped) return false;
      this.#clean = undefined;
      this.#chain.advance();
      return true;
    }
    if (this.#held !== undefined) return this.#stepBarrier(this.#held);
    if (this.#source !== undefined) return this.#stepSource(this.#source);
    if (this.#generator !== undefined) return this.#stepGenerator(this.#generator);
    return this.#stepInbox();
  }

  /** What may be done where there is no room for rows (A14). */
  #stepMarks(): boolean {
    if (this.#held !== undefined) return this.#stepBarrier(this.#held);
    return this.#stepInbox("marks");
  }

  #stepBarrier(held: Barrier): boolean {
    if (savepointOf(held.purpose)?.drains === true && !this.#chain.hasEnded) return false;
    this.#held = undefined;
    this.#checkpoint(held, this.#now);
    return true;
  }

  #stepInbox(takes: "all" | "marks" = "all"): boolean {
    const item = this.#inbox.next((channel) => this.#aligner.isBlocked(channel), takes);
    if (item === undefined) return false;
    const { channel, seq } = item;
    const frame = decodeFrame(item.frame);
    switch (frame.kind) {
      case "data": {
        const batch = decodeBatch(frame.rows);
        this.#recordsIn += batch.length;
        this.#bytesIn += frame.rows.length;
        this.#processOf(channel, batch);
        this.#hasProcessed = true;
        if (this.#mayOvertake) this.#turn ??= this.#now;
        break;
      }
      case "barrier":
        this.#onBarrier(channel, frame);
        break;
      case "watermark":
        this.#timeCame(this.#channelTimes.received(channel, frame));
        break;
      default:
        frame satisfies never;
    }
    if (seq !== undefined) this.#effects.push({ kind: "release", channel, seq });
    return true;
  }

  #stepSource(source: TopicSource): boolean {
    if (this.#isHeldBack || this.#sourceTurn.isOver) return false;
    const stored = source.take();
    if (stored === undefined) return false;
    const batch = decodeBatch(stored.bytes);
    this.#sourceTurn.took(batch.length - stored.skip, this.#now);
    this.#recordsIn += batch.length - stored.skip;
    this.#bytesIn += stored.bytes.length;
    const lineage = this.#needsLineage ? this.#lineageOf(stored) : undefined;
    const { partition: split, skip } = stored;
    const rows =
      skip > 0
        ? new RowBatch(batch.rows().slice(skip), lineage)
        : lineage === undefined
          ? batch
          : new AnnotatedBatch(batch, { lineage });
    this.#processRead(rows, split);
    return true;
  }

  /** Rows of a source come with their event times, and event time comes behind them. */
  #processRead(batch: RecordBatch, split: number): void {
    const times = this.#splitTimes;
    if (times === undefined) return this.#process(batch, 0);
    // They are no rows of an idle stream.
    if (this.#time.isIdle) this.#timeCame({ time: noTime, isIdle: false });
    for (const { rows, watermark } of times.timed(batch, split, this.#now)) {
      this.#process(rows, 0);
      this.#timeCame(watermark);
      // The rest of a batch is behind it.
      if (!times.isPunctuated) continue;
      while (this.#chain.isAdvancing) this.#chain.advance();
      this.#outbox.flush();
    }
    // Behind all of the batch: the reader has taken it whole, and may be at its end since then.
    this.#endSplits();
    this.#timeCame(times.advance());
  }

  /** Splits of a generator have an end; what is left to catch up holds event time (N2 there). */
  #endSplits(): void {
    const times = this.#splitTimes;
    if (times === undefined || this.#generator === undefined) return;
    if (this.#generator.isAtEnd) times.ended(0);
    else if (times.isHeld) times.isHeld = this.#generator.isCatchingUp;
  }

  #reportAlignment(): void {
    const standing = this.#isRunning() ? this.#alignment?.report(this.#now) : undefined;
    if (standing === undefined) return;
    const { attempt, task } = this.#deployment;
    this.#effects.push({ kind: "reportAlignment", report: { attempt, task, ...standing } });
  }

  /** By the clock. */
  #passTime(): void {
    const times = this.#splitTimes;
    if (times === undefined || this.#stopped !== undefined) return;
    if ((times.idleAt ?? never) > this.#now) return;
    times.tick(this.#now);
    this.#timeCame(times.watermark);
  }

  #timeCame({ time, isIdle }: Watermark): void {
    if (this.#time.time === endOfTime) return;
    const isChanged = isIdle !== this.#time.isIdle;
    this.#time = { time: Math.max(time, this.#time.time), isIdle };
    this.#chain.reached(time);
    if (isChanged) this.#chain.idle(isIdle);
  }

  /** A generator has an end, which also rows without event times have. */
  #endTime(): void {
    if (this.#generator?.isAtEnd === true) this.#timeCame({ time: endOfTime, isIdle: false });
  }

  get #hasEnded(): boolean {
    return this.#isRunning() && this.#chain.hasEnded && !this.#inbox.hasTaken;
  }

  get #eventTime(): Pick<TaskImage["positions"], "eventTime"> {
    const { time, isIdle } = this.#time;
    if (time === noTime && !isIdle) return {};
    const { channels } = this.#channelTimes;
    return { eventTime: { time, isIdle, channels, edges: this.#outbox.watermarks } };
  }

  #processOf(channel: number, batch: RecordBatch): void {
    const edge = this.#takenOver[channel - this.#inputs.length];
    if (edge === undefined) return this.#process(batch, this.#inputOf[channel]!);
    this.#clean = undefined;
    this.#chain.processAt(edge.toUid, batch, edge.input);
  }

  /** Whether it waits for others (A15). */
  get #isGeneratorAhead(): boolean {
    return this.#generator !== undefined && this.#splitTimes?.isAhead(0) === true;
  }

  #stepGenerator(generator: GeneratorReader): boolean {
    if (this.#isHeldBack || this.#sourceTurn.isOver || this.#isGeneratorAhead) return false;
    const batch = generator.take(this.#now);
    if (batch === undefined) return false;
    this.#sourceTurn.took(batch.length, this.#now);
    this.#recordsIn += batch.length;
    this.#processRead(batch, 0);
    this.#endTime();
    return true;
  }

  /** How far an operator had come in event time, which it keeps from now on, where there is any. */
  #keptWatermark({ uid }: GraphNode, watermark: (() => number) | undefined): KeptWatermark {
    const { plan, task } = this.#deployment;
    const { parallelism } = vertexOf(plan, task.vertex);
    const own = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
    if (watermark === undefined) return new KeptWatermark(own, plan.maxParallelism, []);
    const restored = this.#operatorStates.store(uid).register("watermark", {
      redistribution: "union",
      schema: plainElements,
      elements: () => kept.elements(watermark()),
      bytes: () => 0,
    });
    const kept = new KeptWatermark(own, plan.maxParallelism, restored as readonly KeptTime[]);
    return kept;
  }

  /** From when on input waits for room in the outputs; undefined where it does not, or none is due. */
  #heldUpFrom(): number | undefined {
    const mayGoOn = this.#isRunning() && this.#stopped === undefined;
    if (!mayGoOn || !this.#outbox.hasBacklog) return undefined;
    if (this.#chain.isAdvancing) return this.#now;
    if (!this.#chain.hasRoom) return undefined;
    const waits = this.#inbox.hasNext((channel) => this.#aligner.isBlocked(channel));
    if (waits || this.#source?.hasNext === true) return this.#now;
    const mayGenerate = !this.#isGeneratorAhead;
    const generatesAt = mayGenerate ? (this.#generator?.readyAt(this.#now) ?? never) : never;
    const from = Math.min(this.nextTimerAt ?? never, generatesAt);
    return from === never ? undefined : from;
  }

  /**
   * Whether there is nothing to do behind the barrier that it stopped at. A newer one that waits says
   * that the stop has failed, and so does all that others send: those that have stopped are silent (A9).
   */
  get #hasStopped(): boolean {
    if (this.#stopped === undefined || this.#held !== undefined) return false;
    return !this.#inbox.hasNext((channel) => this.#aligner.isBlocked(channel));
  }

  /** Whether a source may take nothing now. */
  get #isHeldBack(): boolean {
    if (this.#stopped !== undefined) return true;
    return this.#commits.bytes + this.#deadLetters.bytes >= deadLetterBytesPause;
  }

  #process(batch: RecordBatch, input: number): void {
    this.#clean = undefined;
    this.#chain.process(batch, input);
  }

  #lineageOf({ partition, first, count, skip }: SourceBatch): Lineage {
    const { topic } = vertexOf(this.#deployment.plan, this.#deployment.task.vertex).source!;
    const offsets = Array.from({ length: count - skip }, (_, row) => first + skip + row);
    return new Lineage(topic, partition, offsets);
  }

  /** What becomes of rows that code of this operator throws on; undefined: the attempt fails. */
  #rejectOf({ onError }: GraphNode): Reject | undefined {
    if (onError === undefined) return undefined;
    if (onError === "drop") return () => this.#deadLetters.drop();
    return (rejected) => {
      this.#deadLetters.write(onError, rejected, this.#commits.bytes, this.#now);
    };
  }

  #commit(checkpoint: CheckpointId): void {
    for (const commit of this.#commits.completed(checkpoint)) {
      this.#effects.push(effectOf(commit));
    }
  }

  /** There will be no checkpoint: they leave as they come. */
  #sendAtOnce(): void {
    const commits = [...this.#deadLetters.flush(), ...this.#flushedFiles()];
    this.#commits.prepare(commits);
    for (const commit of commits) this.#effects.push(effectOf(commit));
  }

  #flushedFiles(): FilePut[] {
    const { attempt } = this.#deployment;
    return this.#chain.filing.flatMap((operator) =>
      operator.isEmpty ? [] : this.#filesOf(operator, 0, `a${attempt}.${operator.nextFlush()}`),
    );
  }

  #filesOf(operator: FilingOperator, checkpoint: number, epoch: string): FilePut[] {
    const { job, task } = this.#deployment;
    return operator.takeFiles().map((content) => {
      const id = rowsFilePath(job, content, { subtask: task.index, epoch, n: content.n });
      return { id, checkpoint, file: content.bytes };
    });
  }

  get #takesCheckpoints(): boolean {
    return this.#deployment.config.checkpointing.interval !== undefined;
  }

  /** Looks at a frame as it comes: what waits before it does not keep a barrier from being seen. */
  #received(channel: number, bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    const open = this.#snapshot;
    if (frame.kind === "data") return open?.channels.received(channel, bytes);
    if (frame.kind === "watermark") return;
    this.#aligner.announce(channel, frame, this.#now);
    if (open === undefined || frame.checkpoint < open.barrier.checkpoint) return;
    if (frame.checkpoint > open.barrier.checkpoint) {
      this.#abandonSnapshot();
      return this.#decline(open.barrier.checkpoint, frame.checkpoint);
    }
    open.channels.barrierCame(channel);
    open.lastBarrierAt = this.#now;
  }

  #onBarrier(channel: number, barrier: Barrier): void {
    const outcome = this.#aligner.onBarrier(channel, barrier.checkpoint, this.#now);
    if (outcome.kind === "ignored") return;
    if (outcome.superseded !== undefined) this.#decline(outcome.superseded, barrier.checkpoint);
    if (outcome.kind !== "aligned") return;
    if (savepointOf(barrier.purpose)?.drains === true) this.#held = barrier;
    else this.#checkpoint(barrier, this.#now - outcome.duration);
  }

  /** Lets the barriers overtake whose time has come: what waits here, and what waits to leave. */
  #overtake(): void {
    const overtaking = this.#aligner.overtake(this.#now);
    if (overtaking !== undefined) this.#checkpointUnaligned(overtaking);
    const open = this.#snapshot;
    if (open !== undefined && this.#now >= open.barrier.overtakesAt) this.#overtakeOutputs(open);
  }

  #checkpointUnaligned(overtaking: Overtaking): void {
    const { checkpoint, startedAt, open, missing, superseded, purpose } = overtaking;
    if (superseded !== undefined) this.#decline(superseded, checkpoint);
    const channels = new ChannelCapture(missing);
    for (const channel of open) channels.waiting(channel, this.#inbox.ahead(channel, checkpoint));
    const barrier = { checkpoint, overtakesAt: atOnce, ...(purpose && { purpose }) };
    this.#checkpoint(barrier, startedAt, channels);
  }

  #checkpoint(barrier: Barrier, firstBarrierAt: number, channels = new ChannelCapture()): void {
    const { checkpoint, purpose } = barrier;
    const savepoint = savepointOf(purpose);
    this.#abandonSnapshot();
    this.#takenOver.forEach(({ id }, at) => {
      channels.restored(id, this.#inbox.taken(this.#inputs.length + at));
    });
    this.#outbox.broadcastBarrier(barrier);
    this.#chain.prepareCommit(checkpoint);
    this.#commits.prepare(this.#deadLetters.prepare(checkpoint));
    this.#commits.prepare(
      this.#chain.filing.flatMap((one) => this.#filesOf(one, checkpoint, `${checkpoint}`)),
    );
    this.#stopped = stopsAll(purpose) ? { checkpoint, isComplete: false } : undefined;
    const open: OpenSnapshot = {
      barrier,
      frozen:
        savepoint === undefined
          ? this.#snapshots.freeze(checkpoint, { isFull: purpose === "full" })
          : this.#snapshots.freezeWhole(checkpoint, this.#pathOf(barrier)),
      operator: this.#operatorStates.freeze(),
      channels,
      frozenAt: this.#now,
      firstBarrierAt,
      lastBarrierAt: this.#now,
    };
    this.#snapshot = open;
    // A savepoint is nothing to rest on.
    if (savepoint === undefined) {
      this.#clean = { from: this.#clean?.from ?? checkpoint, upTo: checkpoint };
    }
    if (this.#now >= barrier.overtakesAt) this.#overtakeOutputs(open);
    this.#acknowledge();
  }

  /** Of the file that the snapshot at that barrier is written to. */
  #pathOf({ checkpoint, purpose }: Barrier): string {
    const savepoint = savepointOf(purpose);
    const { job, attempt, task } = this.#deployment;
    return savepoint === undefined
      ? snapshotPath(job, checkpoint, attempt, task)
      : savepointFilePath(savepoint.folder, task);
  }

  #overtakeOutputs({ channels }: OpenSnapshot): void {
    for (const { channel, frames } of this.#outbox.overtake()) channels.overtaken(channel, frames);
  }

  /** Hands the snapshot over once it is whole. */
  #acknowledge(): void {
    const open = this.#snapshot;
    if (open === undefined || !open.channels.hasAllBarriers) return;
    const { barrier, frozen, operator, channels, frozenAt } = open;
    // A barrier that will never overtake leaves nothing behind; nothing is to be waited for.
    if (barrier.overtakesAt !== never && this.#outbox.holdsBarrier) return;
    this.#snapshot = undefined;
    const { attempt, task, config } = this.#deployment;
    const { checkpoint, purpose } = barrier;
    const { inlineThreshold } = config.checkpointing;
    // A savepoint is in the bucket wherever checkpoints are.
    const storage = savepointOf(purpose) === undefined ? config.checkpointing.storage : "r2";
    const path = this.#pathOf(barrier);
    const inlineMax = storage === "inline" ? Infinity : inlineThreshold;
    const parts = operator.map((state) => state.bytes);
    const isInline = bytesOf(parts) <= Math.max(inlineMax, operatorStateInlineBytes);
    const states = place(parts, { isInline, file: frozen.file, path });
    const placed = placeChannels(channels.channels, {
      inputs: this.#inputs,
      outputs: this.#outputs,
      index: task.index,
      file: states.file,
      path,
      inlineThreshold: inlineMax,
    });
    const { handles, file } = placed;
    const more = bytesOf(parts) + placed.bytes;
    const stateBytes = frozen.stateBytes + more;
    if (storage === "inline" && stateBytes > inlineSnapshotBytesMax) {
      // The next one is full, and without the deltas of this one it may fit.
      this.#snapshots.lost();
      const reason =
        `Its snapshot is ${stateBytes} bytes, and with checkpointing.storage "inline" that of a ` +
        `subtask may be ${inlineSnapshotBytesMax}. Set it to "r2".`;
      this.#effects.push({ kind: "decline", decline: { attempt, task, checkpoint, reason } });
      return;
    }
    this.#effects.push({
      kind: "snapshot",
      file,
      ack: {
        attempt,
        checkpoint,
        task,
        state: {
          keyed: frozen.keyed,
          operator: operator.map(({ handle }, at) => ({ ...handle, bytes: states.handles[at]! })),
          ...(handles.length > 0 && { channels: handles }),
        },
        // The shell, which has the clock, adds how long freezing and storing took.
        metrics: {
          alignment: open.lastBarrierAt - open.firstBarrierAt,
          syncDuration: 0,
          asyncDuration: this.#now - frozenAt,
          bytes: frozen.bytes + more,
          stateBytes,
        },
      },
    });
  }

  #abandonSnapshot(): void {
    if (this.#snapshot?.frozen.file !== undefined) this.#snapshots.lost();
    this.#snapshot = undefined;
  }

  #decline(checkpoint: CheckpointId, newer: CheckpointId): void {
    const { attempt, task } = this.#deployment;
    const reason = `Its barriers were overtaken by those of checkpoint ${newer}.`;
    const decline = { attempt, task, checkpoint, reason, isSuperseded: true as const };
    this.#effects.push({ kind: "decline", decline });
  }

  #fail(error: unknown): void {
    this.#phase = "over";
    const { attempt, task } = this.#deployment;
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    const failure = { attempt, task, name, message, ...(stack !== undefined && { stack }) };
    // What was to be sent or stored is not: an attempt that fails leaves no half step behind.
    this.#effects = [{ kind: "fail", failure }];
  }

  /** The source at the head of the chain; its offsets are a state like any other. */
  #sourceOf(uid: string, partitions: number): TopicSource {
    const { plan, task } = this.#deployment;
    const restored = this.#operatorStates.store(uid).register("offsets", {
      redistribution: "union",
      schema: plainElements,
      elements: () => source.snapshot(),
      bytes: () => 0,
    });
    const source = new TopicSource({
      partitions,
      index: task.index,
      parallelism: vertexOf(plan, task.vertex).parallelism,
      restored: restored as TopicOffsets,
      isHeld: (partition) => this.#splitTimes?.isAhead(partition) === true,
    });
    return source;
  }

  #generatorOf({ uid, spec }: GraphNode): GeneratorReader | undefined {
    if (spec.kind !== "generator") return undefined;
    const { plan, task } = this.#deployment;
    const restored = this.#operatorStates.store(uid).register("progress", {
      redistribution: "union",
      schema: plainElements,
      elements: () => reader.snapshot(),
      bytes: () => 0,
    });
    const { parallelism } = vertexOf(plan, task.vertex);
    const of = { index: task.index, parallelism, restored: restored as GeneratorProgress };
    const reader = new GeneratorReader(uid, spec.generator, of);
    return reader;
  }

  /** Event time of a source; the subtasks of a generator count as one split each. */
  #splitTimesOf({ uid, spec }: GraphNode): SplitWatermarks | undefined {
    if (spec.kind !== "source" && spec.kind !== "generator") return undefined;
    if (spec.watermarks === undefined) return undefined;
    const restored = this.#operatorStates.store(uid).register("watermarks", {
      redistribution: "union",
      schema: plainElements,
      elements: () => times.snapshot(),
      bytes: () => 0,
    }) as readonly SplitProgress[];
    const isTopic = spec.kind === "source";
    const splits = isTopic ? (this.#source?.partitions ?? []) : [0];
    const times: SplitWatermarks = new SplitWatermarks(
      uid,
      spec.watermarks,
      splits,
      isTopic ? restored : furthestBehind(restored),
    );
    times.isHeld = this.#generator?.isCatchingUp === true;
    return times;
  }

  #alignmentOf({ spec }: GraphNode): SourceAlignment | undefined {
    const { alignment } = ("watermarks" in spec ? spec.watermarks : undefined) ?? {};
    const times = this.#splitTimes;
    if (alignment === undefined || times === undefined) return undefined;
    return new SourceAlignment(alignment, times, this.#now);
  }

  #checkMemory(): void {
    this.#backend.check(this.#operatorStates.bytes);
    const { memoryBudget } = this.#deployment.config.state;
    this.#operatorStates.check(memoryBudget - this.#backend.bytes);
  }

  #waitsFor(channel: number): WaitReason | undefined {
    if (this.#phase === "deployed") return "start";
    if (this.#aligner.isBlocked(channel)) return "barrier";
    if (this.#outbox.hasBacklog) return "output";
    if (this.#inbox.hasTaken) return "restored";
    return this.#chain.hasRoom ? undefined : "calls";
  }

  get #isIdle(): boolean {
    return (
      this.#isRunning() &&
      this.#inbox.isEmpty &&
      this.#outbox.isSettled &&
      this.#aligner.isSettled &&
      this.#snapshot === undefined &&
      this.#turn === undefined &&
      !this.#chain.isAdvancing &&
      !this.#chain.isWaiting &&
      this.#stopped === undefined &&
      this.#held === undefined &&
      !this.isCommitting &&
      (this.nextTimerAt ?? never) >= this.#now + restMin &&
      (this.#source?.isAtEnd ?? true) &&
      (this.#generator === undefined || this.#generator.isAtEnd || this.#isGeneratorAhead) &&
      (this.#alignment?.isSettled ?? true)
    );
  }

  #isRunning(): boolean {
    return this.#phase === "running";
  }

  /** A clock may stand still within an event, so it is looked at between two of them. */
  get #isItsTurn(): boolean {
    if (this.#turn === undefined) return true;
    return !this.#hasProcessed && this.#now < this.#turn + turnMax;
  }

  get #mayOvertake(): boolean {
    const { unaligned, mode } = this.#deployment.config.checkpointing;
    return unaligned && mode === "EXACTLY_ONCE";
  }
}

/** Whether rows of the job come to have event times anywhere. */
const hasEventTime = ({ nodes }: JobGraph): boolean =>
  nodes.some(({ spec }) => "watermarks" in spec && spec.watermarks !== undefined);

function outgoingEdges(
  { plan, task }: TaskDeployment,
  graph: JobGraph,
  outputs: readonly Channel[],
  rejectOf: (node: GraphNode) => Reject | undefined,
): OutgoingEdge[] {
  return plan.edges
    .filter((edge) => edge.from === task.vertex)
    .map((edge) => {
      const channels = outputs.flatMap((channel, at) => (channel.edge === edge.id ? [at] : []));
      const receivers = channels.length;
      if (edge.partitioning === "forward") return { channels, partitioner: forward };
      if (edge.partitioning === "broadcast") {
        return { channels, partitioner: new BroadcastPartitioner(receivers) };
      }
      if (edge.partitioning === "rebalance" || edge.partitioning === "rescale") {
        return { channels, partitioner: new RebalancePartitioner(receivers, task.index) };
      }
      const target = nodeOf(graph, edge.toUid);
      if (edge.partitioning === "custom") {
        const { custom } = graph.edges[edge.id]!;
        const self = { uid: target.uid, reject: rejectOf(target) };
        return { channels, partitioner: new CustomPartitioner(self, custom!, receivers) };
      }
      const selector = selectorOf(graph, edge);
      if (selector === undefined) throw new Error(`G2: the edge into "${edge.toUid}" has no key.`);
      const { maxParallelism } = plan;
      const reject = rejectOf(target);
      const options = { uid: target.uid, reject, selector, receivers, maxParallelism };
      return { channels, partitioner: new HashPartitioner(options) };
    });
}

/** Whether an operator of the chain, or one whose key is selected here, has a dead letter topic. */
function sendsDeadLetters({ plan, task }: TaskDeployment, graph: JobGraph): boolean {
  const { operators } = vertexOf(plan, task.vertex);
  const behind = plan.edges.filter((edge) => edge.from === task.vertex).map((edge) => edge.toUid);
  return [...operators, ...behind].some((uid) => typeof nodeOf(graph, uid).onError === "object");
}
