// A batch with more to its rows than they are: the records that they were read from, or their event times.

import type { Column } from "../format/batch.ts";
import { keepShape } from "../format/kept-shapes.ts";
import type { TextMemory } from "../format/known-texts.ts";
import type { RecordBatch } from "./operator.ts";
import type { Lineage } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";

export class AnnotatedBatch implements RecordBatch {
  readonly length: number;
  readonly fields: readonly string[] | undefined;
  readonly lineage: Lineage | undefined;
  readonly timestamps: Float64Array | undefined;
  readonly #batch: RecordBatch;

  constructor(batch: RecordBatch, of: Pick<RecordBatch, "lineage" | "timestamps">) {
    this.length = batch.length;
    this.fields = batch.fields;
    this.lineage = of.lineage ?? batch.lineage;
    this.timestamps = of.timestamps ?? batch.timestamps;
    this.#batch = batch;
  }

  rows(): readonly unknown[] {
    return this.#batch.rows();
  }

  column(field: string, memory?: TextMemory): Column {
    return this.#batch.column!(field, memory);
  }
}

keepShape(new AnnotatedBatch(new RowBatch([]), {}));
