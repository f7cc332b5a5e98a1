// The calls of an operator: which are to be made, when they are tried again, and when their time is over.
//   Q1. A call is open from the moment it is asked for until it has one outcome. What is answered later,
//       or twice, counts for nothing.
//   Q2. The time of a call covers all of its tries. All calls have the same, so that the first that is
//       open is the first whose time is over.
//   Q3. Nothing is decided by a clock of its own: `fire` is told the time.

import type { Calling, Retrying } from "../stream/async.ts";
import { Heap } from "./heap.ts";

/** A call that somebody is to make; `argument` is what the function is called with. */
export interface Call {
  readonly id: number;
  readonly argument: unknown;
}

/** What came of a try. */
export type CallAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: unknown };

/** What came of a call in the end. */
export type Outcome =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "timedOut" };

interface Request<Of> extends Call {
  readonly of: Of;
  readonly deadline: number;
  tries: number;
  /** Of one that waits to be tried again. */
  retryAt: number;
}

export class Requests<Of> {
  readonly #timeout: number;
  readonly #retry: Retrying | undefined;
  readonly #settled: (of: Of, outcome: Outcome) => void;
  /** Open ones by their ids, the oldest first. */
  readonly #open = new Map<number, Request<Of>>();
  readonly #delayed = new Heap<Request<Of>>((left, right) => left.retryAt < right.retryAt);
  #toMake: Request<Of>[] = [];
  #overdue: number[] = [];
  #ids = 0;

  constructor({ timeout, retry }: Calling, settled: (of: Of, outcome: Outcome) => void) {
    this.#timeout = timeout;
    this.#retry = retry;
    this.#settled = settled;
  }

  ask(of: Of, argument: unknown, now: number): void {
    const request = {
      id: this.#ids++,
      argument,
      of,
      deadline: now + this.#timeout,
      tries: 1,
      retryAt: 0,
    };
    this.#open.set(request.id, request);
    this.#toMake.push(request);
  }

  /** Calls that are to be made, each told once for each try. */
  take(): readonly Call[] {
    const calls = this.#toMake;
    if (calls.length > 0) this.#toMake = [];
    return calls;
  }

  /** Calls whose answers are of no use any more, each told once. */
  takeOverdue(): readonly number[] {
    const ids = this.#overdue;
    if (ids.length > 0) this.#overdue = [];
    return ids;
  }

  answered(answer: CallAnswer, now: number): void {
    const request = this.#open.get(answer.id);
    if (request === undefined) return; // Q1
    if (this.#isWorthAnotherTry(request, answer)) return this.#delay(request, now);
    this.#open.delete(request.id);
    this.#settled(
      request.of,
      "error" in answer
        ? { kind: "failed", error: answer.error }
        : { kind: "value", value: answer.value },
    );
  }

  get nextAt(): number | undefined {
    this.#forgetSettled();
    const over = this.#oldest?.deadline;
    const again = this.#delayed.first?.retryAt;
    if (over === undefined || again === undefined) return over ?? again;
    return Math.min(over, again);
  }

  fire(now: number): void {
    for (let oldest = this.#oldest; oldest && oldest.deadline <= now; oldest = this.#oldest) {
      this.#open.delete(oldest.id);
      this.#overdue.push(oldest.id);
      this.#settled(oldest.of, { kind: "timedOut" });
    }
    for (;;) {
      this.#forgetSettled();
      const next = this.#delayed.first;
      if (next === undefined || next.retryAt > now) return;
      this.#delayed.pop();
      next.tries++;
      this.#toMake.push(next);
    }
  }

  get #oldest(): Request<Of> | undefined {
    for (const request of this.#open.values()) return request;
    return undefined;
  }

  #isWorthAnotherTry({ tries }: Request<Of>, answer: CallAnswer): boolean {
    const retry = this.#retry;
    if (retry === undefined || tries > retry.attempts) return false;
    if ("error" in answer) return retry.when?.(answer.error) ?? true;
    return retry.whenResult?.(answer.value as never) === true;
  }

  #delay(request: Request<Of>, now: number): void {
    const { delay, backoff, maxDelay } = this.#retry!;
    request.retryAt = now + Math.ceil(Math.min(maxDelay, delay * backoff ** (request.tries - 1)));
    this.#delayed.push(request);
  }

  /** Those whose time was over while they waited to be tried again. */
  #forgetSettled(): void {
    for (let { first } = this.#delayed; first !== undefined; { first } = this.#delayed) {
      if (this.#open.has(first.id)) return;
      this.#delayed.pop();
    }
  }
}
