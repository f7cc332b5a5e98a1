// Waiting for something that another process does.

import { setTimeout as sleep } from "node:timers/promises";

export interface Wait {
  /** What is waited for, as the subject of a sentence that says it did not happen. */
  readonly what: string;
  /** Milliseconds until it counts as not happening. */
  readonly within?: number;
  /** Milliseconds between two looks. */
  readonly every?: number;
  /** Its abortion ends the wait with its reason. */
  readonly signal: AbortSignal;
}

/** Looks until there is something to see. */
export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  { what, within = 60_000, every = 50, signal }: Wait,
): Promise<T> {
  for (const deadline = Date.now() + within; Date.now() < deadline; await pause(every, signal)) {
    const seen = await look();
    if (seen !== undefined) return seen;
  }
  throw new Error(`${what} did not happen within ${within / 1_000} s.`);
}

/** Like a timer's promise, but rejects with the reason of the signal rather than with "aborted". */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}
