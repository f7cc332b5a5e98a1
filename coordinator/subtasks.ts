// What a coordinator believes of the subtasks of its current attempts.
//   S1. A subtask is silent from the first call it left unanswered, not from its last word: a
//       coordinator that slept itself has nobody to blame.
//   S2. An answer of any kind ends the silence.
//   S3. What a subtask does for a checkpoint alone does not count as being busy.
//   S4. While a job rests nothing is counted: rates begin anew when it wakes, from what was told last.

import { type Millis, type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import type { TaskPhase, TaskRates } from "../format/job-status.ts";
import { heartbeatTimeout } from "../format/limits.ts";
import type { TaskActivity, TaskMetrics } from "../format/messages.ts";
import { ratesBetween, type Report } from "./rates.ts";

export interface SubtaskState {
  readonly task: TaskId;
  readonly phase: TaskPhase;
  readonly metrics?: TaskMetrics;
  readonly rates?: TaskRates;
  /** What the next rates begin with. */
  readonly report?: Report;
  /** What it told last, since the latest checkpoint completed. */
  readonly activity?: TaskActivity;
  /** No row will come to it any more. */
  readonly hasEnded?: true;
  /** Rounds of heartbeats in which it was idle, up to now and without a break. */
  readonly idleRounds?: number;
  /** It was asked in this round, and has not told yet that it is idle. */
  readonly isAsked?: boolean;
  /** Since when calls go unanswered, and what the last of them met; absent while all is well. */
  readonly silence?: { readonly since: Millis; readonly message?: string };
}

export class Subtasks {
  readonly #states = new Map<TaskKey, SubtaskState>();

  constructor(states: readonly SubtaskState[]) {
    for (const state of states) this.#states.set(taskKey(state.task), state);
  }

  get all(): TaskId[] {
    return this.states.map((state) => state.task);
  }

  get keys(): TaskKey[] {
    return [...this.#states.keys()];
  }

  get states(): readonly SubtaskState[] {
    return [...this.#states.values()];
  }

  inPhase(...phases: readonly TaskPhase[]): TaskId[] {
    return this.states.filter((state) => phases.includes(state.phase)).map((state) => state.task);
  }

  isIn(task: TaskId, phase: TaskPhase): boolean {
    return this.#states.get(taskKey(task))?.phase === phase;
  }

  /** These enter `phase`, with nothing known of them beside. */
  reset(tasks: readonly TaskId[], phase: TaskPhase): void {
    for (const task of tasks) this.#states.set(taskKey(task), { task, phase });
  }

  /** These enter `phase`; what they last told stays. */
  enterAll(tasks: readonly TaskId[], phase: TaskPhase): void {
    for (const task of tasks) this.enter(task, phase);
  }

  enter(task: TaskId, phase: TaskPhase): void {
    this.#change(task, (state) => ({ ...state, phase }));
  }

  ended(task: TaskId): void {
    this.heard(task);
    this.#change(task, (state) => ({ ...state, hasEnded: true }));
  }

  /** Whether that is so of all. */
  get haveEnded(): boolean {
    for (const { phase, hasEnded } of this.#states.values()) {
      if (phase !== "RUNNING" || hasEnded !== true) return false;
    }
    return true;
  }

  /** A round of heartbeats is on its way to these. */
  asked(tasks: readonly TaskId[], now: Millis): void {
    for (const task of tasks) {
      this.#change(task, (state) => {
        return { ...state, isAsked: true, silence: state.silence ?? { since: now } };
      });
    }
  }

  heard(task: TaskId): void {
    this.#change(task, (state) => {
      const { silence: _, ...heard } = state;
      return heard;
    });
  }

  /** It answered in full. */
  told(task: TaskId, metrics: TaskMetrics, activity: TaskActivity, now: Millis): void {
    this.heard(task);
    this.#change(task, ({ idleRounds = 0, isAsked = false, ...state }) => {
      const report = { at: now, metrics };
      const rates = state.report && ratesBetween(state.report, report);
      const isNew = state.report === undefined || rates !== undefined;
      const told = {
        ...state,
        metrics,
        activity,
        ...(rates && { rates }),
        ...(isNew && { report }),
        ...(activity.hasEnded && { hasEnded: true as const }),
      };
      if (activity.isIdle) return { ...told, idleRounds: idleRounds + (isAsked ? 1 : 0) };
      // Clean and not idle, it is busy with a checkpoint. Where these come often, one is mostly under
      // way when it answers, and that must not keep the job awake: it is neither a round nor a break.
      if (activity.cleanSince !== undefined) return { ...told, idleRounds, isAsked };
      return { ...told, idleRounds: 0 };
    });
  }

  /** Whatever they told before is not about the latest checkpoint. */
  forgetActivity(): void {
    for (const { task } of this.states) {
      this.#change(task, (state) => {
        const { activity: _, ...rest } = state;
        return rest;
      });
    }
  }

  /** The job rests no longer. */
  awoken(now: Millis): void {
    for (const { task, metrics } of this.states) {
      if (metrics === undefined) continue;
      this.#change(task, (state) => {
        const { rates: _, ...rest } = state;
        return { ...rest, report: { at: now, metrics } };
      });
    }
  }

  /** Rounds of idleness count anew. */
  restless(): void {
    for (const { task } of this.states) {
      this.#change(task, (state) => ({ ...state, idleRounds: 0, isAsked: false }));
    }
  }

  /** A call failed without an answer. */
  unanswered(task: TaskId, message: string, now: Millis): void {
    this.#change(task, (state) => {
      return { ...state, silence: { since: state.silence?.since ?? now, message } };
    });
  }

  /** A running subtask that has been silent for too long. */
  lost(now: Millis): { readonly task: TaskId; readonly message: string } | undefined {
    for (const { task, phase, silence } of this.#states.values()) {
      if (phase !== "RUNNING" || silence === undefined) continue;
      if (now - silence.since < heartbeatTimeout) continue;
      const last = silence.message ?? "calls to it do not return";
      return { task, message: `Not heard of for ${now - silence.since} ms: ${last}` };
    }
    return undefined;
  }

  #change(task: TaskId, change: (state: SubtaskState) => SubtaskState): void {
    const state = this.#states.get(taskKey(task));
    if (state !== undefined) this.#states.set(taskKey(task), change(state));
  }
}
