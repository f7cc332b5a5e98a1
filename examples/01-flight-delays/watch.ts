// Keeps an eye on the job while it runs: what it has counted, its checkpoints, whether it still runs.

import type {
  CheckpointEntry,
  CheckpointStatistics,
  LocalJob,
  Table,
} from "../flights/local-job.ts";
import { pause, until } from "../flights/until.ts";
import { type DelaysRow, flightsIn } from "./reference.ts";

/** Milliseconds between two looks. */
const every = 250;

export class Watch {
  table: Table<DelaysRow> = { checkpoint: null, rows: [] };
  /** Flights in the table. */
  counted = 0;
  /** Checkpoints completed, the last of them, and those of them that were seen in the history. */
  completed = 0;
  lastCompleted: number | undefined;
  readonly completions = new Map<number, CheckpointEntry>();

  /** What the checkpoints wrote. */
  get checkpointBytes(): number {
    return this.completions
      .values()
      .reduce((total, { checkpointed_size }) => total + checkpointed_size, 0);
  }

  /** Looks until the signal is aborted. @throws Error when the job has ended */
  async follow(job: LocalJob, onLook: () => void, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.look(job);
      onLook();
      await pause(every, signal);
    }
  }

  /** @throws Error when the job has ended */
  async look(job: LocalJob): Promise<void> {
    await job.assertRunning();
    const [table, statistics] = [
      await job.table<DelaysRow>("delays-by-origin"),
      await job.checkpoints(),
    ];
    if (statistics !== undefined) this.#sawCheckpoints(statistics);
    if (table === undefined) return;
    this.table = table;
    this.counted = flightsIn(table.rows);
  }

  /**
   * Resolves when the table holds `flights` in a checkpoint completed since, or has not grown for
   * `standstill` milliseconds. Somebody has to look meanwhile.
   */
  async counts(
    flights: number,
    { standstill, signal }: { readonly standstill: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const sentAt = this.lastCompleted ?? 0;
    let counted = this.counted;
    let grownAt = Date.now();
    await until(
      () => {
        if (this.counted !== counted) [counted, grownAt] = [this.counted, Date.now()];
        const isCounted = counted >= flights && (this.table.checkpoint ?? 0) > sentAt;
        return isCounted || Date.now() - grownAt > standstill || undefined;
      },
      { what: "The end of counting", within: Infinity, signal },
    );
  }

  #sawCheckpoints({ counts, history }: CheckpointStatistics): void {
    const completed = history.filter(({ status }) => status === "COMPLETED");
    for (const checkpoint of completed) this.completions.set(checkpoint.id, checkpoint);
    this.completed = counts.completed;
    this.lastCompleted = completed[0]?.id ?? this.lastCompleted;
  }
}
