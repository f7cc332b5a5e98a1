// What a checkpoint of very many subtasks costs their coordinator: its core alone, told what subtasks that
// answer at once would tell it.

import { Job } from "../coordinator/job.ts";
import type { Effect } from "../coordinator/effects.ts";
import { jobIdFrom, type Millis, millis, type TaskId } from "../format/ids.ts";
import type { CheckpointId, Attempt } from "../format/ids.ts";
import type { HeartbeatOutcome } from "../format/messages.ts";
import { type ExecutionPlan, tasksOf } from "../format/plan.ts";
import { jobConfig } from "../stream/config.ts";

export interface CoordinatorCost {
  /** Milliseconds of each checkpoint after the first. */
  readonly milliseconds: readonly number[];
  /** Times that its record is written for one, on average. */
  readonly persists: number;
  /** Calls to subtasks for one, on average, with acknowledgements. */
  readonly calls: number;
}

const source = "a".repeat(32);
const counter = "b".repeat(32);

const planOf = (subtasks: number): ExecutionPlan => {
  const parallelism = subtasks / 2;
  return {
    program: "counts",
    fingerprint: "f".repeat(32),
    maxParallelism: 32_768,
    vertices: [
      { id: source, name: "Source: in", parallelism, operators: ["in"] },
      { id: counter, name: "count", parallelism, operators: ["count"] },
    ],
    edges: [
      {
        id: 0,
        from: source,
        fromUid: "in",
        to: counter,
        toUid: "count",
        input: 0,
        partitioning: "hash",
      },
    ],
  };
};

const interval = 1_000;

/** @throws Error where a checkpoint does not complete */
export function coordinatorCost(subtasks: number, checkpoints: number): CoordinatorCost {
  const plan = planOf(subtasks);
  const parallelism = subtasks / 2;
  const config = jobConfig({ parallelism, maxParallelism: 32_768, checkpointing: { interval } });
  const played = new Played(
    plan,
    Job.submitted({ job: jobIdFrom(new Uint8Array(16)), plan, config }, played0),
  );
  const milliseconds: number[] = [];
  let [persists, calls] = [0, 0];
  for (let done = 0; done <= checkpoints; done++) {
    const before = { persists: played.persists, calls: played.calls };
    const begunAt = performance.now();
    played.pass(interval);
    const took = performance.now() - begunAt;
    if (done === 0) continue;
    milliseconds.push(took);
    persists += played.persists - before.persists;
    calls += played.calls - before.calls;
  }
  const { completed } = played.job.overview().counts;
  if (completed < checkpoints) {
    throw new Error(
      `Of ${checkpoints} checkpoints of ${subtasks} subtasks ${completed} completed.`,
    );
  }
  return { milliseconds, persists: persists / checkpoints, calls: calls / checkpoints };
}

const played0: Millis = millis(1_700_000_000_000);

/** A job in a world that answers at once. */
class Played {
  readonly job: Job;
  persists = 0;
  calls = 0;
  #now: Millis = played0;
  readonly #tasks: readonly TaskId[];

  constructor(plan: ExecutionPlan, { job, effects }: { job: Job; effects: Effect[] }) {
    this.job = job;
    this.#tasks = tasksOf(plan);
    this.#perform(effects);
  }

  /** Lets so many milliseconds pass. */
  pass(span: number): void {
    const until = this.#now + span;
    for (;;) {
      const at = this.job.nextWakeAt();
      if (at === undefined || at > until) break;
      this.#now = millis(Math.max(at, this.#now));
      this.#perform(this.job.tick(this.#now));
    }
    this.#now = millis(until);
  }

  #perform(effects: readonly Effect[]): void {
    // What an answer leads to comes after what led to the question, as it does of a network.
    const queue = [...effects];
    for (let at = 0; at < queue.length; at++) {
      for (const answer of this.#answers(queue[at]!)) queue.push(...answer());
    }
  }

  #answers(effect: Effect): (() => Effect[])[] {
    const { job } = this;
    const now = this.#now;
    switch (effect.kind) {
      case "persist":
        this.persists++;
        return [];
      case "deploy":
        return effect.deployments.map(({ attempt, task }) => () => {
          return job.deployed(attempt, task, { kind: "deployed" }, now);
        });
      case "start":
        return this.#each(effect.tasks, (task) =>
          job.started(effect.attempt, task, { kind: "ok" }, now),
        );
      case "trigger": {
        const { attempt, checkpoint, tasks } = effect;
        return [
          ...this.#each(tasks, (task) =>
            job.triggered(attempt, checkpoint, task, { kind: "ok" }, now),
          ),
          ...this.#each(this.#tasks, (task) => this.#acknowledge(attempt, checkpoint, task)),
        ];
      }
      case "publish": {
        const { attempt, candidate } = effect;
        return [() => job.published(attempt, candidate, { kind: "created" } as never, now)];
      }
      case "notifyComplete":
      case "heartbeat":
        return this.#each(effect.tasks, (task) => job.heartbeat(effect.attempt, task, beat, now));
      case "announce":
        return [() => job.announced(effect.summary.lastModification, now)];
      default:
        return [];
    }
  }

  #each(tasks: readonly TaskId[], answer: (task: TaskId) => Effect[]): (() => Effect[])[] {
    this.calls += tasks.length;
    return tasks.map((task) => () => answer(task));
  }

  #acknowledge(attempt: Attempt, checkpoint: CheckpointId, task: TaskId): Effect[] {
    const state = { keyed: [], operator: [] };
    const metrics = {
      alignment: 1,
      syncDuration: 0,
      asyncDuration: 5,
      bytes: 100,
      stateBytes: 1_000,
    };
    return this.job.acknowledged({ attempt, checkpoint, task, state, metrics }, this.#now);
  }
}

const beat: HeartbeatOutcome = {
  kind: "ok",
  metrics: {
    recordsIn: 1,
    recordsOut: 1,
    bytesIn: 1,
    bytesOut: 1,
    recordsDropped: 0,
    recordsDeadLettered: 0,
    backPressuredTime: 0,
  },
  activity: { isIdle: false },
};
