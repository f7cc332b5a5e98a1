// The calls of a trigger for windows, with the state and the timers of the one it is called for.
//   T1. The context is one object for the operator's life; outside a call it is of no use.
//   T2. Timers of the operator's own, for cleaning up, are beside those of the trigger: one that both ask
//       for is one.

import type { Key } from "../format/key.ts";
import type { TimeDomain } from "../stream/process.ts";
import type { AnyTrigger, TriggerMergeContext, TriggerResult } from "../stream/triggers.ts";
import type { TimeWindow } from "../stream/windows.ts";
import type { Journal } from "./journal.ts";
import type { OperatorContext } from "./operator.ts";
import type { WindowTable } from "./window-contents.ts";
import { type WindowTimer, WindowTimers } from "./window-timers.ts";

const results: readonly string[] = ["CONTINUE", "FIRE", "PURGE", "FIRE_AND_PURGE"];

interface Kept {
  readonly states: WindowTable<unknown>;
  readonly names: Readonly<Record<TimeDomain, string>>;
  readonly journal: Journal | undefined;
}

export class TriggerCalls {
  readonly #trigger: AnyTrigger;
  readonly #kept: Kept;
  readonly #timers: Readonly<Record<TimeDomain, WindowTimers>>;
  readonly #context: TriggerMergeContext;
  #key: Key = "";
  #window: TimeWindow = { start: 0, end: 0 };
  #merged: readonly unknown[] = [];

  constructor(
    trigger: AnyTrigger,
    ctx: Pick<OperatorContext, "state" | "now" | "watermark">,
    kept: Kept,
  ) {
    this.#trigger = trigger;
    this.#kept = kept;
    // Of these tables only the timers know: what undoes them undoes their table.
    this.#timers = {
      event: new WindowTimers(ctx.state, kept.names.event),
      processing: new WindowTimers(ctx.state, kept.names.processing),
    };
    this.#context = this.#contextOver(ctx);
  }

  onElement(key: Key, window: TimeWindow, row: unknown, timestamp: number): TriggerResult {
    this.#enter(key, window);
    return checked(
      this.#trigger.onElement(row as never, timestamp, window, this.#context as never),
      "onElement",
    );
  }

  onTimer(domain: TimeDomain, key: Key, window: TimeWindow, time: number): TriggerResult {
    this.#enter(key, window);
    const method = domain === "event" ? "onEventTime" : "onProcessingTime";
    return checked(this.#trigger[method](time, window, this.#context as never), method);
  }

  /** Windows of a key have become one; they are cleared one by one after that. */
  onMerge(key: Key, window: TimeWindow, merged: readonly TimeWindow[]): void {
    const states = merged.map((one) => this.#kept.states.get(key, one));
    this.#merged = states.filter((state) => state !== undefined);
    this.#enter(key, window);
    this.#trigger.onMerge?.(window, this.#context as never);
    this.#merged = [];
  }

  clear(key: Key, window: TimeWindow): void {
    this.#enter(key, window);
    this.#trigger.clear(window, this.#context as never);
    this.#kept.states.remove(key, window);
  }

  // Timers.

  nextAt(domain: TimeDomain): number | undefined {
    return this.#timers[domain].nextAt;
  }

  take(domain: TimeDomain, upTo: number): WindowTimer | undefined {
    return this.#timers[domain].take(upTo);
  }

  register(domain: TimeDomain, key: Key, window: TimeWindow, time: number): void {
    if (domain === "processing" && time === Infinity) return; // no clock comes to that
    const timers = this.#timers[domain];
    if (timers.register(key, window, time) === "known") return;
    this.#kept.journal?.note(() => timers.delete(key, window, time));
  }

  delete(domain: TimeDomain, key: Key, window: TimeWindow, time: number): void {
    const timers = this.#timers[domain];
    if (timers.delete(key, window, time) === "unknown") return;
    this.#kept.journal?.note(() => timers.register(key, window, time));
  }

  #enter(key: Key, window: TimeWindow): void {
    this.#key = key;
    this.#window = window;
  }

  #contextOver(ctx: Pick<OperatorContext, "now" | "watermark">): TriggerMergeContext {
    const { states } = this.#kept;
    const merged = (): readonly unknown[] => this.#merged;
    const register = (domain: TimeDomain, time: number): void =>
      this.register(domain, this.#key, this.#window, timeOf(time));
    const remove = (domain: TimeDomain, time: number): void =>
      this.delete(domain, this.#key, this.#window, timeOf(time));
    return {
      state: {
        get: () => states.get(this.#key, this.#window),
        set: (value) => states.put(this.#key, this.#window, value),
        clear: () => states.remove(this.#key, this.#window),
      },
      get merged() {
        return merged();
      },
      currentWatermark: () => ctx.watermark(this.#key),
      currentProcessingTime: () => ctx.now(),
      registerEventTime: (time) => register("event", time),
      registerProcessingTime: (time) => register("processing", time),
      deleteEventTime: (time) => remove("event", time),
      deleteProcessingTime: (time) => remove("processing", time),
    };
  }
}

function timeOf(time: unknown): number {
  if (typeof time === "number" && !Number.isNaN(time)) return time;
  throw new TypeError(`a trigger asked for a timer at ${String(time)}: milliseconds are needed`);
}

function checked(result: TriggerResult, method: string): TriggerResult {
  if (results.includes(result)) return result;
  throw new TypeError(
    `${method} of the trigger returned ${String(result)}. Allowed: ${results.join(", ")}`,
  );
}
