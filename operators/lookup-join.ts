// Lookup join: rows with what a store has under their keys.
//   X1. Rows that ask for one key while a call for it is open share its answer.
//   X2. With `loadMany` the keys that are asked for at one time go into one call.
//   X3. What was found counts as of when it was looked up, for every row that asks within the cache's time.

import { keyId, type Key, type KeyId } from "../format/key.ts";
import type { Calling } from "../stream/async.ts";
import type { LookupJoin } from "../stream/lookup.ts";
import { noAnswer } from "./async-map.ts";
import type { Entry } from "./async-queue.ts";
import { type Call, type CallAnswer, type Outcome, Requests } from "./async-requests.ts";
import { type Answering, type AsyncContextOf, AsyncOperator, type Settle } from "./async.ts";
import { FoundCache } from "./lookup-cache.ts";

export const lookupJoin = (ctx: AsyncContextOf, join: LookupJoin, calls: Calling): AsyncOperator =>
  new AsyncOperator(ctx, {
    name: "lookupJoin",
    calls,
    invoke: (keys, context) => join.load(keys as never, context),
    answering: (settle) => new Lookups(join, calls, () => ctx.now(), settle),
  });

/** A key that is asked for, and the rows that wait for it. */
interface AskedKey {
  readonly id: KeyId;
  readonly key: Key;
  readonly entries: Entry[];
}

class Lookups implements Answering {
  readonly #join: LookupJoin;
  readonly #calls: Calling;
  readonly #now: () => number;
  readonly #settle: Settle;
  readonly #requests: Requests<readonly AskedKey[]>;
  readonly #asked = new Map<KeyId, AskedKey>();
  readonly #cache: FoundCache | undefined;

  constructor(join: LookupJoin, calls: Calling, now: () => number, settle: Settle) {
    this.#join = join;
    this.#calls = calls;
    this.#now = now;
    this.#settle = settle;
    this.#requests = new Requests(calls, (keys, outcome) => this.#came(keys, outcome));
    this.#cache = join.cache && new FoundCache(join.cache);
  }

  ask(entries: readonly Entry[], now: number): void {
    const keys: AskedKey[] = [];
    for (const entry of entries) {
      const asked = this.#keyOf(entry, now);
      if (asked !== undefined) keys.push(asked);
    }
    if (keys.length === 0) return;
    if (this.#join.isBulk) {
      const argument = keys.map(({ key }) => key);
      return this.#requests.ask(keys, argument, now);
    }
    for (const one of keys) this.#requests.ask([one], one.key, now);
  }

  take(): readonly Call[] {
    return this.#requests.take();
  }

  takeOverdue(): readonly number[] {
    return this.#requests.takeOverdue();
  }

  answered(answer: CallAnswer, now: number): void {
    this.#requests.answered(answer, now);
  }

  get nextAt(): number | undefined {
    return this.#requests.nextAt;
  }

  fire(now: number): void {
    this.#requests.fire(now);
  }

  /** The key of a row, where it is to be asked for. */
  #keyOf(entry: Entry, now: number): AskedKey | undefined {
    let key: Key;
    let id: KeyId;
    try {
      key = this.#join.key(entry.row as never);
      id = keyId(key);
    } catch (error) {
      this.#settle(entry, "failed", error);
      return undefined;
    }
    const cached = this.#cache?.get(id, now);
    if (cached !== undefined) {
      this.#found(entry, cached.value);
      return undefined;
    }
    const open = this.#asked.get(id);
    if (open !== undefined) {
      open.entries.push(entry);
      return undefined;
    }
    const asked = { id, key, entries: [entry] };
    this.#asked.set(id, asked);
    return asked;
  }

  #came(keys: readonly AskedKey[], outcome: Outcome): void {
    for (const { id } of keys) this.#asked.delete(id);
    const { kind } = outcome;
    if (kind !== "value") {
      const error = kind === "failed" ? outcome.error : noAnswer(this.#calls);
      return this.#failed(keys, error);
    }
    const values = this.#join.isBulk ? outcome.value : [outcome.value];
    if (!Array.isArray(values) || values.length !== keys.length) {
      const found = Array.isArray(values) ? `${values.length} elements` : typeof values;
      const wanted = `loadMany must give an array with one element for each of ${keys.length} keys`;
      return this.#failed(keys, new TypeError(`${wanted}, and gave ${found}`));
    }
    const now = this.#now();
    keys.forEach(({ id, entries }, at) => {
      const value = (values as readonly unknown[])[at] ?? undefined;
      if (value !== undefined || this.#join.cache?.missing) this.#cache?.set(id, value, now);
      for (const entry of entries) this.#found(entry, value);
    });
  }

  #failed(keys: readonly AskedKey[], error: unknown): void {
    for (const { entries } of keys) {
      for (const entry of entries) this.#settle(entry, "failed", error);
    }
  }

  #found(entry: Entry, value: unknown): void {
    const { type, fn } = this.#join;
    if (value === undefined && type === "inner") return this.#settle(entry, "none");
    let joined: unknown;
    try {
      joined = fn(entry.row as never, value as never);
    } catch (error) {
      return this.#settle(entry, "failed", error);
    }
    this.#settle(entry, "value", joined);
  }
}
