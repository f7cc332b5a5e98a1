// process on a stream without keys: calls a function of the user's for every row, with lists that
// belong to the subtask.
//   E1. The context is one object for the operator's life. Outside a call it is of no use.
//   E2. A function is closed once for what it was given: that it was is state, until there is another row.

import { endOfTime } from "../format/frame.ts";
import type { OperatorStateDescriptors } from "../stream/operator-state.ts";
import type {
  EventTimeOperator,
  Operator,
  OperatorContext,
  Output,
  RecordBatch,
} from "./operator.ts";
import { RandomNumbers } from "./random.ts";
import { RowCalls } from "./row-calls.ts";
import { OperatorList } from "./state/operator-list.ts";
import { plainElements } from "./state/operator-state.ts";

/** What is called for the rows of an input. */
export type RowCall = (this: void, row: never, ctx: never) => void;

/** The part of a function that is not called for rows. */
interface RowFunction {
  readonly operatorState?: OperatorStateDescriptors;
  close?(ctx: never): void;
}

export class UnkeyedProcessOperator implements Operator {
  readonly #inputs: readonly RowCall[];
  readonly #fn: RowFunction;
  readonly #context: object;
  readonly #calls: RowCalls;

  /** @param more what else the context has. */
  constructor(
    inputs: readonly RowCall[],
    fn: RowFunction,
    ctx: Pick<OperatorContext, "uid" | "operatorState" | "subtask" | "now" | "reject">,
    more: object = {},
  ) {
    const { uid, operatorState: store, subtask } = ctx;
    this.#inputs = inputs;
    this.#fn = fn;
    this.#calls = new RowCalls(ctx);
    const { note, emits } = this.#calls;
    const lists = Object.entries(fn.operatorState ?? {}).map(([state, descriptor]) => {
      return [state, new OperatorList({ uid, state }, descriptor, store, note)] as const;
    });
    const random = new RandomNumbers({ uid, index: subtask.index }, store, note).draw;
    const now = (): number => ctx.now();
    this.#context = { operatorState: Object.fromEntries(lists), ...emits, now, random, ...more };
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    const process = this.#inputs[input]!;
    this.#calls.run("process", batch, out, (row) => process(row, this.#context as never));
  }

  protected close(out: Output): void {
    this.#calls.runOnce("close", out, () => this.#fn.close?.(this.#context as never));
  }
}

/** Of a function that has something to do once all input has ended. */
export class ClosingProcessOperator extends UnkeyedProcessOperator implements EventTimeOperator {
  #isClosed: boolean; // E2

  constructor(...of: ConstructorParameters<typeof UnkeyedProcessOperator>) {
    super(...of);
    const restored = of[2].operatorState.register("closed", {
      redistribution: "union",
      schema: plainElements,
      elements: () => (this.#isClosed ? [true] : []),
      bytes: () => 0,
    });
    this.#isClosed = restored.length > 0;
  }

  override processBatch(batch: RecordBatch, out: Output, input: number): void {
    this.#isClosed = false;
    super.processBatch(batch, out, input);
  }

  advance(watermark: number, out: Output): boolean {
    if (watermark !== endOfTime || this.#isClosed) return true;
    this.#isClosed = true;
    this.close(out);
    return true;
  }
}
