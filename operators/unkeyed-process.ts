// process on a stream without keys: calls a function of the user's for every row, with lists that
// belong to the subtask.
//   E1. The context is one object for the operator's life. Outside a call it is of no use.
//   E2. A function is closed once for what it was given: that it was is state, until there is another row.
//   E3. Functions are told how far event time has come, so that is kept as of any operator that acts on it.

import { endOfTime } from "../format/frame.ts";
import type { OperatorStateDescriptors } from "../stream/operator-state.ts";
import type { EventTimeOperator, OperatorContext, Output, RecordBatch } from "./operator.ts";
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

export class UnkeyedProcessOperator implements EventTimeOperator {
  readonly #inputs: readonly RowCall[];
  readonly #fn: RowFunction;
  readonly #context: { timestamp: number | undefined; readonly [part: string]: unknown };
  readonly #calls: RowCalls;

  /** @param more what else the context has. */
  constructor(
    inputs: readonly RowCall[],
    fn: RowFunction,
    ctx: Pick<
      OperatorContext,
      "uid" | "operatorState" | "subtask" | "now" | "watermark" | "reject"
    >,
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
    this.#context = {
      timestamp: undefined,
      currentWatermark: () => ctx.watermark(),
      operatorState: Object.fromEntries(lists),
      ...emits,
      now,
      random,
      ...more,
    };
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    const process = this.#inputs[input]!;
    const context = this.#context;
    this.#calls.run("process", batch, out, (row, timestamp) => {
      context.timestamp = timestamp;
      process(row, context as never);
    });
  }

  /** It does nothing by itself (E3). */
  advance(_watermark: number, _out: Output): boolean {
    return true;
  }

  protected close(out: Output): void {
    this.#context.timestamp = undefined;
    this.#calls.runOnce("close", out, () => this.#fn.close?.(this.#context as never));
  }
}

/** Of a function that has something to do once all input has ended. */
export class ClosingProcessOperator extends UnkeyedProcessOperator {
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

  override advance(watermark: number, out: Output): boolean {
    if (watermark !== endOfTime || this.#isClosed) return true;
    this.#isClosed = true;
    this.close(out);
    return true;
  }
}
