// process on a stream without keys: calls a function of the user's for every row, with lists that
// belong to the subtask.
//   E1. The context is one object for the operator's life. Outside a call it is of no use.

import type { OperatorStateDescriptors } from "../stream/operator-state.ts";
import type { Operator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { RowCalls } from "./row-calls.ts";
import { OperatorList } from "./state/operator-list.ts";

/** The part of a function that this operator calls. */
interface RowFunction {
  readonly operatorState?: OperatorStateDescriptors;
  process(row: never, ctx: never): void;
}

export class UnkeyedProcessOperator implements Operator {
  readonly #fn: RowFunction;
  readonly #context: object;
  readonly #calls: RowCalls;

  /** @param more what else the context has. */
  constructor(
    fn: RowFunction,
    ctx: Pick<OperatorContext, "uid" | "operatorState" | "reject">,
    more: object = {},
  ) {
    const { uid, operatorState: store } = ctx;
    this.#fn = fn;
    this.#calls = new RowCalls(ctx);
    const { note, emits } = this.#calls;
    const lists = Object.entries(fn.operatorState ?? {}).map(([state, descriptor]) => {
      return [state, new OperatorList({ uid, state }, descriptor, store, note)] as const;
    });
    this.#context = { operatorState: Object.fromEntries(lists), ...emits, ...more };
  }

  processBatch(batch: RecordBatch, out: Output): void {
    this.#calls.run("process", batch, out, (row) => this.#fn.process(row, this.#context as never));
  }
}
