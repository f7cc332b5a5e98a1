// An operator whose results come later: it keeps the rows for which an answer is awaited, has the calls
// made by whoever runs it, and lets results and event time go on in their order.
//   K1. Every row leaves once, as one result or none. What is kept of one that has not left is the row:
//       after a restore its call is made again, whatever had come of it.
//   K2. At most `capacity` rows have been asked for and have not left. What more came with a batch waits,
//       and until it does no longer there is no room for another.
//   K3. Nothing leaves when an answer comes, but when `release`, a batch or a timer lets it: whoever runs
//       the operator may have to hold it.
//   K4. Nobody behind is told to wait no longer while rows are on their way through.
//   K5. A row that has failed is rejected as it leaves, so that a snapshot has it here or there.
// As Flink's AsyncWaitOperator.

import { noTime } from "../format/frame.ts";
import type { Calling } from "../stream/async.ts";
import type { RecordPosition } from "../stream/on-error.ts";
import {
  type AsyncQueue,
  type Entry,
  type Leaving,
  OrderedQueue,
  UnorderedQueue,
} from "./async-queue.ts";
import type { Call, CallAnswer } from "./async-requests.ts";
import type {
  CallingOperator,
  OperatorContext,
  RecordBatch,
  TimedOperator,
  WatermarkingOperator,
  WatermarkOutput,
} from "./operator.ts";
import { Lineage, rejectValue } from "./rejection.ts";
import { RowBatch } from "./row-batch.ts";
import { plainElements } from "./state/operator-state.ts";

/** Tells what came of a row: a value, nothing, or why it failed. */
export type Settle = (entry: Entry, state: "value" | "none" | "failed", value?: unknown) => void;

/** Finds the answers for rows, at once or by calls, and tells each row's once. */
export interface Answering {
  ask(entries: readonly Entry[], now: number): void;
  take(): readonly Call[];
  takeOverdue(): readonly number[];
  answered(answer: CallAnswer, now: number): void;
  readonly nextAt: number | undefined;
  fire(now: number): void;
}

export type AsyncContextOf = Pick<OperatorContext, "uid" | "operatorState" | "now" | "reject">;

/** What is kept of a row. */
interface KeptRow {
  readonly row: unknown;
  readonly time: number | null;
  readonly source: RecordPosition | null;
}

export class AsyncOperator implements WatermarkingOperator, TimedOperator, CallingOperator {
  readonly behind = noTime;
  readonly invoke: CallingOperator["invoke"];
  readonly #ctx: AsyncContextOf;
  /** What it is called in an error. */
  readonly #name: string;
  readonly #capacity: number;
  readonly #answering: Answering;
  readonly #queue: AsyncQueue;
  /** Rows that nothing was asked for yet, in order, from `#nextUnasked` on. */
  #unasked: Entry[] = [];
  #nextUnasked = 0;
  /** Rows that were asked for and have not left. */
  #asked = 0;
  #isIdle = false;

  constructor(
    ctx: AsyncContextOf,
    of: {
      readonly name: string;
      readonly calls: Calling;
      readonly invoke: CallingOperator["invoke"];
      readonly answering: (settle: Settle) => Answering;
    },
  ) {
    this.#ctx = ctx;
    this.#name = of.name;
    this.invoke = of.invoke;
    this.#capacity = of.calls.capacity;
    this.#queue = of.calls.order === "ordered" ? new OrderedQueue() : new UnorderedQueue();
    this.#answering = of.answering((entry, state, value) => this.#settle(entry, state, value));
    const restored = ctx.operatorState.register("in-flight", {
      redistribution: "split",
      schema: plainElements,
      elements: () => this.#queue.entries().map(kept),
      // Rows on their way are counted nowhere: these are bounded by the capacity and a batch.
      bytes: () => 0,
    }) as readonly KeptRow[];
    for (const { row, time, source } of restored) this.#add(row, time ?? NaN, source ?? undefined);
  }

  processBatch(batch: RecordBatch, out: WatermarkOutput): void {
    const { lineage, timestamps } = batch;
    const rows = batch.rows();
    for (let i = 0; i < rows.length; i++) {
      this.#add(rows[i], timestamps === undefined ? NaN : timestamps[i]!, lineage?.at(i));
    }
    this.#ask();
    this.release(out);
  }

  reached(watermark: number, out: WatermarkOutput): void {
    this.#queue.addWatermark(watermark);
    this.release(out);
  }

  idled(isIdle: boolean, out: WatermarkOutput): void {
    this.#isIdle = isIdle;
    if (this.#queue.isEmpty) out.advance(noTime, isIdle);
  }

  get hasRoom(): boolean {
    return this.#unasked.length === 0 && this.#asked < this.#capacity;
  }

  get isWaiting(): boolean {
    return !this.#queue.isEmpty;
  }

  get hasReady(): boolean {
    return this.#queue.hasReady;
  }

  takeCalls(): readonly Call[] {
    this.#ask();
    return this.#answering.take();
  }

  takeOverdue(): readonly number[] {
    return this.#answering.takeOverdue();
  }

  answered(answers: readonly CallAnswer[]): void {
    const now = this.#ctx.now();
    for (const answer of answers) this.#answering.answered(answer, now);
  }

  release(out: WatermarkOutput): void {
    if (this.#queue.hasReady) {
      const leaving = new LeavingRows(out, (entry) => this.#left(entry));
      do this.#queue.release(leaving);
      while (this.#ask() && this.#queue.hasReady);
      leaving.flush();
    }
    if (this.#isIdle && this.#queue.isEmpty) out.advance(noTime, true); // K4
  }

  get nextTimerAt(): number | undefined {
    return this.#answering.nextAt;
  }

  fireTimers(now: number, out: WatermarkOutput): void {
    this.#answering.fire(now);
    this.release(out);
  }

  #add(row: unknown, time: number, source: RecordPosition | undefined): void {
    const entry: Entry = { row, time, source, state: "waiting", value: undefined };
    this.#queue.add(entry);
    this.#unasked.push(entry);
  }

  /** Asks for as many rows as may be; whether there were any. */
  #ask(): boolean {
    const from = this.#nextUnasked;
    const end = Math.min(this.#unasked.length, from + this.#capacity - this.#asked);
    if (end <= from) return false;
    const entries = this.#unasked.slice(from, end);
    this.#nextUnasked = end;
    if (end === this.#unasked.length) {
      this.#unasked = [];
      this.#nextUnasked = 0;
    }
    this.#asked += entries.length;
    this.#answering.ask(entries, this.#ctx.now());
    return true;
  }

  #settle(entry: Entry, state: "value" | "none" | "failed", value: unknown): void {
    // Where nothing can be left out there is no reason to wait for its turn.
    if (state === "failed" && this.#ctx.reject === undefined) this.#reject(entry, value);
    entry.state = state;
    entry.value = value;
    this.#queue.answered(entry);
  }

  /** Whether it is a result. */
  #left(entry: Entry): boolean {
    this.#asked--;
    if (entry.state === "failed") this.#reject(entry, entry.value); // K5
    return entry.state === "value";
  }

  #reject({ row, source }: Entry, cause: unknown): void {
    rejectValue(this.#ctx, this.#name, { value: row, source: source ?? null }, cause);
  }
}

const kept = ({ row, time, source }: Entry): KeptRow => ({
  row,
  time: time === time ? time : null,
  source: source ?? null,
});

/** Makes batches of what leaves: one, but for watermarks and where the rows come from. */
class LeavingRows implements Leaving {
  readonly #out: WatermarkOutput;
  readonly #left: (entry: Entry) => boolean;
  #rows: unknown[] = [];
  /** As many as there are rows, once one of them has one. */
  #times: number[] | undefined;
  #sources: RecordPosition[] = [];

  constructor(out: WatermarkOutput, left: (entry: Entry) => boolean) {
    this.#out = out;
    this.#left = left;
  }

  left(entry: Entry): void {
    if (!this.#left(entry)) return;
    const { time, source, value } = entry;
    const [first] = this.#sources;
    if (first !== source && !isSameSplit(first, source)) this.flush();
    if (source !== undefined) this.#sources.push(source);
    if (time === time) this.#times ??= new Array<number>(this.#rows.length).fill(NaN);
    this.#times?.push(time);
    this.#rows.push(value);
  }

  advance(watermark: number): void {
    this.flush();
    this.#out.advance(watermark);
  }

  flush(): void {
    const rows = this.#rows;
    if (rows.length === 0) return;
    const times = this.#times && Float64Array.from(this.#times);
    const [first] = this.#sources;
    const offsets = this.#sources.map(({ offset }) => offset);
    this.#rows = [];
    this.#times = undefined;
    this.#sources = [];
    const lineage = first && new Lineage(first.topic, first.partition, offsets);
    this.#out.emit(new RowBatch(rows, lineage, times));
  }
}

const isSameSplit = (left?: RecordPosition, right?: RecordPosition): boolean =>
  left?.topic === right?.topic && left?.partition === right?.partition;
