// Which sorted runs of a table are merged, and the merging of them, a part at a time.
//   M1. Runs are merged only beside one another, so that what is newer stays newer.
//   M2. The news that an entry is gone is kept as long as an older run may have the entry.
//   M3. Until it is done a merge shows nowhere: its result then stands in the place of its runs.

import type { SqlDatabase } from "../../format/sql.ts";
import { MergedRuns } from "./run-cursor.ts";
import { type BlockIds, RunWriter, type SortedRun } from "./sorted-run.ts";

/**
 * Runs of a size that are merged, at least. The more, the fewer times a row is written; the less, the fewer
 * filters are asked, each a line of memory.
 */
const runsMerged = 10;

/**
 * The runs to merge next, of those of one table from the oldest to the newest: beside one another, of one
 * domain, and none larger than all newer ones of them together. Those of the newest are looked at first.
 */
export function toMerge(
  runs: readonly SortedRun[],
  domainOf: (run: SortedRun) => number | string,
): readonly SortedRun[] | undefined {
  for (let end = runs.length; end >= runsMerged; end--) {
    const newest = runs[end - 1]!;
    if (newest.isMerging) continue;
    const domain = domainOf(newest);
    let from = end - 1;
    let entries = newest.entries;
    for (; from > 0; from--) {
      const run = runs[from - 1]!;
      if (run.isMerging || run.entries > entries || domainOf(run) !== domain) break;
      entries += run.entries;
    }
    if (end - from >= runsMerged) return runs.slice(from, end);
  }
  return undefined;
}

export class RunMerge {
  readonly inputs: readonly SortedRun[];
  readonly #rows: MergedRuns;
  readonly #writer: RunWriter;
  readonly #isOldest: boolean;
  /** Keys that it has come to. */
  read = 0;

  /** `isOldest`: there is no older run of the table. */
  constructor(
    db: SqlDatabase,
    id: number,
    ids: BlockIds,
    {
      inputs,
      isOldest,
      isNested,
    }: {
      readonly inputs: readonly SortedRun[];
      readonly isOldest: boolean;
      readonly isNested: boolean;
    },
  ) {
    this.inputs = inputs;
    this.#isOldest = isOldest;
    this.#rows = new MergedRuns(db, inputs);
    const { of, place } = inputs.at(-1)!;
    const since = Math.max(...inputs.map((run) => run.since));
    const about = { id, of, place, since };
    const entries = inputs.reduce((sum, run) => sum + run.entries, 0);
    this.#writer = new RunWriter(db, about, ids, { entries, isNested });
    for (const run of inputs) run.isMerging = true;
  }

  /** Rows of all of its runs. */
  get entries(): number {
    return this.inputs.reduce((sum, run) => sum + run.entries, 0);
  }

  /** Writes one more part; `done` with the run that stands for all, if any row is left. */
  step(): { readonly kind: "going" } | { readonly kind: "done"; readonly run?: SortedRun } {
    const writer = this.#writer;
    const rows = this.#rows;
    for (const { parts } = writer; writer.parts === parts;) {
      if (!rows.next()) {
        const run = writer.finish();
        return run === undefined ? { kind: "done" } : { kind: "done", run };
      }
      this.read++;
      const { row } = rows;
      if (row.isRemoval && this.#isOldest) continue;
      writer.copy(row);
    }
    return { kind: "going" };
  }
}
