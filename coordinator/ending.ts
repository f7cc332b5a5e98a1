// How a job ends by itself: its input has an end, and all of it is through.
//   Z1. Once every subtask has told that no row will come any more, a last checkpoint is taken, as soon
//       as nothing else is open; until it is over nothing else is triggered. It is aligned, whatever the
//       job's are, and taken also where none are periodic: sinks commit with it.
//   Z2. Behind its barrier nobody does anything. Complete, it binds the job as a savepoint does that
//       stops it (savepoints.ts, P5): whoever is lost is restored from it, and does nothing but commit;
//       when all have committed, the job is FINISHED.
//   Z3. If it fails, that is the failure of a checkpoint. Another follows, at the pace of the probes.

import type { Millis } from "../format/ids.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type { Checkpointing } from "./checkpointing.ts";
import type { JobState } from "./job-state.ts";

export class Ending {
  readonly #state: JobState;
  readonly #checkpointing: Checkpointing;
  #triggeredAt = Number.NEGATIVE_INFINITY;

  constructor(state: JobState, checkpointing: Checkpointing) {
    this.#state = state;
    this.#checkpointing = checkpointing;
  }

  /** Whether the input has ended, in every subtask: there is nothing left but the last checkpoint. */
  get isDue(): boolean {
    const { record, tasks } = this.#state;
    return record.phase === "RUNNING" && record.stopping === undefined && tasks.haveEnded;
  }

  wakeTimes(): number[] {
    if (!this.isDue || this.#state.checkpoints.ledger.open.length > 0) return [];
    return [this.#triggeredAt + heartbeatInterval].filter(Number.isFinite);
  }

  /** After every event. `isBusy`: somebody has asked for something that comes first. */
  settle(now: Millis, isBusy: boolean): void {
    const isOpen = this.#state.checkpoints.ledger.open.length > 0;
    if (!this.isDue || isBusy || isOpen || now < this.#triggeredAt + heartbeatInterval) return;
    this.#triggeredAt = now;
    this.#checkpointing.trigger(now, "final");
  }
}
