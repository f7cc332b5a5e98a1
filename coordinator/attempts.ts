// The attempts of a job: begun, deployed, started, failed, and begun again as its restart strategy
// says.
//   J1. The attempt grows before anything of it is deployed, and durably; every message to a
//       subtask carries it, and messages of another attempt change nothing.
//   J2. A failure ends its attempt once; later failures of the same attempt are the same failure.
//   J4. Sources start only when every subtask of the attempt has been deployed.

import {
  type Attempt,
  attempt as attemptOf,
  type Millis,
  type TaskId,
  taskKey,
} from "../format/ids.ts";
import type { AttemptFailure } from "../format/job-status.ts";
import { type Manifest, statesOf } from "../format/manifest.ts";
import type { AttemptOutcome, DeployOutcome, TaskDeployment } from "../format/messages.ts";
import type { Checkpointing } from "./checkpointing.ts";
import type { Silence } from "./effects.ts";
import { isEnding, isTerminal } from "./job-record.ts";
import type { JobState } from "./job-state.ts";
import { decideRestart, jitterOf } from "./restart.ts";

/** Failures remembered for the REST API; Flink's `web.exception-history-size`. */
const failuresMax = 16;

/** Characters kept of a failure's message, and of its stack: the record of a job stays small. */
const failureTextMax = 4_000;

/** Milliseconds in which every subtask of an attempt must be deployed and started. */
const deployTimeout = 60_000;

export interface Failure {
  readonly task?: TaskId;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}

export class Attempts {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  /** Set from the beginning of an attempt until all of it runs. */
  #deployingSince: Millis | undefined;

  constructor(state: JobState, checkpointing: Checkpointing) {
    this.#state = state;
    this.#checkpointing = checkpointing;
  }

  /** When `tick` is due. */
  wakeTimes(): number[] {
    const { restartAt } = this.#state.record;
    const times: number[] = [];
    if (restartAt !== undefined) times.push(restartAt);
    if (this.#deployingSince !== undefined) times.push(this.#deployingSince + deployTimeout);
    return times;
  }

  tick(now: Millis): void {
    const { restartAt, attempt } = this.#state.record;
    if (restartAt !== undefined && now >= restartAt) this.begin(attemptOf(attempt + 1), now);
    if (this.#deployingSince !== undefined && now >= this.#deployingSince + deployTimeout) {
      const late = this.#state.tasks.inPhase("DEPLOYING", "INITIALIZING").map(taskKey).join(", ");
      const message = `Not deployed within ${deployTimeout} ms: ${late}.`;
      this.fail({ name: "DeployTimeout", message }, now);
    }
  }

  isCurrent(attempt: Attempt): boolean {
    return attempt === this.#state.record.attempt;
  }

  isRunning(attempt: Attempt): boolean {
    return this.isCurrent(attempt) && this.#state.record.phase === "RUNNING";
  }

  isDeploying(attempt: Attempt): boolean {
    return this.isCurrent(attempt) && this.#deployingSince !== undefined;
  }

  /** The last attempt there was has ended, and no other has begun. */
  isOver(attempt: Attempt): boolean {
    const { phase, restartAt } = this.#state.record;
    const isOver = restartAt !== undefined || isEnding(phase) || isTerminal(phase);
    return this.isCurrent(attempt) && isOver;
  }

  begin(attempt: Attempt, now: Millis): void {
    const { tasks, checkpoints } = this.#state;
    this.#state.forgetRestart();
    this.#state.update({ attempt, attemptStarted: now });
    this.#deployingSince = now;
    tasks.reset("DEPLOYING");
    this.#checkpointing.sweep(now);
    const { latest } = checkpoints;
    if (latest === undefined) this.#deploy();
    else this.#state.push({ kind: "loadManifest", attempt, checkpoint: latest });
  }

  manifestLoaded(attempt: Attempt, manifest: Manifest, now: Millis): void {
    const { checkpoints, record } = this.#state;
    const { latest } = checkpoints;
    if (!this.isDeploying(attempt) || latest === undefined) return;
    if (manifest.job !== record.job || manifest.checkpoint !== latest.id) {
      const found = `checkpoint ${manifest.checkpoint} of job ${manifest.job}`;
      const message = `${latest.path} is the manifest of ${found}.`;
      return this.manifestFailed(attempt, { damaged: true, message }, now);
    }
    checkpoints.restored();
    this.#state.update({ lastRestored: { id: latest.id, at: now, path: latest.path } });
    this.#deploy(manifest);
  }

  manifestFailed(
    attempt: Attempt,
    failure: { readonly damaged: boolean; readonly message: string },
    now: Millis,
  ): void {
    if (!this.isDeploying(attempt)) return;
    const { checkpoints } = this.#state;
    const isLast = checkpoints.ledger.retained.length <= 1;
    // Never from nothing: a job that forgot its state would go on as if all were well.
    const isFinal = failure.damaged && isLast;
    if (failure.damaged && !isLast) checkpoints.dropLatest();
    this.fail({ name: "RestoreFailed", message: failure.message }, now, { isFinal });
  }

  deployed(attempt: Attempt, task: TaskId, outcome: DeployOutcome, now: Millis): void {
    const { tasks } = this.#state;
    if (this.isDeploying(attempt) && tasks.isIn(task, "DEPLOYING")) {
      if (outcome.kind === "deployed") {
        tasks.enter(task, "INITIALIZING");
        this.startWhenDeployed(now);
      } else {
        const message =
          outcome.kind === "refused"
            ? outcome.reason
            : `It runs attempt ${outcome.current}, newer than ${attempt}.`;
        this.fail({ task, name: "DeployRefused", message }, now);
      }
    } else if (outcome.kind === "deployed" && this.isOver(attempt)) {
      // The deployment arrived after the cancellation, or the subtask had nothing to cancel yet.
      this.#state.push({ kind: "cancelTasks", attempt, tasks: [task] });
    }
  }

  /** Tells those to start that were not told yet, or did not answer. */
  startWhenDeployed(now: Millis): void {
    const { tasks, record } = this.#state;
    if (this.#deployingSince === undefined || tasks.inPhase("DEPLOYING").length > 0) return;
    const ready = tasks.inPhase("INITIALIZING");
    if (ready.length === 0) return;
    this.#state.probed(now);
    this.#state.push({ kind: "start", attempt: record.attempt, tasks: ready });
  }

  started(attempt: Attempt, task: TaskId, outcome: AttemptOutcome | Silence, now: Millis): void {
    const { tasks, checkpoints } = this.#state;
    if (!this.isDeploying(attempt) || !tasks.isIn(task, "INITIALIZING")) return;
    if (outcome.kind === "silent") return;
    if (outcome.kind !== "ok") return this.fail(lost(task, outcome), now);
    tasks.enter(task, "RUNNING");
    if (tasks.inPhase("DEPLOYING", "INITIALIZING").length > 0) return;
    this.#deployingSince = undefined;
    checkpoints.restarted(now);
    // Replaced subtasks may have been writing until now.
    checkpoints.littered();
    this.#state.enter("RUNNING", now);
  }

  /** `isFinal`: no restart can help. */
  fail(failure: Failure, now: Millis, { isFinal = false }: { isFinal?: boolean } = {}): void {
    const { phase, restartAt, job, attempt, config, restartHistory, failures } = this.#state.record;
    if (isTerminal(phase) || isEnding(phase) || restartAt !== undefined) return;
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
    this.endAttempt(`Attempt ${attempt} failed: ${shortened(failure.message)}`, now);
    this.#state.update({ failures: [entry, ...failures].slice(0, failuresMax) });
    if (decision.kind === "restart") {
      this.#state.enter("RESTARTING", now);
      this.#state.update({ restartAt: decision.at, restartHistory: decision.history });
    } else {
      if (isFinal) this.#state.update({ isBeyondRestart: true });
      this.#state.enter("FAILING", now);
    }
    this.cancelTasks(now);
  }

  /** Nothing of the current attempt counts any more, and none is about to begin. */
  endAttempt(reason: string, now: Millis): void {
    this.#checkpointing.abandonAll(reason, now);
    this.#state.forgetRestart();
    this.#deployingSince = undefined;
    this.#state.tasks.enterAll("CANCELING");
  }

  cancelTasks(now: Millis): void {
    const { tasks, record } = this.#state;
    this.#state.probed(now);
    const { attempt } = record;
    this.#state.push({ kind: "cancelTasks", attempt, tasks: tasks.inPhase("CANCELING") });
  }

  #deploy(manifest?: Manifest): void {
    const { job, attempt, plan, config } = this.#state.record;
    const deployments = this.#state.tasks.all.map((task): TaskDeployment => {
      const deployment = { job, attempt, task, plan, config };
      if (manifest === undefined) return deployment;
      const states = statesOf(manifest, task.vertex);
      return { ...deployment, restore: { checkpoint: manifest.checkpoint, states } };
    });
    this.#state.push({ kind: "deploy", deployments });
  }
}

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
