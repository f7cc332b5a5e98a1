// One job, from submission to its end: phases, attempts, deployments, checkpoints, failures. Every
// event is a method; each returns what the shell must do. No clock, no storage, no network.
//   J1. The attempt grows before anything of it is deployed, and durably; every message to a
//       subtask carries it, and messages of another attempt change nothing.
//   J2. A failure ends its attempt once; later failures of the same attempt are the same failure.
//   J3. Subtasks hear of completion only after the manifest is durable and recorded.
//   J4. Sources start only when every subtask of the attempt has been deployed.
//   J5. Ended is ended: a terminal phase is never left, and nothing runs on.
//   J6. Checkpoints are open only while the job is RUNNING: whatever ends an attempt ends them, also
//       the one that is being published. Its manifest then counts for nothing, being in no ledger.

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
  taskKey,
} from "../format/ids.ts";
import type {
  AttemptFailure,
  CheckpointOverview,
  CheckpointRecord,
  CompletedCheckpoint,
  FailedCheckpoint,
  JobDetails,
  TaskPhase,
  TaskStatus,
} from "../format/job-status.ts";
import { heartbeatInterval, inlineManifestBytesMax } from "../format/limits.ts";
import { encodeManifest, type Manifest, manifestFiles, statesOf } from "../format/manifest.ts";
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
} from "../format/messages.ts";
import { manifestPath } from "../format/paths.ts";
import { type ExecutionPlan, sourceTasksOf } from "../format/plan.ts";
import {
  type CheckpointLedger,
  Checkpoints,
  emptyLedger,
  type RetainedCheckpoint,
} from "./checkpoints.ts";
import { decideRestart, jitterOf, noRestarts, type RestartHistory } from "./restart.ts";
import { collectable } from "./retention.ts";
import { Subtasks } from "./subtasks.ts";

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

/** What a coordinator that lost its memory takes its subtasks to be. */
const phaseOfTasks = {
  INITIALIZING: "CREATED",
  RUNNING: "RUNNING",
  RESTARTING: "CREATED",
  FAILING: "CANCELING",
  FAILED: "FAILED",
  CANCELLING: "CANCELING",
  CANCELED: "CANCELED",
  FINISHED: "FINISHED",
} as const satisfies Record<JobPhase, TaskPhase>;

/** Failures remembered for the REST API; Flink's `web.exception-history-size`. */
const failuresMax = 16;

/** Characters kept of a failure's message, and of its stack: the record of a job stays small. */
const failureTextMax = 4_000;

/** Milliseconds in which every subtask of an attempt must be deployed and started. */
const deployTimeout = 60_000;

/** Milliseconds in which subtasks must be told that the job is over; it ends without them then. */
const cancelTimeout = 60_000;

/** Milliseconds between attempts to tell the dispatcher. */
const announceRetry = 1_000;

/** Milliseconds after which an ended job's files are looked for once more. No write takes so long. */
const sweepRetry = 60_000;

/** What of a job outlives the coordinator's memory. */
export interface JobRecord {
  readonly job: JobId;
  readonly plan: ExecutionPlan;
  readonly config: JobConfig;
  readonly phase: JobPhase;
  readonly entered: Readonly<Partial<Record<JobPhase, Millis>>>;
  readonly attempt: Attempt;
  readonly attemptStarted: Millis;
  /** What its restart strategy remembers. */
  readonly restartHistory: RestartHistory;
  /** When the next attempt begins; absent once it has begun. */
  readonly restartAt?: Millis;
  readonly failures: readonly AttemptFailure[];
  /** It ended with a failure that no restart could have avoided: its checkpoints stay. */
  readonly isBeyondRestart?: true;
  readonly checkpoints: CheckpointLedger;
  readonly lastRestored?: {
    readonly id: CheckpointId;
    readonly at: Millis;
    readonly path: string;
  };
  readonly startTime: Millis;
  readonly lastModification: Millis;
  /** The `lastModification` that the dispatcher knows. */
  readonly announced: number;
}

export type Effect =
  /**
   * Durable before any effect after it leaves. `ended` go into the history of checkpoints,
   * `forgotten` out of it.
   */
  | {
      readonly kind: "persist";
      readonly record: JobRecord;
      readonly ended: readonly CheckpointRecord[];
      readonly forgotten: readonly CheckpointId[];
    }
  /** Read the manifest, then `manifestLoaded` or `manifestFailed`. */
  | {
      readonly kind: "loadManifest";
      readonly attempt: Attempt;
      readonly checkpoint: RetainedCheckpoint;
    }
  /** Each is answered by `deployed`. */
  | { readonly kind: "deploy"; readonly deployments: readonly TaskDeployment[] }
  /** Each is answered by `started`. */
  | { readonly kind: "start"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Each is answered by `triggered`. */
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
  /** Each is answered by `heartbeat`. */
  | {
      readonly kind: "notifyComplete" | "notifyAborted";
      readonly attempt: Attempt;
      readonly checkpoint: CheckpointId;
      readonly tasks: readonly TaskId[];
    }
  /** Each is answered by `heartbeat`. */
  | { readonly kind: "heartbeat"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Each that answers is reported by `tasksCancelled`. */
  | { readonly kind: "cancelTasks"; readonly attempt: Attempt; readonly tasks: readonly TaskId[] }
  /** Delete these files; `notDeleted` where that failed. */
  | { readonly kind: "deleteFiles"; readonly paths: readonly string[] }
  /**
   * List the job's files and delete what `reachable` does not hold, up to checkpoint `upTo`; then
   * `swept`.
   */
  | { readonly kind: "sweep"; readonly reachable: readonly string[]; readonly upTo: CheckpointId }
  /** Tell the dispatcher, then `announced`. */
  | { readonly kind: "announce"; readonly summary: JobSummary };

/** A call that was not answered. */
export interface Silence {
  readonly kind: "silent";
  readonly message: string;
}

interface Failure {
  readonly task?: TaskId;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}

export class Job {
  #record: JobRecord;
  readonly #checkpoints: Checkpoints;
  readonly #tasks: Subtasks;
  #effects: Effect[] = [];
  #dirty = false;
  /** Set from the beginning of an attempt until all of it runs. */
  #deployingSince: Millis | undefined;
  #nextProbeAt: number;
  #announcedAt = 0;
  #sweptAt = 0;

  private constructor(record: JobRecord, history: readonly CheckpointRecord[], now: Millis) {
    const { plan, config, phase, checkpoints } = record;
    this.#record = record;
    this.#checkpoints = new Checkpoints(config.checkpointing, checkpoints, history, now);
    this.#tasks = new Subtasks(plan, phaseOfTasks[phase]);
    this.#nextProbeAt = now + heartbeatInterval;
  }

  /** A new job; its first attempt is deployed at once. */
  static submitted(submission: JobSubmission, now: Millis): { job: Job; effects: Effect[] } {
    const record: JobRecord = {
      ...submission,
      phase: "INITIALIZING",
      entered: { INITIALIZING: now },
      attempt: attemptOf(1),
      attemptStarted: now,
      restartHistory: noRestarts,
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

  get config(): JobConfig {
    return this.#record.config;
  }

  /** When `tick` is due; undefined once nothing is left to wait for. */
  nextWakeAt(): Millis | undefined {
    const { phase, restartAt, announced, lastModification } = this.#record;
    const { litterUpTo } = this.#checkpoints.ledger;
    const times: number[] = [];
    if (announced < lastModification) times.push(this.#announcedAt + announceRetry);
    if (restartAt !== undefined) times.push(restartAt);
    if (this.#deployingSince !== undefined) times.push(this.#deployingSince + deployTimeout);
    if (!isTerminal(phase)) times.push(this.#nextProbeAt);
    else if (litterUpTo !== undefined) times.push(this.#sweptAt + sweepRetry);
    if (phase === "RUNNING") {
      const trigger = this.#checkpoints.nextTriggerAt();
      const expiry = this.#checkpoints.nextExpiryAt();
      if (trigger !== undefined) times.push(trigger);
      if (expiry !== undefined) times.push(expiry);
    }
    return times.length === 0 ? undefined : millis(Math.min(...times));
  }

  /** Does whatever is due; early or repeated, it does nothing. */
  tick(now: Millis): Effect[] {
    const { restartAt } = this.#record;
    if (restartAt !== undefined && now >= restartAt) {
      this.#beginAttempt(attemptOf(this.#record.attempt + 1), now);
    }
    if (this.#deployingSince !== undefined && now >= this.#deployingSince + deployTimeout) {
      const late = this.#tasks.inPhase("DEPLOYING", "INITIALIZING").map(taskKey).join(", ");
      const message = `Not deployed within ${deployTimeout} ms: ${late}.`;
      this.#fail({ name: "DeployTimeout", message }, now);
    }
    for (const id of this.#checkpoints.expired(now)) {
      const { timeout } = this.#record.config.checkpointing;
      this.#abort(id, `It expired: it was not complete within ${timeout} ms.`, now);
    }
    if (now >= this.#nextProbeAt) this.#probe(now);
    if (this.#record.phase === "RUNNING") {
      const due = this.#checkpoints.nextTriggerAt();
      if (due !== undefined && now >= due) this.#trigger(now);
    }
    if (isTerminal(this.#record.phase) && now >= this.#sweptAt + sweepRetry) this.#sweep(now);
    return this.#flush(now);
  }

  // Deployment.

  manifestLoaded(attempt: Attempt, manifest: Manifest, now: Millis): Effect[] {
    const { latest } = this.#checkpoints;
    if (this.#isDeploying(attempt) && latest !== undefined) {
      if (manifest.job !== this.id || manifest.checkpoint !== latest.id) {
        const found = `checkpoint ${manifest.checkpoint} of job ${manifest.job}`;
        const message = `${latest.path} is the manifest of ${found}.`;
        return this.manifestFailed(attempt, { damaged: true, message }, now);
      }
      this.#checkpoints.restored();
      this.#update({ lastRestored: { id: latest.id, at: now, path: latest.path } });
      this.#deploy(manifest);
    }
    return this.#flush(now);
  }

  /** `damaged`: reading again will not help, so the checkpoint before it is taken, if there is one. */
  manifestFailed(
    attempt: Attempt,
    failure: { readonly damaged: boolean; readonly message: string },
    now: Millis,
  ): Effect[] {
    if (this.#isDeploying(attempt)) {
      const isLast = this.#checkpoints.ledger.retained.length <= 1;
      // Never from nothing: a job that forgot its state would go on as if all were well.
      const isFinal = failure.damaged && isLast;
      if (failure.damaged && !isLast) this.#checkpoints.dropLatest();
      this.#fail({ name: "RestoreFailed", message: failure.message }, now, { isFinal });
    }
    return this.#flush(now);
  }

  deployed(attempt: Attempt, task: TaskId, outcome: DeployOutcome, now: Millis): Effect[] {
    if (this.#isDeploying(attempt) && this.#tasks.isIn(task, "DEPLOYING")) {
      if (outcome.kind === "deployed") {
        this.#tasks.enter(task, "INITIALIZING");
        this.#startWhenDeployed(now);
      } else {
        const message =
          outcome.kind === "refused"
            ? outcome.reason
            : `It runs attempt ${outcome.current}, newer than ${attempt}.`;
        this.#fail({ task, name: "DeployRefused", message }, now);
      }
    } else if (outcome.kind === "deployed" && this.#isOver(attempt)) {
      // The deployment arrived after the cancellation, or the subtask had nothing to cancel yet.
      this.#effects.push({ kind: "cancelTasks", attempt, tasks: [task] });
    }
    return this.#flush(now);
  }

  /** `silent`: it is told again with the next probe, until the deployment times out. */
  started(
    attempt: Attempt,
    task: TaskId,
    outcome: AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    if (this.#isDeploying(attempt) && this.#tasks.isIn(task, "INITIALIZING")) {
      if (outcome.kind === "ok") {
        this.#tasks.enter(task, "RUNNING");
        if (this.#tasks.inPhase("DEPLOYING", "INITIALIZING").length === 0) {
          this.#deployingSince = undefined;
          this.#checkpoints.restarted(now);
          // Replaced subtasks may have been writing until now.
          this.#checkpoints.littered();
          this.#enter("RUNNING", now);
        }
      } else if (outcome.kind !== "silent") {
        this.#fail(lost(task, outcome), now);
      }
    }
    return this.#flush(now);
  }

  // Checkpoints.

  /** The answer to a trigger. `silent`: the barrier may never come, so nobody waits for it. */
  triggered(
    attempt: Attempt,
    checkpoint: CheckpointId,
    task: TaskId,
    outcome: AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    if (this.#isRunning(attempt)) {
      if (outcome.kind === "silent") {
        this.#abort(checkpoint, `${taskKey(task)} was not triggered: ${outcome.message}`, now);
      }
      this.#answered(task, outcome, now);
    }
    return this.#flush(now);
  }

  acknowledged(ack: CheckpointAck, now: Millis): Effect[] {
    if (this.#isRunning(ack.attempt)) {
      this.#tasks.heard(ack.task);
      const outcome = this.#checkpoints.acknowledge(ack, now);
      if (outcome.kind === "complete") this.#publish(ack.checkpoint, outcome.acks, now);
    }
    return this.#flush(now);
  }

  declined(decline: CheckpointDecline, now: Millis): Effect[] {
    if (this.#isRunning(decline.attempt)) {
      this.#tasks.heard(decline.task);
      const reason = `Declined by ${taskKey(decline.task)}: ${decline.reason}`;
      this.#abort(decline.checkpoint, reason, now, { counted: decline.isSuperseded !== true });
    }
    return this.#flush(now);
  }

  /** `exists`: another manifest stands under that name. `unknown`: nobody can tell. */
  published(
    attempt: Attempt,
    candidate: RetainedCheckpoint,
    outcome:
      | { readonly kind: "created" }
      | { readonly kind: "exists" | "unknown"; readonly message: string },
    now: Millis,
  ): Effect[] {
    if (!this.#isRunning(attempt) || !this.#checkpoints.isOpen(candidate.id)) {
      // It was given up meanwhile, and its manifest has come to stand where nobody looks for it.
      this.#checkpoints.littered(candidate.id);
      this.#dirty = true;
      if (isTerminal(this.#record.phase)) this.#sweep(now);
    } else if (outcome.kind === "created") {
      this.#complete(candidate, now);
    } else {
      this.#abort(candidate.id, `Its manifest was not written: ${outcome.message}`, now);
    }
    return this.#flush(now);
  }

  /** The answer to `probeManifest`. */
  recovered(candidate: RetainedCheckpoint, exists: boolean, now: Millis): Effect[] {
    if (this.#checkpoints.isPublishing(candidate.id)) {
      if (exists) this.#complete(candidate, now);
      else this.#interrupt(candidate.id, now);
    }
    return this.#flush(now);
  }

  /**
   * The answer to `sweep`. An ended job is swept twice: what was on its way to the bucket when it
   * ended may have arrived behind the first one.
   */
  swept(upTo: CheckpointId, now: Millis): Effect[] {
    const { phase, entered } = this.#record;
    const isEarly = isTerminal(phase) && this.#sweptAt < (entered[phase] ?? 0) + sweepRetry;
    if (!isEarly && this.#checkpoints.ledger.litterUpTo !== undefined) {
      this.#checkpoints.swept(upTo);
      this.#dirty = true;
    }
    return this.#flush(now);
  }

  /** Files that a checkpoint pushed out may still be there; the next sweep finds them. */
  notDeleted(now: Millis): Effect[] {
    this.#litteredToLatest();
    this.#dirty = true;
    return this.#flush(now);
  }

  // Failure and end.

  taskFailed(failure: TaskFailure, now: Millis): Effect[] {
    if (this.#isCurrent(failure.attempt)) this.#fail(failure, now);
    return this.#flush(now);
  }

  /** The answer to a heartbeat or a notification. */
  heartbeat(
    attempt: Attempt,
    task: TaskId,
    outcome: HeartbeatOutcome | AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    if (this.#isCurrent(attempt)) this.#answered(task, outcome, now);
    return this.#flush(now);
  }

  cancel(now: Millis): { outcome: "cancelling" | "ended"; effects: Effect[] } {
    const { phase } = this.#record;
    if (isTerminal(phase) || phase === "FAILING") return { outcome: "ended", effects: [] };
    if (phase !== "CANCELLING") {
      this.#endAttempt("The job was cancelled.", now);
      this.#enter("CANCELLING", now);
      this.#cancelTasks(now);
    }
    return { outcome: "cancelling", effects: this.#flush(now) };
  }

  /** These were told to stop; who was not is told again with the next probe. */
  tasksCancelled(attempt: Attempt, tasks: readonly TaskId[], now: Millis): Effect[] {
    if (this.#isOver(attempt)) {
      for (const task of tasks) {
        if (this.#tasks.isIn(task, "CANCELING")) this.#tasks.enter(task, "CANCELED");
      }
      if (this.#isEnding() && this.#tasks.inPhase("CANCELING").length === 0) this.#end(now);
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
      tasks: {
        total: this.#tasks.all.length,
        running: this.#tasks.inPhase("RUNNING").length,
      },
    };
  }

  details(): JobDetails {
    const { attempt, plan, config, entered, failures, phase, attemptStarted } = this.#record;
    const ended = isTerminal(phase) ? entered[phase] : undefined;
    const tasks = this.#tasks.states.map((state): TaskStatus => ({
      task: state.task,
      phase: state.phase,
      ...(state.phase !== "CREATED" && { started: attemptStarted }),
      ...(ended !== undefined && { ended }),
      ...(state.metrics !== undefined && { metrics: state.metrics }),
    }));
    return { summary: this.summary(), attempt, plan, config, entered, tasks, failures };
  }

  overview(): CheckpointOverview {
    const { plan, lastRestored } = this.#record;
    const { history, ledger } = this.#checkpoints;
    const completed = history.find(isCompleted);
    const failed = history.find(isFailed);
    return {
      plan,
      counts: { ...ledger.counts, pending: ledger.open.length },
      latest: {
        ...(completed !== undefined && { completed }),
        ...(failed !== undefined && { failed }),
        ...(lastRestored !== undefined && { restored: lastRestored }),
      },
      history,
    };
  }

  // Steps.

  #resume(now: Millis): void {
    const { phase, restartAt, attempt, checkpoints } = this.#record;
    if (isTerminal(phase)) return this.#sweep(now);
    if (this.#isEnding()) return this.#cancelTasks(now);
    // Whether the last deletions were carried out is not known any more. Not worth a write of its
    // own: whoever reloads before the next one says so again.
    this.#litteredToLatest();
    for (const { id } of checkpoints.open) {
      if (!this.#checkpoints.isPublishing(id)) this.#interrupt(id, now);
    }
    for (const { candidate } of checkpoints.publishing) {
      this.#effects.push({ kind: "probeManifest", candidate });
    }
    if (phase === "RUNNING") this.#probe(now);
    // A deployment that was under way is begun anew, under a new attempt: what had become of it
    // is not known.
    else if (restartAt === undefined) this.#beginAttempt(attemptOf(attempt + 1), now);
  }

  #beginAttempt(attempt: Attempt, now: Millis): void {
    const { restartAt: _, ...record } = this.#record;
    this.#record = { ...record, attempt, attemptStarted: now };
    this.#dirty = true;
    this.#deployingSince = now;
    this.#tasks.reset("DEPLOYING");
    this.#sweep(now);
    const { latest } = this.#checkpoints;
    if (latest === undefined) this.#deploy();
    else this.#effects.push({ kind: "loadManifest", attempt, checkpoint: latest });
  }

  #deploy(manifest?: Manifest): void {
    const { job, attempt, plan, config } = this.#record;
    const deployments = this.#tasks.all.map((task): TaskDeployment => {
      const deployment = { job, attempt, task, plan, config };
      if (manifest === undefined) return deployment;
      const states = statesOf(manifest, task.vertex);
      return { ...deployment, restore: { checkpoint: manifest.checkpoint, states } };
    });
    this.#effects.push({ kind: "deploy", deployments });
  }

  #startWhenDeployed(now: Millis): void {
    if (this.#tasks.inPhase("DEPLOYING").length > 0) return;
    const tasks = this.#tasks.inPhase("INITIALIZING");
    if (tasks.length === 0) return;
    this.#nextProbeAt = now + heartbeatInterval;
    this.#effects.push({ kind: "start", attempt: this.#record.attempt, tasks });
  }

  #trigger(now: Millis): void {
    const { attempt, plan } = this.#record;
    const { id: checkpoint } = this.#checkpoints.trigger(attempt, this.#tasks.keys, now);
    this.#dirty = true;
    this.#effects.push({ kind: "trigger", attempt, checkpoint, tasks: sourceTasksOf(plan) });
  }

  #publish(checkpoint: CheckpointId, acks: readonly CheckpointAck[], now: Millis): void {
    const { job, plan, attempt, config } = this.#record;
    const bytes = acks.reduce((total, { metrics }) => total + metrics.stateBytes, 0);
    if (config.checkpointing.storage === "inline" && bytes > inlineManifestBytesMax) {
      const reason =
        `Its state is ${bytes} bytes, and with checkpointing.storage "inline" the coordinator ` +
        `takes ${inlineManifestBytesMax}. Set it to "r2".`;
      return this.#abort(checkpoint, reason, now);
    }
    const manifest: Manifest = {
      job,
      program: plan.program,
      fingerprint: plan.fingerprint,
      checkpoint,
      attempt,
      completedAt: now,
      maxParallelism: plan.maxParallelism,
      tasks: acks.map((ack) => ({ task: taskKey(ack.task), state: ack.state })),
    };
    const path = manifestPath(job, checkpoint);
    const files = [...new Set([path, ...manifestFiles(manifest)])];
    const candidate: RetainedCheckpoint = { id: checkpoint, attempt, path, files };
    this.#checkpoints.publishing(candidate);
    this.#dirty = true;
    this.#effects.push({ kind: "publish", attempt, candidate, bytes: encodeManifest(manifest) });
  }

  #complete(candidate: RetainedCheckpoint, now: Millis): void {
    const { subsumed, overtaken } = this.#checkpoints.completed(candidate, now);
    this.#dirty = true;
    const { attempt } = this.#record;
    const tasks = this.#tasks.all;
    this.#effects.push({ kind: "notifyComplete", attempt, checkpoint: candidate.id, tasks });
    for (const checkpoint of overtaken) {
      this.#effects.push({ kind: "notifyAborted", attempt, checkpoint, tasks });
    }
    // Where every checkpoint completes, the ledger knows all files there are. After a failure the
    // bucket is listed: who wrote what is then known to nobody.
    if (this.#checkpoints.ledger.litterUpTo !== undefined) {
      // What this one pushed out is for this sweep to find; an earlier one that ends now did not.
      this.#checkpoints.littered(candidate.id);
      return this.#sweep(now, candidate.id);
    }
    const files = new Set(subsumed.flatMap((entry) => entry.files));
    const reachable = new Set(this.#reachable());
    const paths = collectable({ job: this.id, reachable, upTo: candidate.id }, files);
    if (paths.length > 0) this.#effects.push({ kind: "deleteFiles", paths });
  }

  /** A checkpoint failed. */
  #abort(id: CheckpointId, reason: string, now: Millis, { counted } = { counted: true }): void {
    if (!this.#checkpoints.abort(id, reason, now, { counted })) return;
    this.#notifyAborted(id);
    if (!this.#checkpoints.toleranceExceeded) return;
    const { tolerableFailures } = this.#record.config.checkpointing;
    const message = `More than ${tolerableFailures} checkpoints in a row failed; the last: ${reason}`;
    this.#fail({ name: "CheckpointFailed", message }, now);
  }

  /** A checkpoint is over because the coordinator was; that is no failure of the job's. */
  #interrupt(id: CheckpointId, now: Millis): void {
    const reason = "The coordinator was restarted before it was complete.";
    if (this.#checkpoints.abort(id, reason, now, { counted: false })) this.#notifyAborted(id);
  }

  #notifyAborted(checkpoint: CheckpointId): void {
    this.#dirty = true;
    const { attempt } = this.#record;
    this.#effects.push({ kind: "notifyAborted", attempt, checkpoint, tasks: this.#tasks.all });
  }

  #answered(task: TaskId, outcome: HeartbeatOutcome | AttemptOutcome | Silence, now: Millis): void {
    if (!this.#tasks.isIn(task, "RUNNING")) return;
    if (outcome.kind === "ok") {
      this.#tasks.heard(task, "metrics" in outcome ? outcome.metrics : undefined);
    } else if (outcome.kind === "silent") {
      this.#tasks.unanswered(task, outcome.message, now);
      this.#failLost(now);
    } else {
      this.#fail(lost(task, outcome), now);
    }
  }

  #failLost(now: Millis): void {
    const found = this.#tasks.lost(now);
    if (found !== undefined) this.#fail({ ...found, name: "HeartbeatTimeout" }, now);
  }

  /** `isFinal`: no restart can help. */
  #fail(failure: Failure, now: Millis, { isFinal = false }: { isFinal?: boolean } = {}): void {
    const { phase, restartAt, job, attempt, config, restartHistory, failures } = this.#record;
    if (isTerminal(phase) || this.#isEnding() || restartAt !== undefined) return;
    const decision = isFinal
      ? { kind: "giveUp" as const, reason: "A restart would fail in the same way." }
      : decideRestart(config.restart, restartHistory, now, jitterOf(job, attempt));
    const verdict = decision.kind === "giveUp" ? ` The job ends with it: ${decision.reason}` : "";
    const entry: AttemptFailure = {
      attempt,
      at: now,
      ...(failure.task !== undefined && { task: failure.task }),
      name: failure.name,
      message: `${shortened(failure.message)}${verdict}`,
      ...(failure.stack !== undefined && { stack: shortened(failure.stack) }),
    };
    this.#endAttempt(`Attempt ${attempt} failed: ${shortened(failure.message)}`, now);
    this.#update({ failures: [entry, ...failures].slice(0, failuresMax) });
    if (decision.kind === "restart") {
      this.#enter("RESTARTING", now);
      this.#update({ restartAt: decision.at, restartHistory: decision.history });
    } else {
      if (isFinal) this.#update({ isBeyondRestart: true });
      this.#enter("FAILING", now);
    }
    this.#cancelTasks(now);
  }

  /** Nothing of the current attempt counts any more, and none is about to begin. */
  #endAttempt(reason: string, now: Millis): void {
    for (const { id } of this.#checkpoints.ledger.open) {
      this.#checkpoints.abort(id, reason, now, { counted: false });
    }
    const { restartAt: _, ...record } = this.#record;
    this.#record = record;
    this.#deployingSince = undefined;
    this.#tasks.enterAll("CANCELING");
    this.#dirty = true;
  }

  #cancelTasks(now: Millis): void {
    this.#nextProbeAt = now + heartbeatInterval;
    const tasks = this.#tasks.inPhase("CANCELING");
    this.#effects.push({ kind: "cancelTasks", attempt: this.#record.attempt, tasks });
  }

  #end(now: Millis): void {
    const end = this.#record.phase === "CANCELLING" ? "CANCELED" : "FAILED";
    this.#tasks.enterAll(end);
    this.#enter(end, now);
    if (!this.#keepsCheckpoints()) this.#checkpoints.discardAll();
    this.#checkpoints.littered();
    this.#sweep(now);
  }

  /** Whether what is retained outlives the job. Where a restore failed it is all there is left. */
  #keepsCheckpoints(): boolean {
    const { phase, config, isBeyondRestart } = this.#record;
    const { retention } = config.checkpointing;
    if (retention === "RETAIN_ON_CANCELLATION") return true;
    if (phase === "CANCELED") return false;
    return retention === "DELETE_ON_CANCELLATION" || isBeyondRestart === true;
  }

  /** Asks the subtasks whatever is to be asked in this phase, and again what was not answered. */
  #probe(now: Millis): void {
    const { phase, entered, attempt } = this.#record;
    if (isTerminal(phase)) return;
    this.#nextProbeAt = now + heartbeatInterval;
    if (this.#isEnding()) {
      if (now >= (entered[phase] ?? now) + cancelTimeout) this.#end(now);
      else this.#cancelTasks(now);
      return;
    }
    if (this.#deployingSince !== undefined) this.#startWhenDeployed(now);
    this.#failLost(now);
    const tasks = this.#tasks.inPhase("RUNNING");
    if (tasks.length === 0) return;
    this.#tasks.asked(tasks, now);
    this.#effects.push({ kind: "heartbeat", attempt, tasks });
  }

  /** Has the bucket cleared of what no retained checkpoint reaches, where there may be any. */
  #sweep(now: Millis, upTo = this.#checkpoints.ledger.nextId - 1): void {
    if (this.#checkpoints.ledger.litterUpTo === undefined) return;
    this.#sweptAt = now;
    this.#checkpoints.sweeping();
    const reachable = this.#reachable();
    this.#effects.push({ kind: "sweep", reachable, upTo: checkpointId(upTo) });
  }

  /** What the latest checkpoint pushed out of the retained may not have gone. */
  #litteredToLatest(): void {
    const { latest } = this.#checkpoints;
    if (latest === undefined) return;
    this.#checkpoints.littered(latest.id);
  }

  #reachable(): string[] {
    return [...new Set(this.#checkpoints.ledger.retained.flatMap((entry) => entry.files))];
  }

  // Bookkeeping.

  #isCurrent(attempt: Attempt): boolean {
    return attempt === this.#record.attempt;
  }

  #isDeploying(attempt: Attempt): boolean {
    return this.#isCurrent(attempt) && this.#deployingSince !== undefined;
  }

  #isRunning(attempt: Attempt): boolean {
    return this.#isCurrent(attempt) && this.#record.phase === "RUNNING";
  }

  /** The last attempt there was has ended, and no other has begun. */
  #isOver(attempt: Attempt): boolean {
    const { phase, restartAt } = this.#record;
    const isOver = restartAt !== undefined || this.#isEnding() || isTerminal(phase);
    return this.#isCurrent(attempt) && isOver;
  }

  #isEnding(): boolean {
    return this.#record.phase === "CANCELLING" || this.#record.phase === "FAILING";
  }

  #enter(phase: JobPhase, now: Millis): void {
    const { phase: from, entered, lastModification } = this.#record;
    const allowed: readonly JobPhase[] = jobTransitions[from];
    if (!allowed.includes(phase)) throw new Error(`J5: ${from} -> ${phase}`);
    this.#update({
      phase,
      entered: { ...entered, [phase]: now },
      lastModification: millis(Math.max(now, lastModification + 1)),
    });
    this.#announcedAt = 0;
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
    return [{ kind: "persist", record: this.#record, ...this.#checkpoints.takeChanges() }, ...out];
  }
}

const lost = (task: TaskId, outcome: Exclude<AttemptOutcome, { kind: "ok" }>): Failure => ({
  task,
  name: "SubtaskLost",
  message:
    outcome.kind === "unknown"
      ? `Subtask ${taskKey(task)} has lost its memory.`
      : `Subtask ${taskKey(task)} runs attempt ${outcome.current}.`,
});

const isCompleted = (record: CheckpointRecord): record is CompletedCheckpoint =>
  record.outcome.kind === "completed";

const isFailed = (record: CheckpointRecord): record is FailedCheckpoint =>
  record.outcome.kind === "failed";

const shortened = (text: string): string =>
  text.length <= failureTextMax ? text : `${text.slice(0, failureTextMax)} …`;
