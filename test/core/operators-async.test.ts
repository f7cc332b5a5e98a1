// Operators that make calls, by hand: what leaves when, what is asked for again, what is kept.
// AsyncWaitOperatorTest, OrderedStreamElementQueueTest, UnorderedStreamElementQueueTest,
// StreamElementQueueTest, AsyncRetryStrategiesTest

import { describe, expect, test } from "vitest";

import { endOfTime, noTime } from "../../format/frame.ts";
import type { AsyncOperator } from "../../operators/async.ts";
import { asyncMap } from "../../operators/async-map.ts";
import { lookupJoin } from "../../operators/lookup-join.ts";
import type { RecordBatch, WatermarkOutput } from "../../operators/operator.ts";
import { Lineage, type Rejected } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { OperatorState } from "../../operators/state/operator-state.ts";
import { type AsyncOptions, asyncMapOf } from "../../stream/async.ts";
import { lookupJoinOf } from "../../stream/lookup.ts";

/** One operator with a clock, and with answers that the test gives. */
class Bench implements WatermarkOutput {
  readonly operator: AsyncOperator;
  /** Rows as they leave, and between them event time. */
  readonly left: unknown[] = [];
  readonly lineages: unknown[] = [];
  readonly times: (number | undefined)[] = [];
  readonly rejected: Rejected[] = [];
  now = 0;
  #state: OperatorState | undefined;
  /** What is called with by the ids of calls, the latest try of each. */
  readonly called = new Map<number, unknown>();
  readonly abandoned: number[] = [];

  constructor(
    build: (ctx: Parameters<typeof asyncMap>[0]) => AsyncOperator,
    { restored = [], rejects = false }: { restored?: readonly unknown[]; rejects?: boolean } = {},
  ) {
    this.operator = build({
      uid: "ask",
      now: () => this.now,
      operatorState: {
        register: (_, state) => {
          this.#state = state;
          return restored;
        },
      },
      ...(rejects && { reject: (one: Rejected) => void this.rejected.push(one) }),
    });
    this.take();
  }

  emit(batch: RecordBatch): void {
    this.left.push(...batch.rows());
    this.lineages.push(...batch.rows().map((_, at) => batch.lineage?.at(at).offset));
    this.times.push(...batch.rows().map((_, at) => batch.timestamps?.[at]));
  }

  advance(watermark: number, isIdle = false): void {
    this.left.push(isIdle ? "idle" : `to ${watermark}`);
  }

  push(...rows: unknown[]): this {
    this.operator.processBatch(new RowBatch(rows), this);
    return this.take();
  }

  reach(watermark: number): this {
    this.operator.reached(watermark, this);
    return this;
  }

  take(): this {
    for (const { id, argument } of this.operator.takeCalls()) this.called.set(id, argument);
    this.abandoned.push(...this.operator.takeOverdue());
    return this;
  }

  /** The oldest open call with this argument has come to a value. */
  answer(argument: unknown, value: unknown = argument): this {
    return this.#came(argument, { value });
  }

  fail(argument: unknown, error: unknown = new Error("no")): this {
    return this.#came(argument, { error });
  }

  wait(millis: number): this {
    this.now += millis;
    if ((this.operator.nextTimerAt ?? Infinity) <= this.now) {
      this.operator.fireTimers(this.now, this);
    }
    return this.take();
  }

  /** What has left since. */
  gone(): unknown[] {
    return this.left.splice(0);
  }

  kept(): readonly unknown[] {
    return this.#state!.elements();
  }

  #came(argument: unknown, of: { value: unknown } | { error: unknown }): this {
    const text = JSON.stringify(argument);
    const [id] = [...this.called].find(([, one]) => JSON.stringify(one) === text)!;
    this.called.delete(id);
    this.operator.answered([{ id, ...of } as never]);
    this.operator.release(this);
    return this.take();
  }
}

type Options = Omit<AsyncOptions<number, unknown, unknown>, "uid">;

const mapping = (options: Options = {}, of: ConstructorParameters<typeof Bench>[1] = {}): Bench => {
  const { map, calls } = asyncMapOf(() => {}, { uid: "ask", ...options } as never);
  return new Bench((ctx) => asyncMap(ctx, map, calls), of);
};

const looking = (settings: object, of: ConstructorParameters<typeof Bench>[1] = {}): Bench => {
  const fn = (row: unknown, found: unknown): unknown => [row, found];
  const { join, calls } = lookupJoinOf({ key: String, load() {}, ...settings }, fn, { uid: "ask" });
  return new Bench((ctx) => lookupJoin(ctx, join, calls), of);
};

describe("the order", () => {
  test("ordered: a result waits for those before it", () => {
    const bench = mapping().push(1, 2, 3);
    bench.answer(2).answer(3);
    expect(bench.gone()).toEqual([]);
    bench.answer(1, "one");
    expect(bench.gone()).toEqual(["one", 2, 3]);
    expect(bench.operator.isWaiting).toBe(false);
  });

  test("ordered: a watermark leaves behind the rows before it", () => {
    const bench = mapping().push(1).reach(10).push(2).answer(2);
    expect(bench.gone()).toEqual([]);
    bench.answer(1);
    expect(bench.gone()).toEqual([1, "to 10", 2]);
    bench.reach(20);
    expect(bench.gone()).toEqual(["to 20"]);
  });

  test("unordered: results leave as they come, and none passes a watermark", () => {
    const bench = mapping({ order: "unordered" }).push(1, 2).reach(10).push(3, 4).reach(20);
    bench.answer(2).answer(4);
    expect(bench.gone()).toEqual([2]);
    bench.answer(1);
    expect(bench.gone()).toEqual([1, "to 10", 4]);
    bench.answer(3);
    expect(bench.gone()).toEqual([3, "to 20"]);
  });

  test("the end of time waits for all rows", () => {
    for (const order of ["ordered", "unordered"] as const) {
      const bench = mapping({ order }).push(1).reach(endOfTime);
      expect(bench.gone()).toEqual([]);
      bench.answer(1);
      expect(bench.gone()).toEqual([1, "to Infinity"]);
    }
  });

  test("rows have their event times, and the records that they come from", () => {
    const bench = mapping();
    const of = (partition: number, first: number) =>
      new Lineage("events", partition, [first, first + 1]);
    const times = Float64Array.of(100, NaN);
    bench.operator.processBatch(new RowBatch([1, 2], of(0, 7), times), bench);
    bench.operator.processBatch(new RowBatch([3, 4], of(1, 4), times), bench);
    bench.take().answer(2).answer(3).answer(4).answer(1);
    expect(bench.gone()).toEqual([1, 2, 3, 4]);
    expect(bench.lineages).toEqual([7, 8, 4, 5]);
    expect(bench.times).toEqual([100, NaN, 100, NaN]);
  });

  test("nobody behind stops waiting while rows are on their way", () => {
    const bench = mapping().push(1);
    bench.operator.idled(true, bench);
    expect(bench.gone()).toEqual([]);
    bench.answer(1);
    expect(bench.gone()).toEqual([1, "idle"]);
    bench.operator.idled(false, bench);
    expect(bench.gone()).toEqual([`to ${noTime}`]);
  });
});

describe("the capacity", () => {
  test.each(["ordered", "unordered"] as const)("%s: no more rows are asked for", (order) => {
    const bench = mapping({ order, capacity: 2 }).push(1, 2, 3, 4);
    expect([...bench.called.values()]).toEqual([1, 2]);
    expect(bench.operator.hasRoom).toBe(false);
    bench.answer(1);
    expect([...bench.called.values()]).toEqual([2, 3]);
    bench.answer(2).answer(3);
    expect([...bench.called.values()]).toEqual([4]);
    expect(bench.operator.hasRoom).toBe(true);
    bench.answer(4);
    expect(bench.gone()).toEqual([1, 2, 3, 4]);
  });

  test("an answered row takes room until its turn has come", () => {
    const bench = mapping({ capacity: 2 }).push(1, 2, 3).answer(2);
    expect([...bench.called.values()]).toEqual([1]);
    bench.answer(1);
    expect([...bench.called.values()]).toEqual([3]);
  });
});

describe("snapshots", () => {
  test.each(["ordered", "unordered"] as const)("%s: hold what has not left", (order) => {
    const bench = mapping({ order, capacity: 2 }).push(1, 2).reach(5).push(3).answer(1);
    const kept = bench.kept();
    expect(kept.map((one) => (one as { row: number }).row)).toEqual([2, 3]);
    const again = mapping({ order, capacity: 2 }, { restored: kept });
    expect([...again.called.values()]).toEqual([2, 3]);
    again.reach(5).answer(3).answer(2);
    expect(
      again
        .gone()
        .filter((one) => typeof one === "number")
        .toSorted((a, b) => a - b),
    ).toEqual([2, 3]);
    expect(again.kept()).toEqual([]);
  });

  test("an answered row whose turn has not come is asked for again", () => {
    const bench = mapping().push(1, 2).answer(2, "two");
    const again = mapping({}, { restored: bench.kept() });
    expect([...again.called.values()]).toEqual([1, 2]);
  });
});

describe("time", () => {
  test("a row whose time is over fails the attempt, or has what onTimeout gives", () => {
    const strict = mapping({ timeout: 100 }).push(1);
    expect(() => strict.wait(100)).toThrow(
      'Operator "ask" (asyncMap) failed: TimeoutError: there was no answer within 100 ms',
    );
    const lenient = mapping({ timeout: 100, onTimeout: (row) => `late ${row}` })
      .push(1)
      .wait(60);
    lenient.push(2).answer(2).wait(40);
    expect(lenient.gone()).toEqual(["late 1", 2]);
    expect(lenient.abandoned).toEqual([0]);
    expect(lenient.operator.nextTimerAt).toBe(undefined);
    // It comes all the same.
    lenient.answer(1);
    expect(lenient.gone()).toEqual([]);
  });

  test("the time of rows that wait for room begins when they are asked for", () => {
    const bench = mapping({ timeout: 100, capacity: 1, onTimeout: () => "late" }).push(1, 2);
    bench.wait(99).answer(1).wait(99).answer(2);
    expect(bench.gone()).toEqual([1, 2]);
  });

  test("calls that fail are tried again, with delays that grow", () => {
    const retry = { attempts: 3, delay: 10, backoff: 2, maxDelay: 30 };
    const bench = mapping({ retry }, { rejects: true }).push(1);
    for (const delay of [10, 20, 30]) {
      bench.fail(1).wait(delay - 1);
      expect(bench.called.size).toBe(0);
      bench.wait(1);
      expect([...bench.called.values()]).toEqual([1]);
    }
    expect(bench.rejected).toEqual([]);
    bench.fail(1, new RangeError("gone"));
    expect(bench.rejected).toMatchObject([{ value: 1, source: null, timer: null }]);
    expect(bench.rejected[0]!.error.message).toBe(
      'Operator "ask" (asyncMap) failed: RangeError: gone',
    );
    expect(bench.gone()).toEqual([]);
    expect(bench.operator.isWaiting).toBe(false);
  });

  test("only what is worth it is tried again, and the last result counts", () => {
    const retry = {
      attempts: 1,
      delay: 10,
      when: (error: unknown) => error instanceof TypeError,
      whenResult: (result: unknown) => result === "empty",
    };
    const bench = mapping({ retry }, { rejects: true }).push(1, 2, 3);
    bench.fail(1, new TypeError("down")).fail(2, new Error("refused")).answer(3, "empty");
    bench.wait(10);
    expect([...bench.called.values()]).toEqual([1, 3]);
    bench.answer(1).answer(3, "empty");
    expect(bench.gone()).toEqual([1, "empty"]);
    expect(bench.rejected.map(({ value }) => value)).toEqual([2]);
  });

  test("the time covers all tries", () => {
    const retry = { attempts: 9, delay: 40 };
    const bench = mapping({ retry, timeout: 100, onTimeout: () => "late" }).push(1);
    bench.fail(1).wait(40).fail(1).wait(40).fail(1);
    expect(bench.operator.nextTimerAt).toBe(100);
    bench.wait(20);
    expect(bench.gone()).toEqual(["late"]);
    expect(bench.wait(100).called.size).toBe(0);
  });
});

describe("rows that have failed", () => {
  test("fail the attempt at once", () => {
    const bench = mapping().push(1, 2);
    expect(() => bench.fail(2, new Error("no"))).toThrow(
      'Operator "ask" (asyncMap) failed: Error: no',
    );
  });

  test("are rejected as they leave, so that a snapshot has them here or there", () => {
    const bench = mapping({}, { rejects: true }).push(1, 2, 3).fail(2).answer(3);
    expect(bench.rejected).toEqual([]);
    expect(bench.kept()).toHaveLength(3);
    bench.answer(1);
    expect(bench.rejected.map(({ value }) => value)).toEqual([2]);
    expect(bench.gone()).toEqual([1, 3]);
    expect(bench.kept()).toEqual([]);
  });
});

describe("a lookup join", () => {
  test("makes one call for the rows of a key, and none for keys that it remembers", () => {
    const bench = looking({ cache: { size: 2, ttl: 100 } })
      .push("a", "b", "a")
      .push("b");
    expect([...bench.called.values()]).toEqual(["a", "b"]);
    bench.answer("b", 2).answer("a", 1);
    expect(bench.gone()).toEqual([
      ["a", 1],
      ["b", 2],
      ["a", 1],
      ["b", 2],
    ]);
    bench.push("a", "b");
    expect(bench.called.size).toBe(0);
    expect(bench.gone()).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    // "a" was asked for longer ago than "b".
    bench.push("c").answer("c", 3).push("b");
    expect(bench.called.size).toBe(0);
    bench.push("a");
    expect([...bench.called.values()]).toEqual(["a"]);
    bench.answer("a", 1).wait(100).push("b");
    expect([...bench.called.values()]).toEqual(["b"]);
  });

  test("inner leaves out rows for which there is nothing, left has undefined for them", () => {
    const inner = looking({ cache: { size: 9 } })
      .push("a", "b")
      .answer("a", null)
      .answer("b", 0);
    expect(inner.gone()).toEqual([["b", 0]]);
    expect(inner.push("a").called.size).toBe(0);
    const left = looking({ type: "left", cache: { size: 9, missing: false } }).push("a");
    left.answer("a", null);
    expect(left.gone()).toEqual([["a", undefined]]);
    expect(left.push("a").called.size).toBe(1);
  });

  test("loadMany is given the keys that are asked for at one time", () => {
    const loadMany = (): never[] => [];
    const bench = looking({ load: undefined, loadMany, capacity: 3 }).push("a", "b", "a", "c");
    expect([...bench.called.values()]).toEqual([["a", "b"]]);
    bench.answer(["a", "b"], [1, null]).answer(["c"], [3]);
    expect(bench.gone()).toEqual([
      ["a", 1],
      ["a", 1],
      ["c", 3],
    ]);
    bench.push("d", "e");
    expect(() => bench.answer(["d", "e"], [1])).toThrow(
      "loadMany must give an array with one element for each of 2 keys, and gave 1 elements",
    );
  });

  test("a row without a key is rejected, and the others go on", () => {
    const key = (row: string | null): string => row!.trim();
    const bench = looking({ key }, { rejects: true }).push("a", null, "b").answer("a", 1);
    bench.answer("b", 2);
    expect(bench.gone()).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    expect(bench.rejected.map(({ value }) => value)).toEqual([null]);
  });
});

test.each([
  [{ capacity: 0 }, "has the capacity 0. Allowed: a whole number from 1 to 100000."],
  [{ order: "any" }, 'has the order "any". Allowed: "ordered" or "unordered".'],
  [{ timeout: "soon" }, 'has "soon" as timeout. Allowed: milliseconds, 1 at least'],
  [{ retry: { attempts: 0, delay: 1 } }, "has retry.attempts 0. Allowed: a whole number from 1 on"],
  [{ retry: { attempts: 1 } }, "has undefined as retry.delay"],
  [{ retry: { attempts: 1, delay: 1, backoff: 0.5 } }, "has retry.backoff 0.5"],
  [{ onTimeout: 3 }, "was given 3. Allowed: a function of a row as onTimeout"],
])("%j is refused", (options, message) => {
  const refused = (): unknown => asyncMapOf(() => {}, { uid: "ask", ...options } as never);
  expect(refused).toThrow(`Operator "ask" (asyncMap) ${message}`);
});

test.each([
  [{ key: "id" }, "has neither load nor loadMany. Allowed: one of them."],
  [{ key: 3, load() {} }, "was given 3. Allowed: the name of a field, or a function of a row"],
  [{ key: "id", load() {}, cache: { size: 0 } }, "has cache.size 0"],
  [{ key: "id", load() {}, type: "outer" }, 'has "outer" as type. Allowed: "inner" or "left".'],
])("a lookup by %j is refused", (settings, message) => {
  const refused = (): unknown => lookupJoinOf(settings, () => {}, { uid: "find" });
  expect(refused).toThrow(`Operator "find" (lookupJoin) ${message}`);
});
