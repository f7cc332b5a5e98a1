// Rows that user code throws on, where they are to be left out: whatever they had done by then, all is
// as if they had never come.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Key } from "../../format/key.ts";
import { createOperator } from "../../operators/create.ts";
import type { Operator, RecordBatch } from "../../operators/operator.ts";
import { Lineage, type Rejected, StateStorageError } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { StateBackend } from "../../operators/state/backend.ts";
import type { OperatorSpec } from "../../stream/graph.ts";
import {
  aggregatingState,
  avg,
  listState,
  mapState,
  max,
  outputTag,
  type ProcessContext,
  reducingState,
  rows,
  sum,
  UserCodeError,
  valueState,
} from "tidemark";
import { OperatorStates } from "../../task/operator-state.ts";
import { stateBackends } from "./state-backends.ts";

const maxParallelism = 16;

interface Row {
  readonly k: string;
  readonly n: number;
  /** Throw before that step of the function; never where absent. */
  readonly poison?: number;
}

/** Throws where a row says so. */
const step = (row: Row, at: number): void => {
  if (row.poison === at) throw new RangeError(`poison ${row.n}`);
};

const states = {
  value: valueState<number>(),
  counted: valueState({ default: 0 }),
  list: listState<number>(),
  fading: listState<number>({ ttl: 5 }),
  map: mapState<string, number>(),
  most: reducingState((a: number, b: number) => Math.max(a, b)),
  mean: aggregatingState(avg((n: number) => n)),
};

const even = outputTag<number>("even");
const odd = outputTag<number>("odd");

/** Changes everything a process function can change, one thing after the other. */
const changes: readonly ((
  row: Row,
  ctx: ProcessContext<string, unknown, typeof states>,
) => void)[] = [
  (row, ctx) => ctx.emit(["before", row.n]),
  (row, ctx) => (row.n % 3 === 0 ? ctx.state.value.clear() : ctx.state.value.set(row.n)),
  (_, ctx) => ctx.state.counted.set(ctx.state.counted.get() + 1),
  (row, ctx) => (row.n % 5 === 0 ? ctx.state.list.clear() : ctx.state.list.add(row.n, -row.n)),
  (row, ctx) => row.n % 2 === 0 && ctx.emit(ctx.state.list.get()),
  (row, ctx) => ctx.state.list.add(row.n),
  (row, ctx) => ctx.state.fading.add(row.n),
  (row, ctx) => ctx.state.map.set(`m${row.n % 4}`, row.n),
  (row, ctx) => (row.n % 7 === 0 ? ctx.state.map.clear() : ctx.state.map.delete(`m${row.n % 3}`)),
  (row, ctx) => ctx.state.most.add(row.n),
  (row, ctx) => ctx.state.mean.add(row.n),
  (row, ctx) => ctx.timers.registerProcessingTime(1_000 + (row.n % 4)),
  (row, ctx) => ctx.timers.deleteProcessingTime(1_000 + (row.n % 3)),
  (row, ctx) => ctx.output(row.n % 2 === 0 ? even : odd, row.n),
  (row, ctx) => ctx.emit({ key: ctx.key, n: row.n, mean: ctx.state.mean.get() }),
];

const specs: Readonly<Record<string, OperatorSpec>> = {
  map: {
    kind: "map",
    fn: (row: Row) => {
      step(row, 0);
      return { ...row, mapped: true };
    },
  },
  filter: {
    kind: "filter",
    fn: (row: Row) => {
      step(row, 0);
      return row.n % 3 !== 0;
    },
  },
  flatMap: {
    kind: "flatMap",
    fn: function* (row: Row) {
      for (let at = 0; at < 3; at++) {
        step(row, at);
        yield [row.n, at];
      }
    },
  },
  reduce: {
    kind: "reduce",
    // The poison of a key's first row comes out with the second.
    fn: (left: Row, right: Row) => {
      step(right, 0);
      return right.poison === 1 ? undefined : { k: left.k, n: left.n + right.n };
    },
  },
  aggregate: {
    kind: "aggregate",
    aggregates: {
      // Changes its accumulator in place before the others are asked.
      mean: avg((row: Row) => row.n),
      seen: {
        create: () => [] as number[],
        add: (held: number[], row: Row) => {
          step(row, 0);
          held.push(row.n);
          step(row, 1);
          return held;
        },
        merge: (left: number[], right: number[]) => [...left, ...right],
        result: (held: number[]) => [...held],
      },
      most: max((row: Row) => {
        step(row, 2);
        return row.n;
      }),
      sum: sum((row: Row) => row.n),
    },
  },
  process: {
    kind: "process",
    fn: {
      state: states,
      emits: rows<unknown>(),
      process(row: Row, ctx: ProcessContext<string, unknown, typeof states>) {
        for (const [at, change] of changes.entries()) {
          step(row, at);
          change(row, ctx);
        }
      },
      onTimer: () => {},
    } as never,
  },
  table: { kind: "sink", table: { kind: "table", name: "t", key: (row: Row) => row.k } },
};

class Running {
  readonly rejected: Rejected[] = [];
  readonly #emitted: { readonly tag: string; readonly row: unknown }[] = [];
  readonly batches: RecordBatch[] = [];
  readonly #operator: Operator;
  readonly #backend: StateBackend;
  now = 1;

  constructor(spec: OperatorSpec, backend: StateBackend) {
    this.#backend = backend;
    const key = (row: Row): Key => {
      if (row.poison === -1) throw new TypeError("no key");
      return row.k;
    };
    this.#operator = createOperator(
      { uid: "op", spec, key },
      {
        uid: "op",
        operatorState: new OperatorStates([]).store("op"),
        state: backend.store("op"),
        subtask: { index: 0, parallelism: 1 },
        now: () => this.now,
        watermark: () => -Infinity,
        reject: (rejected) => void this.rejected.push(rejected),
      },
    );
  }

  run(batch: readonly Row[], lineage?: Lineage): void {
    this.now++;
    const emit = (emitted: RecordBatch, tag = "main"): void => {
      this.batches.push(emitted);
      // As they leave: what is handed out must not change any more.
      for (const row of structuredClone(emitted.rows())) this.#emitted.push({ tag, row });
    };
    this.#operator.processBatch(new RowBatch(batch, lineage), { emit }, 0);
  }

  /** What was emitted, in order for each output. */
  get byOutput(): unknown {
    return Map.groupBy(this.#emitted, ({ tag }) => tag);
  }

  /** All that the operator holds, by state and key. */
  held(): unknown {
    return Array.from(this.#backend.store("op").tables(), ([name, table]) => [
      name,
      Array.from(table.entries(), ([key, value]) => [
        JSON.stringify(key),
        structuredClone(value),
      ]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    ]);
  }
}

const rowOf = fc.record(
  {
    k: fc.constantFrom("a", "b", "c"),
    n: fc.nat(30),
    poison: fc.integer({ min: -1, max: changes.length }),
  },
  { requiredKeys: ["k", "n"] },
);

describe.each(stateBackends)("on $name, a row that throws leaves no trace", ({ open }) => {
  test.each(Object.keys(specs))("in %s, wherever it throws (J1)", (name) => {
    const spec = specs[name]!;
    fc.assert(
      fc.property(
        fc.array(fc.array(rowOf, { maxLength: 8, size: "max" }), { maxLength: 6 }),
        (batches) => {
          const all = new Running(spec, open({ maxParallelism }));
          const good = new Running(spec, open({ maxParallelism }));
          for (const batch of batches) {
            const before = all.rejected.length;
            all.run(batch);
            const left = new Set(all.rejected.slice(before).map(({ value }) => value));
            good.run(batch.filter((row) => !left.has(row)));
          }
          expect(good.rejected).toEqual([]);
          expect(all.byOutput).toEqual(good.byOutput);
          expect(all.held()).toEqual(good.held());
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a row that is left out", () => {
  const open = stateBackends[0]!.open;

  test("is handed over with operator, row and cause", () => {
    const one = new Running(specs["map"]!, open({ maxParallelism }));
    const bad = { k: "a", n: 7, poison: 0 };
    one.run([{ k: "a", n: 1 }, bad, { k: "a", n: 2 }]);
    expect(one.rejected).toMatchObject([{ value: bad, source: null, timer: null }]);
    const { error } = one.rejected[0]!;
    expect(error).toBeInstanceOf(UserCodeError);
    expect(error.message).toBe(
      'Operator "op" (map) failed on row 1 of its batch: RangeError: poison 7',
    );
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  test("names the record it comes from, through map, filter and flatMap (J3)", () => {
    const lineage = new Lineage("input", 3, [70, 71, 72, 73]);
    const batch: Row[] = [
      { k: "a", n: 1 },
      { k: "a", n: 3 },
      { k: "a", n: 5, poison: 0 },
      { k: "a", n: 7 },
    ];
    const offsetsAfter = (kind: string): (number | undefined)[] => {
      const one = new Running(specs[kind]!, open({ maxParallelism }));
      one.run(batch, lineage);
      expect(one.rejected[0]?.source).toEqual({ topic: "input", partition: 3, offset: 72 });
      const [out] = one.batches;
      return Array.from({ length: out!.length }, (_, row) => out!.lineage?.at(row).offset);
    };
    expect(offsetsAfter("map")).toEqual([70, 71, 73]);
    expect(offsetsAfter("filter")).toEqual([70, 73]);
    expect(offsetsAfter("flatMap")).toEqual([70, 70, 70, 71, 71, 71, 73, 73, 73]);
  });

  test("a batch without lineage gets none", () => {
    const one = new Running(specs["map"]!, open({ maxParallelism }));
    one.run([{ k: "a", n: 1 }]);
    expect(one.batches[0]!.lineage).toBeUndefined();
  });

  test("is not what fails for another reason (J2)", () => {
    const broken = open({ maxParallelism });
    const store = broken.store("op");
    const spec = specs["process"]!;
    const failing = {
      table: (name: string, schema: never) =>
        Object.assign(Object.create(store.table(name, schema)) as object, {
          get: () => {
            throw new StateStorageError("disk I/O error");
          },
          entries: () => [],
        }),
    };
    const operator = createOperator(
      { uid: "op", spec, key: (row: Row) => row.k },
      {
        uid: "op",
        operatorState: new OperatorStates([]).store("op"),
        state: failing as never,
        subtask: { index: 0, parallelism: 1 },
        now: () => 0,
        watermark: () => -Infinity,
        reject: () => {},
      },
    );
    const batch = new RowBatch([{ k: "a", n: 1 }]);
    const run = (): void => operator.processBatch(batch, { emit() {} }, 0);
    expect(run).toThrow(StateStorageError);
  });
});
