// Sources that keep in step with one another: how far the last of each group has come, from what their
// subtasks tell, and who may go on with that. What each may read then is its own matter (task).
//   W1. A group has come as far as the split that is furthest behind, of those that anybody is to wait
//       for; where there is none, nobody is held back.
//   W2. That is known once every subtask of the group has told in its present attempt.
//   W3. Who waits is told when what he waits for has come, until he has heard it. Nobody else is: a source
//       that goes on asks with its own reports.
//   W4. Nothing of it is stored. A coordinator that lost its memory asks those that ran before it did, and
//       may sleep: when somebody tells where he stands, and with every round of heartbeats.

import { endOfTime } from "../format/frame.ts";
import { type Attempt, type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import type { AlignmentReport, AlignmentStanding } from "../format/messages.ts";
import { type ExecutionPlan, tasksOf, vertexOf } from "../format/plan.ts";
import type { Effect } from "./effects.ts";

/** What it must know of a job: its state (job-state.ts), or what a test has instead. */
export interface AlignedJob {
  readonly record: { readonly plan: ExecutionPlan };
  regionOf(task: TaskId): { readonly attempt: Attempt; readonly phase: string } | undefined;
  tell(
    tasks: readonly TaskId[],
    effectOf: (attempt: Attempt, tasks: readonly TaskId[]) => Effect,
  ): void;
}

interface Told extends AlignmentStanding {
  readonly attempt: Attempt;
}

export class WatermarkAlignment {
  readonly #state: AlignedJob;
  readonly #told = new Map<TaskKey, Told>();
  /** Who has to be asked (W4). */
  readonly #unknown = new Set<TaskKey>();
  /** Who is being told that he may go on; he waits for it while he has not heard. */
  readonly #released = new Map<TaskKey, Told>();

  constructor(state: AlignedJob) {
    this.#state = state;
    for (const task of this.#members()) {
      if (state.regionOf(task)?.phase === "running") this.#unknown.add(taskKey(task));
    }
  }

  /** Answers how far the last of its group has come; undefined while that is not known. */
  reported({ attempt, task, ...standing }: AlignmentReport): number | undefined {
    const key = taskKey(task);
    const group = this.#groupOf(task);
    if (group === undefined) return undefined;
    this.#told.set(key, { attempt, ...standing });
    this.#unknown.delete(key);
    this.#released.delete(key);
    const least = this.#leastOf(group);
    this.#tell(group, key);
    return least;
  }

  /** A subtask did not answer. */
  unheard(task: TaskId): void {
    const key = taskKey(task);
    const released = this.#released.get(key);
    this.#released.delete(key);
    if (released !== undefined) this.#told.set(key, released);
    else if (!this.#told.has(key)) this.#unknown.add(key);
  }

  /** Tells again who did not hear, and asks again who did not tell. */
  remind(): void {
    const groups = new Set(this.#members().map((task) => this.#groupOf(task)!));
    for (const group of groups) this.#tell(group);
  }

  #tell(group: string, except?: TaskKey): void {
    const members = this.#members(group).filter((task) => taskKey(task) !== except);
    const least = this.#leastOf(group);
    if (least === undefined) {
      const unknown = members.filter((task) => this.#unknown.delete(taskKey(task)));
      this.#align(unknown, undefined);
      return;
    }
    const waiting = members.filter((task) => {
      const { waitsFor } = this.#told.get(taskKey(task)) ?? {};
      return waitsFor !== undefined && waitsFor <= least;
    });
    for (const task of waiting) {
      const key = taskKey(task);
      const told = this.#told.get(key)!;
      const { waitsFor: _, ...standing } = told;
      this.#released.set(key, told);
      this.#told.set(key, standing);
    }
    this.#align(waiting, least);
  }

  #align(tasks: readonly TaskId[], least: number | undefined): void {
    if (tasks.length === 0) return;
    this.#state.tell(tasks, (attempt, group) => ({ kind: "align", attempt, least, tasks: group }));
  }

  #leastOf(group: string): number | undefined {
    let least: number = endOfTime;
    for (const task of this.#members(group)) {
      const told = this.#told.get(taskKey(task));
      if (told === undefined || told.attempt !== this.#state.regionOf(task)?.attempt) {
        return undefined;
      }
      least = Math.min(least, told.watermark ?? endOfTime);
    }
    return least;
  }

  #groupOf({ vertex }: TaskId): string | undefined {
    return vertexOf(this.#state.record.plan, vertex).alignmentGroup;
  }

  /** The subtasks of that group, or of any. */
  #members(group?: string): TaskId[] {
    return tasksOf(this.#state.record.plan).filter((task) => {
      const own = this.#groupOf(task);
      return own !== undefined && (group === undefined || own === group);
    });
  }
}
