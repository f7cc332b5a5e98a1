// Whether the subtasks that run are there: they are asked at intervals, and every answer says something of
// the one that gave it.
//   O1. One that is silent for too long is lost (S1 of subtasks.ts); so is one that answers and has no
//       memory of its attempt. The attempt fails.
//   O2. With each probe everybody is told again what he may not have heard: to start, that the savepoint that
//       stops the job is complete, and who waits for one that is not that it has failed.
//   O3. One that is deployed and waits for others to be is asked, too: nobody else does, and an object that
//       nobody asks anything is evicted.

import type { CheckpointId, Millis, TaskId } from "../format/ids.ts";
import type { AttemptOutcome, HeartbeatOutcome } from "../format/messages.ts";
import { type Attempts, lost } from "./attempts.ts";
import type { Silence } from "./effects.ts";
import type { JobState } from "./job-state.ts";
import type { Resting } from "./resting.ts";
import type { WatermarkAlignment } from "./watermark-alignment.ts";

export class Probes {
  readonly #state: JobState;
  readonly #attempts: Attempts;
  readonly #resting: Resting;
  readonly #alignment: WatermarkAlignment;

  constructor(
    state: JobState,
    of: {
      readonly attempts: Attempts;
      readonly resting: Resting;
      readonly alignment: WatermarkAlignment;
    },
  ) {
    this.#state = state;
    this.#attempts = of.attempts;
    this.#resting = of.resting;
    this.#alignment = of.alignment;
  }

  /** Of a job that is not over: asks all that run, or wait to. */
  ask(now: Millis): void {
    this.#attempts.startDeployed(now);
    this.#resting.expire(now);
    this.#failLost(now);
    const waiting = this.#state.tasks.inPhase("INITIALIZING");
    this.#state.tell(waiting, (attempt, tasks) => ({ kind: "heartbeat", attempt, tasks }));
    const tasks = this.#state.tasks.inPhase("RUNNING");
    if (tasks.length === 0) return;
    this.#state.tasks.asked(tasks, now);
    this.#alignment.remind();
    const { stopping } = this.#state.record;
    this.#state.tell(tasks, (attempt, group) =>
      stopping === undefined
        ? { kind: "heartbeat", attempt, tasks: group }
        : { kind: "notifyComplete", attempt, checkpoint: stopping.savepoint.id, tasks: group },
    );
  }

  /** What came of a call to a subtask of an attempt that is current, whatever it was about. */
  answered(task: TaskId, outcome: HeartbeatOutcome | AttemptOutcome | Silence, now: Millis): void {
    const { tasks } = this.#state;
    const isDeployed = tasks.isIn(task, "INITIALIZING");
    if (!isDeployed && !tasks.isIn(task, "RUNNING")) return;
    if (isDeployed && (outcome.kind === "ok" || outcome.kind === "silent")) return;
    if (outcome.kind === "ok") {
      if (!("activity" in outcome)) return tasks.heard(task);
      tasks.told(task, outcome.metrics, outcome.activity, now);
      this.#resumeStopped(task, outcome.activity.stopped?.checkpoint);
      this.#resting.consider(now);
    } else if (outcome.kind === "silent") {
      tasks.unanswered(task, outcome.message, now);
      this.#failLost(now);
    } else {
      this.#attempts.fail(lost(task, outcome), now);
    }
  }

  /** A subtask that waits for the end of a stop that has failed did not hear of it (O2). */
  #resumeStopped(task: TaskId, checkpoint: CheckpointId | undefined): void {
    const { record, checkpoints } = this.#state;
    if (checkpoint === undefined || checkpoints.isOpen(checkpoint)) return;
    if (record.stopping?.savepoint.id === checkpoint) return;
    this.#state.tell([task], (attempt, tasks) => {
      return { kind: "notifyAborted", attempt, checkpoint, tasks };
    });
  }

  #failLost(now: Millis): void {
    for (;;) {
      const found = this.#state.tasks.lost(now);
      if (found === undefined) return;
      this.#attempts.fail({ ...found, name: "HeartbeatTimeout" }, now);
    }
  }
}
