// One job, from submission to its end. Every event is a method; each returns what the shell must do.
// No clock, no storage, no network. What is done is in the parts; here is only which of them an event
// concerns, and what follows of every event: attempts.ts deploys and restarts (J1, J2, J4), checkpointing.ts
// runs the checkpoints (J3, J6), job-state.ts holds what they share (E1), probes.ts asks whether subtasks
// are there (O), resting.ts lets the job sleep (Q), savepoints.ts takes savepoints and ends it with one (P),
// ending.ts ends it with its input (Z), cancelling.ts is the end itself (J5), watermark-alignment.ts keeps
// its sources in step (W), rescaling.ts gives it another size (X), holds.ts keeps what other jobs need (H),
// restore-point.ts lets go of what it needed of them (L).

import type { JobConfig } from "../format/config.ts";
import type { HoldOutcome, HoldKey, HoldRequest } from "../format/holds.ts";
import {
  type Attempt,
  attempt as attemptOf,
  type CheckpointId,
  type JobId,
  type Millis,
  millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import type {
  CheckpointAnswer,
  CheckpointOverview,
  CheckpointRecord,
  CheckpointRequest,
  CheckpointStatus,
  JobDetails,
  JobHealth,
  RescaleAnswer,
  RescaleRequest,
  SavepointAnswer,
  SavepointProgress,
  SavepointRequest,
  SavepointStatus,
} from "../format/job-status.ts";
import type { Manifest } from "../format/manifest.ts";
import type {
  AlignmentReport,
  AttemptOutcome,
  CheckpointAck,
  CheckpointDecline,
  DeployOutcome,
  HeartbeatOutcome,
  JobPhase,
  JobSubmission,
  JobSummary,
  RestOutcome,
  TaskFailure,
} from "../format/messages.ts";
import { Attempts } from "./attempts.ts";
import { Cancelling } from "./cancelling.ts";
import { type OwnCode, ownCodeOf, type Programs } from "./changed-code.ts";
import { Checkpointing, type PublishOutcome } from "./checkpointing.ts";
import { emptyLedger, type RetainedCheckpoint } from "./checkpoints.ts";
import type { Effect, Silence } from "./effects.ts";
import { Ending } from "./ending.ts";
import { Holds } from "./holds.ts";
import { isEnding, isTerminal, type JobRecord } from "./job-record.ts";
import { JobState } from "./job-state.ts";
import { detailsOf, healthOf, overviewOf, summaryOf } from "./job-view.ts";
import { ManualCheckpoints } from "./manual-checkpoints.ts";
import { Probes } from "./probes.ts";
import { Regions } from "./regions.ts";
import { noRestarts } from "./restart.ts";
import { provenSize } from "./rescales.ts";
import { Rescaling } from "./rescaling.ts";
import { RestorePoint } from "./restore-point.ts";
import { Resting } from "./resting.ts";
import { Savepoints } from "./savepoints.ts";
import { WatermarkAlignment } from "./watermark-alignment.ts";

export class Job {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #attempts: Attempts;
  readonly #resting: Resting;
  readonly #savepoints: Savepoints;
  readonly #ending: Ending;
  readonly #manualCheckpoints: ManualCheckpoints;
  readonly #holds: Holds;
  readonly #restorePoint: RestorePoint;
  readonly #rescaling: Rescaling;
  readonly #alignment: WatermarkAlignment;
  readonly #probes: Probes;
  readonly #cancelling: Cancelling;

  private constructor(record: JobRecord, history: readonly CheckpointRecord[], now: Millis) {
    this.#state = new JobState(record, history, now);
    this.#checkpointing = new Checkpointing(this.#state, (message, at) =>
      this.#attempts.fail({ name: "CheckpointFailed", message }, at),
    );
    this.#attempts = new Attempts(this.#state, this.#checkpointing);
    this.#cancelling = new Cancelling(this.#state, this.#checkpointing, this.#attempts);
    this.#resting = new Resting(this.#state);
    this.#holds = new Holds(this.#state, this.#checkpointing);
    this.#restorePoint = new RestorePoint(this.#state);
    this.#savepoints = new Savepoints(this.#state, this.#checkpointing, {
      stopped: (at) => this.#cancelling.begin("The job has ended.", at),
      drainFailed: (message, at) => this.#drainFailed(message, at),
    });
    this.#ending = new Ending(this.#state, this.#checkpointing);
    this.#manualCheckpoints = new ManualCheckpoints(
      this.#state,
      this.#checkpointing,
      this.#savepoints,
    );
    this.#rescaling = new Rescaling(this.#state, this.#checkpointing, this.#attempts);
    this.#alignment = new WatermarkAlignment(this.#state);
    this.#probes = new Probes(this.#state, {
      attempts: this.#attempts,
      resting: this.#resting,
      alignment: this.#alignment,
    });
  }

  /** A new job; its first attempt is deployed at once. */
  static submitted(submission: JobSubmission, now: Millis): { job: Job; effects: Effect[] } {
    const attempt = attemptOf(1);
    const regions = new Regions(submission.plan);
    const { restore } = submission;
    const claimed = restore?.claimed && {
      id: restore.checkpoint,
      path: restore.path,
      ...restore.claimed,
    };
    const record: JobRecord = {
      ...submission,
      phase: "INITIALIZING",
      entered: { INITIALIZING: now },
      attempt,
      regions: regions.tasks.map(() => ({ attempt, started: now, phase: "deploying" })),
      restartHistory: noRestarts,
      failures: [],
      // What was prepared in another job is committed here, so ids go on where that one's ended.
      checkpoints: {
        ...emptyLedger,
        nextId: (restore?.checkpoint ?? 0) + 1,
        retained: claimed === undefined ? [] : [claimed],
      },
      startTime: now,
      lastModification: now,
      announced: 0,
    };
    const job = new Job(record, [], now);
    job.#attempts.beginAll(now);
    return { job, effects: job.#flush(now) };
  }

  /**
   * A job whose coordinator lost its memory; running subtasks are not disturbed. `programs`: what
   * its code has now; where the job's is another, it goes on in that.
   */
  static reloaded(
    record: JobRecord,
    history: readonly CheckpointRecord[],
    now: Millis,
    programs?: Programs,
  ): { job: Job; effects: Effect[] } {
    const job = new Job(record, history, now);
    const own = programs && ownCodeOf(record.plan, provenSize(record).config, programs);
    job.#resume(own ?? { kind: "same" }, now);
    return { job, effects: job.#flush(now) };
  }

  get phase(): JobPhase {
    return this.#state.record.phase;
  }

  get id(): JobId {
    return this.#state.record.job;
  }

  get config(): JobConfig {
    return this.#state.record.config;
  }

  /** When `tick` is due; undefined once nothing is left to wait for. */
  nextWakeAt(): Millis | undefined {
    const { announceAt, nextProbeAt } = this.#state;
    const times: number[] = [];
    if (announceAt !== undefined) times.push(announceAt);
    times.push(...this.#savepoints.wakeTimes(), ...this.#manualCheckpoints.wakeTimes());
    times.push(...this.#ending.wakeTimes());
    times.push(...this.#rescaling.wakeTimes());
    times.push(...this.#holds.wakeTimes(), ...this.#restorePoint.wakeTimes());
    if (!this.#resting.isResting) {
      times.push(...this.#attempts.wakeTimes(), ...this.#checkpointing.wakeTimes());
      if (!isTerminal(this.phase)) times.push(nextProbeAt);
      const triggerAt = this.#nextTriggerAt();
      if (triggerAt !== undefined) times.push(triggerAt);
    }
    return times.length === 0 ? undefined : millis(Math.min(...times));
  }

  /** Does whatever is due; early or repeated, it does nothing. */
  tick(now: Millis): Effect[] {
    if (this.#resting.isResting) return this.#flush(now); // Q4
    // What runs is cancelled first. The next tick is due now.
    if (this.#rescaling.begins(now)) return this.#flush(now);
    this.#attempts.tick(now);
    this.#checkpointing.expire(now);
    if (now >= this.#state.nextProbeAt) this.#probe(now);
    const triggerAt = this.#nextTriggerAt();
    if (triggerAt !== undefined && now >= triggerAt) {
      if (this.#resting.isSettling) this.#resting.settles(now);
      this.#checkpointing.trigger(now);
    }
    this.#checkpointing.sweepDue(now);
    return this.#flush(now);
  }

  // Deployment.

  manifestLoaded(attempt: Attempt, manifest: Manifest, now: Millis): Effect[] {
    this.#attempts.manifestLoaded(attempt, manifest, now);
    return this.#flush(now);
  }

  /** `damaged`: reading again will not help, so the checkpoint before it is taken, if there is one. */
  manifestFailed(
    attempt: Attempt,
    failure: { readonly damaged: boolean; readonly message: string },
    now: Millis,
  ): Effect[] {
    this.#attempts.manifestFailed(attempt, failure, now);
    return this.#flush(now);
  }

  deployed(attempt: Attempt, task: TaskId, outcome: DeployOutcome, now: Millis): Effect[] {
    this.#attempts.deployed(attempt, task, outcome, now);
    return this.#flush(now);
  }

  /** `silent`: it is told again with the next probe, until the deployment times out. */
  started(
    attempt: Attempt,
    task: TaskId,
    outcome: AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    this.#attempts.started(attempt, task, outcome, now);
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
    if (this.#attempts.isCurrent(attempt, task)) {
      if (outcome.kind === "silent") {
        const reason = `${taskKey(task)} was not triggered: ${outcome.message}`;
        this.#checkpointing.abort(checkpoint, reason, now);
      }
      this.#probes.answered(task, outcome, now);
    }
    return this.#flush(now);
  }

  acknowledged(ack: CheckpointAck, now: Millis): Effect[] {
    if (this.#attempts.isCurrent(ack.attempt, ack.task)) {
      this.#state.tasks.heard(ack.task);
      this.#checkpointing.acknowledged(ack, now);
    }
    return this.#flush(now);
  }

  declined(decline: CheckpointDecline, now: Millis): Effect[] {
    if (this.#attempts.isCurrent(decline.attempt, decline.task)) {
      this.#state.tasks.heard(decline.task);
      this.#checkpointing.declined(decline, now);
    }
    return this.#flush(now);
  }

  published(
    attempt: Attempt,
    candidate: RetainedCheckpoint,
    outcome: PublishOutcome,
    now: Millis,
  ): Effect[] {
    const isRunning = this.phase === "RUNNING" && attempt === this.#state.record.attempt;
    this.#checkpointing.published(candidate, outcome, now, { isRunning });
    return this.#flush(now);
  }

  /** The answer to `probeManifest`. */
  recovered(candidate: RetainedCheckpoint, exists: boolean, now: Millis): Effect[] {
    this.#checkpointing.recovered(candidate, exists, now);
    return this.#flush(now);
  }

  /** The answer to `sweep`. */
  swept(upTo: CheckpointId, now: Millis): Effect[] {
    this.#checkpointing.swept(upTo);
    return this.#flush(now);
  }

  /** Files that a checkpoint pushed out may still be there; the next sweep finds them. */
  notDeleted(now: Millis): Effect[] {
    this.#checkpointing.notDeleted();
    return this.#flush(now);
  }

  // Savepoints.

  /** Wakes what rests: subtasks hear of a savepoint as of any checkpoint. */
  savepoint(
    request: SavepointRequest,
    now: Millis,
  ): { answer: SavepointAnswer; effects: Effect[] } {
    const answer = this.#savepoints.request(request, now);
    if (answer.kind === "accepted" && this.#savepoints.isBusy) this.#resting.active(now);
    return { answer, effects: this.#flush(now) };
  }

  savepointStatus(trigger: string): SavepointStatus | undefined {
    return this.#savepoints.status(trigger);
  }

  savepointProgress(trigger: string): SavepointProgress | undefined {
    return this.#savepoints.progress(trigger);
  }

  /** Wakes what rests where the latest checkpoint will not do. */
  checkpoint(
    request: CheckpointRequest,
    now: Millis,
  ): { answer: CheckpointAnswer; effects: Effect[] } {
    const answer = this.#manualCheckpoints.request(request, now);
    if (this.#manualCheckpoints.isBusy) this.#resting.active(now);
    return { answer, effects: this.#flush(now) };
  }

  checkpointStatus(trigger: string): CheckpointStatus | undefined {
    return this.#manualCheckpoints.status(trigger);
  }

  needOf(savepoint: string): string | undefined {
    return this.#savepoints.needOf(savepoint);
  }

  /** The answer to `deleteFolder`. */
  folderDeleted(folder: string, now: Millis): Effect[] {
    this.#savepoints.folderDeleted(folder);
    return this.#flush(now);
  }

  // What other jobs need, and what this one needs of them.

  /** Durable before it is answered. A job that rests goes on resting. */
  hold(request: HoldRequest, now: Millis): { answer: HoldOutcome; effects: Effect[] } {
    const answer = this.#holds.request(request, now);
    return { answer, effects: this.#flush(now) };
  }

  /** The manifest that has to be copied before `hold` is answered. */
  copyFor(nth: number): { readonly from: string; readonly to: string } | undefined {
    return this.#holds.copyFor(nth);
  }

  /** Nothing was submitted under that hold. */
  withdrawn(nth: number, now: Millis): Effect[] {
    this.#holds.withdraw(nth, now);
    return this.#flush(now);
  }

  /** The holder needs it no longer. */
  released(nth: number, now: Millis): Effect[] {
    this.#holds.letGo(nth, now);
    return this.#flush(now);
  }

  /** The answer to `askHolder`. */
  holderAnswered(nth: number, isNeeded: boolean, now: Millis): Effect[] {
    this.#holds.answered(nth, isNeeded, now);
    return this.#flush(now);
  }

  /** Whether another job has to keep that for this one. */
  needs(hold: HoldKey): boolean {
    return this.#restorePoint.isHeldUnder(hold);
  }

  /** The answer to `letGo` and to `discard`. */
  letGone(now: Millis): Effect[] {
    this.#restorePoint.letGone();
    return this.#flush(now);
  }

  // Size.

  /** Wakes what rests, as a savepoint does. */
  rescale(request: RescaleRequest, now: Millis): { answer: RescaleAnswer; effects: Effect[] } {
    const answer = this.#rescaling.request(request, now);
    if (answer.kind === "accepted") this.#resting.active(now);
    return { answer, effects: this.#flush(now) };
  }

  // Rest.

  /** The answer to `rest`. */
  rested(
    attempt: Attempt,
    task: TaskId,
    round: number,
    outcome: RestOutcome | Silence,
    now: Millis,
  ): Effect[] {
    const isAwaited =
      this.#attempts.isCurrent(attempt, task) &&
      this.#resting.answered(task, round, outcome.kind, now);
    if (isAwaited && outcome.kind !== "resting" && outcome.kind !== "busy") {
      this.#probes.answered(task, outcome, now);
    }
    return this.#flush(now);
  }

  /** A resting subtask has something to process, or one that has answered so and is awake again. */
  active(attempt: Attempt, task: TaskId, now: Millis): Effect[] {
    if (this.#attempts.isCurrent(attempt, task)) this.#resting.active(now);
    return this.#flush(now);
  }

  // Sources that keep in step.

  /** Where a source stands. `least`: how far the last of its group has come, once all have told. */
  alignmentReported(
    report: AlignmentReport,
    now: Millis,
  ): { least: number | undefined; effects: Effect[] } {
    const { attempt, task } = report;
    const isCurrent = this.#attempts.isCurrent(attempt, task);
    const least = isCurrent ? this.#alignment.reported(report) : undefined;
    return { least, effects: this.#flush(now) };
  }

  /** The answer to `align`. */
  alignmentTold(
    attempt: Attempt,
    task: TaskId,
    outcome: AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    if (this.#attempts.isCurrent(attempt, task)) {
      if (outcome.kind === "silent") this.#alignment.unheard(task);
      this.#probes.answered(task, outcome, now);
    }
    return this.#flush(now);
  }

  // Failure and end.

  /** No row will come to that subtask any more. */
  ended(attempt: Attempt, task: TaskId, now: Millis): Effect[] {
    if (this.#attempts.isCurrent(attempt, task)) this.#state.tasks.ended(task);
    return this.#flush(now);
  }

  taskFailed(failure: TaskFailure, now: Millis): Effect[] {
    const { attempt, task, fault } = failure;
    const isGone = this.#state.regionOf(task) === undefined;
    const isCurrent = this.#attempts.isCurrent(attempt, task);
    if (isGone || (isCurrent && isTerminal(this.phase))) {
      // Of a version of the program that the job has left behind, or one that could not be told of
      // the end in time: its alarm would ring for ever.
      this.#state.push(this.#state.cancellation(attempt, [task]));
    } else if (isCurrent) {
      if (fault === "otherCode") this.#attempts.otherCode(failure, now);
      else this.#attempts.fail(failure, now);
    }
    return this.#flush(now);
  }

  /** The answer to a heartbeat or a notification. */
  heartbeat(
    attempt: Attempt,
    task: TaskId,
    outcome: HeartbeatOutcome | AttemptOutcome | Silence,
    now: Millis,
  ): Effect[] {
    if (this.#attempts.isCurrent(attempt, task)) this.#probes.answered(task, outcome, now);
    return this.#flush(now);
  }

  cancel(now: Millis): { outcome: "cancelling" | "ended"; effects: Effect[] } {
    const { phase } = this;
    if (isTerminal(phase) || phase === "FAILING") return { outcome: "ended", effects: [] };
    if (phase !== "CANCELLING") this.#cancelling.begin("The job was cancelled.", now);
    return { outcome: "cancelling", effects: this.#flush(now) };
  }

  /** These were told to stop; who was not is told again with the next probe. */
  tasksCancelled(attempt: Attempt, tasks: readonly TaskId[], now: Millis): Effect[] {
    this.#cancelling.told(attempt, tasks);
    this.#rescaling.cancelled(attempt, tasks);
    this.#cancelling.settle(now);
    return this.#flush(now);
  }

  announced(lastModification: Millis, now: Millis): Effect[] {
    if (lastModification > this.#state.record.announced) {
      this.#state.update({ announced: lastModification });
    }
    return this.#flush(now);
  }

  // What people ask.

  summary(): JobSummary {
    return summaryOf(this.#state.record, this.#state.tasks);
  }

  details(): JobDetails {
    return detailsOf(this.#state.record, this.#state.tasks, this.#state.regions);
  }

  health(): JobHealth {
    return healthOf(this.#state.record);
  }

  /** The completed checkpoints that it can be restored from, newest first. */
  get retained(): readonly RetainedCheckpoint[] {
    return this.#state.checkpoints.ledger.retained;
  }

  overview(): CheckpointOverview {
    return overviewOf(this.#state.record, this.#state.checkpoints);
  }

  // Steps.

  #flush(now: Millis): Effect[] {
    this.#holds.settle(now);
    this.#restorePoint.settle(now);
    this.#rescaling.close(now);
    this.#savepoints.settle(now);
    this.#manualCheckpoints.settle(now);
    this.#rescaling.settle(now);
    this.#ending.settle(now, this.#savepoints.isBusy || this.#rescaling.isBusy);
    return this.#state.flush(now);
  }

  /** Whoever let go of what waited for event time has gone too far. */
  #drainFailed(reason: string, now: Millis): void {
    const message = `The job was to be drained, and goes on from its latest checkpoint: ${reason}`;
    this.#attempts.undo({ name: "DrainFailed", message }, now);
  }

  #resume(own: OwnCode, now: Millis): void {
    const { phase } = this;
    if (isTerminal(phase)) return this.#checkpointing.sweep(now);
    if (isEnding(phase)) return this.#attempts.cancelTasks(now);
    this.#checkpointing.resume(now);
    if (own.kind !== "same") this.#rescaling.codeChanged(now);
    if (own.kind === "missing") return this.#attempts.programMissing(own.reason, now);
    if (own.kind === "changed") return this.#attempts.takeUp(own.plan, now);
    this.#attempts.resume(now);
    if (!this.#resting.isResting) this.#probe(now);
  }

  /** When a checkpoint may be triggered; a job that comes to rest takes one last. */
  #nextTriggerAt(): number | undefined {
    const isBusy = this.#savepoints.isBusy || this.#rescaling.isBusy || this.#ending.isDue;
    if (this.phase !== "RUNNING" || isBusy) return undefined;
    return this.#resting.isSettling
      ? this.#resting.lastCheckpointDue()
      : this.#state.checkpoints.nextTriggerAt();
  }

  /** Asks the subtasks whatever is to be asked in this phase, and again what was not answered. */
  #probe(now: Millis): void {
    if (isTerminal(this.phase)) return;
    this.#state.probed(now);
    if (isEnding(this.phase)) this.#cancelling.probe(now);
    else this.#probes.ask(now);
  }
}
