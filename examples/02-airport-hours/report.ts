// What a run says at its end.

import { fixed, megabytes, whole } from "../flights/figures.ts";
import type { Recovery } from "../flights/local-job.ts";
import type { Comparison } from "./comparison.ts";

/** What a run came to. */
export interface Result {
  readonly rows: number;
  /** From the first row sent until the job was FINISHED, all windows told. */
  readonly seconds: number;
  readonly checkpointsCompleted: number;
  readonly sentBytes: number;
  readonly repeated: number;
  readonly duplicates: number;
  /** Absent where nothing was killed. */
  readonly recovery: Recovery | undefined;
  readonly late: number;
  readonly comparisons: readonly Comparison[];
  /** What else is wrong, as sentences. */
  readonly problems: readonly string[];
}

export const isEqual = ({ comparisons, problems }: Result): boolean =>
  problems.length === 0 && comparisons.every(({ differences }) => differences === 0);

const titleWidth = 24;

export function page(result: Result): string {
  const { rows, seconds, recovery, late, comparisons, problems } = result;
  const columns = (title: string, cells: readonly string[]): string =>
    [title.padEnd(titleWidth), ...cells.map((cell) => cell.padStart(12))].join("");
  const wrong = [...comparisons.flatMap(({ examples }) => examples), ...problems];
  return [
    "",
    columns("against DuckDB", ["rows", "cells", "differences"]),
    ...comparisons.map((one) =>
      columns(one.title, [whole(one.rows), whole(one.cells), whole(one.differences)]),
    ),
    "",
    `rows         ${whole(rows)} in ${fixed(seconds)} s: ${whole(rows / seconds)} rows/s`,
    `sent         ${megabytes(result.sentBytes)} of NDJSON; ${whole(result.repeated)} requests repeated, ` +
      `${whole(result.duplicates)} of them recognised as kept already`,
    `late         ${whole(late)} flights, when their hour was over`,
    `checkpoints  ${whole(result.checkpointsCompleted)} completed`,
    ...(recovery === undefined
      ? []
      : [
          `recovery     ${fixed(recovery.seconds)} s from SIGKILL, by way of checkpoint ${recovery.restored}, ` +
            `to checkpoint ${recovery.completed} completed`,
        ]),
    `equal: ${isEqual(result) ? "yes" : "no"}`,
    ...wrong.map((problem) => `  ${problem}`),
  ].join("\n");
}

/** The object of `--json`. */
export function summary({ rows, seconds, recovery, comparisons, ...result }: Result): object {
  const total = (of: (one: Comparison) => number): number =>
    comparisons.reduce((sum, one) => sum + of(one), 0);
  return {
    equal: isEqual({ rows, seconds, recovery, comparisons, ...result }),
    rows,
    seconds: Number(seconds.toFixed(3)),
    rowsPerSecond: Math.round(rows / seconds),
    checkpointsCompleted: result.checkpointsCompleted,
    recoverySeconds: recovery?.seconds ?? null,
    late: result.late,
    tables: Object.fromEntries(comparisons.map((one) => [one.table, one.rows])),
    cells: total(({ cells }) => cells),
    differences: total(({ differences }) => differences),
  };
}
