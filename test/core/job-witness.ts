// Watches a job from outside, by its effects alone, and holds it to the invariants of
// `coordinator/job.ts` (J), `coordinator/checkpoints.ts` (K) and `coordinator/retention.ts` (R).
//   W1. Knows what was persisted, what the world answered, and what is in the bucket; never asks
//       the job.
//   W2. What an effect relies on must have been persisted before it, in the same step or earlier.

import type { CheckpointLedger } from "../../coordinator/checkpoints.ts";
import type { Effect } from "../../coordinator/effects.ts";
import {
  isEnding,
  isTerminal,
  type JobRecord,
  jobTransitions,
  type RegionRecord,
} from "../../coordinator/job-record.ts";
import { Regions } from "../../coordinator/regions.ts";
import type { JobConfig } from "../../format/config.ts";
import { savepointOf } from "../../format/frame.ts";
import {
  type Attempt,
  type CheckpointId,
  type TaskId,
  type TaskKey,
  taskKey,
} from "../../format/ids.ts";
import type { CheckpointAck, JobPhase, TaskActivity } from "../../format/messages.ts";
import { checkpointOfPath, jobPrefix } from "../../format/paths.ts";
import { type ExecutionPlan, sourceTasksOf, tasksOf } from "../../format/plan.ts";
import { filesOf } from "../../format/state-handle.ts";

/** What concerns no subtask, and is done also while the job rests. */
const aside: ReadonlySet<Effect["kind"]> = new Set([
  "announce",
  "deleteFolder",
  "deleteFiles",
  "askHolder",
  "letGo",
  "discard",
]);

export class Witness {
  readonly #config: JobConfig;
  readonly #bucket: ReadonlyMap<string, unknown>;
  #record: JobRecord | undefined;
  #regionsOfPlan: { readonly plan: ExecutionPlan; readonly regions: Regions } | undefined;
  readonly #triggeredAt = new Map<CheckpointId, Set<TaskKey>>();
  readonly #told = new Map<CheckpointId, Set<TaskKey>>();
  readonly #deployed = new Map<Attempt, Set<TaskKey>>();
  readonly #acknowledged = new Map<string, Set<TaskKey>>();
  readonly #triggered: CheckpointId[] = [];
  readonly #published = new Set<CheckpointId>();
  readonly #completed = new Set<CheckpointId>();
  readonly #aborted = new Set<CheckpointId>();
  /** Who said last that it is idle, and clean since when. */
  readonly #idle = new Map<TaskKey, CheckpointId | undefined>();
  readonly #begun = new Set<Attempt>();
  readonly #failed = new Set<string>();
  #lastTriggerAt = Number.NEGATIVE_INFINITY;
  #lastEndAt = Number.NEGATIVE_INFINITY;
  #announced = 0;

  constructor(config: JobConfig, bucket: ReadonlyMap<string, unknown>) {
    this.#config = config;
    this.#bucket = bucket;
  }

  // What the world did.

  wasDeployed(attempt: Attempt, task: TaskId): void {
    this.#setOf(this.#deployed, attempt).add(taskKey(task));
  }

  wasAcknowledged({ attempt, checkpoint, task }: CheckpointAck): void {
    this.#setOf(this.#acknowledged, `${attempt} ${checkpoint}`).add(taskKey(task));
  }

  wasTold(task: TaskId, { isIdle, cleanSince }: TaskActivity): void {
    if (isIdle) this.#idle.set(taskKey(task), cleanSince);
    else this.#idle.delete(taskKey(task));
  }

  /** Memory is gone: intervals may count anew. */
  reloaded(): void {
    this.#lastTriggerAt = Number.NEGATIVE_INFINITY;
  }

  /** `chains`: what the next snapshot of each subtask may build on. */
  deleted(paths: readonly string[], chains: ReadonlyMap<TaskKey, readonly string[]>): void {
    const { job, checkpoints } = this.#stored;
    for (const task of tasksOf(this.#plan)) {
      if (this.#regionOf(task).phase !== "running") continue;
      const base = chains.get(taskKey(task))?.find((path) => paths.includes(path));
      this.#must(base === undefined, `R4: ${base} was deleted, and ${taskKey(task)} builds on it`);
    }
    const needed = new Set(this.#needed());
    const open = new Set(checkpoints.open.map((entry) => entry.id));
    for (const path of paths) {
      this.#must(!needed.has(path), `R1: ${path} is needed and was deleted`);
      const id = checkpointOfPath(job, path);
      this.#must(id !== undefined && !open.has(id), `R2: ${path} is of an open checkpoint`);
    }
  }

  // What the job did.

  observe(effects: readonly Effect[], now: number): void {
    const persists = effects.filter((effect) => effect.kind === "persist");
    this.#must(persists.length <= 1, "W2: one write a step");
    this.#must(persists.length === 0 || effects[0] === persists[0], "W2: the write comes first");
    for (const effect of effects) this.#check(effect, now);
    for (const path of this.#needed()) {
      this.#must(this.#bucket.has(path), `R1: ${path} of a retained checkpoint is not there`);
    }
  }

  /** Files of what is retained, and of what is held for others. */
  #needed(): string[] {
    const { checkpoints, holds = [] } = this.#stored;
    const held = holds.map(({ checkpoint }) => checkpoint);
    return [...checkpoints.retained, ...held].flatMap((entry) => entry.files);
  }

  #check(effect: Effect, now: number): void {
    if (effect.kind === "persist") return this.#persisted(effect.record, now);
    const { phase, attempt, checkpoints } = this.#stored;
    if ("tasks" in effect) {
      const isOwn = effect.tasks.every(
        (task) => this.#isGone(task) || this.#regionOf(task).attempt === effect.attempt,
      );
      this.#must(isOwn, "J1: a message of another attempt");
    } else if ("attempt" in effect) {
      this.#must(effect.attempt === attempt, "J1: an effect of another attempt");
    }
    const isOver = isTerminal(phase) || isEnding(phase);
    const { restingSince } = this.#stored;
    const isQuiet = aside.has(effect.kind) || restingSince === undefined;
    this.#must(isQuiet, `Q4: ${effect.kind} from a job that rests`);
    switch (effect.kind) {
      case "loadManifest":
        this.#must(!isOver && this.#deploying(attempt).length > 0, `J5: restores in ${phase}`);
        this.#must(effect.checkpoint.id === this.#restorePoint, "K5: restores the latest");
        return;
      case "deploy": {
        this.#must(!isOver, `J5: deploys in ${phase}`);
        const of = effect.deployments[0]!.attempt;
        this.#must(!this.#begun.has(of), "J1: an attempt is deployed once");
        this.#begun.add(of);
        // How long the first one waits after a restart is drawn.
        this.#lastTriggerAt = Number.NEGATIVE_INFINITY;
        const tasks = effect.deployments.map(({ task }) => taskKey(task));
        const due = this.#deploying(of).map(taskKey);
        this.#must(tasks.length > 0 && sameSet(tasks, due), "whole regions are deployed");
        for (const { attempt: own, restore } of effect.deployments) {
          this.#must(own === of, "J1: deploys another attempt");
          this.#must(restore?.checkpoint === this.#restorePoint, "restores the latest");
          for (const path of restore?.states.flatMap(filesOf) ?? []) {
            this.#must(this.#bucket.has(path), `restores from ${path}, which is gone`);
          }
        }
        return;
      }
      case "start": {
        const deployed = this.#setOf(this.#deployed, effect.attempt);
        const regions = new Set(effect.tasks.map((task) => this.#regions.indexOf(task)!));
        const all = [...regions].flatMap((index) => this.#regions.tasks[index]!);
        this.#must(
          all.every((task) => deployed.has(taskKey(task))),
          "J4: started before all of the region were deployed",
        );
        return;
      }
      case "trigger": {
        const { checkpoint, tasks } = effect;
        this.#must(phase === "RUNNING", `J6: triggers in ${phase}`);
        for (const task of tasks) this.#setOf(this.#triggeredAt, checkpoint).add(taskKey(task));
        if (this.#triggered.at(-1) === checkpoint) return; // of another region
        this.#must(checkpoint > (this.#triggered.at(-1) ?? 0), "K1: ids grow");
        this.#must(checkpoints.nextId > checkpoint, "K1: the id is spent, durably");
        this.#must(
          checkpoints.open.some((open) => open.id === checkpoint && open.attempt === attempt),
          "the checkpoint is open, durably",
        );
        this.#triggered.push(checkpoint);
        if (savepointOf(effect.purpose) !== undefined) {
          this.#must(checkpoints.open.length === 1, "P2: a savepoint is taken alone");
          return;
        }
        if (effect.purpose === "aligned") {
          this.#must(
            checkpoints.open.length === 1,
            "X2: the checkpoint of a rescale is taken alone",
          );
          return;
        }
        if (effect.purpose === "final") {
          this.#must(checkpoints.open.length === 1, "Z1: the last checkpoint is taken alone");
          this.#lastTriggerAt = now;
          return;
        }
        const isTaking = checkpoints.open.some((open) => open.isSavepoint);
        this.#must(!checkpoints.open.some((open) => open.isFinal), "Z1: none beside the last");
        this.#must(!isTaking, "P2: a savepoint is taken alone");
        this.#must(
          checkpoints.open.length <= this.#config.checkpointing.maxConcurrent,
          "K4: count",
        );
        const isAsked = this.#stored?.manualCheckpoints?.some(
          ({ progress }) => progress.kind === "taking" && progress.checkpoint === checkpoint,
        );
        if (isAsked === true) {
          this.#lastTriggerAt = now;
          return;
        }
        const { interval, minPause } = this.#config.checkpointing;
        const isDue = now >= this.#lastTriggerAt + (interval ?? Infinity);
        const isLast = tasksOf(this.#plan).every((each) => this.#idle.has(taskKey(each)));
        this.#must(isDue || isLast, "K4: interval");
        this.#must(now >= this.#lastEndAt + minPause, "K4: min pause");
        this.#lastTriggerAt = now;
        return;
      }
      case "publish": {
        const { id } = effect.candidate;
        for (const task of tasksOf(this.#plan)) {
          const key = `${this.#regionOf(task).attempt} ${id}`;
          const acks = this.#setOf(this.#acknowledged, key);
          this.#must(acks.has(taskKey(task)), "K2: published without all");
        }
        const sources = sourceTasksOf(this.#plan).map(taskKey);
        const triggered = [...this.#setOf(this.#triggeredAt, id)];
        this.#must(sameSet(triggered, sources), "every source is triggered");
        this.#must(isPublishing(checkpoints, id), "the candidate is stored");
        this.#published.add(id);
        return;
      }
      case "probeManifest":
        return this.#must(isPublishing(checkpoints, effect.candidate.id), "J6");
      case "notifyComplete": {
        const { checkpoint } = effect;
        const { stopping } = this.#stored;
        const latest =
          stopping?.savepoint.id === checkpoint ? stopping.savepoint : checkpoints.retained[0];
        this.#must(phase === "RUNNING", `J3: completes in ${phase}`);
        this.#must(latest?.id === checkpoint, "J3: not recorded");
        const isStop = stopping?.savepoint.id === checkpoint;
        // It is told until everybody has committed, also to whoever was restored from it.
        this.#must(isStop || latest?.attempt === attempt, "J1: told to another attempt");
        this.#must(latest !== undefined && this.#bucket.has(latest.path), "J3: no manifest");
        for (const task of effect.tasks.map(taskKey)) {
          const told = this.#setOf(this.#told, checkpoint);
          this.#must(isStop || !told.has(task), "told of one completion twice");
          told.add(task);
        }
        this.#must(!this.#aborted.has(checkpoint), "K2: completed after it was aborted");
        const below = checkpoints.open.filter((open) => open.id < checkpoint);
        this.#must(below.length === 0, "K3: an older one is still open");
        this.#completed.add(checkpoint);
        return;
      }
      case "notifyAborted":
        this.#must(!this.#completed.has(effect.checkpoint), "K2: aborted after completion");
        this.#must(
          checkpoints.open.every((open) => open.id !== effect.checkpoint),
          "an aborted checkpoint is open",
        );
        this.#aborted.add(effect.checkpoint);
        return;
      case "align":
      case "heartbeat":
        return this.#must(!isOver, `J5: asks in ${phase}`);
      case "rest": {
        const all = tasksOf(this.#plan).map(taskKey);
        this.#must(
          all.every((task) => this.#idle.get(task) === effect.checkpoint),
          "Q2: somebody is not clean",
        );
        this.#must(checkpoints.retained[0]?.id === effect.checkpoint, "Q2: of another checkpoint");
        this.#must(checkpoints.open.length === 0, "Q3: rests while checkpoints are open");
        return;
      }
      case "cancelTasks":
        for (const task of effect.tasks) {
          if (this.#isGone(task)) continue;
          const { phase: own } = this.#regionOf(task);
          this.#must(own === "waiting" || own === "over", "cancels what runs");
        }
        return;
      case "deleteFiles":
        return;
      case "deleteFolder": {
        const { savepoints = [] } = this.#stored;
        const isKept = savepoints.some(
          ({ progress }) =>
            progress.kind === "completed" && progress.path.startsWith(effect.folder),
        );
        return this.#must(!isKept, "P3: deletes a savepoint that is complete");
      }
      case "askHolder": {
        const { holds = [] } = this.#stored;
        const hold = holds.find(({ nth }) => nth === effect.hold.nth);
        return this.#must(hold !== undefined && !hold.isFirm, "H3: asks of what is firm");
      }
      case "letGo":
      case "discard": {
        const { restore, job } = this.#stored;
        const isOwn = (path: string): boolean => path.startsWith(jobPrefix(job));
        const latest = checkpoints.retained[0];
        const isReplaced = latest !== undefined && latest.files.every(isOwn);
        const isRetained = checkpoints.retained.some(({ path }) => path === restore?.path);
        this.#must(isReplaced || isTerminal(phase), "L1: lets go of what a restart goes back to");
        return this.#must(!isRetained, "L2: lets go of what is retained");
      }
      case "sweep": {
        const needed = this.#needed();
        const reachable = new Set(effect.reachable);
        this.#must(
          needed.every((path) => reachable.has(path)),
          "R1: sweeps what is needed",
        );
        const least = Math.min(...checkpoints.open.map((open) => open.id), checkpoints.nextId);
        this.#must(effect.upTo < least, "R2: sweeps what is open");
        return;
      }
      case "announce": {
        const { lastModification } = effect.summary;
        this.#must(effect.summary.phase === phase, "announces what is not stored");
        this.#must(lastModification >= this.#announced, "announcements go back in time");
        this.#announced = lastModification;
        return;
      }
      default:
        effect satisfies never;
    }
  }

  #persisted(record: JobRecord, now: number): void {
    const before = this.#record;
    // A region is one of the plan in which it failed.
    const regions = before === undefined ? undefined : this.#regions;
    this.#record = record;
    if (before === undefined) return;
    const { phase, attempt, checkpoints, failures } = record;
    const allowed: readonly JobPhase[] = jobTransitions[before.phase];
    this.#must(
      phase === before.phase || allowed.includes(phase),
      `J5: ${before.phase} became ${phase}`,
    );
    this.#must(attempt >= before.attempt && attempt <= before.attempt + 1, "J1: the attempt grows");
    for (const failure of failures.filter((each) => !before.failures.includes(each))) {
      const ended = `${failure.attempt} ${failure.task && regions?.indexOf(failure.task)}`;
      this.#must(!this.#failed.has(ended), "J2: an attempt of a region failed twice");
      this.#failed.add(ended);
    }
    this.#must(record.lastModification >= before.lastModification, "modifications go back in time");
    this.#must(phase === "RUNNING" || checkpoints.open.length === 0, `J6: open in ${phase}`);
    // What is claimed is another job's, and was this one's until it was said to be (H5).
    const ceded = new Set(
      [...(before.holds ?? []), ...(record.holds ?? [])]
        .filter(({ claims }) => claims)
        .map(({ checkpoint }) => checkpoint.id),
    );
    const retained = before.checkpoints.retained.filter(({ id }) => !ceded.has(id));
    this.#ledger({ ...before.checkpoints, retained }, checkpoints, record, now);
  }

  #ledger(
    before: CheckpointLedger,
    after: CheckpointLedger,
    { phase, isBeyondRestart }: JobRecord,
    now: number,
  ): void {
    this.#must(after.nextId >= before.nextId, "K1: ids are never taken back");
    const open = new Set(after.open.map((entry) => entry.id));
    const ended = before.open.filter((entry) => !open.has(entry.id));
    if (ended.some((entry) => !entry.isSavepoint)) this.#lastEndAt = now;
    this.#must(
      after.publishing.every(({ candidate }) => open.has(candidate.id)),
      "publishes a dead one",
    );
    const ids = after.retained.map((entry) => entry.id);
    this.#must(
      ids.every((id, at) => at === 0 || id < ids[at - 1]!),
      "the retained are newest first",
    );
    this.#must(ids.length <= this.#config.checkpointing.retained, "too many are retained");
    const had = before.retained.length > 0;
    this.#must(!had || ids.length > 0 || isTerminal(phase), "K5: none is retained");
    if (had && isTerminal(phase)) {
      const { retention } = this.#config.checkpointing;
      const stays =
        phase === "FINISHED"
          ? false
          : phase === "CANCELED"
            ? retention === "RETAIN_ON_CANCELLATION"
            : retention !== "NO_EXTERNALIZED_CHECKPOINTS" || isBeyondRestart === true;
      this.#must(ids.length > 0 === stays, `retention: ${ids.length} kept in ${phase}`);
    }
    const oldIds = new Set(before.retained.map((entry) => entry.id));
    for (const entry of after.retained.filter(({ id }) => !oldIds.has(id))) {
      this.#must(this.#published.has(entry.id), "K2: completed out of nowhere");
      this.#must(!this.#aborted.has(entry.id), "K2: completed after it was aborted");
      this.#must(this.#bucket.has(entry.path), "K2: completed without a manifest");
    }
  }

  get #restorePoint(): CheckpointId | undefined {
    const { stopping, checkpoints, restore } = this.#stored;
    return stopping?.savepoint.id ?? checkpoints.retained[0]?.id ?? restore?.checkpoint;
  }

  get #plan(): ExecutionPlan {
    return this.#stored.plan;
  }

  get #regions(): Regions {
    const plan = this.#plan;
    if (this.#regionsOfPlan?.plan !== plan) {
      this.#regionsOfPlan = { plan, regions: new Regions(plan) };
    }
    return this.#regionsOfPlan.regions;
  }

  get #stored(): JobRecord {
    if (this.#record === undefined) throw new Error("W2: an effect before the first write");
    return this.#record;
  }

  /** Of a plan that the job had before. */
  #isGone(task: TaskId): boolean {
    return this.#regions.indexOf(task) === undefined;
  }

  #regionOf(task: TaskId): RegionRecord {
    return this.#stored.regions[this.#regions.indexOf(task)!]!;
  }

  /** The subtasks of the regions that are to be deployed under `attempt`. */
  #deploying(attempt: Attempt): TaskId[] {
    return this.#stored.regions.flatMap((region, index) =>
      region.phase === "deploying" && region.attempt === attempt ? this.#regions.tasks[index]! : [],
    );
  }

  #setOf<K>(map: Map<K, Set<TaskKey>>, key: K): Set<TaskKey> {
    const found = map.get(key) ?? new Set<TaskKey>();
    map.set(key, found);
    return found;
  }

  #must(holds: boolean, rule: string): void {
    if (!holds) throw new Error(`Invariant broken: ${rule}`);
  }
}

const isPublishing = ({ publishing }: CheckpointLedger, id: CheckpointId): boolean =>
  publishing.some(({ candidate }) => candidate.id === id);

const sameSet = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && new Set([...left, ...right]).size === left.length;
