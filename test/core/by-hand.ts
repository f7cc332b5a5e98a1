// One operator as a job defines it, with nobody around it: the rows of its inputs, watermarks and the
// clock are the test's. What it keeps and what it leaves out can be counted.

import { createOperator } from "../../operators/create.ts";
import {
  type EventTimeOperator,
  isEventTimed,
  isSink,
  isTimed,
  type Operator,
  type RecordBatch,
} from "../../operators/operator.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import { checkpointId } from "../../format/ids.ts";
import {
  boundedOutOfOrderness,
  type DataStream,
  defineJob,
  discard,
  type JobGraph,
  topic,
} from "tidemark";
import { stateBackends } from "./state-backends.ts";

/** A row: its key, when it was, and which it is. */
export interface Item {
  readonly k: string;
  readonly at: number;
  readonly id: number;
}

/** Puts an operator of the uid "op" behind both streams, or one of them; undefined where it is a sink. */
export type Build = (
  left: DataStream<Item>,
  right: DataStream<Item>,
) => DataStream<unknown> | undefined;

const graphOf = (build: Build): JobGraph =>
  defineJob("by-hand", (env) => {
    const watermarks = boundedOutOfOrderness(0, { timestamp: "at" });
    const [left, right] = ["left", "right"].map((name) => {
      const stream = env.from(topic<Item>(name), { uid: name, watermarks });
      // So that every stream is read, whatever is built on it.
      stream.to(discard(), { uid: `all-${name}` });
      return stream;
    }) as [DataStream<Item>, DataStream<Item>];
    build(left, right)?.to(discard(), { uid: "nowhere" });
  }).graph;

export class ByHand {
  readonly operator: Operator;
  /** Rows that were emitted, and those of side outputs by their names. */
  readonly emitted: unknown[] = [];
  readonly aside: [tag: string, row: unknown][] = [];
  /** Rows that were dropped as late. */
  dropped = 0;
  readonly #backend: StateBackend;
  readonly #operatorStates = new OperatorStates([]);
  #watermark = -Infinity;
  #now = 0;
  #checkpoints = 0;

  constructor(build: Build, backend = stateBackends[0]!) {
    this.#backend = backend.open({ maxParallelism: 16 });
    const node = graphOf(build).nodes.find(({ uid }) => uid === "op")!;
    this.operator = createOperator(node, {
      uid: "op",
      state: this.#backend.store("op"),
      operatorState: this.#operatorStates.store("op"),
      subtask: { index: 0, parallelism: 1 },
      now: () => this.#now,
      watermark: () => this.#watermark,
      dropLate: (rows) => void (this.dropped += rows),
    });
  }

  left(...items: readonly Item[]): this {
    return this.push(0, items);
  }

  right(...items: readonly Item[]): this {
    return this.push(1, items);
  }

  push(input: number, items: readonly Item[]): this {
    const times = Float64Array.from(items, ({ at }) => at);
    this.operator.processBatch(new RowBatch(items, undefined, times), this.#out, input);
    return this;
  }

  /** Event time comes to that point. */
  watermark(time: number): this {
    this.#watermark = time;
    if (isEventTimed(this.operator)) while (!this.#advanced(this.operator, time));
    return this;
  }

  /** The clock comes to that point. */
  clock(now: number): this {
    this.#now = now;
    const { operator } = this;
    if (!isTimed(operator)) return this;
    while ((operator.nextTimerAt ?? Infinity) <= now) operator.fireTimers(now, this.#out);
    return this;
  }

  /** What was written is final. */
  commit(): this {
    if (!isSink(this.operator)) return this;
    const checkpoint = checkpointId(++this.#checkpoints);
    this.operator.prepareCommit(checkpoint);
    this.operator.commit(checkpoint);
    return this;
  }

  /** Entries that it keeps by key, of its states with any. */
  get kept(): Readonly<Record<string, number>> {
    const tables = this.#backend.store("op").tables();
    return Object.fromEntries(
      Array.from(tables, ([name, { size }]) => [name, size] as const).filter(
        ([, size]) => size > 0,
      ),
    );
  }

  readonly #out = {
    emit: (batch: RecordBatch, tag?: string): void => {
      if (tag === undefined) this.emitted.push(...batch.rows());
      else this.aside.push(...batch.rows().map((row) => [tag, row] as [string, unknown]));
    },
    advance: (): void => {},
  };

  #advanced(operator: EventTimeOperator, time: number): boolean {
    return operator.advance(time, this.#out);
  }
}
