// process on two streams, of which one is broadcast: its rows change this subtask's copy of the
// broadcast state; the rows of the other, on input 0, are an operator's of their own, which may look
// at that copy.

import { UserCodeError } from "../stream/errors.ts";
import type { AnyBroadcastFunction, BroadcastDescriptors } from "../stream/broadcast.ts";
import type { Operator, OperatorContext, Output, RecordBatch } from "./operator.ts";
import { RowBatch } from "./row-batch.ts";
import { BroadcastMap, readOnly } from "./state/broadcast-map.ts";

export class BroadcastProcessOperator implements Operator {
  readonly #uid: string;
  readonly #fn: AnyBroadcastFunction;
  readonly #rows: Operator;
  readonly #context: object;
  #emitted: unknown[] = [];

  /** @param rowsWith the operator of input 0, with this as a further part of its context. */
  constructor(
    fn: AnyBroadcastFunction,
    descriptors: BroadcastDescriptors,
    { uid, operatorState: store }: Pick<OperatorContext, "uid" | "operatorState">,
    rowsWith: (more: { readonly broadcast: object }) => Operator,
  ) {
    this.#uid = uid;
    this.#fn = fn;
    const maps = Object.entries(descriptors).map(([state, descriptor]) => {
      const place = { uid, state };
      const map = new BroadcastMap(place, descriptor, store);
      return { state, map, seen: readOnly(map, place) };
    });
    this.#context = {
      broadcast: Object.fromEntries(maps.map(({ state, map }) => [state, map])),
      emit: (row: unknown): void => void this.#emitted.push(row),
    };
    const broadcast = Object.fromEntries(maps.map(({ state, seen }) => [state, seen]));
    this.#rows = rowsWith({ broadcast });
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    if (input === 0) return this.#rows.processBatch(batch, out, input);
    const rows = batch.rows();
    let i = 0;
    try {
      for (; i < rows.length; i++) {
        this.#fn.processBroadcast(rows[i] as never, this.#context as never);
      }
    } catch (error) {
      throw new UserCodeError(this.#uid, "processBroadcast", i, error);
    }
    const emitted = this.#emitted;
    this.#emitted = [];
    if (emitted.length > 0) out.emit(new RowBatch(emitted));
  }
}
