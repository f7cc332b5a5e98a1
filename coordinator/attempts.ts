// The attempts of a job's regions: begun, deployed, started, failed, and begun again as the restart
// strategy says.
//   J1. The job's attempt grows before anything of it is deployed, and durably. A region runs under
//       the attempt it was last deployed with; every message to a subtask carries it, and messages
//       of another attempt change nothing.
//   J2. A failure ends its region's attempt once; later failures of the same are the same failure.
//       What fails for all, a checkpoint or a restore, ends every region's.
//   J4. The sources of a region start only when every subtask of it has been deployed.
//   J7. The restart strategy is asked once for failures that come together: a region that fails
//       while another waits for its restart waits with it, and counts for nothing.
//   J8. Another version of the program is taken up whole: all regions end, the new plan is recorded
//       with the attempt that deploys it, and nothing of the old one runs on. That some objects still
//       have another version than the coordinator is no failure of the job's, and costs no restart.
//   J9. Another size is taken up whole in the same way (rescaling.ts, X4). The attempt that deploys
//       it, or the former one again, is recorded with its plan; so a plan and its attempt are one.

import {
  type Attempt,
  attempt as attemptOf,
  type CheckpointId,
  type Millis,
  millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import type { AttemptFailure } from "../format/job-status.ts";
import { bytesIn, type Manifest } from "../format/manifest.ts";
import type { AttemptOutcome, DeployOutcome, TaskDeployment } from "../format/messages.ts";
import { type ExecutionPlan, vertexOf } from "../format/plan.ts";
import { misfits, statesFor } from "./changed-code.ts";
import type { Checkpointing } from "./checkpointing.ts";
import type { RetainedCheckpoint } from "./checkpoints.ts";
import type { Silence } from "./effects.ts";
import { isEnding, isTerminal, type RegionRecord, type Sized } from "./job-record.ts";
import type { JobState } from "./job-state.ts";
import { goneBack } from "./rescales.ts";
import { decideRestart, jitterOf, type RestartDecision } from "./restart.ts";

/** Failures remembered for the REST API; Flink's `web.exception-history-size`. */
const failuresMax = 16;

/** Characters kept of a failure's message, and of its stack: the record of a job stays small. */
const failureTextMax = 4_000;

/** Milliseconds in which every subtask of a region must be deployed and started, beside what its state takes. */
const deployTimeout = 60_000;

/** Bytes of a job's state that are restored in a millisecond, at least. */
const restoredPerMilli = 2_000;

/** Milliseconds between two attempts while a deployment is on its way. */
const rolloutRetry = 5_000;

export interface Failure {
  /** Absent where the failure is not one subtask's. */
  readonly task?: TaskId;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}

export class Attempts {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  /** The plan of this deployment's code, where the job has another. */
  #newPlan: ExecutionPlan | undefined;
  /** Of each region from the beginning of an attempt until all of it runs: when it is late. */
  readonly #deployingUntil = new Map<number, Millis>();

  constructor(state: JobState, checkpointing: Checkpointing) {
    this.#state = state;
    this.#checkpointing = checkpointing;
  }

  /** When `tick` is due. */
  wakeTimes(): number[] {
    return [
      ...this.#state.record.regions.flatMap((region) => restartAtOf(region) ?? []),
      ...this.#deployingUntil.values(),
    ];
  }

  tick(now: Millis): void {
    const overdue = [...this.#deployingUntil].filter(([, until]) => now >= until);
    for (const [index] of overdue) {
      const late = this.#tasksOf([index]).filter(
        (task) => !this.#state.tasks.isIn(task, "RUNNING"),
      );
      const [task] = late;
      const message = `Not deployed in time: ${late.map(taskKey).join(", ")}.`;
      this.fail({ ...(task && { task }), name: "DeployTimeout", message }, now);
    }
    // What has just failed may have ended the job, and is cancelled first. The next tick is due now.
    if (overdue.length > 0) return;
    const due = this.#indices((region) => now >= (restartAtOf(region) ?? Infinity));
    if (due.length > 0) this.#begin(due, attemptOf(this.#state.record.attempt + 1), now);
  }

  /** Whether that is the attempt of the subtask's region. */
  isCurrent(attempt: Attempt, task: TaskId): boolean {
    return attempt === this.#state.regionOf(task)?.attempt;
  }

  /** The last attempt there was of the subtask's region has ended, and no other has begun. */
  isOver(attempt: Attempt, task: TaskId): boolean {
    const region = this.#state.regionOf(task);
    return region?.attempt === attempt && !isActive(region);
  }

  /** The first attempt of everything. */
  beginAll(now: Millis): void {
    this.#begin(
      this.#indices(() => true),
      this.#state.record.attempt,
      now,
    );
  }

  /**
   * After a reload. A deployment that was under way is begun anew, under a new attempt: what had
   * become of it is not known.
   */
  resume(now: Millis): void {
    const begun = this.#indices((region) => region.phase === "deploying");
    if (begun.length > 0) this.#begin(begun, attemptOf(this.#state.record.attempt + 1), now);
  }

  /**
   * After a reload in code that has another version of the program. The job goes on in it from its
   * latest checkpoint, as soon as that is known to fit.
   */
  takeUp(plan: ExecutionPlan, now: Millis): void {
    const { program } = plan;
    this.#newPlan = plan;
    const message = `Program "${program}" was deployed in another version; the job goes on in it.`;
    const { attempt } = this.#state.record;
    this.#remember({ attempt, at: now, name: "CodeChanged", message });
    this.#beginAnew(message, now);
  }

  /** The job goes on in another size, from the checkpoint that was just completed for it (J9). */
  resize(
    { next, checkpoint }: { readonly next: Sized; readonly checkpoint: CheckpointId },
    now: Millis,
  ): void {
    this.#state.update({ next });
    this.#beginAnew(`The job is rescaled from checkpoint ${checkpoint}.`, now);
  }

  /** All regions end, and begin again at once. */
  #beginAnew(reason: string, now: Millis): void {
    this.#endRegions(
      this.#indices(() => true),
      reason,
      now,
      (region) => ({ ...region, phase: "waiting", restartAt: now }),
    );
    this.#state.enter("RESTARTING", now);
    this.cancelTasks(now);
  }

  /** What an attempt begins with. */
  get #restorePoint(): RetainedCheckpoint | undefined {
    const { stopping, restore, startTime } = this.#state.record;
    const own = stopping?.savepoint ?? this.#state.checkpoints.latest;
    if (own !== undefined || restore === undefined) return own;
    const { checkpoint: id, path } = restore;
    return { id, attempt: attemptOf(1), path, completedAt: startTime, files: [] };
  }

  manifestLoaded(attempt: Attempt, manifest: Manifest, now: Millis): void {
    const { checkpoints, record } = this.#state;
    const latest = this.#restorePoint;
    if (this.#deploying(attempt).length === 0 || latest === undefined) return;
    const isBorrowed = latest.path === record.restore?.path;
    const isJobs = isBorrowed || manifest.job === record.job;
    if (!isJobs || manifest.checkpoint !== latest.id) {
      const found = `checkpoint ${manifest.checkpoint} of job ${manifest.job}`;
      const message = `${latest.path} is the manifest of ${found}.`;
      return this.manifestFailed(attempt, { damaged: true, message }, now);
    }
    const isOtherCode = this.#newPlan !== undefined;
    const reasons = misfits(manifest, this.#newPlan ?? record.plan, {
      ...(record.plan.shapes && { shapes: record.plan.shapes }),
      checkpoint: `checkpoint ${manifest.checkpoint}`,
      program: isOtherCode ? "the new version" : "the job",
      allowNonRestoredState: isBorrowed && record.restore?.allowNonRestoredState === true,
    });
    if (reasons.length > 0) {
      const message = reasons.join(" ");
      if (isOtherCode) return this.#cannotGoOn(message, now);
      return this.fail({ name: "RestoreFailed", message }, now);
    }
    this.#takeUpNewPlan(now);
    checkpoints.restored();
    this.#state.update({ lastRestored: { id: latest.id, at: now, path: latest.path } });
    const deploying = this.#deploying(attempt);
    this.#mayTake(deploying, deployTimeout + bytesIn(manifest) / restoredPerMilli, now);
    this.#deploy(deploying, attempt, manifest);
  }

  /** This deployment's code cannot run the job, now or after any restart. */
  #cannotGoOn(reason: string, now: Millis): void {
    const { program } = this.#state.record.plan;
    const message =
      `Program "${program}" was deployed in another version, and the job cannot go on in it. ` +
      `${reason} Deploy a version that fits and run the job again, or the former one; its ` +
      `checkpoints stay.`;
    this.fail({ name: "IncompatibleCode", message }, now, { isFinal: true });
  }

  /** The program is gone, or does not take the arguments of the job any more. */
  programMissing(reason: string, now: Millis): void {
    this.#cannotGoOn(reason, now);
  }

  #takeUpNewPlan(now: Millis): void {
    const plan = this.#newPlan;
    this.#newPlan = undefined;
    if (plan !== undefined) this.#replan(plan, now);
  }

  /** All of that plan is deployed under the attempt that has just begun. */
  #replan(plan: ExecutionPlan, now: Millis): void {
    this.#state.replan(plan, now);
    this.#deployingUntil.clear();
    const all = this.#indices(() => true);
    this.#mayTake(all, deployTimeout, now);
    this.#state.tasks.reset(this.#tasksOf(all), "DEPLOYING");
  }

  manifestFailed(
    attempt: Attempt,
    failure: { readonly damaged: boolean; readonly message: string },
    now: Millis,
  ): void {
    if (this.#deploying(attempt).length === 0) return;
    if (failure.damaged) this.#damaged(failure, now);
    else this.fail({ name: "RestoreFailed", message: failure.message }, now);
  }

  deployed(attempt: Attempt, task: TaskId, outcome: DeployOutcome, now: Millis): void {
    const { tasks } = this.#state;
    if (this.isCurrent(attempt, task) && tasks.isIn(task, "DEPLOYING")) {
      if (outcome.kind === "deployed") {
        tasks.enter(task, "INITIALIZING");
        this.startDeployed(now);
      } else if (outcome.kind === "stale") {
        const message = `It runs attempt ${outcome.current}, newer than ${attempt}.`;
        this.fail({ task, name: "DeployRefused", message }, now);
      } else if (outcome.fault === "damagedState") {
        this.#damaged({ task, message: outcome.reason }, now);
      } else if (outcome.fault === "otherCode") {
        this.otherCode({ task, name: "OtherCode", message: outcome.reason }, now);
      } else {
        this.fail({ task, name: "DeployRefused", message: outcome.reason }, now);
      }
    } else if (outcome.kind === "deployed" && this.isOver(attempt, task)) {
      // The deployment arrived after the cancellation, or the subtask had nothing to cancel yet.
      this.#state.push({ kind: "cancelTasks", attempt, tasks: [task] });
    }
  }

  /** Tells those to start whose region is deployed: who was not told yet, or did not answer. */
  startDeployed(now: Millis): void {
    const { tasks } = this.#state;
    for (const index of this.#deployingUntil.keys()) {
      const all = this.#tasksOf([index]);
      const ready = all.filter((task) => tasks.isIn(task, "INITIALIZING"));
      if (ready.length === 0 || all.some((task) => tasks.isIn(task, "DEPLOYING"))) continue;
      this.#state.probed(now);
      this.#state.tell(ready, (attempt, group) => ({ kind: "start", attempt, tasks: group }));
    }
  }

  started(attempt: Attempt, task: TaskId, outcome: AttemptOutcome | Silence, now: Millis): void {
    const { tasks, checkpoints, regions } = this.#state;
    const index = regions.indexOf(task);
    if (!this.isCurrent(attempt, task) || !tasks.isIn(task, "INITIALIZING")) return;
    if (index === undefined || outcome.kind === "silent") return;
    if (outcome.kind !== "ok") return this.fail(lost(task, outcome), now);
    tasks.enter(task, "RUNNING");
    if (!this.#tasksOf([index]).every((each) => tasks.isIn(each, "RUNNING"))) return;
    this.#deployingUntil.delete(index);
    this.#state.setRegions([index], (region) => ({ ...begun(region), phase: "running" }));
    if (!this.#state.record.regions.every((region) => region.phase === "running")) return;
    // Jobs that begin again together do not checkpoint together; and those that were lost owe their
    // readers what was done since the last one.
    const { job, attempt: latest } = this.#state.record;
    checkpoints.restarted(now, latest > 1 ? jitterOf(job, latest) : 1);
    // Replaced subtasks may have been writing until now.
    checkpoints.littered();
    this.#state.enter("RUNNING", now);
  }

  /**
   * A subtask has another version of the program than the coordinator, which has the job's: a
   * deployment is on its way to all objects. The restart strategy is for failures of the job.
   */
  otherCode(failure: Failure, now: Millis): void {
    const waiting = this.#waiting();
    const at = millis(Math.max(now + rolloutRetry, ...waiting));
    const history = this.#state.record.restartHistory;
    this.fail(failure, now, { decision: { kind: "restart", at, history } });
  }

  /** `isFinal`: no restart can help. `endsAll`: not only the region of the subtask that found it. */
  fail(
    failure: Failure,
    now: Millis,
    {
      isFinal = false,
      endsAll = failure.task === undefined,
      decision: taken,
    }: {
      readonly isFinal?: boolean;
      readonly endsAll?: boolean;
      readonly decision?: RestartDecision;
    } = {},
  ): void {
    const { phase, attempt: latest } = this.#state.record;
    if (isTerminal(phase) || isEnding(phase)) return;
    const { task } = failure;
    const own = task && this.#state.regions.indexOf(task);
    const back = isFinal
      ? undefined
      : goneBack(this.#state.record, shortened(failure.message), now);
    const ended = this.#indices(
      (region, index) => isActive(region) && (endsAll || back !== undefined || index === own),
    );
    if (ended.length === 0 && !isFinal) return;
    const attempt = (task && this.#state.regionOf(task)?.attempt) ?? latest;
    const decision = isFinal
      ? { kind: "giveUp" as const, reason: "A restart would fail in the same way." }
      : (taken ?? (back ? this.#atOnce(now) : this.#decide(attempt, now)));
    const verdict = back
      ? " The new parallelism did not start; the job goes back to the former one."
      : decision.kind === "giveUp"
        ? ` The job ends with it: ${decision.reason}`
        : "";
    if (back) this.#state.update(back);
    this.#remember({
      attempt,
      at: now,
      ...(task !== undefined && { task }),
      name: failure.name,
      message: `${shortened(failure.message)}${verdict}`,
      ...(failure.stack !== undefined && { stack: shortened(failure.stack) }),
    });
    const reason = `Attempt ${attempt} failed: ${shortened(failure.message)}`;
    if (decision.kind === "restart") {
      const { at: restartAt, history: restartHistory } = decision;
      this.#endRegions(ended, reason, now, (region) => ({
        ...region,
        phase: "waiting",
        restartAt,
      }));
      this.#state.enter("RESTARTING", now);
      this.#state.update({ restartHistory });
    } else {
      this.endAll(reason, now);
      if (isFinal) this.#state.update({ isBeyondRestart: true });
      this.#state.enter("FAILING", now);
    }
    this.cancelTasks(now);
  }

  /** Nothing of the current attempts counts any more, and none is about to begin. */
  endAll(reason: string, now: Millis): void {
    this.#endRegions(
      this.#indices(() => true),
      reason,
      now,
      (region) => ({ ...region, phase: "over" }),
    );
  }

  cancelTasks(now: Millis): void {
    this.#state.probed(now);
    const tasks = this.#state.tasks.inPhase("CANCELING");
    this.#state.tell(tasks, (attempt, group) => this.#state.cancellation(attempt, group));
  }

  #begin(indices: readonly number[], attempt: Attempt, now: Millis): void {
    this.#state.update({ attempt });
    const { next } = this.#state.record;
    if (next !== undefined) {
      this.#state.update({ config: next.config, next: undefined });
      this.#replan(next.plan, now);
    } else {
      this.#state.setRegions(indices, () => ({ attempt, started: now, phase: "deploying" }));
      this.#mayTake(indices, deployTimeout, now);
      this.#state.tasks.reset(this.#tasksOf(indices), "DEPLOYING");
    }
    const runs = this.#indices((region) => region.phase === "running");
    if (runs.length === 0) this.#checkpointing.sweep(now); // R4
    const latest = this.#restorePoint;
    if (latest !== undefined) {
      return this.#state.push({ kind: "loadManifest", attempt, checkpoint: latest });
    }
    this.#takeUpNewPlan(now);
    this.#deploy(this.#deploying(attempt), attempt);
  }

  #mayTake(indices: readonly number[], milliseconds: number, now: Millis): void {
    const until = millis(now + Math.floor(milliseconds));
    for (const index of indices) this.#deployingUntil.set(index, until);
  }

  #deploy(indices: readonly number[], attempt: Attempt, manifest?: Manifest): void {
    const { job, plan, config, stopping } = this.#state.record;
    const isBorrowed = this.#restorePoint?.path === this.#state.record.restore?.path;
    const deployments = this.#tasksOf(indices).map((task): TaskDeployment => {
      const deployment = { job, attempt, task, plan, config };
      if (manifest === undefined) return deployment;
      const isOtherCode = manifest.fingerprint !== plan.fingerprint;
      const { checkpoint } = manifest;
      const restore = {
        checkpoint,
        ...statesFor(manifest, vertexOf(plan, task.vertex), plan),
        ...(isOtherCode && { isOtherCode }),
        ...(isBorrowed && { isBorrowed }),
        ...(stopping?.savepoint.id === checkpoint && { isStopped: true as const }),
      };
      return { ...deployment, restore };
    });
    this.#state.push({ kind: "deploy", deployments });
  }

  /**
   * The latest checkpoint cannot be restored, whoever finds it so first: everything ends, and the
   * others who find the same say nothing new. Never from nothing: a job that forgot its state would
   * go on as if all were well.
   */
  #damaged({ task, message }: Pick<Failure, "task" | "message">, now: Millis): void {
    const { checkpoints } = this.#state;
    const latest = this.#restorePoint;
    // One that is another job's, or that this one ends with, has none before it.
    const isLatest = latest !== undefined && latest.path === checkpoints.latest?.path;
    const previous = isLatest ? checkpoints.ledger.retained[1] : undefined;
    if (latest !== undefined && previous !== undefined) {
      checkpoints.dropLatest();
      // Its last one was not the end, then.
      this.#state.update({ stopping: undefined });
    }
    const verdict =
      previous === undefined
        ? "No earlier one is retained; what is there of it stays."
        : `It is given up, and checkpoint ${previous.id} is used instead.`;
    const failure: Failure = {
      ...(task !== undefined && { task }),
      name: "CheckpointDamaged",
      message: `Checkpoint ${latest?.id} is damaged: ${message} ${verdict}`,
    };
    this.fail(failure, now, { isFinal: previous === undefined, endsAll: true });
  }

  /** All regions begin again at once, and it counts for nothing: what they have done is to be undone. */
  undo(failure: Failure, now: Millis): void {
    this.fail(failure, now, { decision: this.#atOnce(now) });
  }

  #atOnce(now: Millis): RestartDecision {
    return { kind: "restart", at: now, history: this.#state.record.restartHistory };
  }

  #decide(attempt: Attempt, now: Millis): RestartDecision {
    const { config, restartHistory: history, job } = this.#state.record;
    const waiting = this.#waiting();
    if (waiting.length === 0) {
      return decideRestart(config.restart, history, now, jitterOf(job, attempt));
    }
    return { kind: "restart", at: millis(Math.max(...waiting)), history }; // J7
  }

  /** When those begin again that wait for it. */
  #waiting(): Millis[] {
    return this.#state.record.regions.flatMap((region) => restartAtOf(region) ?? []);
  }

  #remember(failure: AttemptFailure): void {
    const { failures } = this.#state.record;
    this.#state.update({ failures: [failure, ...failures].slice(0, failuresMax) });
  }

  #endRegions(
    indices: readonly number[],
    reason: string,
    now: Millis,
    endOf: (region: RegionBase) => RegionRecord,
  ): void {
    this.#state.awaken(now); // Q5
    for (const index of indices) this.#deployingUntil.delete(index);
    this.#state.tasks.enterAll(this.#tasksOf(indices), "CANCELING");
    this.#state.setRegions(indices, (region) => endOf(begun(region)));
    this.#checkpointing.abandonAll(reason, now);
  }

  /** The regions that are being deployed under `attempt`. */
  #deploying(attempt: Attempt): number[] {
    return this.#indices((region) => region.phase === "deploying" && region.attempt === attempt);
  }

  #indices(of: (region: RegionRecord, index: number) => boolean): number[] {
    return this.#state.record.regions.flatMap((region, index) =>
      of(region, index) ? [index] : [],
    );
  }

  #tasksOf(indices: readonly number[]): TaskId[] {
    return indices.flatMap((index) => this.#state.regions.tasks[index] ?? []);
  }
}

type RegionBase = Pick<RegionRecord, "attempt" | "started">;

const begun = ({ attempt, started }: RegionRecord): RegionBase => ({ attempt, started });

const isActive = ({ phase }: RegionRecord): boolean => phase === "deploying" || phase === "running";

const restartAtOf = (region: RegionRecord): Millis | undefined =>
  region.phase === "waiting" ? region.restartAt : undefined;

export const lost = (task: TaskId, outcome: Exclude<AttemptOutcome, { kind: "ok" }>): Failure => ({
  task,
  name: "SubtaskLost",
  message:
    outcome.kind === "unknown"
      ? `Subtask ${taskKey(task)} has lost its memory.`
      : `Subtask ${taskKey(task)} runs attempt ${outcome.current}.`,
});

const shortened = (text: string): string =>
  text.length <= failureTextMax ? text : `${text.slice(0, failureTextMax)} …`;
