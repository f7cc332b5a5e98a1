// Lookup joins: rows with what a store outside of the job has under their keys at the time.

import {
  type AsyncContext,
  type CallOptions,
  type CallRetry,
  type Calling,
  callsOf,
  functionOf,
  isWhole,
  type Refuse,
  type Settings,
  spanOf,
} from "./async.ts";
import type { TimeSpan } from "./duration.ts";
import { refusal } from "./errors.ts";
import { fieldSelector } from "./fields.ts";
import type { KeySelector } from "./graph.ts";
import { isAsync, shown } from "./names.ts";
import type { OperatorOptions } from "./recorder.ts";

/** What an operator remembers of a store: in memory, by subtask, and lost with it. */
export interface LookupCache {
  /** Keys at most; those that were not asked for the longest time go first. */
  readonly size: number;
  /** Processing time for which what was found counts; until it has to go where absent. */
  readonly ttl?: TimeSpan;
  /** Whether keys of which there is nothing are remembered as well; true where absent. */
  readonly missing?: boolean;
}

/** What a key leads to; null and undefined are nothing. */
type Found<V> = V | null | undefined;

interface LookupSettings<S> extends CallOptions {
  /** By what a row is looked up: a field, or a function of the row. */
  readonly key: S;
  /** Every row is asked for where absent, but for those that ask for the same key at one time. */
  readonly cache?: LookupCache;
  /** Calls are not tried again where absent. */
  readonly retry?: CallRetry;
}

/**
 * Settings of `lookupJoin`: by which key, and how it is looked up, one by one or several at once. `S` is what
 * selects keys of type `K`: a field, or a function of a row.
 */
export type LookupOptions<S, K, V> = LookupSettings<S> &
  (
    | {
        /** Finds what there is under a key. */
        readonly load: (key: K, ctx: AsyncContext) => Found<V> | PromiseLike<Found<V>>;
        readonly loadMany?: never;
      }
    | {
        /**
         * Finds what there is under some keys, as many as there is `capacity` at most: an array with one
         * element for each, in their order.
         */
        readonly loadMany: (
          keys: readonly K[],
          ctx: AsyncContext,
        ) => readonly Found<V>[] | PromiseLike<readonly Found<V>[]>;
        readonly load?: never;
      }
  );

/** A lookup join, as the graph holds it. */
export interface LookupJoin {
  readonly type: "inner" | "left";
  readonly key: KeySelector;
  readonly load: (keys: never, ctx: AsyncContext) => unknown;
  /** Whether `load` is for several keys. */
  readonly isBulk: boolean;
  readonly fn: (left: never, right: never) => unknown;
  readonly cache?: { readonly size: number; readonly ttl: number; readonly missing: boolean };
}

export function lookupJoinOf(
  settings: unknown,
  fn: unknown,
  options: OperatorOptions,
): { readonly join: LookupJoin; readonly calls: Calling } {
  const refuse: Refuse = (found, allowed) =>
    refusal("BAD_ARGUMENT", "lookupJoin", options, found, allowed);
  if (typeof settings !== "object" || settings === null) {
    const allowed = `settings such as { key: "airport", load: async (airport) => … }`;
    throw refuse(`was given ${shown(settings)} as its settings`, allowed);
  }
  const given = settings as Settings;
  const { type = "inner", key, load, loadMany, cache } = given;
  if (type !== "inner" && type !== "left") {
    throw refuse(`has ${shown(type)} as type`, `"inner" or "left"`);
  }
  if (typeof fn !== "function" || isAsync(fn)) {
    const allowed = "a function of a row and what was found that returns its result";
    throw refuse(`was given ${shown(fn)}`, allowed);
  }
  if ((load === undefined) === (loadMany === undefined)) {
    const found = load === undefined ? "has neither load nor loadMany" : "has load and loadMany";
    throw refuse(found, "one of them");
  }
  if (given["retry"] !== undefined && "whenResult" in Object(given["retry"])) {
    throw refuse("has retry.whenResult", "retry.when: a key without anything is an answer");
  }
  return {
    join: {
      type,
      key:
        typeof key === "string"
          ? fieldSelector(key)
          : functionOf(key, "the name of a field, or a function of a row, as key", refuse),
      load: functionOf(load ?? loadMany, "a function of a key, or of several", refuse),
      isBulk: load === undefined,
      fn: fn as LookupJoin["fn"],
      ...(cache !== undefined && { cache: cacheOf(cache, refuse) }),
    },
    calls: callsOf(given, refuse),
  };
}

function cacheOf(given: unknown, refuse: Refuse): NonNullable<LookupJoin["cache"]> {
  const { size, ttl, missing = true } = Object(given) as Settings;
  if (!isWhole(size, 1, Number.MAX_SAFE_INTEGER)) {
    throw refuse(`has cache.size ${shown(size)}`, "a whole number of keys from 1 on");
  }
  if (typeof missing !== "boolean") {
    throw refuse(`has cache.missing ${shown(missing)}`, "true or false");
  }
  return { size, missing, ttl: ttl === undefined ? Infinity : spanOf("cache.ttl", ttl, 1, refuse) };
}
