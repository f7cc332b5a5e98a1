// The timers of a process function as it sees them: those of the current row's key.

import type { Key } from "../format/key.ts";
import type { Timers } from "../stream/process.ts";
import type { Journal } from "./journal.ts";
import type { KeyedStateStore } from "./state/keyed-state.ts";
import { ProcessingTimers, type Timer } from "./timers.ts";

/** Whose timers are meant, when it is, and where changes are noted that a row may have to undo. */
export interface TimersOwner {
  readonly key: Key;
  readonly journal: Journal | undefined;
  now(this: void): number;
}

export class RegisteredTimers implements Timers {
  readonly #owner: TimersOwner;
  readonly #timers: ProcessingTimers | undefined;

  /** Without a store the function has no `onTimer`, and can register nothing. */
  constructor(owner: TimersOwner, store: KeyedStateStore | undefined) {
    this.#owner = owner;
    this.#timers = store && new ProcessingTimers(store);
  }

  currentProcessingTime(): number {
    return this.#owner.now();
  }

  registerProcessingTime(time: number): void {
    const { key, journal } = this.#owner;
    const timers = this.#checked("registerProcessingTime", time);
    if (timers.register(key, time) === "added") journal?.note(() => timers.delete(key, time));
  }

  deleteProcessingTime(time: number): void {
    const { key, journal } = this.#owner;
    const timers = this.#checked("deleteProcessingTime", time);
    if (timers.delete(key, time) === "deleted") journal?.note(() => timers.register(key, time));
  }

  // Of the operator.

  get nextAt(): number | undefined {
    return this.#timers?.nextAt;
  }

  take(now: number): Timer | undefined {
    return this.#timers?.take(now);
  }

  #checked(method: string, time: unknown): ProcessingTimers {
    if (this.#timers === undefined) {
      throw new TypeError(
        `timers.${method} was called, and the process function has no onTimer(time, ctx) { … }. Add it.`,
      );
    }
    if (typeof time === "number" && Number.isSafeInteger(time) && time >= 0) return this.#timers;
    throw new TypeError(
      `timers.${method} was given ${String(time)}. Allowed: a whole number of milliseconds since 1970, ` +
        `such as timers.currentProcessingTime() + 60_000.`,
    );
  }
}
