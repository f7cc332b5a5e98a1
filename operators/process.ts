// process: calls a function of the user's for every row, with the state of the row's key.
//   E1. The context is one object for the operator's life; its key is that of the current row, and
//       its states read and write the entry of that key. Outside a call it is of no use.

import { keyId, type Key } from "../format/key.ts";
import { UserCodeError } from "../stream/errors.ts";
import type { KeySelector } from "../stream/graph.ts";
import type {
  ProcessContext,
  ProcessFunction,
  StateDescriptors,
  ValueState,
} from "../stream/process.ts";
import type { Operator, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";
import type { KeyedStateStore, StateTable } from "./state/keyed-state.ts";

export class ProcessOperator implements Operator {
  readonly #uid: string;
  readonly #key: KeySelector;
  readonly #fn: ProcessFunction<never, never, unknown>;
  readonly #context: CurrentRow;

  constructor(
    uid: string,
    key: KeySelector,
    fn: ProcessFunction<never, never, unknown>,
    store: KeyedStateStore,
  ) {
    this.#uid = uid;
    this.#key = key;
    this.#fn = fn;
    this.#context = new CurrentRow(fn.state, store);
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
    const emitted = context.takeEmitted();
    if (emitted.length > 0) out.emit(new RowBatch(emitted));
  }
}

class CurrentRow implements ProcessContext<Key, unknown, StateDescriptors> {
  key: Key = "";
  readonly state: Readonly<Record<string, ValueState<unknown>>>;
  #emitted: unknown[] = [];

  constructor(descriptors: StateDescriptors, store: KeyedStateStore) {
    this.state = Object.fromEntries(
      Object.entries(descriptors).map(([name, { initial }]) => [
        name,
        new CurrentValue(this, store.table(name), initial),
      ]),
    );
  }

  emit(row: unknown): void {
    this.#emitted.push(row);
  }

  takeEmitted(): unknown[] {
    const emitted = this.#emitted;
    this.#emitted = [];
    return emitted;
  }
}

class CurrentValue implements ValueState<unknown> {
  readonly #row: CurrentRow;
  readonly #table: StateTable<unknown>;
  readonly #initial: unknown;

  constructor(row: CurrentRow, table: StateTable<unknown>, initial: unknown) {
    this.#row = row;
    this.#table = table;
    this.#initial = initial;
  }

  get(): unknown {
    const value = this.#table.get(this.#row.key);
    return value === undefined ? this.#initial : value;
  }

  set(value: unknown): void {
    if (value === undefined) this.clear();
    else this.#table.put(this.#row.key, value);
  }

  clear(): void {
    this.#table.remove(this.#row.key);
  }
}
