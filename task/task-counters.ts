// What a subtask has counted, and the metrics that heartbeats carry: records and bytes in, rows that came
// too late, how long it was held up. What its parts count by themselves, they say.

import type { Millis } from "../format/ids.ts";
import type { TaskMetrics } from "../format/messages.ts";
import { BackPressure } from "./back-pressure.ts";
import type { Outbox } from "./outbox.ts";
import type { TaskSource } from "./task-source.ts";
import type { TaskTime } from "./task-time.ts";
import type { TwoPhase } from "./two-phase.ts";

/** The parts of a task that have something to say. */
export interface Measured {
  readonly outbox: Outbox;
  readonly twoPhase: TwoPhase;
  readonly time: TaskTime;
  readonly source: TaskSource | undefined;
}

export class TaskCounters {
  readonly backPressure = new BackPressure();
  #recordsIn = 0;
  #bytesIn = 0;
  #lateDropped = 0;

  came(records: number, bytes: number): void {
    this.#recordsIn += records;
    this.#bytesIn += bytes;
  }

  droppedLate(rows: number): void {
    this.#lateDropped += rows;
  }

  metrics(now: Millis, { outbox, twoPhase, time, source }: Measured): TaskMetrics {
    const { recordsOut, bytesOut } = outbox;
    const { drift, pending } = source ?? {};
    return {
      recordsIn: this.#recordsIn,
      recordsOut,
      bytesIn: this.#bytesIn,
      bytesOut,
      ...twoPhase.metrics,
      backPressuredTime: this.backPressure.total(now),
      ...time.metrics(now, { isSource: source?.isTimed === true }),
      ...(drift !== undefined && { watermarkAlignmentDrift: drift }),
      ...(pending !== undefined && { pendingRecords: pending }),
      ...(this.#lateDropped > 0 && { lateRecordsDropped: this.#lateDropped }),
    };
  }

  /** Goes on where another stood that had nothing under way. */
  resume({ recordsIn, bytesIn, lateRecordsDropped = 0, backPressuredTime }: TaskMetrics): void {
    this.#recordsIn = recordsIn;
    this.#bytesIn = bytesIn;
    this.#lateDropped = lateRecordsDropped;
    this.backPressure.resume(backPressuredTime);
  }
}
