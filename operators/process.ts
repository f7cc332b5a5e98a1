// process: calls a function of the user's for every row, with the state of the row's key; of two inputs,
// one for each, with the same state.
//   E1. The context is one object for the operator's life; its key is that of the current row, and
//       its states read and write the entry of that key. Outside a call it is of no use.
//   E2. A row, or a timer, that throws where that is not to fail has changed nothing: what it emitted is
//       forgotten, and its changes of state and timers are undone. A timer that threw has fired.
//   E3. Each batch looks at a few entries of the states that expire, so that what nobody asks for
//       again goes as well, at a cost that follows the rows.

import { endOfTime } from "../format/frame.ts";
import { keyId, type Key } from "../format/key.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { ProcessFunction, TimeDomain, TimerContext, Timers } from "../stream/process.ts";
import type { AnyOutputTag } from "../stream/side-output.ts";
import type { StateDescriptors } from "../stream/state.ts";
import { Emitted } from "./emitted.ts";
import { Journal } from "./journal.ts";
import type {
  EventTimeOperator,
  OperatorContext,
  Output,
  RecordBatch,
  TimedOperator,
} from "./operator.ts";
import { bindState, type Current } from "./process-state.ts";
import { RandomNumbers } from "./random.ts";
import { RegisteredTimers } from "./process-timers.ts";
import { rejectRow, rejectTimer, type RejectingOperator } from "./rejection.ts";
import type { StateTable } from "./state/keyed-state.ts";
import { timeOf } from "./timestamps.ts";

/** Entries of each expiring state that a batch looks at, beside one per row. */
const sweepMin = 16;

/** Rows whose states are read together, where they have to be read: few beside what a cache holds. */
const foreseenRows = 512;

/** Timers that fire in one go; others get their turn before the rest does. */
const timersAtOnce = 1_000;

/** The part of a function that is not called for rows. */
interface KeyedFunction extends Pick<ProcessFunction<never, never, unknown>, "state" | "onTimer"> {
  /** Of one that is built in: states that are of no use once event time has come to its end. */
  readonly clearedAtEnd?: readonly string[];
}

/** Where the key of an input's rows is, and what is called for them. */
export interface RowInput {
  readonly key: KeySelector;
  /** What is called, in an error. */
  readonly name: string;
  process(this: void, row: never, ctx: never): void;
}

export class ProcessOperator implements TimedOperator, EventTimeOperator {
  readonly #self: RejectingOperator;
  readonly #inputs: readonly RowInput[];
  readonly #fn: KeyedFunction;
  readonly #context: CurrentRow;

  /** @param more what else the context has. */
  constructor(
    inputs: readonly RowInput[],
    fn: KeyedFunction,
    ctx: OperatorContext,
    more: object = {},
  ) {
    this.#self = ctx;
    this.#inputs = inputs;
    this.#fn = fn;
    this.#context = Object.assign(new CurrentRow(fn, ctx), more);
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    const { key: select, name, process } = this.#inputs[input]!;
    const context = this.#context;
    const rows = batch.rows();
    const { timestamps } = batch;
    let foreseen = context.prefetched.length === 0 ? rows.length : 0;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          if (i === foreseen) foreseen = this.#foresee(rows, i, select);
          context.begin(timeOf(timestamps, i));
          const row = rows[i] as never;
          context.key = select(row);
          keyId(context.key); // refuses what is no key, also where no state is used
          process(row, context as never);
        }
      } catch (error) {
        context.undo();
        rejectRow(this.#self, name, batch, i, error);
      }
    }
    context.sweep(rows.length + sweepMin);
    context.emitted.sendTo(out);
  }

  /** Has the states of the next rows read together; answers up to where. */
  #foresee(rows: readonly unknown[], from: number, select: KeySelector): number {
    const keys: Key[] = [];
    const end = Math.min(rows.length, from + foreseenRows);
    for (let i = from; i < end; i++) {
      try {
        keys.push(select(rows[i] as never));
      } catch {
        // It throws again when it is the row's turn.
      }
    }
    for (const table of this.#context.prefetched) table.prefetch?.(keys);
    return end;
  }

  get nextTimerAt(): number | undefined {
    return this.#context.timers.nextAt("processing");
  }

  fireTimers(now: number, out: Output): void {
    this.#fire("processing", now, out);
  }

  advance(watermark: number, out: Output): boolean {
    this.#fire("event", watermark, out);
    const next = this.#context.timers.nextAt("event");
    // At the end of time no time is later.
    if (next !== undefined && next <= watermark) return false;
    return watermark !== endOfTime || this.#context.clear(this.#fn.clearedAtEnd, timersAtOnce);
  }

  #fire(domain: TimeDomain, upTo: number, out: Output): void {
    const fn = this.#fn;
    const context = this.#context;
    context.timeDomain = domain;
    for (let fired = 0; fired < timersAtOnce; fired++) {
      const timer = context.timers.take(domain, upTo);
      if (timer === undefined) break;
      const { key, time } = timer;
      context.begin(domain === "event" ? time : undefined);
      context.key = key;
      try {
        fn.onTimer?.(time, context as never);
      } catch (error) {
        context.undo();
        rejectTimer(this.#self, { key, time }, error);
      }
    }
    context.emitted.sendTo(out);
  }
}

class CurrentRow
  implements
    Pick<
      TimerContext<Key, unknown, StateDescriptors>,
      "key" | "timestamp" | "timeDomain" | "emit" | "output" | "random" | "timers"
    >,
    Current
{
  readonly uid: string;
  readonly now: () => number;
  readonly watermark: (key: Key) => number;
  readonly state: Readonly<Record<string, object>>;
  readonly timers: RegisteredTimers & Timers;
  /** Only where a row may be undone. */
  readonly journal: Journal | undefined;
  readonly #expiring: readonly StateTable<unknown>[];
  readonly #tables: ReadonlyMap<string, StateTable<unknown>>;
  /** Tables that are better told which keys come. */
  readonly prefetched: readonly StateTable<unknown>[];
  key: Key = "";
  timestamp: number | undefined;
  timeDomain: TimeDomain = "processing";
  readonly emitted = new Emitted();
  readonly emit = this.emitted.emit;
  /** For what is built in. */
  readonly emitAt = this.emitted.emitAt;
  readonly output = this.emitted.output;
  readonly late: (tag: AnyOutputTag | undefined, row: unknown) => void;
  readonly random: () => number;

  constructor(
    fn: Pick<ProcessFunction<never, never, unknown>, "state" | "onTimer">,
    ctx: OperatorContext,
  ) {
    this.uid = ctx.uid;
    this.now = () => ctx.now();
    this.watermark = (key) => ctx.watermark(key);
    this.late = (tag, row) => {
      if (tag === undefined) ctx.dropLate?.(1);
      else this.output(tag, row);
    };
    this.journal = ctx.reject && new Journal();
    const store = this.journal?.over(ctx.state) ?? ctx.state;
    const bound = Object.entries(fn.state).map(
      ([name, descriptor]) => [name, bindState(name, descriptor, this, store)] as const,
    );
    // Of the timers' table only the timers know: what undoes them undoes their table.
    this.timers = new RegisteredTimers(this, fn.onTimer === undefined ? undefined : ctx.state);
    this.state = Object.fromEntries(bound.map(([name, { state }]) => [name, state]));
    this.#tables = new Map(bound.map(([name, { table }]) => [name, table]));
    const of = { uid: ctx.uid, index: ctx.subtask.index };
    this.random = new RandomNumbers(of, ctx.operatorState, this.journal?.note).draw;
    this.prefetched = bound.flatMap(([, { table }]) =>
      table.prefetch === undefined ? [] : [table],
    );
    this.#expiring = bound.flatMap(([, { table, expires }]) => (expires ? [table] : []));
  }

  /** A row, or a timer, begins, at that event time. */
  begin(timestamp: number | undefined): void {
    this.timestamp = timestamp;
    this.emitted.begin(timestamp);
    this.journal?.begin();
  }

  /** Takes back all it has done. Without a journal the attempt fails anyway. */
  undo(): void {
    this.emitted.undo();
    this.journal?.undo();
  }

  /** Removes entries of these states, up to a number; whether none is left. */
  clear(states: readonly string[] = [], limit: number): boolean {
    for (const state of states) {
      const table = this.#tables.get(state)!;
      const keys: Key[] = [];
      for (const [key] of table.entries()) if (keys.push(key) === limit) break;
      for (const key of keys) table.remove(key);
      if (table.size > 0) return false;
    }
    return true;
  }

  /** Drops what has expired among the next entries of each state whose values do. */
  sweep(entries: number): void {
    for (const table of this.#expiring) table.sweep(entries);
  }
}
