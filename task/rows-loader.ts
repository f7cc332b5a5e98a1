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

  /** The next segment of a state, in their order, whose bytes were found right. */
  load(of: KeyedStateHandle, handle: BytesHandle, segment: Segment): void {
    if (this.#of !== of) {
      this.#restore?.done();
      this.#of = of;
      const schema = segment.header.schema ?? plainSchema;
      this.#restore = this.backend.restorer(of.uid, of.state, schema, this.#range);
    }
    this.#restore!.add(segment, this.#entriesFrom(of, handle, segment));
  }

  /** That was all. */
  done(): void {
    this.#restore?.done();
    this.backend.loaded();
  }

  /** Of a segment and those that continue it, those that are owned: by what the first of them has. */
  #entriesFrom(
    { range, segments }: KeyedStateHandle,
    handle: BytesHandle,
    segment: Segment,
  ): number {
    const rows = segment.blocks.reduce((sum, block) => sum + block.rows, 0);
    const freeze = freezesOf(segments).find((handles) => handles.includes(handle))!;
    const bytes = freeze.reduce((sum, each) => sum + lengthOf(each), 0);
    const first = Math.max(range.first, this.#range.first);
    const last = Math.min(range.last, this.#range.last);
    const share = (last - first + 1) / (range.last - range.first + 1);
    return Math.ceil((guessSlack * rows * share * bytes) / lengthOf(handle));
  }
}
