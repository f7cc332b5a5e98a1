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
//   A8. Timers that are due fire before input is taken, and like it only while the outputs have room.
//       A task is not idle shortly before one: it would rest and wake with every one of a row of them.
//   A9. Behind the barrier of a savepoint that stops the job, or of its last checkpoint, nothing is done:
//       no record is taken, no timer fires and event time stays where it is, until it has failed or a
//       newer checkpoint, or anything from others, shows that it has. Savepoints that stop nothing
//       commit nothing: the next checkpoint does. Once all is committed, its image is all that there is
//       to the task.
//   A10. A task has ended once the end of time is through all of its chain. It goes on to take part in
//       checkpoints, and its timers of processing time keep nobody. The barrier of a savepoint that drains
//       waits for the end of time to be through, from the sources on.
//   A11. Rows that were taken over from other subtasks at a restore are processed before anything else
//       is: no input is taken and no timer fires before. A source's barrier that may not overtake waits
//       for them, too; to that of a subtask with inputs its turn comes only after them.
//   A12. Until event time is through the chain no input is taken; a cut in between has the operators as
//       they are then.
//   A13. Where an operator that makes calls is full, nothing is taken but marks whose turn it is: a barrier
//       waits for no answer. What is answered is let go like input: while the outputs have room, after
//       what was taken over, and not behind a barrier that stops the task. With rows on their way
//       through an operator the task is not idle.
// What is built from a deployment is in assembly.ts, what a source may give and when in task-source.ts, how
// far event time has come in task-time.ts, what is sent elsewhere than over channels in two-phase.ts.

import { decodeBatch } from "../format/batch.ts";
import { FormatError } from "../format/format-error.ts";
import {
  atOnce,
  type Barrier,
  decodeFrame,
  endOfTime,
  never,
  type Purpose,
  savepointOf,
  stopsAll,
} from "../format/frame.ts";
import type { CheckpointId, Millis, Seq } from "../format/ids.ts";
import { restMin, snapshotCut } from "../format/limits.ts";
import type {
  ReceiverPosition,
  StateAnswer,
  StateQuery,
  StoredBatch,
  TaskActivity,
  TaskDeployment,
  TaskMetrics,
  WaitReason,
} from "../format/messages.ts";
import type { Channel } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import type { SplitRead } from "../connectors/topic-source.ts";
import type { CallAnswer } from "../operators/async-requests.ts";
import type { RecordBatch } from "../operators/operator.ts";
import type { TableOperator } from "../operators/table.ts";
import type { JobGraph } from "../stream/graph.ts";
import { Aligner, type Overtaking } from "./alignment.ts";
import { assemble, type Assembly, type AssemblyOptions } from "./assembly.ts";
import { ChannelCapture } from "./channel-state.ts";
import type { TaskImage } from "./image.ts";
import type { ReceiveOutcome } from "./inbox.ts";
import type { SnapshotCut } from "./late-segments.ts";
import { filePathOf, handOver, isWhole, type OpenSnapshot } from "./open-snapshot.ts";
import { restoredWhole } from "./operator-state.ts";
import { SnapshotWriting, type Written } from "./snapshot-writing.ts";
import { holdsState } from "./state-backend.ts";
import { TaskCounters } from "./task-counters.ts";
import type { TaskEffect } from "./task-effect.ts";
import type { TaskSource } from "./task-source.ts";
import type { RestoredState } from "./task-state.ts";
import { TaskTime } from "./task-time.ts";

/** Milliseconds of work after which a task waits for `tick`, where barriers may overtake. */
const turnMax = 20;

export class Task {
  readonly #deployment: TaskDeployment;
  readonly #inputs: Assembly["inputs"];
  readonly #inputOf: Assembly["inputOf"];
  readonly #takenOver: Assembly["takenOver"];
  readonly #outputs: Assembly["outputs"];
  readonly #aligner: Aligner;
  readonly #inbox: Assembly["inbox"];
  readonly #outbox: Assembly["outbox"];
  readonly #chain: Assembly["chain"];
  readonly #source: TaskSource | undefined;
  readonly #time: TaskTime;
  readonly #state: Assembly["state"];
  readonly #twoPhase: Assembly["twoPhase"];
  readonly #counters = new TaskCounters();
  #hasToldEnd = false;
  #phase: "deployed" | "running" | "over" = "deployed";
  #now: Millis;
  #effects: TaskEffect[] = [];
  /** Highest checkpoint that was triggered here; a repeated call changes nothing. */
  #lastTriggered = 0;
  #snapshot: OpenSnapshot | undefined;
  /** Those that are whole. */
  readonly #writing: SnapshotWriting;
  /** The savepoint that stops this task (A9), and whether it is known to be complete. */
  #stopped: { readonly checkpoint: CheckpointId; readonly isComplete: boolean } | undefined;
  /** A barrier whose turn has come and that waits for rows that were taken over (A11), or for time (A10). */
  #held: Barrier | undefined;
  /** When the turn began (A6); undefined where the task has nothing to pause from. */
  #turn: Millis | undefined;
  #hasProcessed = false;
  /** The first and the last barrier since which nothing was processed (A7). */
  #clean: { readonly from: CheckpointId; readonly upTo: CheckpointId } | undefined;
  /** Outputs without a session, which none is opened for until there is something to send. */
  readonly #dormant = new Set<number>();

  constructor(
    deployment: TaskDeployment,
    graph: JobGraph,
    restored: RestoredState | undefined,
    now: Millis,
    /** Of the object this runs in; the sqlite backend needs it. */
    database?: SqlDatabase,
    cut: SnapshotCut = snapshotCut,
    textsOf?: AssemblyOptions["textsOf"],
  ) {
    this.#deployment = deployment;
    this.#writing = new SnapshotWriting(cut.piece);
    this.#now = now;
    const built = assemble({
      deployment,
      graph,
      restored,
      database,
      cut,
      textsOf,
      now: () => this.#now,
      dropLate: (rows) => this.#counters.droppedLate(rows),
    });
    this.#inputs = built.inputs;
    this.#inputOf = built.inputOf;
    this.#takenOver = built.takenOver;
    this.#outputs = built.outputs;
    this.#inbox = built.inbox;
    this.#outbox = built.outbox;
    this.#chain = built.chain;
    this.#source = built.source;
    this.#state = built.state;
    this.#twoPhase = built.twoPhase;
    this.#aligner = new Aligner(this.#inputs.length, deployment.config.checkpointing.mode);
    this.#time = new TaskTime(this.#chain, this.#inputs.length);
    const { restore } = deployment;
    if (restore?.isStopped) this.#stopped = { checkpoint: restore.checkpoint, isComplete: true };
    if (restored !== undefined && built.isAsRestored) {
      this.#clean = { from: restored.checkpoint, upTo: restored.checkpoint };
    }
  }

  /** The task that an image was made of, running. @throws FormatError for a damaged image */
  static fromImage(
    image: TaskImage,
    graph: JobGraph,
    now: Millis,
    database?: SqlDatabase,
    cut?: SnapshotCut,
    textsOf?: AssemblyOptions["textsOf"],
  ): Task {
    const { deployment, checkpoint, keyed } = image;
    const isHeld = keyed.some(({ segments }) => segments === "held");
    if (isHeld && (database === undefined || !holdsState(deployment, database))) {
      const problem = `there are no rows of checkpoint ${checkpoint}`;
      throw new FormatError("content", `The state of the image is in rows, and ${problem}.`);
    }
    const operator = image.operator.map(restoredWhole);
    const restored = { checkpoint, keyed, operator, channels: [] };
    const task = new Task(deployment, graph, restored, now, database, cut, textsOf);
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
      this.#time.resume(eventTime);
      this.#outbox.resumeWatermarks(eventTime.edges);
    }
    this.#counters.resume(metrics);
    this.#twoPhase.resume(metrics);
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
    return this.#counters.metrics(now, {
      outbox: this.#outbox,
      twoPhase: this.#twoPhase,
      time: this.#time,
      source: this.#source,
    });
  }

  /** Whether rows are on their way through operators that make calls. */
  get awaitsAnswers(): boolean {
    return this.#chain.isWaiting;
  }

  /** Whether something that was prepared is not known to be committed. */
  get isCommitting(): boolean {
    return this.#twoPhase.isCommitting;
  }

  /**
   * When the next timer is due, or a split is to be waited for no longer, whether this runs or rests;
   * undefined where there is none.
   */
  get nextTimerAt(): number | undefined {
    const at = Math.min(this.#chain.nextTimerAt ?? never, this.#source?.idleAt ?? never);
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
    // A barrier that waits for what is under way goes before all that could be taken.
    const isNext = this.#held === undefined && !this.#isHeldBack;
    const mayTake = mayFire && isNext && this.#chain.hasRoom;
    const takesAt = mayTake ? (this.#source?.wakeAt(this.#now) ?? never) : never;
    const reportsAt = Math.max(this.#now, this.#source?.reportsAt ?? never);
    const at = Math.min(
      flushAt,
      this.#aligner.overtakesAt,
      overtakesAt,
      firesAt,
      takesAt,
      reportsAt,
      this.#writing.isDue ? this.#now : never,
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
      ...this.#state.image(),
      positions: {
        inputs: this.#inputs.map((_, channel) => this.#inbox.expected(channel)),
        outputs: this.#outbox.next,
        barriers: this.#aligner.past,
        lastTriggered: this.#lastTriggered,
        ...this.#time.position(this.#outbox.watermarks),
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
    return this.#state.read(query);
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
      const came = this.#source?.start(now);
      if (came !== undefined) this.#time.came(came);
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
    return this.#event(now, () => this.#source?.reported(least, now));
  }

  /** How far the last of its group has come; undefined: the coordinator asks where this one stands. */
  align(least: number | undefined, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#source?.align(least, now));
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
        if (drains) this.#time.came({ time: endOfTime, isIdle: false });
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
      this.#source?.goOn();
      this.#chain.commit(checkpoint);
      this.#state.completed(checkpoint);
      this.#commit(checkpoint);
      if (this.#stopped?.checkpoint === checkpoint) {
        this.#stopped = { checkpoint, isComplete: true };
      }
    });
  }

  /** The answer to `append`: it is there. */
  committed(id: string, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#twoPhase.settled(id));
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
      const { incremental } = this.#deployment.config.checkpointing;
      this.#giveUp(checkpoint, incremental ? "savepoints" : "all");
    });
  }

  /** A file of a snapshot did not reach R2. */
  snapshotLost(): void {
    this.#state.lost();
  }

  /** The answer to `piece`: it is there. */
  pieceStored(path: string, now: Millis): TaskEffect[] {
    return this.#event(now, () => this.#writing.stored(path));
  }

  /** The answer to `piece`: the file will never be there. */
  pieceLost(path: string, now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      if (this.#writing.lost(path)) this.#state.lost();
    });
  }

  tick(now: Millis): TaskEffect[] {
    return this.#event(now, () => {
      const piece = this.#writing.step();
      if (piece !== undefined) this.#effects.push({ kind: "piece", ...piece });
      this.#turn = undefined;
      this.#source?.nextTurn(now);
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
      if (this.#isRunning()) this.#state.check();
      if (this.#isRunning() && !this.#takesCheckpoints) {
        this.#effects.push(...this.#twoPhase.flush(this.#chain.filing));
      }
      if (!this.#hasToldEnd && this.#hasEnded) {
        this.#hasToldEnd = true;
        this.#effects.push({ kind: "ended" });
      }
      this.#reportAlignment();
      this.#counters.backPressure.observe(this.#heldUpFrom(), now);
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
    for (const { partition, from } of this.#source?.wanted() ?? []) {
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
    this.#seeWhetherStopFailed();
    if (this.#stopped === undefined && this.#chain.release()) {
      this.#clean = undefined;
      return true;
    }
    if (!this.#chain.hasRoom) return this.#stepMarks();
    if (this.#chain.isAdvancing) {
      if (this.#stopped !== undefined) return false;
      this.#clean = undefined;
      this.#chain.advance();
      return true;
    }
    if (this.#held !== undefined) return this.#stepBarrier(this.#held);
    if (this.#source !== undefined) return this.#stepSource(this.#source);
    return this.#stepInbox();
  }

  /** What may be done where there is no room for rows (A13). */
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
        this.#counters.came(batch.length, frame.rows.length);
        this.#processOf(channel, batch);
        this.#hasProcessed = true;
        if (this.#mayOvertake) this.#turn ??= this.#now;
        break;
      }
      case "barrier":
        this.#onBarrier(channel, frame);
        break;
      case "watermark":
        this.#time.received(channel, frame);
        break;
      default:
        frame satisfies never;
    }
    if (seq !== undefined) this.#effects.push({ kind: "release", channel, seq });
    return true;
  }

  #stepSource(source: TaskSource): boolean {
    const read = this.#isHeldBack ? undefined : source.take(this.#now);
    if (read === undefined) return false;
    this.#counters.came(read.rows.length, read.bytes);
    if (source.isTimed) this.#time.rowsCome();
    for (const { rows, watermark } of source.timed(read, this.#now)) {
      this.#process(rows, 0);
      if (watermark === undefined) continue;
      this.#time.came(watermark);
      // The rest of a batch is behind it.
      if (!source.isPunctuated) continue;
      while (this.#chain.isAdvancing) this.#chain.advance();
      this.#outbox.flush();
    }
    // Behind all of the batch: the reader has taken it whole, and may be at its end since then.
    const came = source.advance();
    if (came !== undefined) this.#time.came(came);
    return true;
  }

  #reportAlignment(): void {
    const standing = this.#isRunning() ? this.#source?.report(this.#now) : undefined;
    if (standing === undefined) return;
    const { attempt, task } = this.#deployment;
    this.#effects.push({ kind: "reportAlignment", report: { attempt, task, ...standing } });
  }

  /** By the clock. */
  #passTime(): void {
    if (this.#stopped !== undefined) return;
    const came = this.#source?.tick(this.#now);
    if (came !== undefined) this.#time.came(came);
  }

  get #hasEnded(): boolean {
    return this.#isRunning() && this.#chain.hasEnded && !this.#inbox.hasTaken;
  }

  #processOf(channel: number, batch: RecordBatch): void {
    const edge = this.#takenOver[channel - this.#inputs.length];
    if (edge === undefined) return this.#process(batch, this.#inputOf[channel]!);
    this.#clean = undefined;
    this.#chain.processAt(edge.toUid, batch, edge.input);
  }

  /** From when on input waits for room in the outputs; undefined where it does not, or none is due. */
  #heldUpFrom(): number | undefined {
    const mayGoOn = this.#isRunning() && this.#stopped === undefined;
    if (!mayGoOn || !this.#outbox.hasBacklog) return undefined;
    if (this.#chain.isAdvancing) return this.#now;
    if (!this.#chain.hasRoom) return undefined;
    const waits = this.#inbox.hasNext((channel) => this.#aligner.isBlocked(channel));
    if (waits || this.#source?.hasNext === true) return this.#now;
    const readyAt = this.#source?.readyAt(this.#now) ?? never;
    const from = Math.min(this.nextTimerAt ?? never, readyAt);
    return from === never ? undefined : from;
  }

  /**
   * A newer barrier that waits says that the stop has failed, and so does all that others send: those that
   * have stopped are silent (A9). Whoever is to say so by itself may not be heard for a while. One that is
   * complete does not fail: who is restored from it tells again how far event time had come.
   */
  #seeWhetherStopFailed(): void {
    if (this.#stopped === undefined || this.#stopped.isComplete) return;
    if (this.#held !== undefined || !this.#inbox.isEmpty) this.#stopped = undefined;
  }

  /** Whether a source may take nothing now. */
  get #isHeldBack(): boolean {
    return this.#stopped !== undefined || this.#twoPhase.isFull;
  }

  #process(batch: RecordBatch, input: number): void {
    this.#clean = undefined;
    this.#chain.process(batch, input);
  }

  #commit(checkpoint: CheckpointId): void {
    this.#effects.push(...this.#twoPhase.completed(checkpoint));
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
    this.#abandonSnapshot();
    // A savepoint is taken alone: one that is not handed over has failed, whether or not that was heard.
    this.#giveUp(checkpoint, "savepoints");
    this.#takenOver.forEach(({ id }, at) => {
      channels.restored(id, this.#inbox.taken(this.#inputs.length + at));
    });
    this.#outbox.broadcastBarrier(barrier);
    this.#chain.prepareCommit(checkpoint);
    this.#twoPhase.prepare(checkpoint, this.#chain.filing);
    this.#stopped = stopsAll(purpose) ? { checkpoint, isComplete: false } : undefined;
    const open: OpenSnapshot = {
      barrier,
      state: this.#state.freeze(barrier, filePathOf(this.#deployment, barrier)),
      channels,
      frozenAt: this.#now,
      firstBarrierAt,
      lastBarrierAt: this.#now,
    };
    this.#snapshot = open;
    // A savepoint is nothing to rest on.
    if (savepointOf(purpose) === undefined) {
      this.#clean = { from: this.#clean?.from ?? checkpoint, upTo: checkpoint };
    }
    if (this.#now >= barrier.overtakesAt) this.#overtakeOutputs(open);
    this.#acknowledge();
  }

  #overtakeOutputs({ channels }: OpenSnapshot): void {
    for (const { channel, frames } of this.#outbox.overtake()) channels.overtaken(channel, frames);
  }

  /** Hands snapshots over once they are whole, and nothing of them is late. */
  #acknowledge(): void {
    const open = this.#snapshot;
    if (open !== undefined && isWhole(open, this.#outbox)) {
      this.#snapshot = undefined;
      this.#writing.add(open, filePathOf(this.#deployment, open.barrier));
    }
    let written: Written | undefined;
    while ((written = this.#writing.take()) !== undefined)
      this.#effects.push(this.#handOver(written));
  }

  #handOver(written: Written): TaskEffect {
    const { open } = written;
    const { attempt, task } = this.#deployment;
    const declined = (reason: string): TaskEffect => {
      const { checkpoint } = open.barrier;
      return { kind: "decline", decline: { attempt, task, checkpoint, reason } };
    };
    if (written.kind === "lost") return declined(`State file ${written.path} was not stored.`);
    const handover = handOver(open, {
      file: written.file,
      deployment: this.#deployment,
      inputs: this.#inputs,
      outputs: this.#outputs,
      now: this.#now,
    });
    if (handover.kind === "snapshot") return handover;
    // The next one is full, and without the deltas of this one it may fit.
    this.#state.lost();
    return declined(handover.reason);
  }

  #abandonSnapshot(): void {
    const { file, late = [] } = this.#snapshot?.state.keyed ?? {};
    if (file !== undefined || late.length > 0) this.#state.lost();
    for (const segments of late) segments.lost();
    this.#snapshot = undefined;
  }

  /** Those up to that checkpoint that are being written, and that nothing builds on. */
  #giveUp(checkpoint: CheckpointId, of: "savepoints" | "all"): void {
    for (const path of this.#writing.aborted(checkpoint, of)) {
      this.#effects.push({ kind: "discard", path });
    }
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
      this.#writing.isEmpty &&
      this.#turn === undefined &&
      !this.#chain.isAdvancing &&
      !this.#chain.isWaiting &&
      this.#stopped === undefined &&
      this.#held === undefined &&
      !this.isCommitting &&
      (this.nextTimerAt ?? never) >= this.#now + restMin &&
      (this.#source?.isSettled ?? true)
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
