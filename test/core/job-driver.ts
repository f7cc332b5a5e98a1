// Drives one `Job` by events under a virtual clock, and plays the world around it: the store it
// persists to, the bucket, the dispatcher, and subtasks that build their snapshots on earlier ones.
//   W1. What the job asks for stays `inFlight` until a test answers it, but for what `auto` names.
//   W2. A reload knows what was persisted and nothing else; answers to the lost instance are lost.
//   W3. Every effect is shown to the witness before it is carried out.

import type { RetainedCheckpoint } from "../../coordinator/checkpoints.ts";
import type { Programs } from "../../coordinator/changed-code.ts";
import type { Effect } from "../../coordinator/effects.ts";
import { Job } from "../../coordinator/job.ts";
import type { JobRecord } from "../../coordinator/job-record.ts";
import { Regions } from "../../coordinator/regions.ts";
import { sizesOf } from "../../coordinator/plan.ts";
import { collectable } from "../../coordinator/retention.ts";
import type { CheckpointConfig, JobConfig, RestartConfig } from "../../format/config.ts";
import type { HoldOutcome, HoldRequest } from "../../format/holds.ts";
import {
  type Attempt,
  type CheckpointId,
  checkpointId,
  type JobId,
  jobIdFrom,
  type Millis,
  millis,
  type TaskId,
  type TaskKey,
  taskKey,
} from "../../format/ids.ts";
import { savepointOf } from "../../format/frame.ts";
import type {
  CheckpointAnswer,
  CheckpointRecord,
  CheckpointType,
  RescaleAnswer,
  SavepointAnswer,
  SavepointRequest,
} from "../../format/job-status.ts";
import { type KeyGroupRange, rangeOfSubtask } from "../../format/key-groups.ts";
import { decodeManifest } from "../../format/manifest.ts";
import type {
  AttemptOutcome,
  CheckpointAck,
  DeployOutcome,
  HeartbeatOutcome,
  JobSubmission,
  JobSummary,
  RestOutcome,
  TaskActivity,
  TaskMetrics,
} from "../../format/messages.ts";
import { manifestPath, savepointFilePath, snapshotPath } from "../../format/paths.ts";
import {
  type ExecutionPlan,
  type Partitioning,
  sourceTasksOf,
  tasksOf,
  vertexOf,
} from "../../format/plan.ts";
import { filesOf, type TaskStateHandle } from "../../format/state-handle.ts";
import { Witness } from "./job-witness.ts";

export type EffectOf<Kind extends Effect["kind"]> = Extract<Effect, { kind: Kind }>;

const source = "a".repeat(32);
const counter = "b".repeat(32);

const planWith = (partitioning: Partitioning): ExecutionPlan => ({
  program: "counts",
  fingerprint: "f".repeat(32),
  maxParallelism: 128,
  vertices: [
    {
      id: source,
      name: "Source: in",
      parallelism: 2,
      operators: ["in"],
      source: { topic: "in", partitions: 4 },
    },
    { id: counter, name: "count", parallelism: 2, operators: ["count"] },
  ],
  edges: [
    {
      id: 0,
      from: source,
      fromUid: "in",
      to: counter,
      toUid: "count",
      input: 0,
      partitioning,
      ...(partitioning === "forward" && { apart: "hash" }),
    },
  ],
});

/** Two sources that feed two counters. */
export const twoByTwo = planWith("hash");

/** The same, each source with a counter of its own: two regions. */
export const twoRegions = planWith("forward");

export interface DriverOptions {
  /** `twoByTwo` unless it is another. */
  readonly plan?: ExecutionPlan;
  readonly checkpointing?: Partial<CheckpointConfig>;
  readonly job?: JobId;
  readonly restore?: NonNullable<JobSubmission["restore"]>;
  /** Another job's, whose files it needs. */
  readonly bucket?: Map<string, Uint8Array>;
  /** Of the fixed-delay strategy, unless it names another: then whole. */
  readonly restart?: { readonly attempts?: number; readonly delay?: number } | RestartConfig;
  readonly programArgs?: readonly string[];
}

const configOf = ({ checkpointing, restart, programArgs }: DriverOptions): JobConfig => ({
  parallelism: 2,
  maxParallelism: 128,
  bufferTimeout: 0,
  checkpointing: {
    interval: 1_000,
    mode: "EXACTLY_ONCE",
    timeout: 10_000,
    minPause: 0,
    maxConcurrent: 1,
    tolerableFailures: 0,
    retained: 1,
    retention: "DELETE_ON_CANCELLATION",
    storage: "r2",
    inlineThreshold: 0,
    incremental: true,
    unaligned: false,
    alignedTimeout: 0,
    ...checkpointing,
  },
  state: { backend: "memory", memoryBudget: 64 * 1024 * 1024, localRecovery: false },
  restart:
    restart !== undefined && "strategy" in restart
      ? restart
      : { strategy: "fixed-delay", attempts: 3, delay: 500, ...restart },
  ...(programArgs !== undefined && { programArgs }),
});

/** What the world does by itself; everything else waits in `inFlight`. */
export type Auto =
  "heartbeat" | "trigger" | "notify" | "rest" | "cancelTasks" | "sweep" | "announce";

const everything: readonly Auto[] = [
  "heartbeat",
  "trigger",
  "notify",
  "rest",
  "cancelTasks",
  "sweep",
  "announce",
];

/** One call to one subtask. */
interface TaskRequest<Kind> {
  readonly kind: Kind;
  readonly attempt: Attempt;
  readonly task: TaskId;
  readonly checkpoint?: CheckpointId;
}

export type Request =
  | EffectOf<"loadManifest" | "publish" | "probeManifest" | "sweep" | "deleteFolder" | "announce">
  | EffectOf<"askHolder" | "letGo" | "discard">
  | { readonly kind: "deploy"; readonly deployment: EffectOf<"deploy">["deployments"][number] }
  | TaskRequest<"start">
  | TaskRequest<"trigger">
  | TaskRequest<"heartbeat">
  | TaskRequest<"cancelTasks">
  | (TaskRequest<"rest"> & { readonly round: number })
  | TaskRequest<"notify">;

export type RequestOf<Kind extends Request["kind"]> = Extract<Request, { kind: Kind }>;

export const noMetrics: TaskMetrics = {
  recordsIn: 0,
  recordsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  recordsDropped: 0,
  recordsDeadLettered: 0,
  backPressuredTime: 0,
};
const start = 1_700_000_000_000;

export class JobDriver {
  /** The one that was submitted; `tasks` and `sources` follow the one that runs. */
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  readonly auto: Set<Auto>;
  readonly bucket: Map<string, Uint8Array>;
  readonly witness: Witness;
  /** Effects since the last `take`. */
  effects: Effect[] = [];
  inFlight: Request[] = [];
  /** Of the savepoints that were triggered. */
  readonly folders = new Map<CheckpointId, string>();
  /** What a subtask says of itself when it is asked. */
  activityOf: (task: TaskId) => TaskActivity = () => ({ isIdle: false });
  metricsOf: (task: TaskId) => TaskMetrics = () => noMetrics;
  /** What the dispatcher lists. */
  listed: JobSummary | undefined;
  #now = start;
  #job: Job;
  #record: JobRecord | undefined;
  #history = new Map<CheckpointId, CheckpointRecord>();
  /** When the job asked for it. */
  readonly #asked = new WeakMap<Request, number>();
  /** Per subtask: the files its next snapshot may build on, and the acknowledgements it has sent. */
  readonly #chains = new Map<TaskKey, readonly string[]>();
  readonly #acks = new Map<string, CheckpointAck>();

  constructor(options: DriverOptions = {}, auto: readonly Auto[] = everything) {
    this.plan = options.plan ?? twoByTwo;
    this.config = configOf(options);
    this.auto = new Set(auto);
    this.bucket = options.bucket ?? new Map();
    this.witness = new Witness(this.config, this.bucket);
    const { job = jobIdFrom(new Uint8Array(16).fill(7)), restore } = options;
    const submission = { job, plan: this.plan, config: this.config, ...(restore && { restore }) };
    const { job: submitted, effects } = Job.submitted(submission, this.now);
    this.#job = submitted;
    this.perform(effects);
  }

  get tasks(): readonly TaskId[] {
    return tasksOf(this.record.plan);
  }

  get sources(): readonly TaskId[] {
    return sourceTasksOf(this.record.plan);
  }

  get now(): Millis {
    return millis(this.#now);
  }

  get job(): Job {
    return this.#job;
  }

  /** What was persisted last. */
  get record(): JobRecord {
    if (this.#record === undefined) throw new Error("Nothing was persisted.");
    return this.#record;
  }

  get history(): readonly CheckpointRecord[] {
    return [...this.#history.values()];
  }

  get attempt(): Attempt {
    return this.record.attempt;
  }

  /** When what waits for its restart begins again. */
  get restartAt(): Millis | undefined {
    const times = this.record.regions.flatMap((region) =>
      region.phase === "waiting" ? [region.restartAt] : [],
    );
    return times[0];
  }

  /** Ids of the retained checkpoints, newest first. */
  get retained(): number[] {
    return this.record.checkpoints.retained.map((entry: RetainedCheckpoint) => entry.id);
  }

  /** The last checkpoint that was triggered. */
  get last(): CheckpointId {
    return checkpointId(this.record.checkpoints.nextId - 1);
  }

  // Looking.

  take(): Effect[] {
    const taken = this.effects;
    this.effects = [];
    return taken;
  }

  all<Kind extends Effect["kind"]>(kind: Kind): EffectOf<Kind>[] {
    return this.effects.filter((effect): effect is EffectOf<Kind> => effect.kind === kind);
  }

  kinds(): string[] {
    return this.effects.map((effect) => effect.kind);
  }

  requests<Kind extends Request["kind"]>(kind: Kind): RequestOf<Kind>[] {
    return this.inFlight.filter((request): request is RequestOf<Kind> => request.kind === kind);
  }

  /** Files of state in the bucket, by the checkpoint that wrote them. */
  snapshots(): string[] {
    return [...this.bucket.keys()].filter((path) => !path.endsWith("_metadata"));
  }

  manifests(): string[] {
    return [...this.bucket.keys()].filter((path) => path.endsWith("_metadata"));
  }

  // Events.

  perform(effects: readonly Effect[]): void {
    this.witness.observe(effects, this.now);
    this.effects.push(...effects);
    for (const effect of effects) this.#performOne(effect);
    for (const request of this.inFlight) {
      if (!this.#asked.has(request)) this.#asked.set(request, this.#now);
    }
    for (const request of this.inFlight.filter((each) => this.#isAuto(each))) this.answer(request);
  }

  event(step: (job: Job, now: Millis) => Effect[]): void {
    this.perform(step(this.#job, this.now));
  }

  /** Lets time pass, with a tick whenever the job asked for one. */
  advance(ms: number): void {
    const end = this.#now + ms;
    let again = 0;
    for (;;) {
      const wakeAt = this.#job.nextWakeAt();
      if (wakeAt === undefined || wakeAt > end) break;
      again = wakeAt > this.#now ? 0 : again + 1;
      if (again > 3) throw new Error(`nextWakeAt stays at ${wakeAt}, and it is ${this.#now}.`);
      this.#now = Math.max(this.#now, wakeAt);
      this.event((job, now) => job.tick(now));
    }
    this.#now = end;
  }

  /** Time passes and no alarm fires: the coordinator sleeps. */
  sleep(ms: number): void {
    this.#now += ms;
  }

  /**
   * The coordinator loses its memory and wakes again, in the code of `programs`. `landed`: what it
   * had sent still arrives.
   */
  reload({ landed = false, programs }: { landed?: boolean; programs?: Programs } = {}): void {
    const lost = this.inFlight;
    this.inFlight = [];
    if (landed) {
      for (const request of lost) {
        // No write is on its way for longer than that.
        if (this.#now - (this.#asked.get(request) ?? 0) > 30_000) continue;
        if (request.kind === "publish") this.#put(request.candidate.path, request.bytes);
        if (request.kind === "sweep") this.#sweep(request);
      }
    }
    this.witness.reloaded();
    const { job, effects } = Job.reloaded(this.record, this.history, this.now, programs);
    this.#job = job;
    this.perform(effects);
  }

  savepoint(
    trigger: string,
    ends?: "stop" | "cancel",
    more: Pick<SavepointRequest, "drains"> = {},
  ): SavepointAnswer {
    const request = { trigger, directory: "savepoints/", ...(ends && { ends }), ...more };
    const { answer, effects } = this.#job.savepoint(request, this.now);
    this.perform(effects);
    return answer;
  }

  checkpoint(trigger: string, type: CheckpointType = "CONFIGURED"): CheckpointAnswer {
    const { answer, effects } = this.#job.checkpoint({ trigger, type }, this.now);
    this.perform(effects);
    return answer;
  }

  hold(request: HoldRequest): HoldOutcome {
    const { answer, effects } = this.#job.hold(request, this.now);
    this.perform(effects);
    return answer;
  }

  /** Asks for these sizes; the vertices that are not named keep theirs. */
  rescale(sizes: Readonly<Record<string, number>>): RescaleAnswer {
    const all = { ...sizesOf(this.record.plan), ...sizes };
    const request = Object.fromEntries(
      Object.entries(all).map(([id, size]) => [id, { lowerBound: 1, upperBound: size }]),
    );
    const { answer, effects } = this.#job.rescale(request, this.now);
    this.perform(effects);
    return answer;
  }

  cancel(): "cancelling" | "ended" {
    const { outcome, effects } = this.#job.cancel(this.now);
    this.perform(effects);
    return outcome;
  }

  /** The attempt that the region of a subtask was last begun under. */
  attemptOf(task: TaskId): Attempt {
    const at = new Regions(this.record.plan).indexOf(task) ?? -1;
    return this.record.regions[at]?.attempt ?? this.attempt;
  }

  fail(
    task: TaskId = this.tasks[0]!,
    attempt: Attempt = this.attemptOf(task),
    message = "boom",
  ): void {
    this.event((job, now) => job.taskFailed({ attempt, task, name: "Error", message }, now));
  }

  // Answers.

  /** The answer that all is well. */
  answer(request: Request): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    switch (request.kind) {
      case "loadManifest": {
        const bytes = this.bucket.get(request.checkpoint.path);
        return this.event((job, now) =>
          bytes === undefined
            ? job.manifestFailed(request.attempt, { damaged: true, message: "It is gone." }, now)
            : job.manifestLoaded(
                request.attempt,
                decodeManifest(bytes, request.checkpoint.path),
                now,
              ),
        );
      }
      case "deploy":
        return this.answerDeploy(request, { kind: "deployed" });
      case "start":
        return this.answerStart(request, { kind: "ok" });
      case "trigger":
        return this.event((job, now) =>
          job.triggered(request.attempt, request.checkpoint!, request.task, { kind: "ok" }, now),
        );
      case "heartbeat":
      case "notify":
        return this.answerHeartbeat(request, {
          kind: "ok",
          metrics: this.metricsOf(request.task),
          activity: this.activityOf(request.task),
        });
      case "rest":
        return this.answerRest(request, { kind: "resting" });
      case "cancelTasks":
        return this.event((job, now) => job.tasksCancelled(request.attempt, [request.task], now));
      case "publish":
        this.#put(request.candidate.path, request.bytes);
        return this.answerPublish(request, { kind: "created" });
      case "probeManifest": {
        const exists = this.bucket.has(request.candidate.path);
        return this.event((job, now) => job.recovered(request.candidate, exists, now));
      }
      case "sweep":
        this.#sweep(request);
        return this.event((job, now) => job.swept(request.upTo, now));
      case "deleteFolder": {
        const { folder } = request;
        for (const path of this.bucket.keys()) {
          if (path.startsWith(folder)) this.bucket.delete(path);
        }
        return this.event((job, now) => job.folderDeleted(folder, now));
      }
      case "askHolder": {
        const { nth } = request.hold;
        return this.event((job, now) => job.holderAnswered(nth, true, now));
      }
      case "discard":
        for (const path of request.paths) this.bucket.delete(path);
        return this.event((job, now) => job.letGone(now));
      case "letGo":
        return this.event((job, now) => job.letGone(now));
      case "announce": {
        const { summary } = request;
        const known = this.listed?.lastModification ?? 0;
        if (summary.lastModification >= known) this.listed = summary;
        return this.event((job, now) => job.announced(summary.lastModification, now));
      }
      default:
        request satisfies never;
    }
  }

  answerAll(kind: Request["kind"]): void {
    for (const request of this.requests(kind)) this.answer(request);
  }

  answerDeploy(request: RequestOf<"deploy">, outcome: DeployOutcome): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    const { attempt, task, restore } = request.deployment;
    if (outcome.kind === "deployed") {
      const own = restore?.states.find((state) => stateIsOf(state, task, this.#uidsOf(task)[0]!));
      const { plan } = request.deployment;
      const isOwn = own?.keyed[0]?.range.last === rangeOf(plan, task).last;
      this.#chains.set(taskKey(task), own === undefined || !isOwn ? [] : filesOf(own));
      this.witness.wasDeployed(attempt, task);
    }
    this.event((job, now) => job.deployed(attempt, task, outcome, now));
  }

  answerStart(request: RequestOf<"start">, outcome: AttemptOutcome | Silent): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    this.event((job, now) => job.started(request.attempt, request.task, outcome, now));
  }

  answerHeartbeat(
    request: RequestOf<"heartbeat" | "notify">,
    outcome: HeartbeatOutcome | Silent,
  ): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    if (outcome.kind === "ok") this.witness.wasTold(request.task, outcome.activity);
    this.event((job, now) => job.heartbeat(request.attempt, request.task, outcome, now));
  }

  answerRest(request: RequestOf<"rest">, outcome: RestOutcome | Silent): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    const { attempt, task, round } = request;
    this.event((job, now) => job.rested(attempt, task, round, outcome, now));
  }

  active(task: TaskId = this.tasks[0]!, attempt: Attempt = this.attemptOf(task)): void {
    this.event((job, now) => job.active(attempt, task, now));
  }

  answerPublish(request: RequestOf<"publish">, outcome: Parameters<Job["published"]>[2]): void {
    this.inFlight = this.inFlight.filter((each) => each !== request);
    const { attempt, candidate } = request;
    this.event((job, now) => job.published(attempt, candidate, outcome, now));
  }

  // Longer ways.

  /** Answers whatever stands between a deployment and RUNNING. */
  deployAll(): void {
    this.answerAll("loadManifest");
    this.answerAll("deploy");
    this.answerAll("start");
  }

  /** Waits for the next trigger; its id. */
  trigger(): CheckpointId {
    const before = this.record.checkpoints.nextId;
    for (let ms = 0; this.record.checkpoints.nextId === before; ms += 100) {
      if (ms > 60_000) throw new Error("No checkpoint was triggered for a minute.");
      this.advance(100);
    }
    return this.last;
  }

  /** The acknowledgement of one subtask, always the same one for the same checkpoint. */
  ackOf(
    task: TaskId,
    checkpoint: CheckpointId = this.last,
    { attempt = this.attemptOf(task), full = false }: { attempt?: Attempt; full?: boolean } = {},
  ): CheckpointAck {
    const key = `${attempt} ${checkpoint} ${taskKey(task)}`;
    const known = this.#acks.get(key);
    if (known !== undefined) return known;
    // Barriers keep their order, so a subtask freezes an older open checkpoint first.
    const older = this.record.checkpoints.open.find(
      (open) => open.id < checkpoint && !this.#acks.has(`${attempt} ${open.id} ${taskKey(task)}`),
    );
    if (older !== undefined) this.ackOf(task, older.id, { attempt, full });
    const folder = this.folders.get(checkpoint);
    const path =
      folder === undefined
        ? snapshotPath(this.record.job, checkpoint, attempt, task)
        : savepointFilePath(folder, task);
    this.#put(path, new Uint8Array([1]));
    const isWhole = full || folder !== undefined;
    const chain = isWhole ? [path] : [...(this.#chains.get(taskKey(task)) ?? []), path];
    this.#chains.set(taskKey(task), folder === undefined ? chain : []);
    const metrics = { alignment: 0, syncDuration: 0, asyncDuration: 0, bytes: 1, stateBytes: 1 };
    const ack = {
      attempt,
      checkpoint,
      task,
      state: stateOf(task, this.#uidsOf(task), chain, rangeOf(this.record.plan, task)),
      metrics,
    };
    this.#acks.set(key, ack);
    return ack;
  }

  /** Whether that subtask has acknowledged it, or is about to. */
  hasFrozen(task: TaskId, checkpoint: CheckpointId): boolean {
    return this.#acks.has(`${this.attemptOf(task)} ${checkpoint} ${taskKey(task)}`);
  }

  ack(task: TaskId, ...rest: ParametersAfterFirst): void {
    const ack = this.ackOf(task, ...rest);
    this.witness.wasAcknowledged(ack);
    this.event((job, now) => job.acknowledged(ack, now));
  }

  ackAll(...rest: ParametersAfterFirst): void {
    for (const task of this.tasks) this.ack(task, ...rest);
  }

  decline(
    checkpoint: CheckpointId = this.last,
    attempt: Attempt = this.attemptOf(this.tasks[2] ?? this.tasks.at(-1)!),
  ): void {
    const task = this.tasks[2] ?? this.tasks.at(-1)!;
    this.event((job, now) => job.declined({ attempt, checkpoint, task, reason: "no room" }, now));
  }

  /** From trigger to completion. */
  complete(options: { full?: boolean } = {}): CheckpointId {
    const id = this.trigger();
    this.ackAll(id, options);
    this.answerAll("publish");
    return id;
  }

  /** The operators of a subtask. */
  #uidsOf({ vertex }: TaskId): readonly string[] {
    const own = this.record.plan.vertices.find(({ id }) => id === vertex);
    return own?.operators ?? [vertex];
  }

  #isAuto(request: Request): boolean {
    return this.auto.has(request.kind as Auto);
  }

  #put(path: string, bytes: Uint8Array): void {
    if (!this.bucket.has(path)) this.bucket.set(path, bytes);
  }

  #sweep({ reachable, upTo }: RequestOf<"sweep">): void {
    const files = { job: this.record.job, reachable: new Set(reachable), upTo };
    this.#delete(collectable(files, this.bucket.keys()));
  }

  #delete(paths: readonly string[]): void {
    for (const path of paths) this.bucket.delete(path);
    this.witness.deleted(paths, this.#chains);
  }

  #performOne(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        this.#record = effect.record;
        for (const entry of effect.ended) this.#history.set(entry.id, entry);
        for (const id of effect.forgotten) this.#history.delete(id);
        return;
      case "deploy":
        for (const deployment of effect.deployments) {
          this.inFlight.push({ kind: "deploy", deployment });
        }
        return;
      case "start":
      case "heartbeat":
      case "cancelTasks":
      case "trigger":
      case "rest":
      case "notifyComplete":
      case "notifyAborted": {
        const { attempt, tasks } = effect;
        const checkpoint = {
          ...("checkpoint" in effect && { checkpoint: effect.checkpoint }),
          ...("round" in effect && { round: effect.round }),
        };
        const kind =
          effect.kind === "notifyComplete" || effect.kind === "notifyAborted"
            ? "notify"
            : effect.kind;
        if (effect.kind === "trigger") {
          const savepoint = savepointOf(effect.purpose);
          if (savepoint !== undefined) this.folders.set(effect.checkpoint, savepoint.folder);
        }
        for (const task of tasks) {
          this.inFlight.push({ kind, attempt, task, ...checkpoint } as Request);
        }
        return;
      }
      case "deleteFiles":
        return this.#delete(effect.paths);
      case "align":
        throw new Error("None of these plans has sources that keep in step.");
      default:
        this.inFlight.push(effect);
    }
  }
}

type Silent = { readonly kind: "silent"; readonly message: string };
type ParametersAfterFirst = [
  checkpoint?: CheckpointId,
  options?: { attempt?: Attempt; full?: boolean },
];

const rangeOf = (plan: ExecutionPlan, { vertex, index }: TaskId): KeyGroupRange =>
  rangeOfSubtask(index, vertexOf(plan, vertex).parallelism, plan.maxParallelism);

/** A table of each operator, named after the subtask, whose segments are `files`. */
const stateOf = (
  task: TaskId,
  uids: readonly string[],
  files: readonly string[],
  range: KeyGroupRange,
): TaskStateHandle => ({
  keyed: uids.map((uid) => ({
    uid,
    state: `table-${task.index}`,
    range,
    segments: files.map((path) => ({ kind: "file", path, offset: 0, length: 1 })),
  })),
  operator: [],
});

const stateIsOf = (state: TaskStateHandle, task: TaskId, uid: string): boolean =>
  state.keyed.some((each) => each.uid === uid && each.state === `table-${task.index}`);

export const metadataOf = (driver: JobDriver, id: number): string =>
  manifestPath(driver.record.job, checkpointId(id));
