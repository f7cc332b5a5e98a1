// The calls of a function for the rows of a batch, one after the other, as unkeyed functions make them.
//   R1. A row that throws where that is not to fail has changed nothing: what it emitted is forgotten,
//       and its changes of state are undone. The rows after it go on.

import { UserCodeError } from "../stream/errors.ts";
import { Emitted } from "./emitted.ts";
import { Journal } from "./journal.ts";
import type { Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { timeOf } from "./timestamps.ts";

export class RowCalls {
  readonly #self: RejectingOperator;
  readonly #emitted = new Emitted();
  readonly #journal: Journal | undefined;
  /** For the function's context. */
  readonly emits = { emit: this.#emitted.emit, output: this.#emitted.output };

  constructor(self: RejectingOperator) {
    this.#self = self;
    this.#journal = self.reject && new Journal();
  }

  /** Where changes of state are noted, if they are ever undone. */
  get note(): Journal["note"] | undefined {
    return this.#journal?.note;
  }

  /** A call for no row in particular: where it throws the attempt fails. */
  runOnce(operator: string, out: Output, call: () => void): void {
    this.#emitted.begin();
    this.#journal?.begin();
    try {
      call();
    } catch (error) {
      throw new UserCodeError(this.#self.uid, operator, undefined, error);
    }
    this.#emitted.sendTo(out);
  }

  /**
   * @param operator what the function is called in an error
   * @param call takes a row and its event time
   */
  run(
    operator: string,
    batch: RecordBatch,
    out: Output,
    call: (row: never, timestamp: number | undefined) => void,
  ): void {
    const rows = batch.rows();
    const { timestamps } = batch;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          const timestamp = timeOf(timestamps, i);
          this.#emitted.begin(timestamp);
          this.#journal?.begin();
          call(rows[i] as never, timestamp);
        }
      } catch (error) {
        this.#emitted.undo();
        this.#journal?.undo();
        rejectRow(this.#self, operator, batch, i, error);
      }
    }
    this.#emitted.sendTo(out);
  }
}
