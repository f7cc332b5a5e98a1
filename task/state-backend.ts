// Which backend holds a subtask's state, and whether it can go on from what is in its object.
//   L1. Rows are gone back to only where they hold exactly the checkpoint that is restored, for the
//       key groups that are owned now, in the version of the program that runs now; else they are emptied and everything is read from segments.

import { rangeOfSubtask } from "../format/key-groups.ts";
import type { TaskDeployment } from "../format/messages.ts";
import { vertexOf } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import type { StateBackend } from "../operators/state/backend.ts";
import { MemoryStateBackend } from "../operators/state/memory.ts";
import { SqliteStateBackend } from "../operators/state/sqlite.ts";
import { type RowsOwner, StateRows } from "../operators/state/sqlite-rows.ts";

function ownerOf({ plan, task }: TaskDeployment): RowsOwner {
  const { maxParallelism } = plan;
  const { parallelism } = vertexOf(plan, task.vertex);
  return { range: rangeOfSubtask(task.index, parallelism, maxParallelism), maxParallelism };
}

/** Whether the keyed state of the deployment's checkpoint is in the database. */
export function holdsState(deployment: TaskDeployment, database: SqlDatabase): boolean {
  const { config, restore } = deployment;
  if (config.state.backend !== "sqlite" || restore === undefined) return false;
  if (restore.isOtherCode) return false;
  return StateRows.hold(database, ownerOf(deployment), restore.checkpoint);
}

/** That of a deployment with state in rows; `isHeld`: what `holdsState` said. */
export function rowsBackendOf(
  deployment: TaskDeployment,
  database: SqlDatabase,
  isHeld: boolean,
): SqliteStateBackend {
  const { config, restore } = deployment;
  const checkpoint = restore?.checkpoint ?? 0;
  const budget = config.state.memoryBudget;
  return new SqliteStateBackend({ ...ownerOf(deployment), database, budget, checkpoint, isHeld });
}

/** `isHeld`: what `holdsState` said. */
export function stateBackendOf(
  deployment: TaskDeployment,
  database: SqlDatabase | undefined,
  isHeld: boolean,
): StateBackend {
  const { plan, config } = deployment;
  const { backend, memoryBudget: budget } = config.state;
  switch (backend) {
    case "memory":
      return new MemoryStateBackend({ maxParallelism: plan.maxParallelism, budget });
    case "sqlite":
      if (database === undefined) throw new Error("The sqlite backend needs a database.");
      return rowsBackendOf(deployment, database, isHeld);
  }
}
