// Folds of windows on their way out, as columns: whoever takes them next needs no rows, as a rule.
//   C1. As rows they are `{ key, windowStart, windowEnd, ...fold }`, without the two in the middle of a global
//       window, in the order in which they were added.

import type { Column } from "../format/batch.ts";
import type { Key } from "../format/key.ts";
import type { TimeWindow } from "../stream/windows.ts";
import { ColumnBatch } from "./column-batch.ts";
import type { Output } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class WindowColumns {
  readonly #fields: readonly string[];
  #keys: Key[] = [];
  #starts: number[] = [];
  #ends: number[] = [];
  /** Of each window its fields, one after the other. */
  #cells: unknown[] = [];
  /** Windows that were there before the current row or timer. */
  #before = 0;

  constructor(fields: readonly string[]) {
    this.#fields = fields;
  }

  begin(): void {
    this.#before = this.#keys.length;
  }

  add(key: Key, { start, end }: TimeWindow, result: Readonly<Record<string, unknown>>): void {
    this.#keys.push(key);
    this.#starts.push(start);
    this.#ends.push(end);
    for (const field of this.#fields) this.#cells.push(result[field]);
  }

  /** Forgets what was added since `begin`. */
  undo(): void {
    this.#keys.length = this.#starts.length = this.#ends.length = this.#before;
    this.#cells.length = this.#before * this.#fields.length;
  }

  sendTo(out: Output): void {
    const count = this.#keys.length;
    this.#before = 0;
    if (count === 0) return;
    const ends = Float64Array.from(this.#ends);
    const keys = columnOf(this.#keys);
    const starts: Column = { kind: "float64", values: Float64Array.from(this.#starts) };
    const results = this.#fields.map((_, field) => this.#column(field, count));
    const endless = this.#ends.filter((end) => end === Infinity).length;
    this.#keys = [];
    this.#starts = [];
    this.#ends = [];
    this.#cells = [];
    const bounded = new ColumnBatch(
      count,
      ["key", "windowStart", "windowEnd", ...this.#fields],
      [keys, starts, { kind: "float64", values: ends }, ...results],
      ends.map((end) => (end === Infinity ? NaN : end - 1)),
    );
    if (endless === 0) return out.emit(bounded);
    const global = new ColumnBatch(count, ["key", ...this.#fields], [keys, ...results]);
    if (endless === count) return out.emit(global);
    const globalRows = global.rows();
    const rows = bounded.rows().map((row, at) => (ends[at] === Infinity ? globalRows[at] : row));
    out.emit(new RowBatch(rows, undefined, bounded.timestamps));
  }

  #column(field: number, count: number): Column {
    const values = new Array<unknown>(count);
    const width = this.#fields.length;
    for (let i = 0; i < count; i++) values[i] = this.#cells[i * width + field];
    return columnOf(values);
  }
}

/** Numbers or texts, where all are; else whatever they are. */
function columnOf(values: readonly unknown[]): Column {
  if (values.every((value) => typeof value === "number")) {
    return { kind: "float64", values: Float64Array.from(values) };
  }
  if (values.every((value) => typeof value === "string")) {
    return { kind: "string", values, dictionary: undefined };
  }
  return { kind: "any", values };
}
