// One job, from submission to its end: phases, attempts, deployments, checkpoints, failures. Every
// event is a method; each returns what the shell must do. No clock, no storage, no network.
//   J1. The attempt grows before anything of it is deployed, and durably; every message to a
//       subtask carries it, and messages of another attempt change nothing.
//   J2. A failure ends its attempt once; later failures of the same attempt are the same failure.
//   J3. Subtasks hear of completion only after the manifest is durable and recorded.
//   J4. Sources start only when every subtask of the attempt has been deployed.
//   J5. Ended is ended: a terminal phase is never left, and nothing runs on.

import type { JobConfig } from "../format/config.ts";
import {
  type Attempt,
  attempt as attemptOf,
  type CheckpointId,
  checkpointId,
  type JobId,
  type Millis,
  millis,
  type TaskId,
  type TaskKey,
  taskKey,
} from "../format/ids.ts";
import type {
  AttemptFailure,
  CheckpointOverview,
  CheckpointRecord,
  JobDetails,
  TaskPhase,
  TaskStatus,
} from "../format/job-status.ts";
import { heartbeatInterval, heartbeatTimeout } from "../format/limits.ts";
import { encodeManifest, type Manifest, manifestFiles } from "../format/manifest.ts";
import type {
  AttemptOutcome,
  CheckpointAck,
  CheckpointDecline,
  DeployOutcome,
  HeartbeatOutcome,
  JobPhase,
  JobSubmission,
  JobSummary,
  TaskDeployment,
  TaskFailure,
  TaskMetrics,
} from "../format/messages.ts";
import { manifestPath } from "../format/paths.ts";
import { type ExecutionPlan, sourceTasksOf, tasksOf } from "../format/plan.ts";
import { filesOf } from "../format/state-handle.ts";
import { type CheckpointLedger, Checkpoints, emptyLedger, type RetainedCheckpoint } from "./checkpoints.ts";
import { decideRestart } from "./restart.ts";
import { collectable } from "./retention.ts";

/** Which phase may follow which. */
export const jobTransitions = {
  INITIALIZING: ["RUNNING", "RESTARTING", "FAILING", "CANCELLING"],
  RUNNING: ["RESTARTING", "FAILING", "CANCELLING"],
  RESTARTING: ["RUNNING", "RESTARTING", "FAILING", "CANCELLING"],
  FAILING: ["FAILED"],
  CANCELLING: ["CANCELED"],
  FAILED: [],
  CANCELED: [],
  FINISHED: [],
} as const satisfies Record<JobPhase, readonly JobPhase[]>;

export const isTerminal = (phase: JobPhase): boolean => jobTransitions[phase].length === 0;

/** Failures remembered for the REST API; Flink's `web.exception-history-size`. */
const failuresMax = 16;

/** Milliseconds in which every subtask of an attempt must be deployed and started. */
const deployTimeout = 60_000;

/** Milliseconds between attempts to tell the dispatcher. */
const announceRetry = 1_000;

/** What of a job outlives the coordinator's memory. */
export interface JobRecord {
  readonly job: JobId;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  readonly phase: JobPhase;
  readonly entered: Readonly<Partial<Record<JobPhase, Millis>>>;
  readonly attempt: Attempt;
  /** Restarts granted so far. */
  readonly restarts: number;
  /** When the next attempt begins; absent once it has begun. */
  readonly restartAt?: Millis;
  readonly failures: readonly AttemptFailure[];
  readonly checkpoints: CheckpointLedger;
  readonly lastRestored?: { readonly id: CheckpointId; readonly at: Millis; readonly path: string };
  readonly startTime: Millis;
  readonly lastModification: Millis;
  /** The `lastModification` that the dispatcher knows. */
  readonly announced: number;
}

export type Effect =
  /** Durable before any effect after it leaves. `ended`: a checkpoint for the history. */
  | { readonly kind: "persist"; readonly record: JobRecord; readonly ended: readonly CheckpointRecord[] }
  /** Read the manifest, then `manifestLoaded` or `manifestFailed`. */
  | { readonly kind: "loadManifest"; readonly attempt: Attempt; readonly checkpoint: RetainedCheckpoint }
  | { readonly kind: "deploy"; readonly deployments: readonly TaskDeployment[] }
  | { readonly kind: "start"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  | {
      readonly kind: "trigger";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      readonly tasks: readonly TaskId[];
    }
  /** Conditional create, then `published`. */
  | {
      readonly kind: "publish";
      readonly attempt: Attempt;
      readonly candidate: RetainedCheckpoint;
      readonly bytes: Uint8Array;
    }
  /** Whether the manifest of a coordinator that crashed is there, then `recovered`. */
  | { readonly kind: "probeManifest"; readonly candidate: RetainedCheckpoint }
  | {
      readonly kind: "notifyComplete" | "notifyAborted";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      readonly tasks: readonly TaskId[];
    }
  | { readonly kind: "heartbeat"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  | { readonly kind: "cancelTasks"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Delete these files. */
  | { readonly kind: "deleteFiles"; readonly paths: readonly string[] }
  /** List the job's files and delete what `reachable` does not hold, up to checkpoint `upTo`. */
  | { readonly kind: "sweep"; readonly reachable: readonly string[]; readonly upTo: CheckpointId }
  | { readonly kind: "announce"; readonly summary: JobSummary };

interface TaskState {
  readonly task: TaskId;
  phase: TaskPhase;
  started: Millis | undefined;
  heardAt: Millis;
  metrics: TaskMetrics | undefined;
}

export class Job {
  #record: JobRecord;
  readonly #checkpoints: Checkpoints;
  #tasks: Map<TaskKey, TaskState>;
  #effects: Effect[] = [];
  #ended: CheckpointRecord[] = [];
  #dirty = false;
  #deployingSince: Millis | undefined;
  #nextHeartbeatAt: number;
  #announcedAt = 0;
  /** Files of checkpoints that may have left something unreachable behind. */
  readonly #knownFiles = new Set<string>();

  private constructor(record: JobRecord, history: readonly CheckpointRecord[], now: Millis) {
    this.#record = record;
    this.#checkpoints = new Checkpoints(record.config.checkpointing, record.checkpoints, history, now);
    this.#tasks = taskStates(record.plan, now, isTerminal(record.phase) ? "CANCELED" : "CREATED");
    this.#nextHeartbeatAt = now;
    for (const retained of record.checkpoints.retained) this.#know(retained.files);
  }

  /** A new job; its first attempt is deployed at once. */
  static submitted(submission: JobSubmission, now: Millis): { job: Job; effects: Effect[] } {
    const record: JobRecord = {
      ...submission,
      phase: "INITIALIZING",
      entered: { INITIALIZING: now },
      attempt: attemptOf(1),
      restarts: 0,
      failures: [],
      checkpoints: emptyLedger,
      startTime: now,
      lastModification: now,
      announced: 0,
    };
    const job = new Job(record, [], now);
    job.#beginAttempt(attemptOf(1), now);
    return { job, effects: job.#flush(now) };
  }

  /** A job whose coordinator lost its memory; running subtasks are not disturbed. */
  static reloaded(
    record: JobRecord,
    history: readonly CheckpointRecord[],
    now: Millis,
  ): { job: Job; effects: Effect[] } {
    const job = new Job(record, history, now);
    job.#resume(now);
    return { job, effects: job.#flush(now) };
  }

  get phase(): JobPhase {
    return this.#record.phase;
  }

  get id(): JobId {
    return this.#record.job;
  }

  /** When `tick` is due; undefined once nothing is left to wait for. */
  nextWakeAt(): Millis | undefined {
    const { phase, restartAt, announced, lastModification } = this.#record;
    const times: number[] = [];
    if (announced < lastModification) times.push(this.#announcedAt + announceRetry);
    if (!isTerminal(phase)) times.push(this.#nextHeartbeatAt);
    if (restartAt !== undefined) times.push(restartAt);
    if (this.#deployingSince !== undefined) times.push(this.#deployingSince + deployTimeout);
    if (phase === "RUNNING") {
      const trigger = this.#checkpoints.nextTriggerAt();
      const expiry = this.#checkpoints.nextExpiryAt();
      if (trigger !== undefined) times.push(trigger);
      if (expiry !== undefined) times.push(expiry);
    }
    return times.length === 0 ? undefined : millis(Math.min(...times));
  }

  tick(now: Millis): Effect[] {
    const { phase, restartAt } = this.#record;
    if (restartAt !== undefined && now >= restartAt) {
      this.#beginAttempt(attemptOf(this.#record.attempt + 1), now);
    }
    if (this.#deployingSince !== undefined && now >= this.#deployingSince + deployTimeout) {
      const late = this.#inPhase("DEPLOYING", "INITIALIZING").map(taskKey).join(", ");
      this.#fail({ name: "DeployTimeout", message: `Not deployed within ${deployTimeout} ms: ${late}.` }, now);
    }
    if (phase === "RUNNING") {
      for (const id of this.#checkpoints.expired(now)) {
        const { timeout } = this.#record.config.checkpointing;
        this.#abort(id, `Checkpoint expired: not all subtasks acknowledged within ${timeout} ms.`, now);
      }
    }
    if (now >= this.#nextHeartbeatAt && !isTerminal(phase)) this.#heartbeat(now);
    const due = this.#record.phase === "RUNNING" ? this.#checkpoints.nextTriggerAt() : undefined;
    if (due !== undefined && now >= due) this.#trigger(now);
    return this.#flush(now);
  }

  // Deployment.

  manifestLoaded(attempt: Attempt, manifest: Manifest, now: Millis): Effect[] {
    if (this.#isCurrent(attempt) && this.#deployingSince !== undefined) {
      this.#checkpoints.restored();
      const { checkpoint: id } = manifest;
      this.#update({ lastRestored: { id, at: now, path: manifestPath(this.id, id) } });
      this.#deploy(now, manifest);
    }
    return this.#flush(now);
  }

  /** `damaged`: reading again will not help, so the checkpoint before it is taken. */
  manifestFailed(
    attempt: Attempt,
    failure: { readonly damaged: boolean; readonly message: string },
    now: Millis,
  ): Effect[] {
    if (this.#isCurrent(attempt) && this.#deployingSince !== undefined) {
      const { retained } = this.#checkpoints.ledger;
      if (failure.damaged && retained.length > 1) this.#checkpoints.dropLatest();
      this.#fail({ name: "RestoreFailed", message: failure.message }, now);
    }
    return this.#flush(now);
  }

  deployed(attempt: Attempt, task: TaskId, outcome: DeployOutcome, now: Millis): Effect[] {
    const state = this.#expecting(attempt, task, "DEPLOYING");
    if (state !== undefined) {
      state.heardAt = now;
      if (outcome.kind === "deployed") {
        state.phase = "INITIALIZING";
        if (this.#inPhase("DEPLOYING").length === 0) {
          this.#effects.push({ kind: "start", attempt, tasks: this.#all() });
        }
      } else {
        const message =
          outcome.kind === "refused"
            ? outcome.reason
            : `It runs attempt ${outcome.current}, newer than ${attempt}.`;
        this.#fail({ task, name: "DeployRefused", message }, now);
      }
    }
    return this.#flush(now);
  }

  started(attempt: Attempt, task: TaskId, outcome: AttemptOutcome, now: Millis): Effect[] {
    const state = this.#expecting(attempt, task, "INITIALIZING");
    if (state !== undefined) {
      state.heardAt = now;
      if (outcome.kind === "ok") {
        state.phase = "RUNNING";
        this.#touch(now);
        if (this.#inPhase("INITIALIZING").length === 0) {
          this.#deployingSince = undefined;
          this.#checkpoints.restarted(now);
          this.#enter("RUNNING", now);
        }
      } else {
        this.#fail(lostState(task, outcome), now);
      }
    }
    return this.#flush(now);
  }

  // Checkpoints.

  acknowledged(ack: CheckpointAck, now: Millis): Effect[] {
    this.#heard(ack.attempt, ack.task, now);
    if (this.#isCurrent(ack.attempt) && this.#record.phase === "RUNNING") {
      this.#know(filesOf(ack.state));
      const outcome = this.#checkpoints.acknowledge(ack, now);
      if (outcome.kind === "complete") {
        const manifest = this.#manifestOf(outcome.checkpoint.id, [...outcome.checkpoint.acks.values()].map((entry) => entry.ack), now);
        const path = manifestPath(this.id, manifest.checkpoint);
        const candidate: RetainedCheckpoint = {
          id: manifest.checkpoint,
          attempt: ack.attempt,
          path,
          files: [...new Set([path, ...manifestFiles(manifest)])],
        };
        this.#checkpoints.publishing(candidate);
        this.#dirty = true;
        const bytes = encodeManifest(manifest);
        this.#effects.push({ kind: "publish", attempt: ack.attempt, candidate, bytes });
      }
    }
    return this.#flush(now);
  }

  declined(decline: CheckpointDecline, now: Millis): Effect[] {
    this.#heard(decline.attempt, decline.task, now);
    if (this.#isCurrent(decline.attempt) && this.#record.phase === "RUNNING") {
      const reason = `Declined by ${taskKey(decline.task)}: ${decline.reason}`;
      this.#abort(decline.checkpoint, reason, now);
    }
    return this.#flush(now);
  }

  /** `exists`: another manifest stands under that name. `unknown`: nobody can tell; keep all files. */
  published(
    attempt: Attempt,
    candidate: RetainedCheckpoint,
    outcome: { readonly kind: "created" } | { readonly kind: "exists" | "unknown"; readonly message: string },
    now: Millis,
  ): Effect[] {
    const isPending = this.#checkpoints.pending.some((entry) => entry.id === candidate.id);
    if (this.#isCurrent(attempt) && isPending) {
      if (outcome.kind === "created") this.#complete(candidate);
      else this.#abort(candidate.id, `Its manifest was not written: ${outcome.message}`, now);
    }
    return this.#flush(now);
  }

  /** The answer to `probeManifest`. */
  recovered(candidate: RetainedCheckpoint, exists: boolean, now: Millis): Effect[] {
    if (this.#checkpoints.ledger.publishing?.id === candidate.id) {
      if (exists) this.#complete(candidate);
      else this.#abort(candidate.id, "The coordinator was restarted before its manifest was written.", now);
      if (this.#record.phase !== "RUNNING") this.#redeploy(now);
    }
    return this.#flush(now);
  }

  // Failure and end.

  taskFailed(failure: TaskFailure, now: Millis): Effect[] {
    if (this.#isCurrent(failure.attempt)) this.#fail(failure, now);
    return this.#flush(now);
  }

  /** The answer to a heartbeat or a notification. `silent`: the call failed. */
  heartbeat(
    attempt: Attempt,
    task: TaskId,
    outcome: HeartbeatOutcome | { readonly kind: "silent"; readonly message: string },
    now: Millis,
  ): Effect[] {
    const state = this.#tasks.get(taskKey(task));
    if (this.#isCurrent(attempt) && state !== undefined && state.phase === "RUNNING") {
      if (outcome.kind === "ok") {
        state.heardAt = now;
        state.metrics = outcome.metrics;
      } else if (outcome.kind !== "silent") {
        this.#fail(lostState(task, outcome), now);
      } else if (now - state.heardAt >= heartbeatTimeout) {
        const message = `Not heard of for ${now - state.heardAt} ms: ${outcome.message}`;
        this.#fail({ task, name: "HeartbeatTimeout", message }, now);
      }
    }
    return this.#flush(now);
  }

  cancel(now: Millis): { outcome: "cancelling" | "ended"; effects: Effect[] } {
    const { phase } = this.#record;
    if (isTerminal(phase) || phase === "FAILING") return { outcome: "ended", effects: [] };
    if (phase !== "CANCELLING") {
      this.#endAttempt("The job was cancelled.", now);
      this.#enter("CANCELLING", now);
      this.#cancelTasks();
    }
    return { outcome: "cancelling", effects: this.#flush(now) };
  }

  /** Every subtask was told to stop, or could not be reached and will be refused from now on. */
  tasksCancelled(attempt: Attempt, now: Millis): Effect[] {
    const { phase } = this.#record;
    if (this.#isCurrent(attempt) && (phase === "CANCELLING" || phase === "FAILING")) {
      const end = phase === "CANCELLING" ? "CANCELED" : "FAILED";
      for (const state of this.#tasks.values()) state.phase = end;
      this.#enter(end, now);
      // A failed job keeps its last checkpoints, for someone to look into; a cancelled one nothing.
      if (end === "CANCELED") this.#sweep([]);
    }
    return this.#flush(now);
  }

  announced(lastModification: Millis, now: Millis): Effect[] {
    if (lastModification > this.#record.announced) this.#update({ announced: lastModification });
    return this.#flush(now);
  }

  // What people ask.

  summary(): JobSummary {
    const { job, plan, phase, startTime, lastModification, entered } = this.#record;
    return {
      job,
      program: plan.program,
      phase,
      startTime,
      endTime: isTerminal(phase) ? (entered[phase] ?? -1) : -1,
      lastModification,
      tasks: { total: this.#tasks.size, running: this.#inPhase("RUNNING").length },
    };
  }

  details(): JobDetails {
    const { attempt, plan, config, entered, failures, phase } = this.#record;
    const ended = isTerminal(phase) ? entered[phase] : undefined;
    const tasks = [...this.#tasks.values()].map(
      (state): TaskStatus => ({
        task: state.task,
        phase: state.phase,
        ...(state.started !== undefined && { started: state.started }),
        ...(ended !== undefined && { ended }),
        ...(state.metrics !== undefined && { metrics: state.metrics }),
      }),
    );
    return { summary: this.summary(), attempt, plan, config, entered, tasks, failures };
  }

  overview(): CheckpointOverview {
    const { plan, lastRestored } = this.#record;
    const history = this.#checkpoints.history;
    const completed = history.find((record) => record.outcome.kind === "completed");
    const failed = history.find((record) => record.outcome.kind === "failed");
    return {
      plan,
      counts: { ...this.#checkpoints.ledger.counts, pending: this.#checkpoints.pending.length },
      latest: {
        ...(completed !== undefined && { completed: completed as CheckpointOverview["latest"]["completed"] & {} }),
        ...(failed !== undefined && { failed: failed as CheckpointOverview["latest"]["failed"] & {} }),
        ...(lastRestored !== undefined && { restored: lastRestored }),
      },
      history,
    };
  }

  // Steps.

  #resume(now: Millis): void {
    const { phase, restartAt, attempt, checkpoints } = this.#record;
    if (isTerminal(phase)) return;
    if (phase === "CANCELLING" || phase === "FAILING") return this.#cancelTasks();
    for (const state of this.#tasks.values()) state.phase = phase === "RUNNING" ? "RUNNING" : "CREATED";
    for (const id of checkpoints.open) {
      if (id === checkpoints.publishing?.id) continue;
      this.#abort(id, "The coordinator was restarted.", now, { counted: false });
    }
    if (checkpoints.publishing !== undefined) {
      this.#effects.push({ kind: "probeManifest", candidate: checkpoints.publishing });
    }
    // A deployment that was under way is begun anew, under a new attempt: what had become of it
    // is not known.
    if (phase === "RUNNING") this.#heartbeat(now);
    else if (restartAt === undefined && checkpoints.publishing === undefined) {
      this.#beginAttempt(attemptOf(attempt + 1), now);
    }
  }

  #redeploy(now: Millis): void {
    const { restartAt, attempt, phase } = this.#record;
    if ((phase === "INITIALIZING" || phase === "RESTARTING") && restartAt === undefined) {
      this.#beginAttempt(attemptOf(attempt + 1), now);
    }
  }

  #beginAttempt(attempt: Attempt, now: Millis): void {
    const { restartAt: _, ...record } = this.#record;
    this.#record = { ...record, attempt };
    this.#dirty = true;
    this.#deployingSince = now;
    this.#tasks = taskStates(record.plan, now, "DEPLOYING");
    const { latest, ledger } = this.#checkpoints;
    if (ledger.nextId > 1) this.#sweep(ledger.retained.flatMap((entry) => entry.files));
    if (latest === undefined) this.#deploy(now);
    else this.#effects.push({ kind: "loadManifest", attempt, checkpoint: latest });
  }

  #deploy(now: Millis, manifest?: Manifest): void {
    const { job, attempt, plan, config } = this.#record;
    for (const state of this.#tasks.values()) state.started = now;
    const deployments = this.#all().map((task): TaskDeployment => {
      const deployment = { job, attempt, task, plan, config };
      if (manifest === undefined) return deployment;
      const states = manifest.tasks
        .filter((entry) => entry.task.startsWith(`${task.vertex}/`))
        .map((entry) => entry.state);
      return { ...deployment, restore: { checkpoint: manifest.checkpoint, states } };
    });
    this.#effects.push({ kind: "deploy", deployments });
  }

  #trigger(now: Millis): void {
    const { attempt, plan } = this.#record;
    const pending = this.#checkpoints.trigger(attempt, [...this.#tasks.keys()], now);
    this.#dirty = true;
    this.#effects.push({ kind: "trigger", attempt, checkpoint: pending.id, tasks: sourceTasksOf(plan) });
  }

  #complete(candidate: RetainedCheckpoint): void {
    const { record, overtaken } = this.#checkpoints.completed(candidate);
    if (record !== undefined) this.#ended.push(record);
    this.#dirty = true;
    const { attempt } = this.#record;
    const tasks = this.#all();
    this.#effects.push({ kind: "notifyComplete", attempt, checkpoint: candidate.id, tasks });
    for (const checkpoint of overtaken) {
      this.#effects.push({ kind: "notifyAborted", attempt, checkpoint, tasks });
    }
    this.#collect(candidate.id);
  }

  #abort(
    id: CheckpointId,
    reason: string,
    now: Millis,
    { counted }: { readonly counted: boolean } = { counted: true },
  ): void {
    const wasOpen = this.#checkpoints.ledger.open.includes(id);
    const record = this.#checkpoints.abort(id, reason, now);
    if (!wasOpen) return;
    if (record !== undefined) this.#ended.push(record);
    this.#dirty = true;
    const { attempt } = this.#record;
    this.#effects.push({ kind: "notifyAborted", attempt, checkpoint: id, tasks: this.#all() });
    if (counted && this.#checkpoints.toleranceExceeded) {
      const { tolerableFailures } = this.#record.config.checkpointing;
      const message = `More than ${tolerableFailures} checkpoints in a row failed; the last: ${reason}`;
      this.#fail({ name: "CheckpointFailed", message }, now);
    }
  }

  #fail(
    failure: { readonly task?: TaskId; readonly name: string; readonly message: string; readonly stack?: string },
    now: Millis,
  ): void {
    const { phase, restartAt, attempt, config, restarts, failures } = this.#record;
    if (isTerminal(phase) || phase === "CANCELLING" || phase === "FAILING") return;
    if (restartAt !== undefined) return;
    const entry: AttemptFailure = {
      attempt,
      at: now,
      ...(failure.task !== undefined && { task: failure.task }),
      name: failure.name,
      message: failure.message,
      ...(failure.stack !== undefined && { stack: failure.stack }),
    };
    this.#update({ failures: [entry, ...failures].slice(0, failuresMax) });
    this.#endAttempt(`Attempt ${attempt} failed: ${failure.message}`, now);
    const decision = decideRestart(config.restart, restarts, now);
    if (decision.kind === "restart") {
      this.#enter("RESTARTING", now);
      this.#update({ restartAt: decision.at, restarts: restarts + 1 });
    } else {
      this.#enter("FAILING", now);
    }
    this.#cancelTasks();
  }

  /** Nothing of the current attempt counts any more. */
  #endAttempt(reason: string, now: Millis): void {
    for (const pending of this.#checkpoints.pending) {
      const record = this.#checkpoints.abort(pending.id, reason, now);
      if (record !== undefined) this.#ended.push(record);
    }
    this.#deployingSince = undefined;
    for (const state of this.#tasks.values()) state.phase = "CANCELING";
    this.#dirty = true;
  }

  #cancelTasks(): void {
    this.#effects.push({ kind: "cancelTasks", attempt: this.#record.attempt, tasks: this.#all() });
  }

  #heartbeat(now: Millis): void {
    this.#nextHeartbeatAt = now + heartbeatInterval;
    const tasks = this.#inPhase("RUNNING");
    if (tasks.length > 0) this.#effects.push({ kind: "heartbeat", attempt: this.#record.attempt, tasks });
  }

  #collect(upTo: CheckpointId): void {
    const reachable = new Set(this.#checkpoints.ledger.retained.flatMap((entry) => entry.files));
    const paths = collectable({ job: this.id, reachable, upTo }, this.#knownFiles);
    for (const path of paths) this.#knownFiles.delete(path);
    if (paths.length > 0) this.#effects.push({ kind: "deleteFiles", paths });
  }

  #sweep(reachable: readonly string[]): void {
    const upTo = checkpointId(Math.max(1, this.#checkpoints.ledger.nextId - 1));
    this.#effects.push({ kind: "sweep", reachable, upTo });
  }

  #manifestOf(checkpoint: CheckpointId, acks: readonly CheckpointAck[], now: Millis): Manifest {
    const { job, plan, attempt } = this.#record;
    return {
      job,
      program: plan.program,
      fingerprint: plan.fingerprint,
      checkpoint,
      attempt,
      completedAt: now,
      maxParallelism: plan.maxParallelism,
      tasks: acks.map((ack) => ({ task: taskKey(ack.task), state: ack.state })),
    };
  }

  // Bookkeeping.

  #isCurrent(attempt: Attempt): boolean {
    return attempt === this.#record.attempt;
  }

  #expecting(attempt: Attempt, task: TaskId, phase: TaskPhase): TaskState | undefined {
    const state = this.#tasks.get(taskKey(task));
    const isExpected = this.#isCurrent(attempt) && this.#deployingSince !== undefined;
    return isExpected && state?.phase === phase ? state : undefined;
  }

  #heard(attempt: Attempt, task: TaskId, now: Millis): void {
    const state = this.#tasks.get(taskKey(task));
    if (this.#isCurrent(attempt) && state !== undefined) state.heardAt = now;
  }

  #know(paths: readonly string[]): void {
    for (const path of paths) this.#knownFiles.add(path);
  }

  #all(): TaskId[] {
    return [...this.#tasks.values()].map((state) => state.task);
  }

  #inPhase(...phases: readonly TaskPhase[]): TaskId[] {
    return [...this.#tasks.values()].filter((state) => phases.includes(state.phase)).map((state) => state.task);
  }

  #enter(phase: JobPhase, now: Millis): void {
    const from = this.#record.phase;
    const allowed: readonly JobPhase[] = jobTransitions[from];
    if (from !== phase && !allowed.includes(phase)) throw new Error(`J5: ${from} -> ${phase}`);
    this.#update({ phase, entered: { ...this.#record.entered, [phase]: now } });
    this.#touch(now);
    this.#announcedAt = 0;
  }

  /** Something changed that the list of jobs shows. */
  #touch(now: Millis): void {
    this.#update({ lastModification: millis(Math.max(now, this.#record.lastModification + 1)) });
  }

  #update(change: Partial<JobRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#dirty = true;
  }

  /** The effects since the last call, what must be durable first. */
  #flush(now: Millis): Effect[] {
    const out = this.#effects;
    this.#effects = [];
    const { announced, lastModification } = this.#record;
    if (announced < lastModification && now >= this.#announcedAt + announceRetry) {
      this.#announcedAt = now;
      out.push({ kind: "announce", summary: this.summary() });
    }
    if (!this.#dirty) return out;
    this.#dirty = false;
    this.#record = { ...this.#record, checkpoints: this.#checkpoints.ledger };
    const ended = this.#ended;
    this.#ended = [];
    return [{ kind: "persist", record: this.#record, ended }, ...out];
  }
}

const lostState = (
  task: TaskId,
  outcome: Exclude<AttemptOutcome, { kind: "ok" }>,
): { task: TaskId; name: string; message: string } => ({
  task,
  name: "SubtaskLost",
  message:
    outcome.kind === "unknown"
      ? `Subtask ${taskKey(task)} has lost its memory.`
      : `Subtask ${taskKey(task)} runs attempt ${outcome.current}.`,
});

const taskStates = (plan: ExecutionPlan, now: Millis, phase: TaskPhase): Map<TaskKey, TaskState> =>
  new Map(
    tasksOf(plan).map((task) => [
      taskKey(task),
      { task, phase, started: undefined, heardAt: now, metrics: undefined },
    ]),
  );
