// Segments of a state on their way into rows, one after the other, so that no more than one of them is
// in memory.
//   T1. Segments of one freeze are one run, as their entries go on in order; a delta is a run of its own,
//       newer than what came before it.

import { encodeCell } from "../../format/cell.ts";
import type { Key } from "../../format/key.ts";
import type { KeyGroupRange } from "../../format/key-groups.ts";
import { rowKey } from "./row-key.ts";
import type { StateSource } from "./backend.ts";
import type { RestoredRows, StateRows, StoredTable } from "./sqlite-rows.ts";

export class RowsRestore {
  readonly #rows: StateRows;
  readonly #table: StoredTable;
  readonly #range: KeyGroupRange;
  readonly #maxParallelism: number;
  #open: RestoredRows | undefined;
  #freeze = -1;

  /** `range`: the key groups to take. */
  constructor(
    rows: StateRows,
    table: StoredTable,
    of: { readonly range: KeyGroupRange; readonly maxParallelism: number },
  ) {
    this.#rows = rows;
    this.#table = table;
    this.#range = of.range;
    this.#maxParallelism = of.maxParallelism;
  }

  /**
   * @param freeze the number of the freeze that wrote it, in the chain; the first was a full one
   * @param entries of it and of all that continue it, about; undefined where that is not known
   * @param upgrade what becomes of a value; undefined: nothing is left of it
   */
  add(
    segment: StateSource["segments"][number],
    {
      freeze,
      entries,
      upgrade,
    }: {
      readonly freeze: number;
      readonly entries: number | undefined;
      readonly upgrade?: ((stored: unknown) => unknown) | undefined;
    },
  ): void {
    if (freeze !== this.#freeze) this.done();
    this.#freeze = freeze;
    const { id, schema } = this.#table;
    const rows = (this.#open ??= this.#rows.restorer(id, freeze === 0, entries));
    const isNested = schema.holds === "map";
    for (const entry of segment.entries(this.#range)) {
      const { key } = entry;
      const first = isNested ? (key as readonly Key[])[0]! : key;
      const k = rowKey(key, first, this.#maxParallelism);
      const isGone = "deleted" in entry;
      const value = isGone ? undefined : upgrade === undefined ? entry.value : upgrade(entry.value);
      const isLeft = !isGone && (upgrade === undefined || value !== undefined);
      rows.add({ k, v: isLeft ? encodeCell(value) : null });
    }
  }

  /** Nothing continues the last of them. */
  done(): void {
    this.#open?.done();
    this.#open = undefined;
  }
}
