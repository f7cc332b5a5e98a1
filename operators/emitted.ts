// What a function has emitted of a batch, row by row, so that a row's can be forgotten.

import { nameOfTag, type AnyOutputTag } from "../stream/side-output.ts";
import type { Output } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";

export class Emitted {
  readonly #main = new EmittedRows();
  /** Side outputs that rows of the batch went to, by name. */
  #sides: Map<string, EmittedRows> | undefined;
  /** Of the current row, or timer; NaN where it has none. */
  #time = NaN;
  // Properties, so that `{ emit, output }` may be taken out of a context.
  readonly emit = (row: unknown): void => {
    this.#main.push(row, this.#time);
  };
  readonly emitAt = (row: unknown, time: number): void => {
    this.#main.push(row, time);
  };
  readonly output = (tag: AnyOutputTag, row: unknown): void => {
    this.#side(nameOfTag(tag)).push(row, this.#time);
  };

  /** A row begins, whose event time is that of what it emits. */
  begin(time?: number): void {
    this.#time = time ?? NaN;
    this.#main.begin();
    if (this.#sides !== undefined) for (const side of this.#sides.values()) side.begin();
  }

  /** What is emitted from here on has that event time, NaN for none. */
  at(time: number): void {
    this.#time = time;
  }

  /** Forgets what was emitted since. */
  undo(): void {
    this.#main.undo();
    if (this.#sides !== undefined) for (const side of this.#sides.values()) side.undo();
  }

  sendTo(out: Output): void {
    const sides = this.#sides;
    this.#sides = undefined;
    this.#main.sendTo(out, undefined);
    if (sides !== undefined) for (const [tag, side] of sides) side.sendTo(out, tag);
  }

  #side(name: string): EmittedRows {
    this.#sides ??= new Map();
    let side = this.#sides.get(name);
    if (side === undefined) {
      side = new EmittedRows();
      this.#sides.set(name, side);
    }
    return side;
  }
}

/** Of one output. */
class EmittedRows {
  #rows: unknown[] = [];
  /** As many as there are rows, once one of them has one. */
  #times: number[] | undefined;
  /** What was emitted before the current row. */
  #before = 0;

  begin(): void {
    this.#before = this.#rows.length;
  }

  push(row: unknown, time: number): void {
    if (time === time) this.#times ??= new Array<number>(this.#rows.length).fill(NaN);
    this.#times?.push(time);
    this.#rows.push(row);
  }

  undo(): void {
    this.#rows.length = this.#before;
    if (this.#times !== undefined) this.#times.length = this.#before;
  }

  sendTo(out: Output, tag: string | undefined): void {
    const rows = this.#rows;
    const times = this.#times && Float64Array.from(this.#times);
    this.#rows = [];
    this.#times = undefined;
    this.#before = 0;
    if (rows.length > 0) out.emit(new RowBatch(rows, undefined, times), tag);
  }
}
