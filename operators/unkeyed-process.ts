// process on a stream without keys: calls a function of the user's for every row, with lists that
// belong to the subtask.
//   E1. The context is one object for the operator's life. Outside a call it is of no use.

import { UserCodeError } from "../stream/errors.ts";
import type { OperatorStateDescriptors } from "../stream/operator-state.ts";
import type { Operator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";
import { OperatorList } from "./state/operator-list.ts";

/** The part of a function that this operator calls. */
interface RowFunction {
  readonly operatorState?: OperatorStateDescriptors;
  process(row: never, ctx: never): void;
}

export class UnkeyedProcessOperator implements Operator {
  readonly #uid: string;
  readonly #fn: RowFunction;
  readonly #context: object;
  #emitted: unknown[] = [];

  /** @param more what else the context has. */
  constructor(
    fn: RowFunction,
    { uid, operatorState: store }: Pick<OperatorContext, "uid" | "operatorState">,
    more: object = {},
  ) {
    this.#uid = uid;
    this.#fn = fn;
    const lists = Object.entries(fn.operatorState ?? {}).map(
      ([state, descriptor]) =>
        [state, new OperatorList({ uid, state }, descriptor, store)] as const,
    );
    this.#context = {
      operatorState: Object.fromEntries(lists),
      emit: (row: unknown): void => void this.#emitted.push(row),
      ...more,
    };
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const rows = batch.rows();
    let i = 0;
    try {
      for (; i < rows.length; i++) this.#fn.process(rows[i] as never, this.#context as never);
    } catch (error) {
      throw new UserCodeError(this.#uid, "process", i, error);
    }
    const emitted = this.#emitted;
    this.#emitted = [];
    if (emitted.length > 0) out.emit(new RowBatch(emitted));
  }
}
