// window: the rows of each key by windows, told when a trigger says so. For all that can be asked of
// windows; those that are asked for no more than a fold at their end go by panes (pane-window.ts).
//   W1. A row is put into those of its windows that are not late: whose cleanup time, their last
//       instant and the allowed lateness, the watermark has not come to. A row that was put into none
//       and is late itself goes to the side output of late rows, where there is one.
//   W2. A window with rows has a cleanup timer; when it fires nothing is left of the window: no
//       contents, no state of its trigger, no timer, no place in the set of merged windows.
//   W3. Timers fire before the watermark goes on, earliest first, a good deal of them in one call.
//   W4. A row, or a timer, that throws where that is not to fail has changed nothing.
// As Flink's WindowOperator and EvictingWindowOperator.

import { keyId, type Key } from "../format/key.ts";
import type { KeySelector } from "../stream/graph.ts";
import type { TimeDomain } from "../stream/process.ts";
import type { AnyOutputTag } from "../stream/side-output.ts";
import { type AnyTrigger, eventTimeTrigger, processingTimeTrigger } from "../stream/triggers.ts";
import type { WindowSpec } from "../stream/windowed-stream.ts";
import type { TimeWindow } from "../stream/windows.ts";
import { Emitted } from "./emitted.ts";
import { Journal } from "./journal.ts";
import { type Merge, type Merged, MergingWindows } from "./merging-windows.ts";
import type {
  EventTimeOperator,
  OperatorContext,
  Output,
  RecordBatch,
  TimedOperator,
} from "./operator.ts";
import { rejectRow, rejectTimer } from "./rejection.ts";
import type { StateTable } from "./state/keyed-state.ts";
import { schemaOf } from "./state/schema.ts";
import { timerStates } from "./timers.ts";
import { noEventTime } from "./timestamps.ts";
import { assignedBy, checkedWindow, staying } from "./window-answers.ts";
import { type Contents, contentsOf, type HeldRow, WindowTable } from "./window-contents.ts";
import { WindowResults } from "./window-results.ts";
import type { WindowTimer } from "./window-timers.ts";
import { TriggerCalls } from "./window-triggers.ts";

/** Timers that fire in one go; others get their turn before the rest does. */
const timersAtOnce = 1_000;

export type WindowOperatorContext = Pick<
  OperatorContext,
  "uid" | "state" | "now" | "watermark" | "dropLate" | "reject"
>;

/** One of the streams whose rows the windows hold. */
export interface WindowInput {
  /** What is called, in an error. */
  readonly name: string;
  readonly key: KeySelector;
  /** What a row is to the windows; itself where absent. */
  readonly held?: (row: unknown) => unknown;
  /** The side output of its rows that are too late. */
  readonly lateOutput: AnyOutputTag | undefined;
}

export class WindowOperator implements TimedOperator, EventTimeOperator {
  readonly #ctx: WindowOperatorContext;
  readonly #inputs: readonly WindowInput[];
  readonly #spec: WindowSpec;
  readonly #isEventTime: boolean;
  readonly #journal: Journal | undefined;
  readonly #contents: Contents;
  readonly #held: WindowTable<unknown>;
  /** Of each key, where windows merge. */
  readonly #sets: StateTable<readonly Merged[]> | undefined;
  readonly #trigger: TriggerCalls;
  readonly #emitted = new Emitted();
  readonly #results: WindowResults;

  constructor(ctx: WindowOperatorContext, inputs: readonly WindowInput[], spec: WindowSpec) {
    this.#ctx = ctx;
    this.#inputs = inputs;
    this.#spec = spec;
    this.#isEventTime = spec.assigner.time === "event";
    this.#journal = ctx.reject && new Journal();
    const store = this.#journal?.over(ctx.state) ?? ctx.state;
    const nested = schemaOf({ holds: "map", version: 1, ttl: false });
    const fold = spec.evictor === undefined ? spec.fold : ({ kind: "rows" } as const);
    this.#contents = contentsOf(fold, this.#journal !== undefined);
    this.#held = new WindowTable(store.table("windows", nested));
    this.#sets = spec.assigner.merging === true ? store.table("merging-windows") : undefined;
    this.#trigger = new TriggerCalls(triggerOf(spec), ctx, {
      states: new WindowTable(store.table("triggers", nested)),
      names: timerStates,
      journal: this.#journal,
    });
    this.#results = new WindowResults(ctx, spec, this.#emitted);
  }

  processBatch(batch: RecordBatch, out: Output, input: number): void {
    const from = this.#inputs[input]!;
    const { key: select } = from;
    const rows = batch.rows();
    const { timestamps } = batch;
    for (let i = 0; i < rows.length; i++) {
      try {
        for (; i < rows.length; i++) {
          this.#begin();
          const row = rows[i] as never;
          const key = select(row);
          keyId(key); // refuses what is no key
          this.#take(from, key, row, timestamps?.[i]);
        }
      } catch (error) {
        this.#undo();
        rejectRow(this.#ctx, from.name, batch, i, error);
      }
    }
    this.#results.sendTo(out);
  }

  get nextTimerAt(): number | undefined {
    return this.#trigger.nextAt("processing");
  }

  fireTimers(now: number, out: Output): void {
    this.#fire("processing", now, out);
  }

  advance(watermark: number, out: Output): boolean {
    this.#fire("event", watermark, out);
    const next = this.#trigger.nextAt("event");
    return next === undefined || next > watermark;
  }

  // Rows.

  #take(input: WindowInput, key: Key, given: unknown, eventTime: number | undefined): void {
    const row = input.held === undefined ? given : input.held(given);
    const time = this.#timeOf(eventTime);
    const isTimed = eventTime !== undefined && !Number.isNaN(eventTime);
    const timestamp = isTimed ? eventTime : time;
    let isIn = false;
    for (const given of assignedBy(this.#spec.assigner, row, time)) {
      const window = checkedWindow(given);
      if (this.#sets === undefined) {
        if (this.#isLate(key, window)) continue;
        isIn = true;
        this.#put(key, window, window, row, timestamp);
        continue;
      }
      const set = new MergingWindows(this.#sets.get(key) ?? []);
      const own = set.add(window, (merge) => this.#merge(key, merge));
      if (this.#isLate(key, own)) {
        set.retire(own);
      } else {
        isIn = true;
        this.#put(key, own, set.stateWindowOf(own)!, row, timestamp);
      }
      this.#keepSet(key, set);
    }
    if (!isIn) this.#drop(input, key, given, time);
  }

  /** The row is in none of its windows. */
  #drop({ lateOutput }: WindowInput, key: Key, row: unknown, time: number): void {
    const { allowedLateness } = this.#spec;
    const isLate = this.#isEventTime && time + allowedLateness <= this.#ctx.watermark(key);
    if (!isLate) return;
    if (lateOutput === undefined) return this.#ctx.dropLate?.(1);
    this.#emitted.at(time);
    this.#emitted.output(lateOutput, row);
  }

  #timeOf(eventTime: number | undefined): number {
    if (!this.#isEventTime) return this.#ctx.now();
    if (eventTime !== undefined && !Number.isNaN(eventTime)) return eventTime;
    throw noEventTime();
  }

  #put(
    key: Key,
    window: TimeWindow,
    stateWindow: TimeWindow,
    row: unknown,
    timestamp: number,
  ): void {
    const held = this.#contents.add(this.#held.get(key, stateWindow), row, timestamp);
    this.#held.put(key, stateWindow, held);
    const result = this.#trigger.onElement(key, window, row, timestamp);
    if (result === "FIRE" || result === "FIRE_AND_PURGE") this.#tell(key, window, stateWindow);
    if (result === "PURGE" || result === "FIRE_AND_PURGE") this.#held.remove(key, stateWindow);
    const cleanup = this.#cleanupTime(window);
    if (cleanup < Infinity) this.#trigger.register(this.#domain, key, window, cleanup);
  }

  #merge(key: Key, { window, merged, stateWindow, mergedStateWindows }: Merge): void {
    this.#trigger.onMerge(key, window, merged);
    for (const one of merged) {
      this.#trigger.clear(key, one);
      this.#trigger.delete(this.#domain, key, one, this.#cleanupTime(one));
    }
    for (const from of mergedStateWindows) {
      const held = this.#held.get(key, from);
      if (held === undefined) continue;
      const before = this.#held.get(key, stateWindow);
      this.#held.remove(key, from);
      const both = before === undefined ? held : this.#contents.merge(before, held);
      this.#held.put(key, stateWindow, both);
    }
  }

  // Timers.

  #fire(domain: TimeDomain, upTo: number, out: Output): void {
    for (let fired = 0; fired < timersAtOnce; fired++) {
      const timer = this.#trigger.take(domain, upTo);
      if (timer === undefined) break;
      this.#begin();
      try {
        this.#onTimer(domain, timer);
      } catch (error) {
        this.#undo();
        rejectTimer(this.#ctx, { key: timer.key, time: timer.time }, error);
      }
    }
    this.#results.sendTo(out);
  }

  #onTimer(domain: TimeDomain, { key, window, time }: WindowTimer): void {
    const set = this.#sets && new MergingWindows(this.#sets.get(key) ?? []);
    const stateWindow = set === undefined ? window : set.stateWindowOf(window);
    // A timer that its trigger left behind, of a window that is another now.
    if (stateWindow === undefined) return;
    const result = this.#trigger.onTimer(domain, key, window, time);
    if (result === "FIRE" || result === "FIRE_AND_PURGE") this.#tell(key, window, stateWindow);
    if (result === "PURGE" || result === "FIRE_AND_PURGE") this.#held.remove(key, stateWindow);
    if (domain !== this.#domain || time !== this.#cleanupTime(window)) return;
    this.#held.remove(key, stateWindow);
    this.#trigger.clear(key, window);
    if (set === undefined) return;
    set.retire(window);
    this.#keepSet(key, set);
  }

  // Results.

  #tell(key: Key, window: TimeWindow, stateWindow: TimeWindow): void {
    const held = this.#held.get(key, stateWindow);
    if (held === undefined) return;
    const { evictor } = this.#spec;
    if (evictor === undefined) {
      this.#results.emit(key, window, this.#contents.result(held));
      return;
    }
    const rows = (held as readonly HeldRow[]).map(([row, timestamp]) => ({ row, timestamp }));
    const before = staying(evictor, "before", rows, window);
    this.#results.emitRows(
      key,
      window,
      before.map(({ row }) => row),
    );
    const kept = staying(evictor, "after", before, window);
    if (kept.length === 0) this.#held.remove(key, stateWindow);
    else
      this.#held.put(
        key,
        stateWindow,
        kept.map(({ row, timestamp }) => [row, timestamp]),
      );
  }

  // Windows.

  get #domain(): TimeDomain {
    return this.#isEventTime ? "event" : "processing";
  }

  #cleanupTime({ end }: TimeWindow): number {
    return end - 1 + (this.#isEventTime ? this.#spec.allowedLateness : 0);
  }

  #isLate(key: Key, window: TimeWindow): boolean {
    return this.#isEventTime && this.#cleanupTime(window) <= this.#ctx.watermark(key);
  }

  #keepSet(key: Key, set: MergingWindows): void {
    const { stored } = set;
    if (stored.length > 0) this.#sets!.put(key, stored);
    else this.#sets!.remove(key);
  }

  #begin(): void {
    this.#results.begin();
    this.#journal?.begin();
  }

  #undo(): void {
    this.#results.undo();
    this.#journal?.undo();
  }
}

function triggerOf({ trigger, assigner }: WindowSpec): AnyTrigger {
  if (trigger !== undefined) return trigger;
  return assigner.time === "event" ? eventTimeTrigger() : processingTimeTrigger();
}
