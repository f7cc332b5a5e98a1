// Makes the calls that operators ask for, and gathers their answers.
//   M1. Answers that come in one turn of the event loop are told together.
//   M2. What comes after a call was abandoned, or after the end, is told to nobody.
//   M3. A signal is made where a function asks for it.

import type { CallAnswer } from "../../operators/async-requests.ts";
import type { AsyncContext } from "../../stream/async.ts";
import type { TaskEffect } from "../task-effect.ts";

type Effect<Kind extends TaskEffect["kind"]> = Extract<TaskEffect, { readonly kind: Kind }>;

/** What a function is given of one call. */
class CallContext implements AsyncContext {
  #controller: AbortController | undefined;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  abandon(reason: string): void {
    this.#controller?.abort(new DOMException(reason, "AbortError"));
  }
}

/** The calls of one subtask. */
export class Calls {
  readonly #answered: (uid: string, answers: readonly CallAnswer[]) => void;
  readonly #open = new Map<string, Map<number, CallContext>>();
  /** Answers that nobody was told of yet, by operator. */
  #answers = new Map<string, CallAnswer[]>();

  /** @param answered told what came of calls of an operator, some at a time. */
  constructor(answered: (uid: string, answers: readonly CallAnswer[]) => void) {
    this.#answered = answered;
  }

  /** Calls that are under way. */
  get size(): number {
    let size = 0;
    for (const calls of this.#open.values()) size += calls.size;
    return size;
  }

  make({ uid, invoke, calls }: Effect<"call">): void {
    let open = this.#open.get(uid);
    if (open === undefined) this.#open.set(uid, (open = new Map()));
    for (const { id, argument } of calls) {
      const context = new CallContext();
      open.set(id, context);
      void this.#make(uid, open, id, context, invoke, argument);
    }
  }

  abandon({ uid, calls }: Effect<"abandon">): void {
    const open = this.#open.get(uid);
    for (const id of calls) {
      open?.get(id)?.abandon("The time for an answer is over.");
      open?.delete(id);
    }
  }

  close(): void {
    for (const calls of this.#open.values()) {
      for (const context of calls.values()) context.abandon("This attempt is over.");
      calls.clear();
    }
    this.#answers.clear();
  }

  async #make(
    uid: string,
    open: Map<number, CallContext>,
    id: number,
    context: CallContext,
    invoke: Effect<"call">["invoke"],
    argument: unknown,
  ): Promise<void> {
    let answer: CallAnswer;
    try {
      answer = { id, value: await invoke(argument, context) };
    } catch (error) {
      answer = { id, error };
    }
    // Another try has the same id and a context of its own.
    if (open.get(id) !== context) return;
    open.delete(id);
    const answers = this.#answers.get(uid);
    if (answers !== undefined) return void answers.push(answer);
    this.#answers.set(uid, [answer]);
    queueMicrotask(() => this.#tell(uid));
  }

  #tell(uid: string): void {
    const answers = this.#answers.get(uid);
    this.#answers.delete(uid);
    if (answers !== undefined) this.#answered(uid, answers);
  }
}
