// One attempt of a subtask, in motion: performs the effects of the task core and feeds the answers
// back as events.
//   U1. The core is called from one place at a time and never across an await.
//   U2. A checkpoint is acknowledged only when every file its handles name is in R2. Files are
//       stored one after the other, so a later checkpoint waits for the files of an earlier one; one
//       that is not stored within the time of a checkpoint is given up.
//   U3. Once over, nothing reaches the core, and whoever waits on this run is told.

import { RpcTarget } from "cloudflare:workers";
import {
  type CheckpointId,
  type Millis,
  millis,
  type Seq,
  seq,
  taskKey,
} from "../../format/ids.ts";
import type {
  AlignmentReport,
  ChannelSession,
  CheckpointAck,
  CoordinatorTaskApi,
  RestoredBytes,
  SubtaskApi,
  TaskActivity,
  TaskFailure,
  TaskMetrics,
  TopicPartitionApi,
} from "../../format/messages.ts";
import { isInSavepoint } from "../../format/paths.ts";
import { vertexOf } from "../../format/plan.ts";
import { filesOf } from "../../format/state-handle.ts";
import type { Append, FilePut } from "../commits.ts";
import { copiedHandles, type Copy, isFile, type LocalSegments } from "../local-segments.ts";
import { inCalls } from "../push-calls.ts";
import type { SnapshotFile } from "../snapshot-file.ts";
import type { Task } from "../task.ts";
import type { TaskEffect } from "../task-effect.ts";
import { Calls } from "./calls.ts";
import { ChannelSender } from "./channel-sender.ts";
import { commitTo, putFile } from "./committer.ts";
import { TimedOut, within } from "./deadline.ts";
import { report } from "./reports.ts";
import { storeFile, Upload } from "./state-files.ts";
import { TopicReaders } from "./topic-readers.ts";

/** What a subtask needs bound. */
export interface SubtaskEnv {
  readonly SUBTASK: { getByName(name: string): SubtaskApi };
  readonly COORDINATOR: { getByName(name: string): CoordinatorTaskApi };
  readonly TOPIC_PARTITION: { getByName(name: string): TopicPartitionApi };
  readonly BUCKET: R2Bucket;
}

/** The longest that a timer of the runtime can be set for, in milliseconds. */
const timerMax = 2 ** 31 - 1;

/** What of an attempt is not the core's. */
export interface TaskRunOptions {
  /** Milliseconds to wait for an answer of another object. */
  readonly patience: number;
  /** Milliseconds that a read at the end of a topic waits there for new records. */
  readonly readWait: number;
  /** Copies of its snapshots that it keeps at hand. */
  readonly local: LocalSegments | undefined;
  /** What its state was restored from. */
  readonly restored: RestoredBytes;
  /** Of that, what is to be copied once it runs. */
  readonly uncopied?: readonly Copy[];
}

/** A failure that the coordinator learns of later, if at all: its heartbeats find the run over. */
const unreachable = { name: "CoordinatorUnreachable", what: "The coordinator cannot be reached" };

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

export class TaskRun {
  readonly task: Task;
  readonly #env: SubtaskEnv;
  readonly #options: TaskRunOptions;
  readonly #senders: readonly ChannelSender[];
  readonly #readers: TopicReaders | undefined;
  /** Senders waiting for a frame of theirs to be processed, by channel and sequence number. */
  readonly #waiters = new Map<string, Waiter[]>();
  readonly #calls = new Calls((uid, answers) =>
    this.handle((now) => this.task.answered(uid, answers, now)),
  );
  readonly #lostFiles = new Set<string>();
  /** Files of which pieces are stored, and more are to come. */
  readonly #uploads = new Map<string, Upload>();
  #stored: Promise<void> = Promise.resolve();
  #uncopied: readonly Copy[];
  /** Snapshots that are being stored or acknowledged. */
  #openSnapshots = 0;
  #tick: { readonly at: number; readonly timer: number } | undefined;
  readonly #ring = (): void => {
    this.#tick = undefined;
    this.handle((now) => this.task.tick(now));
  };
  #isOver = false;

  constructor(task: Task, env: SubtaskEnv, options: TaskRunOptions) {
    this.task = task;
    this.#env = env;
    this.#options = options;
    this.#uncopied = options.uncopied ?? [];
    const { patience } = options;
    const { deployment } = task;
    this.#senders = task.outputs.map(
      (channel, at) =>
        new ChannelSender({
          subtasks: env.SUBTASK,
          deployment,
          channel,
          patience,
          events: {
            opened: (expected) => this.handle((now) => task.reopened(at, expected, now)),
            settled: (frames) => {
              for (const seq of frames) this.handle((now) => task.settled(at, seq, now));
            },
            disconnected: () => this.handle((now) => task.disconnected(at, now)),
            lost: (reason) => this.#fail(`Receiver ${taskKey(channel.to)} is lost: ${reason}.`),
            stalled: (facts) => this.#fail(facts, "ChannelStalled"),
          },
        }),
    );
    const { source } = vertexOf(deployment.plan, deployment.task.vertex);
    this.#readers = source && new TopicReaders(env.TOPIC_PARTITION, source.topic, options);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get metrics(): TaskMetrics {
    const { restored } = this.#options;
    return { ...this.task.metricsAt(millis(Date.now())), restored };
  }

  /** Begins to run. A copy of what R2 had can wait until then, as a restart cannot. */
  start(): void {
    this.handle((now) => this.task.start(now));
    const uncopied = this.#uncopied;
    this.#uncopied = [];
    void this.#copy(uncopied);
  }

  notifyComplete(checkpoint: CheckpointId): void {
    this.handle((now) => this.task.notifyComplete(checkpoint, now));
    if (!this.#isOver) this.#options.local?.completed(checkpoint);
  }

  /** That of the core, and whether a snapshot is still on its way. */
  get activity(): TaskActivity {
    const { activity } = this.task;
    return { ...activity, isIdle: activity.isIdle && this.#openSnapshots === 0 };
  }

  mayRest(checkpoint: CheckpointId): boolean {
    return !this.#isOver && this.#openSnapshots === 0 && this.task.mayRest(checkpoint);
  }

  /** Has the partitions of a source call when they grow; false where there is something to read. */
  async subscribe(): Promise<boolean> {
    const readers = this.#readers;
    return readers === undefined || readers.subscribe(this.task.deployment, this.task.ends);
  }

  /** Tells the coordinator that a task that rested goes on. */
  reportActive(): void {
    const { attempt, task } = this.task.deployment;
    this.#tell((coordinator) => coordinator.active(attempt, task));
  }

  /** Runs one event of the core and performs what it says. */
  handle(event: (now: Millis) => readonly TaskEffect[]): void {
    if (this.#isOver) return;
    for (const effect of inCalls(event(millis(Date.now())))) this.#perform(effect);
    this.#armTick();
  }

  session(channel: number): ChannelSession & RpcTarget {
    return new InboundSession(this, channel);
  }

  /** Frames from upstream, in one call. Resolves when the last was processed. */
  receive(channel: number, first: Seq, frames: readonly Uint8Array[]): Promise<void> {
    frames.forEach((frame, at) => {
      this.handle((now) => this.task.receive(channel, seq(first + at), frame, now).effects);
    });
    return this.whenSettled(channel, seq(first + Math.max(0, frames.length - 1)));
  }

  whenSettled(channel: number, seq: Seq): Promise<void> {
    if (this.task.isSettled(channel, seq)) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Where the sender's session is gone nobody hears of it, and nobody needs to.
    promise.catch(() => {});
    if (this.#isOver) {
      reject(new Error("This attempt is over."));
      return promise;
    }
    const key = `${channel}:${seq}`;
    const waiters = this.#waiters.get(key);
    if (waiters === undefined) this.#waiters.set(key, [{ resolve, reject }]);
    else waiters.push({ resolve, reject });
    return promise;
  }

  /** Ends the attempt here; nothing more of it leaves this object. */
  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.task.stop();
    clearTimeout(this.#tick?.timer ?? null);
    for (const sender of this.#senders) sender.close();
    for (const path of this.#uploads.keys()) void this.#discard(path);
    this.#readers?.close();
    this.#calls.close();
    const error = new Error("This attempt is over.");
    for (const waiter of [...this.#waiters.values()].flat()) waiter.reject(error);
    this.#waiters.clear();
  }

  #perform(effect: ReturnType<typeof inCalls>[number]): void {
    switch (effect.kind) {
      case "open":
        return this.#go(this.#senders[effect.channel]!.open(), {
          name: "ChannelLost",
          what: `Receiver ${taskKey(this.task.outputs[effect.channel]!.to)} is lost`,
        });
      case "pushes":
        return this.#senders[effect.channel]!.push(effect.seq, effect.frames);
      case "awaitSettled":
        return this.#senders[effect.channel]!.awaitSettled(effect.seq);
      case "release":
        return this.#release(`${effect.channel}:${effect.seq}`);
      case "read":
        return this.#go(this.#read(effect.partition, effect.from), {
          name: "TopicUnreadable",
          what: `Partition ${effect.partition} of topic "${this.#topic}" cannot be read`,
        });
      case "piece":
        return this.#go(this.#piece(effect.path, effect.bytes), unreachable);
      case "discard":
        return this.#go(this.#discard(effect.path), unreachable);
      case "snapshot":
        this.#openSnapshots++;
        return this.#go(
          this.#snapshot(effect.file, effect.ack).finally(() => this.#openSnapshots--),
          unreachable,
        );
      case "append":
        return this.#go(this.#append(effect.commit), {
          name: "TopicUnwritable",
          what: `Partition ${effect.commit.partition} of topic "${effect.commit.topic}" takes no append`,
        });
      case "put":
        return this.#go(this.#put(effect.commit), {
          name: "FileUnwritable",
          what: `${effect.commit.id} cannot be written`,
        });
      case "call":
        return this.#calls.make(effect);
      case "abandon":
        return this.#calls.abandon(effect);
      case "decline":
        return this.#tell((coordinator) => coordinator.decline(effect.decline));
      case "ended": {
        const { attempt, task } = this.task.deployment;
        return this.#tell((coordinator) => coordinator.ended(attempt, task));
      }
      case "reportAlignment":
        return this.#go(this.#reportAlignment(effect.report), unreachable);
      case "fail":
        this.#tell((coordinator) => coordinator.taskFailed(effect.failure));
        return this.over();
      default:
        effect satisfies never;
    }
  }

  #release(key: string): void {
    const waiters = this.#waiters.get(key);
    this.#waiters.delete(key);
    for (const waiter of waiters ?? []) waiter.resolve();
  }

  async #read(partition: number, from: Parameters<TopicReaders["read"]>[1]): Promise<void> {
    const batches = await this.#readers?.read(partition, from);
    if (batches !== undefined)
      this.handle((now) => this.task.sourceBatches(partition, batches, now));
  }

  async #put(commit: FilePut): Promise<void> {
    const { patience } = this.#options;
    await putFile(this.#env.BUCKET, commit, { patience, isOver: () => this.#isOver });
    this.handle((now) => this.task.committed(commit.id, now));
  }

  async #append(commit: Append): Promise<void> {
    const { patience } = this.#options;
    await commitTo(this.#env.TOPIC_PARTITION, commit, { patience, isOver: () => this.#isOver });
    this.handle((now) => this.task.committed(commit.id, now));
  }

  async #snapshot(file: SnapshotFile | undefined, ack: CheckpointAck): Promise<void> {
    const handedOverAt = Date.now();
    if (file !== undefined) this.#stored = this.#stored.then(() => this.#store(file));
    const isSavepoint = file !== undefined && isInSavepoint(file.path);
    await Promise.all([this.#stored, ...(isSavepoint ? [] : [this.#keep(file, ack)])]);
    if (this.#isOver) return;
    const lost = filesOf(ack.state).find((path) => this.#lostFiles.has(path));
    const { attempt, checkpoint, task } = ack;
    await this.#report((coordinator) => {
      if (lost !== undefined) {
        return coordinator.decline({
          attempt,
          checkpoint,
          task,
          reason: `State file ${lost} was not stored.`,
        });
      }
      const asyncDuration = ack.metrics.asyncDuration + Date.now() - handedOverAt;
      const metrics = { ...ack.metrics, asyncDuration };
      return coordinator.acknowledge({ ...ack, metrics });
    });
  }

  async #piece(path: string, bytes: Uint8Array): Promise<void> {
    const upload = this.#uploads.get(path) ?? new Upload(this.#env.BUCKET, path);
    this.#uploads.set(path, upload);
    try {
      await within(this.#timeout, `The upload of a piece of ${path}`, upload.add(bytes));
    } catch (error) {
      this.#warn(error);
      await this.#discard(path);
      return this.handle((now) => this.task.pieceLost(path, now));
    }
    if (this.#isOver) return this.#discard(path);
    this.handle((now) => this.task.pieceStored(path, now));
  }

  async #discard(path: string): Promise<void> {
    const upload = this.#uploads.get(path);
    this.#uploads.delete(path);
    if (upload === undefined) return;
    await within(this.#options.patience, "An abort", upload.abort()).catch(() => {});
  }

  async #store(file: SnapshotFile): Promise<void> {
    const { path, bytes, from = 0 } = file;
    if (this.#isOver) return this.#discard(path);
    const { BUCKET } = this.#env;
    const storing = from === 0 ? storeFile(BUCKET, file) : this.#uploads.get(path)!.finish(bytes);
    const forget = async (): Promise<void> => {
      await this.#discard(path);
      await BUCKET.delete(path).catch(() => {});
    };
    try {
      await within(this.#timeout, `The upload of ${path}`, storing);
      if (!this.#isOver) return void this.#uploads.delete(path);
    } catch (error) {
      this.#warn(error);
      this.#lostFiles.add(path);
      this.task.snapshotLost();
      // One that was given up may be stored all the same, at any time.
      if (error instanceof TimedOut) storing.then(forget, forget).catch(() => {});
    }
    // No acknowledgement will ever name the file, so nobody else would find it to delete; and an
    // upload that failed may have stored it all the same.
    await within(this.#options.patience, "A deletion", forget()).catch(() => {});
  }

  /** Copies what the checkpoint added. */
  async #keep(file: SnapshotFile | undefined, { checkpoint, state }: CheckpointAck): Promise<void> {
    const { local } = this.#options;
    if (local === undefined) return;
    const handles = copiedHandles(this.task.deployment.config, state);
    local.needs(checkpoint, handles);
    if (file === undefined) return;
    const { path, bytes, from = 0 } = file;
    const added = handles.filter(isFile).filter((handle) => handle.path === path);
    await this.#copy(
      added.map((handle) => {
        const start = handle.offset - from;
        return { handle, bytes: bytes.subarray(start, start + handle.length) };
      }),
    );
  }

  /** Into the object's own storage, piece by piece. */
  async #copy(copies: readonly Copy[]): Promise<void> {
    const { local } = this.#options;
    if (local === undefined) return;
    try {
      for (const { handle, bytes } of copies) {
        for (const _ of local.write(handle, bytes)) {
          await scheduler.wait(0);
          if (this.#isOver) return;
        }
      }
    } catch (error) {
      // R2 has it.
      this.#warn(`It keeps no copy: ${String(error)}`);
    }
  }

  #warn(problem: unknown): void {
    console.warn(`Subtask ${taskKey(this.task.deployment.task)}: ${String(problem)}`);
  }

  /** Milliseconds that a checkpoint may take. */
  get #timeout(): number {
    return this.task.deployment.config.checkpointing.timeout;
  }

  async #reportAlignment(given: AlignmentReport): Promise<void> {
    const least = await this.#report((coordinator) => coordinator.reportAlignment(given));
    this.handle((now) => this.task.alignmentReported(least, now));
  }

  #report<T>(call: (coordinator: CoordinatorTaskApi) => Promise<T>): Promise<T> {
    const { patience } = this.#options;
    const { job } = this.task.deployment;
    return report({ coordinators: this.#env.COORDINATOR, job, patience }, call);
  }

  #tell(call: (coordinator: CoordinatorTaskApi) => Promise<void>): void {
    this.#go(this.#report(call), unreachable);
  }

  get #topic(): string {
    const { plan, task } = this.task.deployment;
    return vertexOf(plan, task.vertex).source?.topic ?? "";
  }

  /** One timer, for the earliest time that the core asked for. */
  #armTick(): void {
    const at = this.task.wakeAt;
    if (this.#isOver || at === undefined || (this.#tick !== undefined && this.#tick.at <= at))
      return;
    clearTimeout(this.#tick?.timer ?? null);
    const delay = Math.min(Math.max(0, at - Date.now()), timerMax);
    this.#tick = { at, timer: setTimeout(this.#ring, delay) };
  }

  #fail(message: string, name = "ChannelLost"): void {
    if (this.#isOver) return;
    const { attempt, task } = this.task.deployment;
    const failure: TaskFailure = { attempt, task, name, message };
    this.#perform({ kind: "fail", failure });
  }

  /** Work that nobody waits for; what it throws ends the attempt, under that name. */
  #go(work: Promise<void>, { name, what }: { readonly name: string; readonly what: string }): void {
    work.catch((error: unknown) => this.#fail(`${what}: ${String(error)}`, name));
  }
}

/** What a sender holds: one channel into one run. */
class InboundSession extends RpcTarget implements ChannelSession {
  readonly #run: TaskRun;
  readonly #channel: number;

  constructor(run: TaskRun, channel: number) {
    super();
    this.#run = run;
    this.#channel = channel;
  }

  push(first: Seq, ...frames: readonly Uint8Array[]): Promise<void> {
    return this.#run.receive(this.#channel, first, frames);
  }

  settled(seq: Seq): Promise<void> {
    return this.#run.whenSettled(this.#channel, seq);
  }
}
