// Processing-time timers of process functions: when they fire and for whom, what a snapshot holds of
// them, and that nothing is left of those that are gone. Mirrors Flink's InternalTimerServiceImplTest,
// AbstractStreamOperatorTest and KeyGroupPartitionerForTimersTest as far as processing time goes.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { checkpointId } from "../../format/ids.ts";
import { keyGroupOf, type KeyGroupRange, rangeOfSubtask } from "../../format/key-groups.ts";
import { readSegment, writeSegment } from "../../format/segment.ts";
import { createOperator } from "../../operators/create.ts";
import { isTimed, type TimedOperator } from "../../operators/operator.ts";
import type { Rejected } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import { timerStates } from "../../operators/timers.ts";
import { type ProcessContext, rows, UserCodeError, valueState } from "tidemark";
import { OperatorStates } from "../../task/operator-state.ts";
import { stateBackends } from "./state-backends.ts";

const maxParallelism = 16;
const state = { fired: valueState({ default: 0 }) };
type Context = ProcessContext<string, unknown, typeof state>;
type Step = (ctx: Context) => void;

interface Options {
  readonly from?: Uint8Array | undefined;
  readonly range?: KeyGroupRange;
  readonly onTimer?: ((time: number, ctx: Context) => void) | "none";
  readonly reject?: (rejected: Rejected) => void;
}

class Timed {
  readonly backend: StateBackend;
  readonly operator: TimedOperator;
  now = 100;
  #checkpoint = 0;

  constructor(open: () => StateBackend, options: Options = {}) {
    const { from, range, onTimer, reject } = options;
    this.backend = open();
    const store = this.backend.store("op");
    if (from !== undefined) {
      const all = { first: 0, last: maxParallelism - 1 } as KeyGroupRange;
      store.restore(timerStates.processing, [
        { segments: [readSegment(from)], range: range ?? all },
      ]);
    }
    const fn = {
      state,
      emits: rows<unknown>(),
      process: (row: { step: Step }, ctx: Context) => row.step(ctx),
      ...(onTimer !== "none" && {
        onTimer: (time: number, ctx: Context) => {
          ctx.state.fired.set(ctx.state.fired.get() + 1);
          onTimer?.(time, ctx);
          ctx.emit([time, ctx.key, ctx.state.fired.get()]);
        },
      }),
    };
    const operator = createOperator(
      { uid: "op", spec: { kind: "process", fn: fn as never }, key: (row: { k: string }) => row.k },
      {
        uid: "op",
        operatorState: new OperatorStates([]).store("op"),
        state: store,
        subtask: { index: 0, parallelism: 1 },
        now: () => this.now,
        watermark: () => -Infinity,
        reject,
      },
    );
    store.restoreRest();
    if (!isTimed(operator)) throw new Error("A process operator has timers.");
    this.operator = operator;
  }

  at(k: string, step: Step): void {
    this.operator.processBatch(new RowBatch([{ k, step }]), { emit() {} }, 0);
  }

  register(k: string, ...times: readonly number[]): void {
    this.at(k, ({ timers }) => times.forEach((time) => timers.registerProcessingTime(time)));
  }

  /** What fires by then, as `[time, key, how often the key has fired]`. */
  fire(now: number): unknown[] {
    this.now = now;
    const emitted: unknown[] = [];
    this.operator.fireTimers(now, { emit: (batch) => void emitted.push(...batch.rows()) });
    return emitted;
  }

  get table() {
    return this.backend.store("op").tables().get(timerStates.processing)!;
  }

  snapshot(): Uint8Array {
    const { schema } = this.table;
    const header = {
      uid: "op",
      state: timerStates.processing,
      kind: "full",
      maxParallelism,
      schema,
    } as const;
    const bytes = writeSegment(header, this.table.freeze("full"));
    this.backend.sealed(checkpointId(++this.#checkpoint));
    return bytes;
  }
}

describe.each(stateBackends)("timers on $name", ({ open }) => {
  const timed = (options?: Options): Timed => new Timed(() => open({ maxParallelism }), options);

  test("fire in the order of their times, each for its key (InternalTimerServiceImplTest)", () => {
    const one = timed();
    one.register("a", 300, 200);
    one.register("b", 250);
    expect(one.operator.nextTimerAt).toBe(200);
    expect(one.fire(199)).toEqual([]);
    expect(one.fire(250)).toEqual([
      [200, "a", 1],
      [250, "b", 1],
    ]);
    expect(one.operator.nextTimerAt).toBe(300);
    expect(one.fire(1_000)).toEqual([[300, "a", 2]]);
    expect(one.operator.nextTimerAt).toBeUndefined();
  });

  test("fire once however often they are registered, and not where deleted", () => {
    const one = timed();
    one.register("a", 200, 200, 300);
    one.register("a", 200);
    one.register("b", 200);
    one.at("a", ({ timers }) => {
      timers.deleteProcessingTime(300);
      timers.deleteProcessingTime(12_345);
    });
    expect(one.fire(400)).toEqual([
      [200, "a", 1],
      [200, "b", 1],
    ]);
  });

  test("of the past, and of now, fire at the next tick and not within the call", () => {
    const one = timed({
      onTimer: (time, { timers }) => {
        if (time < 3) timers.registerProcessingTime(time + 1);
      },
    });
    one.register("a", 0);
    expect(one.operator.nextTimerAt).toBe(0);
    expect(one.fire(100)).toEqual([0, 1, 2, 3].map((time) => [time, "a", time + 1]));
  });

  test("that set themselves anew for at once let others have their turn", () => {
    const one = timed({ onTimer: (_, { timers }) => timers.registerProcessingTime(1) });
    one.register("a", 1);
    expect(one.fire(100)).toHaveLength(1_000);
    expect(one.operator.nextTimerAt).toBe(1);
  });

  test("leave nothing behind, fired or deleted", () => {
    const one = timed();
    for (let n = 0; n < 50; n++) one.register(`k${n % 9}`, 200 + n);
    one.snapshot();
    for (let n = 0; n < 50; n += 2) {
      one.at(`k${n % 9}`, ({ timers }) => timers.deleteProcessingTime(200 + n));
    }
    expect(one.table.size).toBe(25);
    expect(one.fire(1_000)).toHaveLength(25);
    expect(one.table.size).toBe(0);
    expect([...readSegment(one.snapshot()).entries()]).toEqual([]);
  });

  test("come back with a snapshot, and fire at once where late (AbstractStreamOperatorTest)", () => {
    const one = timed();
    one.register("a", 200, 400);
    one.register("b", 300);
    const two = timed({ from: one.snapshot() });
    expect(two.operator.nextTimerAt).toBe(200);
    expect(two.fire(350)).toEqual([
      [200, "a", 1],
      [300, "b", 1],
    ]);
    expect(two.table.size).toBe(1);
  });

  test("go where their key groups go (KeyGroupPartitionerForTimersTest)", () => {
    const keys = Array.from({ length: 40 }, (_, n) => `key-${n}`);
    const one = timed();
    keys.forEach((key, n) => one.register(key, 200 + n));
    const bytes = one.snapshot();
    const fired = [0, 1, 2].flatMap((index) => {
      const range = rangeOfSubtask(index, 3, maxParallelism);
      const part = timed({ from: bytes, range }).fire(1_000) as [number, string][];
      for (const [, key] of part) {
        const group = keyGroupOf(key, maxParallelism);
        expect(group >= range.first && group <= range.last).toBe(true);
      }
      return part;
    });
    expect(fired.map(([, key]) => key).sort()).toEqual([...keys].sort());
  });

  test("are those of a plain set, whatever is done (InternalTimerServiceImplTest)", () => {
    const command = fc.oneof(
      fc.record({
        kind: fc.constantFrom("register" as const, "delete" as const),
        key: fc.constantFrom("a", "b", "c"),
        time: fc.integer({ min: 0, max: 30 }),
      }),
      fc.record({ kind: fc.constant("fire" as const), time: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ kind: fc.constant("restore" as const) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
        let one = timed();
        const model = new Set<string>();
        for (const each of commands) {
          if (each.kind === "restore") one = timed({ from: one.snapshot() });
          else if (each.kind === "fire") {
            const due = [...model].filter((timer) => Number(timer.split(" ")[0]) <= each.time);
            for (const timer of due) model.delete(timer);
            const fired = one.fire(each.time) as [number, string][];
            expect(fired.map(([time, key]) => `${time} ${key}`).sort()).toEqual(due.sort());
            const times = fired.map(([time]) => time);
            expect(times).toEqual(times.toSorted((a, b) => a - b));
          } else {
            const { key, time, kind } = each;
            if (kind === "register") model.add(`${time} ${key}`);
            else model.delete(`${time} ${key}`);
            one.at(key, ({ timers }) =>
              kind === "register"
                ? timers.registerProcessingTime(time)
                : timers.deleteProcessingTime(time),
            );
          }
          expect(one.table.size).toBe(model.size);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("that throw fail the attempt, or have fired and changed nothing", () => {
    const onTimer = (time: number, { timers }: Context): void => {
      timers.registerProcessingTime(time + 1_000);
      if (time === 200) throw new RangeError("no");
    };
    const failing = timed({ onTimer });
    failing.register("a", 200);
    expect(() => failing.fire(200)).toThrow(UserCodeError);
    const rejected: Rejected[] = [];
    const leaving = timed({ onTimer, reject: (one) => void rejected.push(one) });
    leaving.register("a", 200, 201);
    expect(leaving.fire(201)).toEqual([[201, "a", 1]]);
    expect(rejected).toMatchObject([{ value: null, source: null, timer: { key: "a", time: 200 } }]);
    expect(rejected[0]!.error.message).toBe('Operator "op" (timer of 200) failed: RangeError: no');
    expect(leaving.operator.nextTimerAt).toBe(1_201);
  });

  test("need an onTimer, and a time that can come", () => {
    const errorOf = (one: Timed, time: number): string => {
      try {
        one.register("a", time);
      } catch (error) {
        return (error as Error).message;
      }
      throw new Error("It did not throw.");
    };
    expect(errorOf(timed({ onTimer: "none" }), 1)).toContain("has no onTimer(time, ctx)");
    expect(errorOf(timed(), NaN)).toContain("was given NaN");
    expect(errorOf(timed(), -1)).toContain("whole number of milliseconds");
    expect(errorOf(timed(), 1.5)).toContain("was given 1.5");
    expect(
      timed({ onTimer: "none" }).backend.store("op").tables().has(timerStates.processing),
    ).toBe(false);
  });
});
