// A batch of rows that are held as columns: of objects with the same fields, all of them regular.
//   C1. `rows()` gives plain objects with the fields in order; they are made once, when asked for.

import { canBeColumns, type Column } from "../format/batch.ts";
import { keepShape } from "../format/kept-shapes.ts";
import type { RecordBatch } from "./operator.ts";

export class ColumnBatch implements RecordBatch {
  readonly length: number;
  readonly fields: readonly string[] | undefined;
  readonly timestamps: Float64Array | undefined;
  readonly #fields: readonly string[];
  readonly #columns: readonly Column[];
  #rows: readonly unknown[] | undefined;

  /** A column per field, all of `length` values; the caller must not change them afterwards. */
  constructor(
    length: number,
    fields: readonly string[],
    columns: readonly Column[],
    timestamps?: Float64Array,
  ) {
    this.length = length;
    this.timestamps = timestamps;
    this.fields = canBeColumns(fields) ? fields : undefined;
    this.#fields = fields;
    this.#columns = columns;
  }

  rows(): readonly unknown[] {
    this.#rows ??= rowsOf(this.length, this.#fields, this.#columns);
    return this.#rows;
  }

  column(field: string): Column {
    const column = this.#columns[this.#fields.indexOf(field)];
    if (column === undefined)
      throw new RangeError(`The rows of the batch have no field "${field}".`);
    return column;
  }
}

// Column by column, as batches are decoded (batch.ts): the inner loops stay monomorphic.
function rowsOf(
  length: number,
  fields: readonly string[],
  columns: readonly Column[],
): Record<string, unknown>[] {
  const rows = Array.from({ length }, (): Record<string, unknown> => ({}));
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at]!;
    const { values } = columns[at]!;
    for (let i = 0; i < length; i++) rows[i]![field] = values[i];
  }
  return rows;
}

keepShape(new ColumnBatch(0, [], []));
