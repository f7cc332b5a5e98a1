// process on a stream without keys: calls a function of the user's for every row, with lists that
// belong to the subtask.
//   E1. The context is one object for the operator's life. Outside a call it is of no use.
//   E2. A row that throws where that is not to fail has changed nothing: what it emitted is forgotten,
//       and its changes of state are undone.

import type { OperatorStateDescriptors } from "../stream/operator-state.ts";
import { Emitted } from "./emitted.ts";
import { Journal } from "./journal.ts";
import type { Operator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { rejectRow, type RejectingOperator } from "./rejection.ts";
import { OperatorList } from "./state/operator-list.ts";

/** The part of a function that this operator calls. */
interface RowFunction {
  readonly operatorState?: OperatorStateDescriptors;
  process(row: never, ctx: never): void;
}

export class UnkeyedProcessOperator implements Operator {
  readonly #self: RejectingOperator;
  readonly #fn: RowFunction;
  readonly #context: object;
  readonly #emitted = new Emitted();
  readonly #journal: Journal | undefined;

  /** @param more what else the context has. */
  constructor(
    fn: RowFunction,
    ctx: Pick<OperatorContext, "uid" | "operatorState" | "reject">,
    more: object = {},
  ) {
    const { uid, operatorState: store, reject } = ctx;
    this.#self = ctx;
    this.#fn = fn;
    this.#journal = reject && new Journal();
    const note = this.#journal?.note;
    const lists = Object.entries(fn.operatorState ?? {}).map(([state, descriptor]) => {
      return [state, new OperatorList({ uid, state }, descriptor, store, note)] as const;
    });
    const { emit } = this.#emitted;
    this.#context = { operatorState: Object.fromEntries(lists), emit, ...more };
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const rows = batch.rows();
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          this.#emitted.begin();
          this.#journal?.begin();
          this.#fn.process(rows[i] as never, this.#context as never);
        }
      } catch (error) {
        this.#emitted.undo();
        this.#journal?.undo();
        rejectRow(this.#self, "process", batch, i, error);
      }
    }
    this.#emitted.sendTo(out);
  }
}
