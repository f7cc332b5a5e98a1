// process on two streams, of which one is broadcast: its rows change this subtask's copy of the
// broadcast state; the rows of the other, on input 0, are an operator's of their own, which may look
// at that copy.
//   E1. A broadcast row that throws where that is not to fail has changed nothing, here as in every
//       other subtask: all of them leave it out, so the copies stay alike.

import type { AnyBroadcastFunction, BroadcastDescriptors } from "../stream/broadcast.ts";
import {
  type EventTimeOperator,
  isEventTimed,
  isTimed,
  type Operator,
  type OperatorContext,
  type Output,
  type RecordBatch,
  type TimedOperator,
} from "./operator.ts";
import { RowCalls } from "./row-calls.ts";
import { BroadcastMap, readOnly } from "./state/broadcast-map.ts";

export class BroadcastProcessOperator implements TimedOperator, EventTimeOperator {
  readonly #fn: AnyBroadcastFunction;
  readonly #rows: Operator;
  readonly #context: object;
  readonly #calls: RowCalls;

  /** @param rowsWith the operator of input 0, with this as a further part of its context. */
  constructor(
    fn: AnyBroadcastFunction,
    descriptors: BroadcastDescriptors,
    ctx: Pick<OperatorContext, "uid" | "operatorState" | "reject">,
    rowsWith: (more: { readonly broadcast: object }) => Operator,
  ) {
    const { uid, operatorState: store } = ctx;
    this.#fn = fn;
    this.#calls = new RowCalls(ctx);
    const { note, emits } = this.#calls;
    const maps = Object.entries(descriptors).map(([state, descriptor]) => {
      const place = { uid, state };
      const map = new BroadcastMap(place, descriptor, store, note);
      return { state, map, seen: readOnly(map, place) };
    });
    this.#context = {
      broadcast: Object.fromEntries(maps.map(({ state, map }) => [state, map])),
      ...emits,
    };
    const broadcast = Object.fromEntries(maps.map(({ state, seen }) => [state, seen]));
    this.#rows = rowsWith({ broadcast });
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    if (input === 0) return this.#rows.processBatch(batch, out, input);
    this.#calls.run("processBroadcast", batch, out, (row) =>
      this.#fn.processBroadcast(row, this.#context as never),
    );
  }

  get nextTimerAt(): number | undefined {
    return isTimed(this.#rows) ? this.#rows.nextTimerAt : undefined;
  }

  fireTimers(now: number, out: Output): void {
    if (isTimed(this.#rows)) this.#rows.fireTimers(now, out);
  }

  advance(watermark: number, out: Output): boolean {
    return isEventTimed(this.#rows) ? this.#rows.advance(watermark, out) : true;
  }
}
