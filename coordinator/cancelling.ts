// The end of a job, whatever it ends as: its subtasks are told, and what nobody needs any more goes.
//   J5. Ended is ended: a terminal phase is never left, and nothing runs on.

import type { Attempt, Millis, TaskId } from "../format/ids.ts";
import type { Attempts } from "./attempts.ts";
import type { Checkpointing } from "./checkpointing.ts";
import { isEnding } from "./job-record.ts";
import type { JobState } from "./job-state.ts";

/** Milliseconds in which subtasks must be told that the job is over; it ends without them then. */
const cancelTimeout = 60_000;

export class Cancelling {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  readonly #attempts: Attempts;

  constructor(state: JobState, checkpointing: Checkpointing, attempts: Attempts) {
    this.#state = state;
    this.#checkpointing = checkpointing;
    this.#attempts = attempts;
  }

  /** Subtasks are told to stop; once they have been, the job has ended. */
  begin(reason: string, now: Millis): void {
    this.#attempts.endAll(reason, now);
    this.#state.enter("CANCELLING", now);
    this.#attempts.cancelTasks(now);
  }

  /** These were told to stop, where it is for them that they were. */
  told(attempt: Attempt, tasks: readonly TaskId[]): void {
    for (const task of tasks) {
      const isOver = this.#attempts.isOver(attempt, task);
      if (!isOver || !this.#state.tasks.isIn(task, "CANCELING")) continue;
      this.#state.tasks.enter(task, "CANCELED");
    }
  }

  /** The job has ended, where it is to end and nobody is left to be told. */
  settle(now: Millis): void {
    const left = this.#state.tasks.inPhase("CANCELING");
    if (isEnding(this.#state.record.phase) && left.length === 0) this.#end(now);
  }

  /** Of a job that is ending: who was not told is told again, for a while. */
  probe(now: Millis): void {
    const { phase, entered } = this.#state.record;
    if (now >= (entered[phase] ?? now) + cancelTimeout) this.#end(now);
    else this.#attempts.cancelTasks(now);
  }

  #end(now: Millis): void {
    const { tasks, checkpoints } = this.#state;
    const { phase, endsAs = "CANCELED" } = this.#state.record;
    const end = phase === "CANCELLING" ? endsAs : "FAILED";
    tasks.enterAll(tasks.all, end);
    this.#state.enter(end, now);
    if (!this.#keepsCheckpoints()) checkpoints.discardAll();
    checkpoints.littered();
    this.#checkpointing.sweep(now);
  }

  /** Whether what is retained outlives the job. Where a restore failed it is all there is left. */
  #keepsCheckpoints(): boolean {
    const { phase, config, isBeyondRestart } = this.#state.record;
    const { retention } = config.checkpointing;
    // As in Flink: who finished has a savepoint.
    if (phase === "FINISHED") return false;
    if (retention === "RETAIN_ON_CANCELLATION") return true;
    if (phase === "CANCELED") return false;
    return retention === "DELETE_ON_CANCELLATION" || isBeyondRestart === true;
  }
}
