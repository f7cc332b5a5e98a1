// Functions that answer later: what a program says of the calls that an operator makes for its rows.
//   C1. An operator has at most `capacity` rows for which an answer is awaited or must wait its turn. It
//       takes no more input until there is room.
//   C2. The timeout covers all tries of a call, the waits between them included.
//   C3. A call may be made again for a row whose answer was lost: the function must bear that.

import type { TimeSpan } from "./duration.ts";
import { timeSpanOf } from "./duration.ts";
import { type GraphError, refusal } from "./errors.ts";
import { shown } from "./names.ts";
import type { OperatorOptions } from "./recorder.ts";

/** What a function that answers later is given beside its row. */
export interface AsyncContext {
  /** Aborted when the answer is of no use any more: the time is over, or the attempt. */
  readonly signal: AbortSignal;
}

/** In which order results leave. */
export type AsyncOrder = "ordered" | "unordered";

/**
 * When a call is tried again. Flink's `AsyncRetryStrategy`: the delay is fixed, or grows by `backoff`.
 *
 * @example { attempts: 5, delay: "100 ms", backoff: 2, maxDelay: "5s" }
 */
export interface CallRetry {
  /** How often it is tried again at most; the first try is not counted. */
  readonly attempts: number;
  /** What is waited before it is tried again, for the first time. */
  readonly delay: TimeSpan;
  /** By how much the delay grows each time; 1 where absent. */
  readonly backoff?: number;
  /** No delay is longer; no limit where absent. */
  readonly maxDelay?: TimeSpan;
  /** Whether what the function threw is worth another try; all of it where absent. */
  readonly when?: (error: unknown) => boolean;
}

/** The same where a result may be as good as none. */
export interface AsyncRetry<R> extends CallRetry {
  /** Whether a result is as good as none, and worth another try; where there is none left it counts. */
  readonly whenResult?: (result: R) => boolean;
}

/** How an operator makes its calls. */
export interface CallOptions {
  /** Rows at most that wait for an answer, or for their turn to leave; 100 where absent. */
  readonly capacity?: number;
  /** What a call may take with all its tries; 30 s where absent. A call that takes longer has failed. */
  readonly timeout?: TimeSpan;
  /**
   * `ordered`, the default: results leave in the order of their rows. `unordered`: as they come, but never on
   * the other side of a watermark.
   */
  readonly order?: AsyncOrder;
}

/** Settings of `asyncMap`. */
export interface AsyncOptions<T, R, F = never> extends OperatorOptions, CallOptions {
  /** Calls are not tried again where absent. */
  readonly retry?: AsyncRetry<R>;
  /** What stands for the result of a row whose time is over; without it such a row has failed. */
  readonly onTimeout?: (row: T) => F;
}

/** Calls, as the graph holds them: times in milliseconds. */
export interface Calling {
  readonly capacity: number;
  readonly timeout: number;
  readonly order: AsyncOrder;
  readonly retry?: Retrying;
}

export interface Retrying {
  readonly attempts: number;
  readonly delay: number;
  readonly backoff: number;
  readonly maxDelay: number;
  readonly when?: (error: unknown) => boolean;
  readonly whenResult?: (result: never) => boolean;
}

/** `asyncMap`, as the graph holds it. */
export interface AsyncMap {
  readonly fn: (row: never, ctx: AsyncContext) => unknown;
  readonly onTimeout?: (row: never) => unknown;
}

export type Settings = Readonly<Record<string, unknown>>;

/** What is wrong with a call, as a `GraphError`. */
export type Refuse = (found: string, allowed: string) => GraphError;

/** The largest capacity: as many rows are in memory, and in every snapshot. */
const capacityMax = 100_000;
const capacityDefault = 100;
const timeoutDefault = 30_000;

export function asyncMapOf(
  fn: unknown,
  options: AsyncOptions<never, never, unknown>,
): { readonly map: AsyncMap; readonly calls: Calling } {
  const refuse: Refuse = (found, allowed) =>
    refusal("BAD_ARGUMENT", "asyncMap", options, found, allowed);
  const { onTimeout, ...settings } = (options ?? {}) as Partial<typeof options>;
  const asks = "a function of a row that gives its result, or a promise of it";
  return {
    map: {
      fn: functionOf<AsyncMap["fn"]>(fn, asks, refuse),
      ...(onTimeout !== undefined && {
        onTimeout: functionOf(onTimeout, "a function of a row as onTimeout", refuse),
      }),
    },
    calls: callsOf({ ...settings }, refuse),
  };
}

export function functionOf<F>(given: unknown, allowed: string, refuse: Refuse): F {
  if (typeof given === "function") return given as F;
  throw refuse(`was given ${shown(given)}`, allowed);
}

/** The settings of calls as they are meant. */
export function callsOf(given: Settings, refuse: Refuse): Calling {
  const { capacity = capacityDefault, order = "ordered", retry } = given;
  if (!isWhole(capacity, 1, capacityMax)) {
    throw refuse(`has the capacity ${shown(capacity)}`, `a whole number from 1 to ${capacityMax}`);
  }
  if (order !== "ordered" && order !== "unordered") {
    throw refuse(`has the order ${shown(order)}`, `"ordered" or "unordered"`);
  }
  return {
    capacity,
    order,
    timeout: spanOf("timeout", given["timeout"] ?? timeoutDefault, 1, refuse),
    ...(retry !== undefined && { retry: retryOf(retry, refuse) }),
  };
}

function retryOf(given: unknown, refuse: Refuse): Retrying {
  if (typeof given !== "object" || given === null) {
    throw refuse(`has the retry ${shown(given)}`, `{ attempts: 3, delay: "1s" }`);
  }
  const { attempts, delay, backoff = 1, maxDelay, when, whenResult } = given as Settings;
  if (!isWhole(attempts, 1, Number.MAX_SAFE_INTEGER)) {
    throw refuse(`has retry.attempts ${shown(attempts)}`, "a whole number from 1 on");
  }
  if (typeof backoff !== "number" || !(backoff >= 1) || backoff === Infinity) {
    throw refuse(`has retry.backoff ${shown(backoff)}`, "a number from 1 on");
  }
  const wanted = "a function that says whether to try again";
  return {
    attempts,
    delay: spanOf("retry.delay", delay, 0, refuse),
    backoff,
    maxDelay: maxDelay === undefined ? Infinity : spanOf("retry.maxDelay", maxDelay, 0, refuse),
    ...(when !== undefined && {
      when: functionOf(when, `${wanted}, as retry.when`, refuse),
    }),
    ...(whenResult !== undefined && {
      whenResult: functionOf(whenResult, `${wanted}, as retry.whenResult`, refuse),
    }),
  };
}

export function spanOf(name: string, given: unknown, least: 0 | 1, refuse: Refuse): number {
  const span = timeSpanOf(given);
  if (span !== undefined && span >= least) return span;
  const allowed = `milliseconds, ${least} at least, or a text such as "500 ms" or "30s"`;
  throw refuse(`has ${shown(given)} as ${name}`, allowed);
}

export const isWhole = (given: unknown, least: number, most: number): given is number =>
  Number.isInteger(given) && (given as number) >= least && (given as number) <= most;
