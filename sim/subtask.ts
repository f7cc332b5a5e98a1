// The Durable Object around one subtask: the shell of `task/subtask.ts`, played.
//   V1. The attempt is stored before its deployment is answered, so an older one is refused even
//       after a crash.
//   V2. An attempt whose memory was lost is never taken up again here.
//   V3. The alarm is set again before its work begins.

import {
  type Attempt,
  type CheckpointId,
  type Millis,
  millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import { intersectRanges, rangeOfSubtask } from "../format/key-groups.ts";
import type {
  AttemptOutcome,
  DeployFault,
  DeployOutcome,
  HeartbeatOutcome,
  RestOutcome,
  TaskDeployment,
  TaskFailure,
} from "../format/messages.ts";
import { type Channel, channelKey, vertexOf } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import type { BytesHandle } from "../format/state-handle.ts";
import { channelsOf } from "../task/channel-state.ts";
import { sharesOf } from "../task/operator-state.ts";
import { holdsState } from "../task/state-backend.ts";
import { type RestoredState, Task } from "../task/task.ts";
import type { Opening } from "./channels.ts";
import { Database } from "./database.ts";
import type { Deployment } from "./deployment.ts";
import { Host, Instance, type Scene } from "./host.ts";
import { call } from "./network.ts";
import { TaskRun } from "./task-run.ts";

/** Milliseconds between the alarms by which a running subtask notices that it lost its memory. */
const watchInterval = 10_000;

/** Milliseconds before each further try to read a file; after the last it cannot be read. */
const readDelays = [50, 200, 1_000];

interface StoredAttempt {
  readonly attempt: Attempt;
  readonly isActive: boolean;
}

type State = StoredAttempt | undefined;

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

  get database(): SqlDatabase {
    this.#database ??= new Database(() => this.touch());
    return this.#database;
  }
}

export class SubtaskInstance extends Instance<State> {
  readonly #host: SubtaskHost;
  readonly #deployment: Deployment;
  readonly #id: TaskId;
  #stored: State;
  #run: TaskRun | undefined;

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

  deploy(deployment: TaskDeployment, reply: (outcome: DeployOutcome) => void): void {
    const { attempt } = deployment;
    const known = this.#stored;
    if (known !== undefined && attempt < known.attempt) {
      return reply({ kind: "stale", current: known.attempt });
    }
    if (known?.attempt === attempt) {
      if (this.#runOf(attempt) !== undefined) return reply({ kind: "deployed" });
      return reply({ kind: "refused", reason: `It has lost the memory of attempt ${attempt}.` });
    }
    this.#run?.over();
    this.#run = undefined;
    this.#store({ attempt, isActive: true }, this.host.time + watchInterval);
    const isInRows = deployment.config.state.backend === "sqlite";
    const database = isInRows ? this.#host.database : undefined;
    const isHeld = database !== undefined && holdsState(deployment, database);
    this.#load(deployment, isHeld, {
      loaded: (restored) => {
        if (this.isDead) return;
        if (this.#stored?.attempt !== attempt || !this.#stored.isActive) {
          return reply({ kind: "stale", current: this.#stored?.attempt ?? attempt });
        }
        const { definition } = this.#deployment;
        const task = new Task(deployment, definition.graph, restored, this.#now(), database);
        this.#run = new TaskRun(this, task, this.#deployment);
        reply({ kind: "deployed" });
      },
      failed: (reason, fault) =>
        reply({ kind: "refused", reason, ...(fault !== undefined && { fault }) }),
    });
  }

  start(attempt: Attempt): AttemptOutcome {
    return this.#within(attempt, (run) => run.handle((now) => run.task.start(now)));
  }

  trigger(attempt: Attempt, checkpoint: CheckpointId): AttemptOutcome {
    return this.#within(attempt, (run) => run.handle((now) => run.task.trigger(checkpoint, now)));
  }

  notifyComplete(attempt: Attempt, checkpoint: CheckpointId): HeartbeatOutcome {
    this.#within(attempt, (run) => run.handle((now) => run.task.notifyComplete(checkpoint, now)));
    return this.heartbeat(attempt);
  }

  notifyAborted(attempt: Attempt, checkpoint: CheckpointId): AttemptOutcome {
    return this.#within(attempt, (run) =>
      run.handle((now) => run.task.notifyAborted(checkpoint, now)),
    );
  }

  heartbeat(attempt: Attempt): HeartbeatOutcome {
    const outcome = this.#within(attempt, () => {});
    if (outcome.kind !== "ok") return outcome;
    return { kind: "ok", metrics: this.#run!.task.metrics, activity: { isIdle: false } };
  }

  rest(attempt: Attempt, _checkpoint: CheckpointId): RestOutcome {
    const outcome = this.#within(attempt, () => {});
    return outcome.kind === "ok" ? { kind: "busy" } : outcome;
  }

  cancel(attempt: Attempt): void {
    if (this.#stored !== undefined && this.#stored.attempt > attempt) return;
    this.#run?.over();
    this.#run = undefined;
    this.#store({ attempt, isActive: false }, undefined);
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
    this.#store(stored, this.host.time + watchInterval);
    const { attempt } = stored;
    if (this.#runOf(attempt) !== undefined) return;
    const failure: TaskFailure = {
      attempt,
      task: this.#id,
      name: "SubtaskLost",
      message: "It was evicted and has lost its memory.",
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

  override die(): void {
    this.#run?.task.stop();
    super.die();
  }

  #within(attempt: Attempt, step: (run: TaskRun) => void): AttemptOutcome {
    const current = this.#stored?.attempt;
    if (current !== undefined && attempt < current) return { kind: "stale", current };
    const run = this.#runOf(attempt);
    if (run === undefined) return { kind: "unknown" };
    step(run);
    return { kind: "ok" };
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

  /** As `task/shell/state-files.ts` does it: one read after the other, and none of what is held. */
  #load(
    deployment: TaskDeployment,
    isHeld: boolean,
    on: {
      readonly loaded: (state: RestoredState | undefined) => void;
      readonly failed: (reason: string, fault?: DeployFault) => void;
    },
  ): void {
    const { restore, plan, task, attempt } = deployment;
    if (restore === undefined) return on.loaded(undefined);
    const { parallelism } = vertexOf(plan, task.vertex);
    const own = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
    const handles = restore.states
      .flatMap((state) => state.keyed)
      .filter((handle) => intersectRanges(handle.range, own) !== undefined);
    const shares = sharesOf(deployment);
    const channels = channelsOf(deployment);
    const segments = [
      ...(isHeld ? [] : handles.flatMap((handle) => handle.segments)),
      ...shares.map(({ handle }) => handle.bytes),
      ...channels.map((handle) => handle.frames),
    ];
    const read: Uint8Array[] = [];
    const next = (): void => {
      const segment = segments[read.length];
      if (segment === undefined) {
        let at = 0;
        const keyed = handles.map((handle) => {
          if (isHeld) return { handle, segments: "held" as const };
          const from = at;
          at += handle.segments.length;
          return { handle, segments: read.slice(from, at) };
        });
        const operator = shares.map((share) => ({ ...share, bytes: read[at++]! }));
        return on.loaded({
          checkpoint: restore.checkpoint,
          keyed,
          operator,
          channels: channels.map((handle) => ({ handle, bytes: read[at++]! })),
        });
      }
      this.#loadBytes(segment, attempt, {
        loaded: (bytes) => {
          read.push(bytes);
          next();
        },
        failed: on.failed,
      });
    };
    next();
  }

  #loadBytes(
    handle: BytesHandle,
    attempt: Attempt,
    on: {
      readonly loaded: (bytes: Uint8Array) => void;
      readonly failed: (why: string, fault?: DeployFault) => void;
    },
    tries = 0,
  ): void {
    if (handle.kind === "inline") return on.loaded(handle.bytes);
    const { path, offset, length } = handle;
    const { bucket, checks } = this.#deployment;
    bucket.get(this, path, {
      done: (file) => {
        if (file !== undefined) return on.loaded(file.subarray(offset, offset + length));
        checks.missing(path, attempt);
        on.failed(`State file ${path} is not in the bucket.`, "damagedState");
      },
      failed: () => {
        const delay = readDelays[tries];
        if (delay === undefined) return on.failed("R2 error");
        this.later(delay, () => this.#loadBytes(handle, attempt, on, tries + 1));
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
