// The Durable Object around one subtask: the shell of `task/subtask.ts`, played.
//   V1. The attempt is stored before its deployment is answered, so an older one is refused even
//       after a crash.
//   V2. An attempt whose memory was lost is never taken up again here.
//   V3. The alarm is set again before its work begins.
//   V4. Resting, an attempt is its image in this object's storage, and nothing in memory counts. A
//       call that changes nothing is answered from it.
//   V5. Any other call removes the image, sets the watch alarm and tells the coordinator, all before
//       it is carried out. The output gate holds back what leaves until the removal is durable.

import {
  type Attempt,
  type CheckpointId,
  type Millis,
  millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import type { Purpose } from "../format/frame.ts";
import type {
  AttemptOutcome,
  DeployFault,
  DeployOutcome,
  HeartbeatOutcome,
  RestOutcome,
  TaskDeployment,
  TaskFailure,
  TaskMetrics,
} from "../format/messages.ts";
import { decodeFrames } from "../format/channel-state.ts";
import { type Channel, channelKey } from "../format/plan.ts";
import { readSegment } from "../format/segment.ts";
import type { SqlDatabase } from "../format/sql.ts";
import { type SnapshotPart, titleOf } from "../format/snapshot-part.ts";
import type { TableOperator } from "../operators/table.ts";
import { channelsOf, restoredChannel } from "../task/former-rows.ts";
import { ImageRows } from "../task/image.ts";
import { sharesOf } from "../task/operator-state.ts";
import type { SnapshotCut } from "../task/late-segments.ts";
import { LocalSegments, localSegmentsKept, localSegmentsOf } from "../task/local-segments.ts";
import { RowsLoader } from "../task/rows-loader.ts";
import { flawOf, ownKeyedState } from "../task/snapshot-parts.ts";
import { holdsState } from "../task/state-backend.ts";
import { Task } from "../task/task.ts";
import type { RestoredState } from "../task/task-state.ts";
import type { Opening } from "./channels.ts";
import { Database } from "./database.ts";
import type { Deployment } from "./deployment.ts";
import { Host, Instance, type Scene } from "./host.ts";
import { call } from "./network.ts";
import { TaskRun, writeWhole } from "./task-run.ts";

/** Milliseconds between the alarms by which a running subtask notices that it lost its memory. */
const watchInterval = 10_000;

/** Milliseconds before each further try to read a file; after the last it cannot be read. */
const readDelays = [50, 200, 1_000];

/** So small that what a world keeps in rows is mostly encoded after its barrier, in several pieces. */
const cut: SnapshotCut = {
  lateFrom: 500,
  stepRows: 8,
  segment: { bytes: 500, rows: 100 },
  piece: 1_500,
};

interface StoredAttempt {
  readonly attempt: Attempt;
  readonly isActive: boolean;
  /** Present exactly while there is an image; what can be told without reading it. */
  readonly resting?: {
    readonly checkpoint: CheckpointId;
    readonly metrics: TaskMetrics;
    /** When its next timer is due. */
    readonly timerAt?: number;
    /** It has finished with that checkpoint. */
    readonly isFinished?: true;
  };
}

type State = StoredAttempt | undefined;

/** Where an attempt gets its state from. */
interface StateSource {
  readonly deployment: TaskDeployment;
  /** Keyed state stays in the rows it is in. */
  readonly isHeld: boolean;
  /** The object's, where state is in rows. */
  readonly database: SqlDatabase | undefined;
  /** Its own copies, where it keeps some. */
  readonly local: LocalSegments | undefined;
}

export class SubtaskHost extends Host<State, SubtaskInstance> {
  readonly id: TaskId;
  readonly deployment: () => Deployment;
  #database: Database | undefined;

  constructor(id: TaskId, title: string, scene: Scene, deployment: () => Deployment) {
    super(title, scene, undefined);
    this.id = id;
    this.deployment = deployment;
  }

  protected override wake(stored: State): SubtaskInstance {
    return new SubtaskInstance(this, stored);
  }

  protected override onAlarm(instance: SubtaskInstance): void {
    instance.alarm();
  }

  protected override onCrash(landed: number): void {
    this.#database?.crash(landed);
  }

  /** Some of the copies of its snapshots are not what they were, or are gone. */
  damageCopies(): void {
    const { database, scene } = this;
    if (!LocalSegments.exist(database)) return;
    database.exec(scene.faults.prng.pick(damagedCopies));
    scene.log?.(`${this.name} has damaged copies`);
  }

  get database(): SqlDatabase {
    this.#database ??= new Database(() => this.touch());
    return this.#database;
  }
}

/** Of the copies that a subtask keeps of its snapshots. */
const damagedCopies = [
  "DELETE FROM local_segment WHERE rowid % 2 = 0",
  "UPDATE local_segment SET bytes = zeroblob(length(bytes))",
  "UPDATE local_segment SET bytes = substr(bytes, 2)",
];

export class SubtaskInstance extends Instance<State> {
  readonly #host: SubtaskHost;
  readonly #deployment: Deployment;
  readonly #id: TaskId;
  #stored: State;
  #run: TaskRun | undefined;
  /** The attempt whose state is being loaded. */
  #loading: Attempt | undefined;
  /** How often a partition has called: what it said may be news to a source that is to rest. */
  #appends = 0;

  constructor(host: SubtaskHost, stored: State) {
    super(host);
    this.#host = host;
    this.#deployment = host.deployment();
    this.#id = host.id;
    this.#stored = stored;
  }

  /** The run of whatever attempt it has in memory. */
  get run(): TaskRun | undefined {
    return this.#run;
  }

  override get isAsleep(): boolean {
    return this.#stored?.resting !== undefined;
  }

  deploy(deployment: TaskDeployment, reply: (outcome: DeployOutcome) => void): void {
    const { attempt } = deployment;
    const known = this.#stored;
    if (known !== undefined && attempt < known.attempt) {
      return reply({ kind: "stale", current: known.attempt });
    }
    if (known?.attempt === attempt) {
      if (this.#runOf(attempt) !== undefined || this.#rests(attempt) !== undefined) {
        return reply({ kind: "deployed" });
      }
      return reply({ kind: "refused", reason: `It has lost the memory of attempt ${attempt}.` });
    }
    this.#run?.over();
    this.#run = undefined;
    this.#dropImage();
    this.#store({ attempt, isActive: true }, this.host.time + watchInterval);
    const database = this.#rowsOf(deployment);
    const isHeld = database !== undefined && holdsState(deployment, database);
    const { localRecovery } = deployment.config.state;
    const local = localRecovery ? localSegmentsOf(deployment, this.#database) : undefined;
    this.#loading = attempt;
    const isLoaded = (): void => {
      if (this.#loading === attempt) this.#loading = undefined;
    };
    this.#load(
      { deployment, isHeld, local, database },
      {
        loaded: (restored) => {
          if (this.isDead) return;
          isLoaded();
          if (this.#stored?.attempt !== attempt || !this.#stored.isActive) {
            return reply({ kind: "stale", current: this.#stored?.attempt ?? attempt });
          }
          const { definition } = this.#deployment;
          const refusal = this.#deployment.refusalOf(deployment);
          if (refusal !== undefined) return reply({ kind: "refused", reason: refusal });
          const task = new Task(deployment, definition.graph, restored, this.#now(), database, cut);
          this.#run = new TaskRun(this, task, this.#deployment, local);
          reply({ kind: "deployed" });
        },
        failed: (reason, fault) => {
          isLoaded();
          reply({ kind: "refused", reason, ...(fault !== undefined && { fault }) });
        },
      },
    );
  }

  start(attempt: Attempt): AttemptOutcome {
    if (this.#rests(attempt)) return { kind: "ok" };
    return this.#within(attempt, (run) => run.handle((now) => run.task.start(now)));
  }

  trigger(attempt: Attempt, checkpoint: CheckpointId, purpose?: Purpose): AttemptOutcome {
    return this.#within(attempt, (run) =>
      run.handle((now) => run.task.trigger(checkpoint, now, purpose)),
    );
  }

  notifyComplete(attempt: Attempt, checkpoint: CheckpointId): HeartbeatOutcome {
    if (!this.#rests(attempt, checkpoint)) {
      this.#within(attempt, (run) => run.notifyComplete(checkpoint));
    }
    return this.heartbeat(attempt);
  }

  notifyAborted(attempt: Attempt, checkpoint: CheckpointId): AttemptOutcome {
    if (this.#rests(attempt, checkpoint)) return { kind: "ok" };
    return this.#within(attempt, (run) =>
      run.handle((now) => run.task.notifyAborted(checkpoint, now)),
    );
  }

  heartbeat(attempt: Attempt): HeartbeatOutcome {
    const resting = this.#rests(attempt);
    if (resting !== undefined) {
      const { metrics, checkpoint, isFinished } = resting;
      const stopped = isFinished && { stopped: { checkpoint, isCommitted: true } };
      const activity = { isIdle: true, cleanSince: checkpoint, ...stopped };
      return { kind: "ok", metrics, activity };
    }
    const outcome = this.#within(attempt, () => {});
    if (outcome.kind !== "ok") return outcome;
    const { task, activity } = this.#run!;
    if (task.finishedWith !== undefined && task.hasTables) {
      this.#rest(this.#run!, task.finishedWith, { isFinished: true });
      return this.heartbeat(attempt);
    }
    return { kind: "ok", metrics: task.metricsAt(this.#now()), activity };
  }

  rest(attempt: Attempt, checkpoint: CheckpointId, reply: (outcome: RestOutcome) => void): void {
    if (this.#rests(attempt)) return reply({ kind: "resting" });
    const outcome = this.#within(attempt, () => {});
    if (outcome.kind !== "ok") return reply(outcome);
    const run = this.#run!;
    if (!run.mayRest(checkpoint)) return reply({ kind: "busy" });
    run.notifyComplete(checkpoint);
    const appends = this.#appends;
    const { cleanSince } = run.activity;
    run.subscribe((isSubscribed) => {
      if (this.isDead) return;
      // While the partitions were asked, anything may have happened.
      if (this.#rests(attempt)) return reply({ kind: "resting" });
      const isUnchanged =
        this.#runOf(attempt) === run &&
        this.#appends === appends &&
        run.activity.cleanSince === cleanSince;
      if (!isSubscribed || !isUnchanged || !run.mayRest(checkpoint)) {
        return reply({ kind: "busy" });
      }
      this.#rest(run, checkpoint);
      reply({ kind: "resting" });
    });
  }

  align(attempt: Attempt, least: number | undefined): AttemptOutcome {
    return this.#within(attempt, (run) => run.handle((now) => run.task.align(least, now)));
  }

  appended(attempt: Attempt, partition: number): AttemptOutcome {
    this.#appends++;
    return this.#within(attempt, (run) => run.handle((now) => run.task.appended(partition, now)));
  }

  cancel(attempt: Attempt, keepsTables?: true): void {
    if (this.#stored !== undefined && this.#stored.attempt > attempt) return;
    if (keepsTables && this.#rests(attempt)?.isFinished) return;
    this.#run?.over();
    this.#run = undefined;
    this.#dropImage();
    this.#store({ attempt, isActive: false }, undefined);
  }

  /** As the production subtask answers `readTable`: of a resting attempt, from its image. */
  table(name: string): TableOperator | undefined {
    const { resting, attempt } = this.#stored ?? {};
    const run = resting !== undefined && attempt !== undefined ? this.#rebuilt(attempt) : this.#run;
    return run?.task.table(name);
  }

  open(attempt: Attempt, channel: Channel): Opening {
    const outcome = this.#within(attempt, () => {});
    if (outcome.kind !== "ok") return { kind: outcome.kind };
    const run = this.#run!;
    const key = channelKey(channel);
    const input = run.task.inputs.findIndex((candidate) => channelKey(candidate) === key);
    return { kind: "open", position: run.task.position(input), run, input };
  }

  alarm(): void {
    const stored = this.#stored;
    if (stored?.isActive !== true) return;
    if (stored.resting !== undefined) return this.#ring(stored, stored.resting.timerAt);
    this.#store(stored, this.host.time + watchInterval);
    const { attempt } = stored;
    if (this.#runOf(attempt) !== undefined || this.#loading === attempt) return;
    this.#failed("It was evicted and has lost its memory.");
  }

  override die(): void {
    this.#run?.task.stop();
    super.die();
  }

  #within(attempt: Attempt, step: (run: TaskRun) => void): AttemptOutcome {
    const current = this.#stored?.attempt;
    if (current !== undefined && attempt < current) return { kind: "stale", current };
    const resting = this.#rests(attempt);
    const run =
      resting === undefined
        ? this.#runOf(attempt)
        : resting.isFinished
          ? this.#rebuilt(attempt)
          : this.#awake(attempt);
    if (run === undefined) return { kind: "unknown" };
    step(run);
    return { kind: "ok" };
  }

  // Rest.

  /** What the attempt rests on; with a checkpoint, only where that one is no news to it. */
  #rests(attempt: Attempt, checkpoint?: CheckpointId): StoredAttempt["resting"] {
    const { resting, attempt: current } = this.#stored ?? {};
    if (current !== attempt || resting === undefined) return undefined;
    return checkpoint === undefined || checkpoint <= resting.checkpoint ? resting : undefined;
  }

  /** Lets go of everything but the image. */
  #rest(run: TaskRun, checkpoint: CheckpointId, finished?: { readonly isFinished: true }): void {
    this.#images.write(run.task.image(checkpoint));
    const { metrics } = run.task;
    const timerAt = finished === undefined ? run.task.nextTimerAt : undefined;
    const resting = {
      checkpoint,
      metrics,
      ...(timerAt !== undefined && { timerAt }),
      ...finished,
    };
    run.over();
    this.#run = undefined;
    this.host.scene.log?.(`${this.title} rests on checkpoint ${checkpoint}`);
    this.#store({ ...this.#stored!, resting }, timerAt);
  }

  /** The alarm of a resting attempt: for its timers, or left over from before. */
  #ring(stored: StoredAttempt, timerAt: number | undefined): void {
    if (timerAt === undefined) return;
    if (this.host.time < timerAt) return this.#store(stored, timerAt);
    this.#within(stored.attempt, (run) => run.handle((now) => run.task.tick(now)));
  }

  /** The run of a resting attempt, which still rests (V4). */
  #rebuilt(attempt: Attempt): TaskRun | undefined {
    const known = this.#runOf(attempt);
    if (known !== undefined) return known;
    const { definition } = this.#deployment;
    const image = this.#images.read();
    const database = this.#rowsOf(image.deployment);
    const task = Task.fromImage(image, definition.graph, this.#now(), database, cut);
    const { localRecovery } = image.deployment.config.state;
    const local = localRecovery ? localSegmentsKept(image.deployment, this.#database) : undefined;
    this.#run = new TaskRun(this, task, this.#deployment, local);
    return this.#run;
  }

  /** The run of a resting attempt, which rests no longer (V5). */
  #awake(attempt: Attempt): TaskRun | undefined {
    const run = this.#rebuilt(attempt);
    if (run !== undefined && this.#rests(attempt)) this.#goOn(run);
    return run;
  }

  #goOn(run: TaskRun): void {
    const { resting: _, ...stored } = this.#stored!;
    this.host.scene.log?.(`${this.title} wakes up`);
    this.#dropImage();
    this.#store(stored, this.host.time + watchInterval);
    run.reportActive();
  }

  #dropImage(): void {
    // Where it does not rest there is none, and no database is made for that.
    if (this.#stored?.resting !== undefined) this.#images.remove();
  }

  get #images(): ImageRows {
    return new ImageRows(this.#database);
  }

  /** What the attempt's state is in; undefined where that is memory. */
  #rowsOf({ config }: TaskDeployment): SqlDatabase | undefined {
    return config.state.backend === "sqlite" ? this.#database : undefined;
  }

  /** Its SQLite as this instance sees it: one that was replaced writes nothing any more. */
  get #database(): SqlDatabase {
    const { database } = this.#host;
    return {
      exec: (query, ...bindings) => {
        if (!this.isZombie || query.startsWith("SELECT")) return database.exec(query, ...bindings);
        this.write(this.host.stored);
        return [];
      },
      transaction: (work) => (this.isZombie ? work() : database.transaction(work)),
    };
  }

  /** Tells the coordinator; where it does not hear, the next alarm tells it again. */
  #failed(message: string): void {
    const failure: TaskFailure = {
      attempt: this.#stored!.attempt,
      task: this.#id,
      name: "SubtaskLost",
      message,
    };
    this.send(() =>
      call(
        this.host.scene,
        this,
        this.#deployment.coordinator,
        "crashCoordinator",
        (coordinator, reply) => {
          coordinator.handle((job, now) => job.taskFailed(failure, now));
          reply(true);
        },
        { answered: () => {}, lost: () => {} },
      ),
    );
  }

  #runOf(attempt: Attempt): TaskRun | undefined {
    const run = this.#run;
    return run !== undefined && !run.isOver && run.task.deployment.attempt === attempt
      ? run
      : undefined;
  }

  #store(value: StoredAttempt, alarm: number | undefined): void {
    this.#stored = value;
    this.write({ value, ...(alarm !== undefined && { alarm }) });
  }

  /**
   * As `task/shell/state-files.ts` does it, none of what is held; but one read after the other, and what
   * there is no copy of is copied at once.
   */
  #load(
    { deployment, isHeld, local, database }: StateSource,
    on: {
      readonly loaded: (state: RestoredState | undefined) => void;
      readonly failed: (reason: string, fault?: DeployFault) => void;
    },
  ): void {
    const { restore, attempt } = deployment;
    const { definition } = this.#deployment;
    if (restore === undefined) return on.loaded(undefined);
    const keyed = ownKeyedState(deployment);
    const shares = sharesOf(deployment);
    const channels = channelsOf(deployment);
    const loader =
      database === undefined || isHeld ? undefined : new RowsLoader(deployment, database);
    const segments = keyed.flatMap((of) =>
      of.segments
        .filter((handle) => loader?.owns(handle) ?? true)
        .map((handle) => ({ kind: "segment", handle, of }) as const),
    );
    if (segments.length === 0) loader?.done();
    const parts: SnapshotPart[] = [
      ...(isHeld ? [] : segments),
      ...shares.map(({ handle: of }) => ({ kind: "elements", handle: of.bytes, of }) as const),
      ...channels.map((of) => ({ kind: "frames", handle: of.frames, of }) as const),
    ];
    const read: Uint8Array[] = [];
    const next = (): void => {
      const part = parts[read.length];
      if (part !== undefined) {
        const loaded = (bytes: Uint8Array): void => {
          read.push(bytes);
          if (loader !== undefined && part.kind === "segment") {
            // Another attempt may have begun with the rows.
            const isCurrent = this.#stored?.attempt === attempt && this.#stored.isActive;
            if (this.isDead || !isCurrent) return on.failed("Another attempt has begun.");
            loader.load(segments[read.length - 1]!.of, part.handle, readSegment(bytes));
            if (read.length === segments.length) loader.done();
          }
          next();
        };
        const { handle } = part;
        const isCopied = loader === undefined || part.kind !== "segment";
        const copy = isCopied && handle.kind === "file" ? local?.read(handle) : undefined;
        if (copy !== undefined && flawOf(part, copy) === undefined) return loaded(copy);
        return this.#loadPart(part, attempt, {
          loaded: (bytes) => {
            if (isCopied && handle.kind === "file") writeWhole(local, handle, bytes);
            loaded(bytes);
          },
          failed: on.failed,
        });
      }
      let at = loader === undefined ? 0 : segments.length;
      on.loaded({
        checkpoint: restore.checkpoint,
        keyed: keyed.map((handle) => {
          if (isHeld) return { handle, segments: "held" as const };
          if (loader !== undefined) return { handle, segments: "loaded" as const };
          const from = at;
          at += handle.segments.length;
          return { handle, segments: read.slice(from, at) };
        }),
        ...(loader && { backend: loader.backend }),
        operator: shares.map((share) => ({ ...share, bytes: read[at++]! })),
        channels: channels.map((handle) =>
          restoredChannel(deployment, definition.graph, handle, decodeFrames(read[at++]!)),
        ),
      });
    };
    next();
  }

  /** What looks damaged is read once more; then it counts as damaged. */
  #loadPart(
    part: SnapshotPart,
    attempt: Attempt,
    on: {
      readonly loaded: (bytes: Uint8Array) => void;
      readonly failed: (why: string, fault?: DeployFault) => void;
    },
    tries = 0,
    isRepeated = false,
  ): void {
    const { handle } = part;
    const judge = (bytes: Uint8Array | undefined): void => {
      const flaw = bytes === undefined ? "it is not in the bucket" : flawOf(part, bytes);
      if (bytes !== undefined && flaw === undefined) return on.loaded(bytes);
      if (isRepeated || handle.kind === "inline") {
        return on.failed(`${titleOf(part)}: ${flaw}.`, "damagedState");
      }
      this.#loadPart(part, attempt, on, 0, true);
    };
    if (handle.kind === "inline") return judge(handle.bytes);
    const { path, offset, length } = handle;
    const { bucket, checks } = this.#deployment;
    bucket.get(this, path, {
      done: (file) => {
        if (file === undefined && !bucket.isDamaged(path)) checks.missing(path, attempt);
        judge(file?.subarray(offset, offset + length));
      },
      failed: () => {
        const delay = readDelays[tries];
        if (delay === undefined) return on.failed("R2 error");
        this.later(delay, () => this.#loadPart(part, attempt, on, tries + 1, isRepeated));
      },
    });
  }

  #now(): Millis {
    return millis(this.host.time);
  }

  get key(): string {
    return taskKey(this.#id);
  }
}
