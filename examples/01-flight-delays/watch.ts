// Keeps an eye on the job while it runs: what it has counted, its checkpoints, whether it still runs.

import type { CheckpointStatistics, DelaysTable, LocalJob } from "./local-job.ts";
import { flightsIn } from "./reference.ts";
import { pause } from "./until.ts";

/** Milliseconds between two looks. */
const every = 250;

export class Watch {
  table: DelaysTable = { checkpoint: null, rows: [] };
  /** Flights in the table. */
  counted = 0;
  /** Checkpoints completed, the last of them, and the bytes that they wrote. */
  completed = 0;
  lastCompleted: number | undefined;
  readonly #sizes = new Map<number, number>();

  get checkpointBytes(): number {
    return this.#sizes.values().reduce((total, size) => total + size, 0);
  }

  /** Looks until the signal is aborted. @throws Error when the job has ended */
  async follow(job: LocalJob, onLook: () => void, signal: AbortSignal): Promise<never> {
    for (;;) {
      await job.assertRunning();
      const [table, statistics] = [await job.table(), await job.checkpoints()];
      if (statistics !== undefined) this.#sawCheckpoints(statistics);
      if (table !== undefined) {
        this.table = table;
        this.counted = flightsIn(table.rows);
      }
      onLook();
      await pause(every, signal);
    }
  }

  #sawCheckpoints({ counts, history }: CheckpointStatistics): void {
    const completed = history.filter(({ status }) => status === "COMPLETED");
    for (const { id, checkpointed_size } of completed) this.#sizes.set(id, checkpointed_size);
    this.completed = counts.completed;
    this.lastCompleted = completed[0]?.id ?? this.lastCompleted;
  }
}
