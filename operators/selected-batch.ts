// Some rows of a batch that is held in columns, which they stay: what is behind takes the columns of these
// rows, or the rows themselves, which are those that were made of the whole batch.

import type { Column } from "../format/batch.ts";
import { selectedColumn } from "../format/gather.ts";
import type { TextMemory } from "../format/known-texts.ts";
import type { ColumnarBatch, RecordBatch } from "./operator.ts";
import type { Lineage } from "./rejection.ts";
import { timestampsAt } from "./timestamps.ts";

export class SelectedBatch implements RecordBatch {
  readonly length: number;
  readonly fields: readonly string[];
  readonly lineage: Lineage | undefined;
  readonly timestamps: Float64Array | undefined;
  readonly #of: ColumnarBatch;
  readonly #select: Int32Array;
  readonly #columns = new Map<string, Column>();
  #rows: readonly unknown[] | undefined;

  /** @param select positions in the batch, in order; the caller must not change them afterwards */
  constructor(of: ColumnarBatch, select: Int32Array) {
    this.length = select.length;
    this.fields = of.fields;
    this.lineage = of.lineage?.of(select);
    this.timestamps = timestampsAt(of.timestamps, select);
    this.#of = of;
    this.#select = select;
  }

  rows(): readonly unknown[] {
    return (this.#rows ??= this.#selectedRows());
  }

  column(field: string, memory?: TextMemory): Column {
    let column = this.#columns.get(field);
    if (column === undefined) {
      column = selectedColumn(this.#of.column(field, memory), this.#select);
      this.#columns.set(field, column);
    }
    return column;
  }

  #selectedRows(): unknown[] {
    const all = this.#of.rows();
    return Array.from(this.#select, (at) => all[at]);
  }
}
