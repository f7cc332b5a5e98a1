// The timers of a process function as it sees them: those of the current row's key.

import type { Key } from "../format/key.ts";
import type { TimeDomain, Timers } from "../stream/process.ts";
import type { Journal } from "./journal.ts";
import type { KeyedStateStore } from "./state/keyed-state.ts";
import { type Timer, TimerQueue, timerStates } from "./timers.ts";

/** Whose timers are meant, when it is, and where changes are noted that a row may have to undo. */
export interface TimersOwner {
  readonly key: Key;
  readonly journal: Journal | undefined;
  now(this: void): number;
  watermark(this: void, key: Key): number;
}

type Queues = Readonly<Record<TimeDomain, TimerQueue>>;

export class RegisteredTimers implements Timers {
  readonly #owner: TimersOwner;
  readonly #timers: Queues | undefined;

  /** Without a store the function has no `onTimer`, and can register nothing. */
  constructor(owner: TimersOwner, store: KeyedStateStore | undefined) {
    this.#owner = owner;
    this.#timers = store && {
      event: new TimerQueue(store, timerStates.event),
      processing: new TimerQueue(store, timerStates.processing),
    };
  }

  currentProcessingTime(): number {
    return this.#owner.now();
  }

  currentWatermark(): number {
    return this.#owner.watermark(this.#owner.key);
  }

  registerProcessingTime(time: number): void {
    this.#register("processing", this.#checked("registerProcessingTime", time), time);
  }

  deleteProcessingTime(time: number): void {
    this.#delete("processing", this.#checked("deleteProcessingTime", time), time);
  }

  registerEventTime(time: number): void {
    this.#register("event", this.#checked("registerEventTime", time), time);
  }

  deleteEventTime(time: number): void {
    this.#delete("event", this.#checked("deleteEventTime", time), time);
  }

  // Of the operator.

  nextAt(domain: TimeDomain): number | undefined {
    return this.#timers?.[domain].nextAt;
  }

  take(domain: TimeDomain, upTo: number): Timer | undefined {
    return this.#timers?.[domain].take(upTo);
  }

  #register(domain: TimeDomain, of: Queues, time: number): void {
    const { key, journal } = this.#owner;
    const timers = of[domain];
    if (timers.register(key, time) === "added") journal?.note(() => timers.delete(key, time));
  }

  #delete(domain: TimeDomain, of: Queues, time: number): void {
    const { key, journal } = this.#owner;
    const timers = of[domain];
    if (timers.delete(key, time) === "deleted") journal?.note(() => timers.register(key, time));
  }

  #checked(method: string, time: unknown): Queues {
    if (this.#timers === undefined) {
      throw new TypeError(
        `timers.${method} was called, and the process function has no onTimer(time, ctx) { … }. Add it.`,
      );
    }
    const isEvent = method.endsWith("EventTime");
    const isTime = typeof time === "number" && Number.isSafeInteger(time);
    if (isTime && (isEvent || time >= 0)) return this.#timers;
    const example = isEvent ? "ctx.timestamp" : "timers.currentProcessingTime()";
    throw new TypeError(
      `timers.${method} was given ${String(time)}. Allowed: a whole number of milliseconds since 1970, ` +
        `such as ${example} + 60_000.`,
    );
  }
}
