// What the parts of one job share: its record, its checkpoints, what is believed of its subtasks, and
// the effects of the event that is being handled.
//   E1. The record is persisted before any other effect of the same event, once per event.

import type { CheckpointRecord, TaskPhase } from "../format/job-status.ts";
import { type Attempt, type Millis, millis, type TaskId } from "../format/ids.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type { JobPhase } from "../format/messages.ts";
import { type ExecutionPlan, tasksOf } from "../format/plan.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Effect } from "./effects.ts";
import { type JobRecord, jobTransitions, type RegionRecord } from "./job-record.ts";
import { summaryOf } from "./job-view.ts";
import { Regions } from "./regions.ts";
import { Subtasks } from "./subtasks.ts";

/** Milliseconds between attempts to tell the dispatcher. */
const announceRetry = 1_000;

export class JobState {
  readonly checkpoints: Checkpoints;
  #regions: Regions;
  #tasks: Subtasks;
  #record: JobRecord;
  #effects: Effect[] = [];
  #isChanged = false;
  #announcedAt = 0;
  #nextProbeAt: number;

  constructor(record: JobRecord, history: readonly CheckpointRecord[], now: Millis) {
    const { config, checkpoints } = record;
    this.#record = record;
    this.checkpoints = new Checkpoints(config.checkpointing, checkpoints, history, now);
    this.#regions = new Regions(record.plan);
    this.#tasks = subtasksOf(record, this.#regions);
    this.#nextProbeAt = now + heartbeatInterval;
  }

  get record(): JobRecord {
    return this.#record;
  }

  get regions(): Regions {
    return this.#regions;
  }

  get tasks(): Subtasks {
    return this.#tasks;
  }

  /** Another plan, of which nothing runs yet: all of it is deployed under the last attempt. */
  replan(plan: ExecutionPlan, now: Millis): void {
    const { attempt, retired = [] } = this.#record;
    const left = this.#tasks.states.flatMap(({ task, phase }) => {
      const of = this.regionOf(task)?.attempt;
      return of === undefined || phase === "CANCELED" ? [] : [{ task, attempt: of }];
    });
    this.#regions = new Regions(plan);
    const isGone = ({ task }: { readonly task: TaskId }): boolean =>
      this.#regions.indexOf(task) === undefined;
    const regions = this.#regions.tasks.map((): RegionRecord => {
      return { attempt, started: now, phase: "deploying" };
    });
    this.update({ plan, regions, retired: [...retired, ...left].filter(isGone) });
    this.#tasks = subtasksOf(this.#record, this.#regions);
  }

  /** When the subtasks are asked next. */
  get nextProbeAt(): number {
    return this.#nextProbeAt;
  }

  /** When the dispatcher is told again; undefined where it knows. */
  get announceAt(): number | undefined {
    const { announced, lastModification } = this.#record;
    return announced < lastModification ? this.#announcedAt + announceRetry : undefined;
  }

  /** They have just been asked. */
  probed(now: Millis): void {
    this.#nextProbeAt = now + heartbeatInterval;
  }

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** The ledger of checkpoints is not as it was persisted. */
  changed(): void {
    this.#isChanged = true;
  }

  update(change: Partial<JobRecord>): void {
    this.#record = { ...this.#record, ...change };
    this.#isChanged = true;
  }

  /** The region of a subtask; undefined for what is no subtask of the job. */
  regionOf(task: TaskId): RegionRecord | undefined {
    const index = this.regions.indexOf(task);
    return index === undefined ? undefined : this.#record.regions[index];
  }

  setRegions(indices: readonly number[], change: (region: RegionRecord) => RegionRecord): void {
    const regions = this.#record.regions.map((region, index) =>
      indices.includes(index) ? change(region) : region,
    );
    this.update({ regions });
  }

  /** One effect for each attempt that any of `tasks` runs. */
  tell(
    tasks: readonly TaskId[],
    effectOf: (attempt: Attempt, tasks: readonly TaskId[]) => Effect,
  ): void {
    const groups = Map.groupBy(tasks, (task) => this.regionOf(task)?.attempt);
    for (const [attempt, group] of groups) {
      if (attempt !== undefined) this.push(effectOf(attempt, group));
    }
  }

  /** These are not needed any more; a job that has finished is still to be read. */
  cancellation(attempt: Attempt, tasks: readonly TaskId[]): Effect {
    const keepsTables = this.#record.endsAs === "FINISHED" && { keepsTables: true as const };
    return { kind: "cancelTasks", attempt, tasks, ...keepsTables };
  }

  enter(phase: JobPhase, now: Millis): void {
    const { phase: from, entered } = this.#record;
    const allowed: readonly JobPhase[] = jobTransitions[from];
    if (!allowed.includes(phase)) throw new Error(`J5: ${from} -> ${phase}`);
    this.update({ phase, entered: { ...entered, [phase]: now } });
    this.modified(now);
  }

  /** There is something that the dispatcher is to know. */
  modified(now: Millis): void {
    const { lastModification } = this.#record;
    this.update({ lastModification: millis(Math.max(now, lastModification + 1)) });
    this.#announcedAt = 0;
  }

  /** The job rests no longer. */
  awaken(now: Millis): void {
    const { restingSince, ...record } = this.#record;
    if (restingSince === undefined) return;
    this.#record = { ...record, awakeSince: now };
    this.#tasks.awoken(now);
    this.modified(now);
  }

  /** The effects since the last call, what must be durable first. */
  flush(now: Millis): Effect[] {
    const out = this.#effects;
    this.#effects = [];
    const announceAt = this.announceAt;
    if (announceAt !== undefined && now >= announceAt) {
      this.#announcedAt = now;
      out.push({ kind: "announce", summary: summaryOf(this.#record, this.tasks) });
    }
    if (!this.#isChanged) return out;
    this.#isChanged = false;
    this.#record = { ...this.#record, checkpoints: this.checkpoints.ledger };
    return [{ kind: "persist", record: this.#record, ...this.checkpoints.takeChanges() }, ...out];
  }
}

const subtasksOf = (record: JobRecord, regions: Regions): Subtasks =>
  new Subtasks(
    tasksOf(record.plan).map((task) => {
      const region = record.regions[regions.indexOf(task) ?? -1];
      return { task, phase: phaseOfTask(record, region) };
    }),
  );

/** What a coordinator that lost its memory takes a subtask to be. */
function phaseOfTask({ phase }: JobRecord, region: RegionRecord | undefined): TaskPhase {
  switch (phase) {
    case "FAILING":
    case "CANCELLING":
      return "CANCELING";
    case "FAILED":
    case "CANCELED":
    case "FINISHED":
      return phase;
    default:
      return region?.phase === "running" ? "RUNNING" : "CREATED";
  }
}
