// process: calls a function of the user's for every row, with the state of the row's key.
//   E1. The context is one object for the operator's life; its key is that of the current row, and
//       its states read and write the entry of that key. Outside a call it is of no use.
//   E2. Each batch looks at a few entries of the states that expire, so that what nobody asks for
//       again goes as well, at a cost that follows the rows.

import { keyId, type Key } from "../format/key.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { ProcessContext, ProcessFunction } from "../stream/process.ts";
import type { StateDescriptors } from "../stream/state.ts";
import type { Operator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { bindState, type Current } from "./process-state.ts";
import { RowBatch } from "./row-batch.ts";
import type { StateTable } from "./state/keyed-state.ts";

/** Entries of each expiring state that a batch looks at, beside one per row. */
const sweepMin = 16;

export class ProcessOperator implements Operator {
  readonly #uid: string;
  readonly #key: KeySelector;
  readonly #fn: Pick<ProcessFunction<never, never, unknown>, "process">;
  readonly #context: CurrentRow;

  /** @param more what else the context has. */
  constructor(
    key: KeySelector,
    fn: Pick<ProcessFunction<never, never, unknown>, "state" | "process">,
    ctx: Pick<OperatorContext, "uid" | "state" | "now">,
    more: object = {},
  ) {
    this.#uid = ctx.uid;
    this.#key = key;
    this.#fn = fn;
    this.#context = Object.assign(new CurrentRow(fn.state, ctx), more);
  }

  processBatch(batch: RecordBatch, out: Output): void {
    const select = this.#key;
    const fn = this.#fn;
    const context = this.#context;
    const rows = batch.rows();
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        const row = rows[i] as never;
        context.key = select(row);
        keyId(context.key); // refuses what is no key, also where no state is used
        fn.process(row, context as never);
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "process", i, error);
    }
    context.sweep(rows.length + sweepMin);
    const emitted = context.takeEmitted();
    if (emitted.length > 0) out.emit(new RowBatch(emitted));
  }
}

class CurrentRow
  implements Pick<ProcessContext<Key, unknown, StateDescriptors>, "key" | "emit">, Current
{
  readonly uid: string;
  readonly now: () => number;
  readonly state: Readonly<Record<string, object>>;
  readonly #expiring: readonly StateTable<unknown>[];
  key: Key = "";
  #emitted: unknown[] = [];
  // A property, so that `{ emit }` may be taken out of the context.
  readonly emit = (row: unknown): void => {
    this.#emitted.push(row);
  };

  constructor(descriptors: StateDescriptors, ctx: Pick<OperatorContext, "uid" | "state" | "now">) {
    this.uid = ctx.uid;
    this.now = () => ctx.now();
    const bound = Object.entries(descriptors).map(
      ([name, descriptor]) => [name, bindState(name, descriptor, this, ctx.state)] as const,
    );
    this.state = Object.fromEntries(bound.map(([name, { state }]) => [name, state]));
    this.#expiring = bound.flatMap(([, { table, expires }]) => (expires ? [table] : []));
  }

  takeEmitted(): unknown[] {
    const emitted = this.#emitted;
    this.#emitted = [];
    return emitted;
  }

  /** Drops what has expired among the next entries of each state whose values do. */
  sweep(entries: number): void {
    for (const table of this.#expiring) table.sweep(entries);
  }
}
