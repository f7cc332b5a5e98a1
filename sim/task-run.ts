// One attempt of a subtask in motion: the shell of `task/shell/task-run.ts`, played. The core is the
// production one.
//   U1. The core is called from one place at a time and never across a wait.
//   U2. A checkpoint is acknowledged only when every file its handles name is stored. Files are
//       stored one after the other.
//   U3. Once over, nothing reaches the core, and whoever waits on this run is told.

import { joined } from "../format/bytes.ts";
import { endOfTimeMetric } from "../format/frame.ts";
import { type CheckpointId, type Millis, millis, type Seq, taskKey } from "../format/ids.ts";
import { heartbeatTimeout } from "../format/limits.ts";
import type { CheckpointAck, StoredBatch, TaskActivity, TaskFailure } from "../format/messages.ts";
import { vertexOf, type Channel } from "../format/plan.ts";
import { filesOf } from "../format/state-handle.ts";
import type { Call } from "../operators/async-requests.ts";
import type { Append } from "../task/commits.ts";
import {
  copiedHandles,
  type FileHandle,
  isFile,
  type LocalSegments,
} from "../task/local-segments.ts";
import type { Task } from "../task/task.ts";
import type { TaskEffect } from "../task/task-effect.ts";
import { ChannelSender, type Opening } from "./channels.ts";
import type { Deployment } from "./deployment.ts";
import { call, type Hearing, patiently } from "./network.ts";
import type { CoordinatorInstance } from "./coordinator.ts";
import type { SubtaskInstance } from "./subtask.ts";

/** Milliseconds before each further try to tell the coordinator something. */
const reportDelays = [50, 200, 1_000, 3_000];

/** Milliseconds before each further try to read; after the last the source fails. */
const readDelays = [50, 200, 1_000, 3_000, 10_000];

type SnapshotFile = NonNullable<Extract<TaskEffect, { kind: "snapshot" }>["file"]>;

interface Waiter {
  readonly settled: () => void;
  readonly rejected: () => void;
}

const timeText = (time: number | undefined): string =>
  time === undefined ? "none" : time >= endOfTimeMetric ? "its end" : String(time);

export class TaskRun {
  readonly instance: SubtaskInstance;
  readonly task: Task;
  readonly #deployment: Deployment;
  /** Copies of its snapshots that it keeps at hand. */
  readonly #local: LocalSegments | undefined;
  readonly #senders: readonly ChannelSender[];
  readonly #waiters = new Map<string, Waiter[]>();
  readonly #lostFiles = new Set<string>();
  /** Snapshots that wait for the files before theirs. */
  readonly #storing: { readonly file: SnapshotFile | undefined; readonly ack: CheckpointAck }[] =
    [];
  #isStoring = false;
  /** Pieces of files of which more are to come. */
  readonly #pieces = new Map<string, Uint8Array[]>();
  /** Snapshots that are being stored or acknowledged. */
  #openSnapshots = 0;
  /** The tick that is armed; an earlier one replaces it. */
  #tick: { readonly at: number } | undefined;
  readonly #rowCost: number;
  /** What came while it was busy with rows; undefined while it is not. */
  #waiting: ((now: Millis) => readonly TaskEffect[])[] | undefined;
  #isOver = false;
  /** What the trace said last of its event time. */
  #loggedTimes: string | undefined;

  constructor(
    instance: SubtaskInstance,
    task: Task,
    deployment: Deployment,
    local: LocalSegments | undefined,
  ) {
    this.instance = instance;
    this.task = task;
    this.#deployment = deployment;
    this.#local = local;
    const { operators } = vertexOf(task.deployment.plan, task.deployment.task.vertex);
    this.#rowCost = Math.max(0, ...operators.map((uid) => deployment.rowCost[uid] ?? 0));
    this.#senders = task.outputs.map(
      (channel, at) =>
        new ChannelSender(this, channel, {
          opened: (expected) => this.handle((now) => task.reopened(at, expected, now)),
          settled: (seq) => this.handle((now) => task.settled(at, seq, now)),
          disconnected: () => this.handle((now) => task.disconnected(at, now)),
          lost: (reason) => this.#fail(`Receiver ${taskKey(channel.to)} is lost: ${reason}.`),
          stalled: (facts) => this.#fail(facts, "ChannelStalled"),
        }),
    );
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** That of the core, and whether a snapshot is still on its way. */
  get activity(): TaskActivity {
    const { activity } = this.task;
    return { ...activity, isIdle: activity.isIdle && this.#isQuiet };
  }

  mayRest(checkpoint: CheckpointId): boolean {
    return !this.#isOver && this.#isQuiet && this.task.mayRest(checkpoint);
  }

  get #isQuiet(): boolean {
    return this.#openSnapshots === 0 && this.#waiting === undefined;
  }

  notifyComplete(checkpoint: CheckpointId): void {
    this.handle((now) => this.task.notifyComplete(checkpoint, now));
    if (!this.#isOver) this.#local?.completed(checkpoint);
  }

  /** Has the partitions of a source call when they grow; false where one has, or does not answer. */
  subscribe(tell: (isSubscribed: boolean) => void): void {
    const { job, task, attempt, plan } = this.task.deployment;
    const { source } = vertexOf(plan, task.vertex);
    const { clock, faults } = this.instance.host.scene;
    let missing = this.task.ends.length;
    if (source === undefined || missing === 0) return tell(true);
    let isTold = false;
    const answered = (isSubscribed: boolean): void => {
      if (isTold || this.instance.isDead || (isSubscribed && --missing > 0)) return;
      isTold = true;
      tell(isSubscribed);
    };
    this.instance.later(heartbeatTimeout, () => answered(false));
    for (const { partition, from } of this.task.ends) {
      const arrive = (): void => {
        const subscription = { job, task, attempt, from };
        const outcome = this.#deployment.topics.subscribe(source.topic, partition, subscription);
        const isHeard = !faults.strikes("drop");
        if (faults.strikes("hang")) return;
        clock.later(faults.latency(), () => answered(isHeard && outcome === "subscribed"));
      };
      this.instance.send(() => {
        if (faults.strikes("drop")) return clock.later(faults.latency(), () => answered(false));
        if (faults.strikes("duplicate")) clock.later(faults.latency(), arrive);
        clock.later(faults.latency(), arrive);
      });
    }
  }

  /** Tells the coordinator that a task that rested goes on. */
  reportActive(): void {
    const { attempt, task } = this.task.deployment;
    this.#report((job, now) => job.active(attempt, task, now));
  }

  handle(event: (now: Millis) => readonly TaskEffect[]): void {
    if (this.#isOver || this.instance.isDead) return;
    if (this.#waiting !== undefined) {
      this.#waiting.push(event);
      return;
    }
    if (this.#rowCost === 0) return this.#performAll(event(this.#now()));
    const { recordsIn } = this.task.metrics;
    const effects = event(this.#now());
    const cost = (this.task.metrics.recordsIn - recordsIn) * this.#rowCost;
    if (cost === 0) return this.#performAll(effects);
    this.#waiting = [];
    this.instance.later(cost, () => {
      const due = this.#waiting ?? [];
      this.#waiting = undefined;
      if (!this.#isOver) this.#performAll(effects);
      for (const waited of due) this.handle(waited);
    });
  }

  #performAll(effects: readonly TaskEffect[]): void {
    for (const effect of effects) this.#perform(effect);
    this.#logWatermarks();
    this.#armTick();
  }

  /** In a trace: how far event time has come in front of its chain, and behind it. */
  #logWatermarks(): void {
    const { log } = this.instance.host.scene;
    if (log === undefined || this.#isOver) return;
    const { inputWatermark, outputWatermark } = this.task.metrics;
    const text = `${timeText(inputWatermark)}, and to ${timeText(outputWatermark)} behind it`;
    if (text === this.#loggedTimes || outputWatermark === undefined) return;
    this.#loggedTimes = text;
    log(`${this.instance.title} event time has come to ${text}`);
  }

  openChannel(channel: Channel, hearing: Hearing<Opening>): void {
    const { attempt } = this.task.deployment;
    const receiver = this.#deployment.subtask(channel.to);
    const { scene } = this.instance.host;
    this.instance.send(() =>
      call(
        scene,
        this.instance,
        receiver,
        "crashSubtask",
        (instance, reply) => reply(instance.open(attempt, channel)),
        hearing,
      ),
    );
  }

  /** A frame from upstream; `following` hears when it was processed. */
  receive(input: number, seq: Seq, frame: Uint8Array, following: Waiter): void {
    const { host } = this.instance;
    if (!this.instance.isZombie && host.scene.faults.strikes("crashSubtask")) return host.crash();
    this.handle((now) => this.task.receive(input, seq, frame, now).effects);
    this.whenSettled(input, seq, following);
    if (!this.instance.isZombie && host.scene.faults.strikes("crashSubtask")) host.crash();
  }

  whenSettled(input: number, seq: Seq, following: Waiter): void {
    if (this.#isOver) return following.rejected();
    if (this.task.isSettled(input, seq)) return following.settled();
    const key = `${input}:${seq}`;
    const waiters = this.#waiters.get(key);
    if (waiters === undefined) this.#waiters.set(key, [following]);
    else waiters.push(following);
  }

  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.task.stop();
    for (const sender of this.#senders) sender.close();
    const waiters = [...this.#waiters.values()].flat();
    this.#waiters.clear();
    for (const waiter of waiters) waiter.rejected();
  }

  #perform(effect: TaskEffect): void {
    switch (effect.kind) {
      case "open":
        return this.#senders[effect.channel]!.open();
      case "push":
        return this.#senders[effect.channel]!.push(effect.seq, effect.frame);
      case "awaitSettled":
        return this.#senders[effect.channel]!.awaitSettled(effect.seq);
      case "release": {
        const key = `${effect.channel}:${effect.seq}`;
        const waiters = this.#waiters.get(key);
        this.#waiters.delete(key);
        for (const waiter of waiters ?? []) waiter.settled();
        return;
      }
      case "read":
        return this.#read(effect.partition, effect.from);
      case "piece":
        return this.#storePiece(effect.path, effect.bytes);
      case "discard":
        return void this.#pieces.delete(effect.path);
      case "snapshot":
        this.#openSnapshots++;
        this.#keep(effect.file, effect.ack);
        this.#storing.push(effect);
        return this.#storeNext();
      case "append":
        return this.#append(effect.commit);
      case "put":
        throw new Error("No world has files of rows.");
      case "call":
        for (const call of effect.calls) this.#call(effect, call);
        return;
      case "abandon":
        return;
      case "decline":
        return this.#report((job, now) => job.declined(effect.decline, now));
      case "ended": {
        const { attempt, task } = this.task.deployment;
        return this.#report((job, now) => job.ended(attempt, task, now));
      }
      case "reportAlignment": {
        let least: number | undefined;
        return this.#report(
          (job, now) => {
            const told = job.alignmentReported(effect.report, now);
            least = told.least;
            return told.effects;
          },
          () => this.handle((now) => this.task.alignmentReported(least, now)),
        );
      }
      case "fail":
        this.instance.host.scene.log?.(`${this.instance.title} fails: ${effect.failure.message}`);
        this.#report((job, now) => job.taskFailed(effect.failure, now));
        return this.over();
      default:
        effect satisfies never;
    }
  }

  #read(partition: number, from: StoredBatch["first"], tries = 0): void {
    const { plan, task } = this.task.deployment;
    const { source } = vertexOf(plan, task.vertex);
    const { clock, faults } = this.instance.host.scene;
    this.instance.send(() =>
      clock.later(faults.latency(), () => {
        if (this.#isOver || this.instance.isDead) return;
        if (faults.strikes("drop")) {
          const delay = readDelays[tries];
          if (delay === undefined) return this.#fail("its topic cannot be read");
          return this.instance.later(delay, () => this.#read(partition, from, tries + 1));
        }
        this.#deployment.topics.read(source!.topic, partition, from, (batches) =>
          clock.later(faults.latency(), () =>
            this.handle((now) => this.task.sourceBatches(partition, batches, now)),
          ),
        );
      }),
    );
  }

  /** The functions of a world answer at once; what the service does is up to it. */
  #call({ uid, invoke }: Extract<TaskEffect, { kind: "call" }>, { id, argument }: Call): void {
    const { faults } = this.instance.host.scene;
    const { slowest, fails, forgets } = this.#deployment.service ?? {
      slowest: 0,
      fails: 0,
      forgets: 0,
    };
    if (faults.areOn && faults.prng.chance(forgets)) return;
    const isFailure = faults.areOn && faults.prng.chance(fails);
    this.instance.later(faults.latency() + faults.prng.between(0, slowest), () => {
      const answer = isFailure
        ? { id, error: new Error("The service has failed.") }
        : { id, value: invoke(argument, { signal: new AbortController().signal }) };
      this.handle((now) => this.task.answered(uid, [answer], now));
    });
  }

  /** As `task/shell/committer.ts` does it: repeated until it is known to have arrived. */
  #append(commit: Append, tries = 0): void {
    const { host } = this.instance;
    const { clock, faults } = host.scene;
    const again = (): void => {
      if (this.#isOver || this.instance.isDead) return;
      const delay = readDelays[tries];
      if (delay === undefined) return this.#fail("its topic cannot be written");
      this.instance.later(delay, () => this.#append(commit, tries + 1));
    };
    const { topics } = this.#deployment;
    this.instance.send(() =>
      clock.later(topics.busyFor + faults.latency(), () => {
        // Appends are few, and a subtask that dies with one under way is what they are built for.
        const dies = !this.instance.isDead && faults.strikes("crashSubtask", 50);
        if (dies) host.crash();
        // Whatever becomes of the subtask, what was sent may arrive.
        if (faults.strikes("drop") || (dies && faults.prng.chance(0.5))) return again();
        topics.commit(commit);
        clock.later(faults.latency(), () => {
          if (faults.strikes("drop")) return again();
          this.handle((now) => this.task.committed(commit.id, now));
        });
      }),
    );
  }

  /** Copies what the checkpoint added into the object's own storage. */
  #keep(file: SnapshotFile | undefined, { checkpoint, state }: CheckpointAck): void {
    const local = this.#local;
    if (local === undefined) return;
    const handles = copiedHandles(this.task.deployment.config, state);
    local.needs(checkpoint, handles);
    for (const handle of handles) {
      if (!isFile(handle) || handle.path !== file?.path) continue;
      const start = handle.offset - (file.from ?? 0);
      writeWhole(local, handle, file.bytes.subarray(start, start + handle.length));
    }
  }

  /** A piece is no file: nobody finds it before the last, and where that never comes nobody has to delete it. */
  #storePiece(path: string, bytes: Uint8Array): void {
    const { clock, faults } = this.instance.host.scene;
    this.instance.send(() =>
      clock.later(faults.latency(), () => {
        if (faults.strikes("drop")) {
          this.#pieces.delete(path);
          return this.handle((now) => this.task.pieceLost(path, now));
        }
        const pieces = this.#pieces.get(path);
        if (pieces === undefined) this.#pieces.set(path, [bytes]);
        else pieces.push(bytes);
        this.handle((now) => this.task.pieceStored(path, now));
      }),
    );
  }

  #storeNext(): void {
    const next = this.#storing[0];
    if (next === undefined || this.#isStoring) return;
    const { file, ack } = next;
    this.#isStoring = true;
    const done = (): void => {
      this.#isStoring = false;
      this.#storing.shift();
      if (!this.#isOver) this.#acknowledge(ack);
      this.#storeNext();
    };
    if (file === undefined || this.#isOver) return done();
    const { bucket } = this.#deployment;
    const { path } = file;
    const bytes = joined([...(this.#pieces.get(path) ?? []), file.bytes]);
    this.#pieces.delete(path);
    const stray = (): void => {
      const failed = (): void => {
        bucket.strays.add(path);
        done();
      };
      bucket.delete(this.instance, [path], { done, failed });
    };
    const failed = (): void => {
      this.#lostFiles.add(path);
      this.task.snapshotLost();
      stray();
    };
    this.instance.send(() =>
      bucket.create(this.instance, path, bytes, {
        done: (isCreated) => {
          if (!isCreated) failed();
          else if (this.#isOver) stray();
          else done();
        },
        failed,
      }),
    );
  }

  #acknowledge(ack: CheckpointAck): void {
    const lost = filesOf(ack.state).find((path) => this.#lostFiles.has(path));
    const { attempt, checkpoint, task } = ack;
    const over = (): void => void this.#openSnapshots--;
    if (lost === undefined) {
      this.#deployment.checks.acknowledging(ack);
      return this.#report((job, now) => job.acknowledged(ack, now), over);
    }
    const decline = { attempt, checkpoint, task, reason: `State file ${lost} was not stored.` };
    this.#report((job, now) => job.declined(decline, now), over);
  }

  #report(
    event: Parameters<CoordinatorInstance["handle"]>[0],
    answered = (): void => {},
    tries = 0,
  ): void {
    const { scene } = this.instance.host;
    const lost = (): void => {
      const delay = reportDelays[tries];
      if (delay === undefined) return this.#fail("the coordinator cannot be reached");
      this.instance.later(delay, () => this.#report(event, answered, tries + 1));
    };
    const hearing = { answered, lost, timedOut: lost };
    this.instance.send(() =>
      call(
        scene,
        this.instance,
        this.#deployment.coordinator,
        "crashCoordinator",
        (instance, reply) => {
          instance.handle(event);
          reply(true);
        },
        patiently(this.instance, heartbeatTimeout, hearing),
      ),
    );
  }

  #armTick(): void {
    const at = this.task.wakeAt;
    if (this.#isOver || at === undefined || (this.#tick !== undefined && this.#tick.at <= at))
      return;
    const { faults } = this.instance.host.scene;
    const tick = { at };
    this.#tick = tick;
    // A subtask that is busy comes late to its next turn.
    const busy = faults.strikes("slowTurn") ? faults.prng.between(1, 30) : 0;
    this.instance.later(Math.max(0, at - this.#now()) + busy, () => {
      if (this.#tick !== tick) return;
      this.handle((now) => {
        this.#tick = undefined;
        return this.task.tick(now);
      });
    });
  }

  #fail(message: string, name = "ChannelLost"): void {
    if (this.#isOver) return;
    const { attempt, task } = this.task.deployment;
    const failure: TaskFailure = { attempt, task, name, message };
    this.#perform({ kind: "fail", failure });
  }

  #now(): Millis {
    return millis(this.instance.host.time);
  }
}

/** A copy in one step: that an object may be gone between two rows is for the tests of the copies. */
export function writeWhole(
  local: LocalSegments | undefined,
  handle: FileHandle,
  bytes: Uint8Array,
): void {
  for (const _ of local?.write(handle, bytes) ?? []);
}
