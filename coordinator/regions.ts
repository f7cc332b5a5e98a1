// The regions of a plan: subtasks that channels connect, directly or through others; Flink's
// pipelined regions. A failure ends one region, because nothing of the others depends on it.
//   G1. Every subtask is in one region, and no channel leads from one region into another.
//   G2. Regions follow from the plan alone and keep their order, so a number names one.

import { type TaskId, type TaskKey, taskKey } from "../format/ids.ts";
import { type ExecutionPlan, tasksOf, vertexOf } from "../format/plan.ts";

export class Regions {
  /** The subtasks of each region, in the order of the plan. */
  readonly tasks: readonly (readonly TaskId[])[];
  readonly #indexOf = new Map<TaskKey, number>();

  constructor(plan: ExecutionPlan) {
    this.tasks = regionsOf(plan);
    for (const [index, tasks] of this.tasks.entries()) {
      for (const task of tasks) this.#indexOf.set(taskKey(task), index);
    }
  }

  /** Undefined for what is no subtask of the plan. */
  indexOf(task: TaskId): number | undefined {
    return this.#indexOf.get(taskKey(task));
  }
}

function regionsOf(plan: ExecutionPlan): TaskId[][] {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    const parent = parents.get(key) ?? key;
    if (parent === key) return key;
    const root = rootOf(parent);
    parents.set(key, root);
    return root;
  };
  const join = (left: TaskId, right: TaskId): void => {
    parents.set(rootOf(taskKey(left)), rootOf(taskKey(right)));
  };
  for (const { from, to, partitioning } of plan.edges) {
    const senders = vertexOf(plan, from).parallelism;
    const receivers = vertexOf(plan, to).parallelism;
    for (let index = 0; index < Math.max(senders, receivers); index++) {
      const sender = { vertex: from, index: Math.min(index, senders - 1) };
      const receiver = { vertex: to, index: Math.min(index, receivers - 1) };
      join(sender, receiver);
      // Whoever sends to all joins all.
      if (partitioning !== "forward") join(sender, { vertex: to, index: 0 });
    }
  }
  return [...Map.groupBy(tasksOf(plan), (task) => rootOf(taskKey(task))).values()];
}
