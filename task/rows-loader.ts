// The keyed state of a checkpoint on its way into the rows of the object, segment by segment, before the
// task is built: no more of it is in memory than what is on its way (`sqlite` only).
//   L1. Rows that are not all of the checkpoint are nobody's: whoever finds them begins again.
//   L2. Whoever loads asks before each segment whether the rows are still its own: another attempt may
//       have begun with them meanwhile.

import { type KeyGroupRange, rangeOfSubtask } from "../format/key-groups.ts";
import type { TaskDeployment } from "../format/messages.ts";
import { vertexOf } from "../format/plan.ts";
import { plainSchema, type Segment } from "../format/segment.ts";
import type { SqlDatabase } from "../format/sql.ts";
import {
  type BytesHandle,
  freezesOf,
  type KeyedStateHandle,
  lengthOf,
  mayHave,
} from "../format/state-handle.ts";
import type { RowsRestore } from "../operators/state/rows-restore.ts";
import type { SqliteStateBackend } from "../operators/state/sqlite.ts";
import { rowsBackendOf } from "./state-backend.ts";

/** Room for more entries than a guess says. */
const guessSlack = 1.1;

export class RowsLoader {
  readonly backend: SqliteStateBackend;
  readonly #range: KeyGroupRange;
  #of: KeyedStateHandle | undefined;
  #restore: RowsRestore | undefined;

  /** Empties the rows. */
  constructor(deployment: TaskDeployment, database: SqlDatabase) {
    const { plan, task } = deployment;
    const { parallelism } = vertexOf(plan, task.vertex);
    this.#range = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
    this.backend = rowsBackendOf(deployment, database, false);
    this.backend.rows.loading();
  }

  /** Whether a segment may have anything of what is owned. */
  owns(handle: BytesHandle): boolean {
    return mayHave(handle, this.#range);
  }

  /** The next segment of a state, in their order, whose bytes were found right; without those it does not own. */
  load(of: KeyedStateHandle, handle: BytesHandle, segment: Segment): void {
    if (this.#of !== of) {
      this.#restore?.done();
      this.#of = of;
      const schema = segment.header.schema ?? plainSchema;
      this.#restore = this.backend.restorer(of.uid, of.state, schema, this.#range);
    }
    const freezes = freezesOf(of.segments);
    const at = freezes.findIndex((handles) => handles.includes(handle));
    this.#restore!.add(segment, {
      // Of those that continue one another the first may have been another's.
      freeze: at,
      entries: this.#entriesFrom(of, handle, segment, freezes[at]!),
    });
  }

  /** That was all. */
  done(): void {
    this.#restore?.done();
    this.backend.loaded();
  }

  /** Of a segment and those that continue it, those that are owned: by what the first of them has. */
  #entriesFrom(
    { range }: KeyedStateHandle,
    handle: BytesHandle,
    segment: Segment,
    freeze: readonly BytesHandle[],
  ): number {
    const rows = segment.blocks.reduce((sum, block) => sum + block.rows, 0);
    const bytes = freeze.reduce((sum, each) => sum + lengthOf(each), 0);
    const first = Math.max(range.first, this.#range.first);
    const last = Math.min(range.last, this.#range.last);
    const share = (last - first + 1) / (range.last - range.first + 1);
    return Math.ceil((guessSlack * rows * share * bytes) / lengthOf(handle));
  }
}
