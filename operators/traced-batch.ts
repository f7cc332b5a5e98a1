// A batch as it was read from a topic, with the records that its rows are.

import type { Column, RecordBatch as StoredBatch } from "../format/batch.ts";
import type { RecordBatch } from "./operator.ts";
import type { Lineage } from "./rejection.ts";

export class TracedBatch implements RecordBatch {
  readonly length: number;
  readonly fields: readonly string[] | undefined;
  readonly lineage: Lineage;
  readonly #batch: StoredBatch;

  constructor(batch: StoredBatch, lineage: Lineage) {
    this.length = batch.length;
    this.fields = batch.fields;
    this.lineage = lineage;
    this.#batch = batch;
  }

  rows(): readonly unknown[] {
    return this.#batch.rows();
  }

  column(field: string): Column {
    return this.#batch.column(field);
  }
}
