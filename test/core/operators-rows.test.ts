// What each operator does to rows, and what becomes of a user's error.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Key } from "../../format/key.ts";
import { createOperator } from "../../operators/create.ts";
import type { Operator, OperatorContext, RecordBatch } from "../../operators/operator.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import type { StateTable } from "../../operators/state/keyed-state.ts";
import { MemoryStateStore } from "../../operators/state/memory.ts";
import {
  avg,
  count,
  countIf,
  defineJob,
  max,
  min,
  rows,
  sum,
  table,
  topic,
  UserCodeError,
  valueState,
  type Aggregate,
  type OperatorSpec,
} from "tidemark";

interface Row {
  readonly k: Key;
  readonly n: number;
}

const row = (k: Key, n: number): Row => ({ k, n });

function context(state = new MemoryStateStore(128)): OperatorContext & { state: MemoryStateStore } {
  const operatorState = new OperatorStates([]).store("op");
  return {
    uid: "op",
    state,
    operatorState,
    subtask: { index: 0, parallelism: 1 },
    watermark: () => -Infinity,
    now: () => 0,
  };
}

const keyed = (spec: OperatorSpec, ctx = context()): Operator =>
  createOperator({ uid: "op", spec, parallelism: 1, key: (row: Row) => row.k }, ctx);

function batchesOf(operator: Operator, ...inputs: readonly (readonly unknown[])[]): RecordBatch[] {
  const emitted: RecordBatch[] = [];
  const out = { emit: (batch: RecordBatch) => void emitted.push(batch) };
  for (const input of inputs) operator.processBatch(new RowBatch(input), out, 0);
  return emitted;
}

const rowsOf = (operator: Operator, ...inputs: readonly (readonly unknown[])[]): unknown[] =>
  batchesOf(operator, ...inputs).flatMap((batch) => batch.rows());

function errorOf(operator: Operator, input: readonly unknown[]): UserCodeError {
  try {
    batchesOf(operator, input);
  } catch (error) {
    if (error instanceof UserCodeError) return error;
    throw error;
  }
  throw new Error("It did not throw.");
}

describe("map, flatMap, filter", () => {
  test("map every row", () => {
    expect(rowsOf(keyed({ kind: "map", fn: (n: number) => n * 2 }), [1, 2], [3])).toEqual([
      2, 4, 6,
    ]);
  });

  test("flatten any iterable, and emit nothing for nothing", () => {
    const repeat = function* (n: number): Generator<number> {
      for (let i = 0; i < n; i++) yield n;
    };
    expect(rowsOf(keyed({ kind: "flatMap", fn: repeat }), [2, 0, 1])).toEqual([2, 2, 1]);
    const split = keyed({ kind: "flatMap", fn: (text: string) => text.split(" ") });
    expect(rowsOf(split, ["a b", "c"])).toEqual(["a", "b", "c"]);
    expect(batchesOf(keyed({ kind: "flatMap", fn: () => [] }), [1, 2])).toEqual([]);
  });

  test("filter, and pass on a batch that stays whole as it is", () => {
    const even = keyed({ kind: "filter", fn: (n: number) => n % 2 === 0 });
    expect(rowsOf(even, [1, 2, 3, 4])).toEqual([2, 4]);
    expect(batchesOf(even, [1, 3])).toEqual([]);
    const whole = new RowBatch([2, 4]);
    const emitted: RecordBatch[] = [];
    even.processBatch(whole, { emit: (batch) => void emitted.push(batch) }, 0);
    expect(emitted[0]).toBe(whole);
  });
});

describe("reduce", () => {
  const highest = (a: Row, b: Row): Row => (b.n > a.n ? b : a);

  test("emits the fold so far for every row", () => {
    const operator = keyed({ kind: "reduce", fn: highest });
    const input = [row("a", 1), row("b", 5), row("a", 3), row("a", 2)];
    expect(rowsOf(operator, input, [row("b", 4), row("a", 9)])).toEqual([
      row("a", 1),
      row("b", 5),
      row("a", 3),
      row("a", 3),
      row("b", 5),
      row("a", 9),
    ]);
  });

  test("refuses to lose a key's state for a missing return", () => {
    const error = errorOf(keyed({ kind: "reduce", fn: () => undefined }), [
      row("a", 1),
      row("a", 2),
    ]);
    expect(error.message).toContain("reduce must return a row, got undefined");
  });
});

describe("aggregate", () => {
  const aggregates = {
    rows: count(),
    high: countIf((r: Row) => r.n > 2),
    total: sum((r: Row) => r.n),
    mean: avg((r: Row) => r.n),
    least: min((r: Row) => r.n),
    most: max((r: Row) => r.n),
  };

  test("emits the updated row of each touched key once per batch", () => {
    const operator = keyed({ kind: "aggregate", aggregates });
    expect(rowsOf(operator, [row("a", 1), row("b", -2), row("a", 3)], [row("a", 5)])).toEqual([
      { key: "a", rows: 2, high: 1, total: 4, mean: 2, least: 1, most: 3 },
      { key: "b", rows: 1, high: 0, total: -2, mean: -2, least: -2, most: -2 },
      { key: "a", rows: 3, high: 2, total: 9, mean: 3, least: 1, most: 5 },
    ]);
  });

  test("takes keys by content", () => {
    const operator = keyed({ kind: "aggregate", aggregates: { n: count() } });
    expect(rowsOf(operator, [row(["a", 1], 0), row(["a", 1], 0), row("1", 0), row(1, 0)])).toEqual([
      { key: ["a", 1], n: 2 },
      { key: "1", n: 1 },
      { key: 1, n: 1 },
    ]);
  });

  test("takes a user's own", () => {
    const longest: Aggregate<Row, string, number> = {
      create: () => "",
      add: (held, { n }) => (String(n).length > held.length ? String(n) : held),
      merge: (left, right) => (right.length > left.length ? right : left),
      result: (held) => held.length,
    };
    const operator = keyed({ kind: "aggregate", aggregates: { longest } });
    expect(rowsOf(operator, [row("a", 1), row("a", 100), row("a", 22)])).toEqual([
      { key: "a", longest: 3 },
    ]);
  });

  test("does not depend on how rows are batched, in what it ends with", () => {
    const rowOf = fc.record({
      k: fc.constantFrom("a", "b", 1),
      n: fc.integer({ min: -9, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(fc.array(rowOf, { minLength: 1 }), { minLength: 1 }), (batches) => {
        const last = (inputs: readonly (readonly Row[])[]): Map<unknown, unknown> =>
          new Map(
            rowsOf(keyed({ kind: "aggregate", aggregates }), ...inputs).map((result) => [
              (result as { key: Key }).key,
              result,
            ]),
          );
        expect(last(batches)).toEqual(last([batches.flat()]));
      }),
    );
  });

  test("merges to what adding would have given", () => {
    const rowOf = fc.record({ k: fc.constant("a"), n: fc.integer({ min: -9, max: 9 }) });
    const some = fc.array(rowOf, { minLength: 1 });
    fc.assert(
      fc.property(some, some, (left, right) => {
        for (const aggregate of Object.values(aggregates) as Aggregate<Row>[]) {
          const folded = (input: readonly Row[]): unknown =>
            input.reduce((held, row) => aggregate.add(held, row), aggregate.create());
          const merged = aggregate.merge(folded(left), folded(right));
          expect(aggregate.result(merged)).toBe(aggregate.result(folded([...left, ...right])));
        }
      }),
    );
  });

  test("reads and puts state once per key and batch", () => {
    const calls: string[] = [];
    const inner = new MemoryStateStore(128).table<unknown[]>("accumulators");
    const counted: StateTable<unknown[]> = {
      get: (key) => (calls.push(`get ${String(key)}`), inner.get(key)),
      put: (key, value) => (calls.push(`put ${String(key)}`), inner.put(key, value)),
      slot: (key) => (calls.push(`get ${String(key)}`), inner.slot(key)),
      putAt: (slot, value) => {
        calls.push(`put ${String(slot.id)}`);
        inner.putAt(slot as ReturnType<typeof inner.slot>, value);
      },
      remove: (key) => inner.remove(key),
      size: 0,
      entries: () => inner.entries(),
      under: (key) => inner.under(key),
      sweep: (limit) => inner.sweep(limit),
    };
    const state = { table: () => counted } as unknown as MemoryStateStore;
    rowsOf(keyed({ kind: "aggregate", aggregates: { n: count() } }, context(state)), [
      row("a", 1),
      row("b", 1),
      row("a", 1),
    ]);
    expect(calls).toEqual(["get a", "get b", "put a", "put b"]);
  });

  test.each([null, undefined, "7"])("refuses to measure %j", (n) => {
    const error = errorOf(
      keyed({ kind: "aggregate", aggregates: { total: sum((r: Row) => r.n) } }),
      [{ k: "a", n }],
    );
    expect(error.message).toMatch(/TypeError: sum needs a number from every row, got /);
  });
});

test("process: emit may be taken out of the context", () => {
  const fn = {
    state: {},
    emits: rows<number>(),
    process: (row: Row, { emit }: { emit: (n: number) => void }) => emit(row.n),
  };
  expect(rowsOf(keyed({ kind: "process", fn }), [row("a", 1), row("b", 2)])).toEqual([1, 2]);
});

describe("process", () => {
  const { graph } = defineJob("changes", (env) => {
    env
      .from(topic<Row>("rows"), { uid: "in" })
      .keyBy((row) => row.k)
      .process(
        {
          state: { last: valueState<number>(), seen: valueState({ default: 0 }) },
          emits: rows<{ readonly key: Key; readonly change: number; readonly seen: number }>(),
          process(row, ctx) {
            const last = ctx.state.last.get();
            const seen = ctx.state.seen.get() + 1;
            ctx.state.seen.set(seen);
            if (row.n < 0) ctx.state.last.clear();
            else ctx.state.last.set(row.n);
            if (last !== undefined) ctx.emit({ key: ctx.key, change: row.n - last, seen });
          },
        },
        { uid: "op" },
      )
      .to(table("changes"), { uid: "out" });
  });
  const changes = graph.nodes[1]!;

  test("gives every row the state of its key", () => {
    const input = [row("a", 1), row("b", 10), row("a", 4)];
    const more = [row("b", 7), row("a", -1), row("a", 5)];
    expect(rowsOf(createOperator(changes, context()), input, more)).toEqual([
      { key: "a", change: 3, seen: 2 },
      { key: "b", change: -3, seen: 2 },
      { key: "a", change: -5, seen: 3 },
    ]);
  });

  test("leaves nothing behind where it clears", () => {
    const ctx = context();
    rowsOf(createOperator(changes, ctx), [row("a", 1), row("b", -1), row("a", -1)]);
    expect(ctx.state.table("last").size).toBe(0);
    expect(ctx.state.table("seen").size).toBe(2);
  });
});

describe("a user's error", () => {
  const boom = new RangeError("boom");
  const failing = (): never => {
    throw boom;
  };
  const onSecond = (n: number): unknown => (n === 2 ? failing() : [n]);

  test.each([
    ["map", { kind: "map", fn: onSecond }],
    ["filter", { kind: "filter", fn: onSecond as () => boolean }],
    ["flatMap", { kind: "flatMap", fn: onSecond as () => Iterable<unknown> }],
  ] as const)("of %s names the operator and the row, and is the cause", (kind, spec) => {
    const error = errorOf(keyed(spec), [1, 2, 3]);
    expect(error.message).toBe(
      `Operator "op" (${kind}) failed on row 1 of its batch: RangeError: boom`,
    );
    expect(error).toMatchObject({ name: "UserCodeError", uid: "op", cause: boom });
  });

  test("of an aggregate's result is the operator's too", () => {
    const aggregates = { n: { ...count(), result: failing } };
    expect(errorOf(keyed({ kind: "aggregate", aggregates }), [row("a", 1)]).message).toBe(
      'Operator "op" (aggregate) failed: RangeError: boom',
    );
  });

  const specs: readonly OperatorSpec[] = [
    { kind: "reduce", fn: (a: Row) => a },
    { kind: "aggregate", aggregates: { n: count() } },
    { kind: "process", fn: { state: {}, emits: rows(), process: () => {} } },
    { kind: "sink", table: table("t", { key: (row: Row) => row.k }) },
  ];
  const noKeys = [
    [null, "is null; give such records a key of their own, or filter them out"],
    [undefined, "is undefined; does the key selector return a value for every record?"],
    [{ a: 1 }, "is an object; use one of its fields, or a tuple of several: [a, b]"],
  ] as const;
  test.each(specs.flatMap((spec) => noKeys.map(([k, why]) => [spec.kind, k, why, spec] as const)))(
    "in %s is a key of %j",
    (_, k, why, spec) => {
      const error = errorOf(keyed(spec), [row("a", 1), { k, n: 1 }]);
      expect(error.message).toContain(`failed on row 1 of its batch: TypeError: The key ${why}`);
      expect(error.uid).toBe("op");
    },
  );
});

test("a source is no operator, and a keyed operator needs its key", () => {
  const source = { kind: "source", topic: { kind: "topic", name: "t", partitions: 1 } } as const;
  expect(() => keyed(source)).toThrow(/"op" is a source/);
  const node = { uid: "op", spec: { kind: "reduce", fn: () => 1 }, parallelism: 1 } as const;
  expect(() => createOperator(node, context())).toThrow(/^G2: "op" needs a key/);
});
