// What a subtask sends elsewhere than over its channels: dead letters and the rows of files. They are
// prepared at a barrier, and leave once its checkpoint has completed (commits.ts).
//   F1. Without checkpoints they leave as they come.
//   F2. Where much waits to be committed, sources take nothing more: letters come faster than they leave.

import type { CheckpointId, Millis } from "../format/ids.ts";
import { deadLetterBytesPause } from "../format/limits.ts";
import type { TaskDeployment, TaskMetrics } from "../format/messages.ts";
import { rowsFilePath } from "../format/paths.ts";
import { vertexOf } from "../format/plan.ts";
import type { FilingOperator } from "../operators/operator.ts";
import type { Reject } from "../operators/rejection.ts";
import type { OperatorStateStore } from "../operators/state/operator-state.ts";
import type { GraphNode } from "../stream/graph.ts";
import { type Commit, Commits, effectOf, type FilePut } from "./commits.ts";
import { DeadLetters } from "./dead-letters.ts";
import type { TaskEffect } from "./task-effect.ts";

type Effects = readonly TaskEffect[];

export class TwoPhase {
  readonly #deployment: TaskDeployment;
  readonly #commits: Commits;
  readonly #letters: DeadLetters;
  readonly #now: () => Millis;

  /** @param storeOf an operator of the chain; built before any of these is, as snapshots have them in order. */
  constructor(
    deployment: TaskDeployment,
    storeOf: (uid: string) => OperatorStateStore,
    now: () => Millis,
  ) {
    const { operators } = vertexOf(deployment.plan, deployment.task.vertex);
    const [first, ...others] = operators.map(storeOf);
    this.#deployment = deployment;
    this.#commits = new Commits(first!, others);
    this.#letters = new DeadLetters(deployment);
    this.#now = now;
  }

  /** What becomes of rows that code of this operator throws on; undefined: the attempt fails. */
  rejectOf({ onError }: GraphNode): Reject | undefined {
    if (onError === undefined) return undefined;
    if (onError === "drop") return () => this.#letters.drop();
    return (rejected) => {
      this.#letters.write(onError, rejected, this.#commits.bytes, this.#now());
    };
  }

  /** At a barrier: what there is by now waits for that checkpoint. */
  prepare(checkpoint: CheckpointId, filing: readonly FilingOperator[]): void {
    this.#commits.prepare(this.#letters.prepare(checkpoint));
    this.#commits.prepare(filing.flatMap((one) => this.#filesOf(one, checkpoint, `${checkpoint}`)));
  }

  /** The checkpoint is durable, and so are all before it: what is to be done now. */
  completed(checkpoint: CheckpointId): Effects {
    return this.#commits.completed(checkpoint).map(effectOf);
  }

  /** There will be no checkpoint (F1). */
  flush(filing: readonly FilingOperator[]): Effects {
    const { attempt } = this.#deployment;
    const files = filing.flatMap((operator) =>
      operator.isEmpty ? [] : this.#filesOf(operator, 0, `a${attempt}.${operator.nextFlush()}`),
    );
    const commits: Commit[] = [...this.#letters.flush(), ...files];
    this.#commits.prepare(commits);
    return commits.map(effectOf);
  }

  /** It is done. */
  settled(id: string): void {
    this.#commits.settled(id);
  }

  /** Whether something that was prepared is not known to be done. */
  get isCommitting(): boolean {
    return !this.#commits.isEmpty;
  }

  /** Whether sources are to wait (F2). */
  get isFull(): boolean {
    return this.#commits.bytes + this.#letters.bytes >= deadLetterBytesPause;
  }

  get metrics(): Pick<TaskMetrics, "recordsDropped" | "recordsDeadLettered"> {
    return {
      recordsDropped: this.#letters.dropped,
      recordsDeadLettered: this.#letters.deadLettered,
    };
  }

  /** Goes on counting where another stood that had nothing under way. */
  resume(metrics: TaskMetrics): void {
    this.#letters.resume(metrics);
  }

  #filesOf(operator: FilingOperator, checkpoint: number, epoch: string): FilePut[] {
    const { job, task } = this.#deployment;
    return operator.takeFiles().map((content) => {
      const id = rowsFilePath(job, content, { subtask: task.index, epoch, n: content.n });
      return { id, checkpoint, file: content.bytes };
    });
  }
}
