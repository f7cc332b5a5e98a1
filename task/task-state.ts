// All state of a subtask, by key (state-snapshots.ts) and without (operator-state.ts): restored before its
// operators are built, frozen in one step, and within one budget.
//   I1. Operators take over what was restored while they are built; `restored` carries on the rest.

import type { Barrier } from "../format/frame.ts";
import { savepointOf } from "../format/frame.ts";
import type { CheckpointId } from "../format/ids.ts";
import { rangeOfSubtask } from "../format/key-groups.ts";
import type { StateAnswer, StateQuery, TaskDeployment } from "../format/messages.ts";
import { tasksOf, vertexOf } from "../format/plan.ts";
import type { SqlDatabase } from "../format/sql.ts";
import type { OperatorContext } from "../operators/operator.ts";
import type { StateBackend } from "../operators/state/backend.ts";
import type { OperatorStateStore } from "../operators/state/operator-state.ts";
import type { RestoredChannel } from "./former-rows.ts";
import type { TaskImage } from "./image.ts";
import {
  OperatorStates,
  type FrozenOperatorState,
  type RestoredOperatorState,
} from "./operator-state.ts";
import type { SnapshotCut } from "./late-segments.ts";
import { stateBackendOf } from "./state-backend.ts";
import { answerStateQuery } from "./state-query.ts";
import { type FrozenState, type RestoredKeyedState, StateSnapshots } from "./state-snapshots.ts";

/** A restored state with its bytes at hand. */
export interface RestoredState {
  readonly checkpoint: CheckpointId;
  readonly keyed: readonly RestoredKeyedState[];
  /** What has it, where it was loaded. */
  readonly backend?: StateBackend;
  /** Of `sharesOf` the deployment. */
  readonly operator: readonly RestoredOperatorState[];
  /** Of `channelsOf` the deployment. */
  readonly channels: readonly RestoredChannel[];
}

/** State as it was at a barrier. */
export interface FrozenTaskState {
  readonly keyed: FrozenState;
  readonly operator: readonly FrozenOperatorState[];
}

export class TaskState {
  readonly #backend: StateBackend;
  readonly #keyed: StateSnapshots;
  readonly #operator: OperatorStates;
  readonly #budget: number;

  constructor(
    deployment: TaskDeployment,
    restored: RestoredState | undefined,
    /** Of the object this runs in; the sqlite backend needs it. */
    database: SqlDatabase | undefined,
    cut: SnapshotCut,
  ) {
    const { plan, task, config, job, attempt, restore } = deployment;
    const { maxParallelism } = plan;
    const { parallelism } = vertexOf(plan, task.vertex);
    const { inlineThreshold, incremental, storage } = config.checkpointing;
    const isHeld = restored?.keyed.some(({ segments }) => segments === "held") === true;
    this.#budget = config.state.memoryBudget;
    this.#backend = restored?.backend ?? stateBackendOf(deployment, database, isHeld);
    this.#keyed = new StateSnapshots({
      job,
      attempt,
      task,
      range: rangeOfSubtask(task.index, parallelism, maxParallelism),
      maxParallelism,
      inlineThreshold,
      subtasks: tasksOf(plan).length,
      incremental,
      storage,
      backend: this.#backend,
      cut,
    });
    const isBorrowed = restore?.isBorrowed === true;
    this.#keyed.restore(restored?.keyed ?? [], { isBorrowed });
    this.#operator = new OperatorStates(restored?.operator ?? [], task.index);
  }

  /** Of one operator. */
  of(uid: string): Pick<OperatorContext, "state" | "operatorState"> {
    return { state: this.#backend.store(uid), operatorState: this.operatorStateOf(uid) };
  }

  operatorStateOf(uid: string): OperatorStateStore {
    return this.#operator.store(uid);
  }

  /** The operators are built (I1). */
  restored(): void {
    this.#keyed.restored();
    this.#operator.restored();
    this.check();
  }

  /** Whether it holds what no checkpoint does, as values were migrated. */
  get isUpgraded(): boolean {
    return this.#keyed.isUpgraded;
  }

  /** @throws StateError where there is more than fits */
  check(): void {
    this.#backend.check(this.#operator.bytes);
    this.#operator.check(this.#budget - this.#backend.bytes);
  }

  /** `path`: of the file that the snapshot at that barrier is written to. */
  freeze({ checkpoint, purpose }: Barrier, path: string): FrozenTaskState {
    return {
      keyed:
        savepointOf(purpose) === undefined
          ? this.#keyed.freeze(checkpoint, { isFull: purpose === "full" })
          : this.#keyed.freezeWhole(checkpoint, path),
      operator: this.#operator.freeze(),
    };
  }

  /** A segment that was frozen did not reach its place, or will not. */
  lost(): void {
    this.#keyed.lost();
  }

  /** The checkpoint is durable, and so are all before it. */
  completed(checkpoint: CheckpointId): void {
    this.#backend.completed(checkpoint);
  }

  /** What `restore` takes to go on from here, where nothing has changed since the last freeze. */
  image(): Pick<TaskImage, "keyed" | "operator"> {
    return { keyed: this.#keyed.image(), operator: this.#operator.freeze() };
  }

  /** A look into the state as it is now. */
  read(query: StateQuery): StateAnswer {
    return answerStateQuery(this.#backend, this.#operator, query);
  }
}
