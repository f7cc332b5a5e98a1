// Columns instead of rows: whatever takes them comes to the same as if it had been given the rows,
// results, rejections, state and its order included.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  type Column,
  decodeBatch,
  decodeRows,
  type Dictionary,
  dictionaryColumn,
  encodeRows,
  nullableColumn,
} from "../../format/batch.ts";
import { decodeFrame } from "../../format/frame.ts";
import { batchRowsMax } from "../../format/limits.ts";
import { FieldTexts, RowColumns } from "../../format/row-columns.ts";
import { AggregateOperator } from "../../operators/aggregate.ts";
import { AnnotatedBatch } from "../../operators/annotated-batch.ts";
import { ColumnBatch } from "../../operators/column-batch.ts";
import { FilterOperator } from "../../operators/filter.ts";
import type { RecordBatch } from "../../operators/operator.ts";
import { Lineage, type Rejected } from "../../operators/rejection.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { FreezeKind, StateBackend } from "../../operators/state/backend.ts";
import { TableOperator } from "../../operators/table.ts";
import { avg, count, max, min, sum, type Aggregate } from "../../stream/index.ts";
import { fieldSelector, tupleSelector } from "../../stream/fields.ts";
import type { KeySelector } from "../../stream/graph.ts";
import { keyField } from "../../stream/table.ts";
import { HashPartitioner } from "../../task/partitioner.ts";
import { PendingRows } from "../../task/pending-rows.ts";
import { anyKey, anyNumber, anyText, anyValue, exactly } from "./format-arbitraries.ts";
import { stateBackends } from "./state-backends.ts";

interface Row {
  readonly k: string;
  readonly j: string;
  readonly n: number;
  readonly m: number;
}

const fewKeys = (key: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.array(key, { minLength: 1, maxLength: 6 }).chain((keys) => fc.constantFrom(...keys));

const keysOfOneType = fc.constantFrom<fc.Arbitrary<unknown>>(
  anyText,
  fc.constantFrom("a", "b", "\0c", ""),
  fc.integer({ min: -3, max: 3 }),
  anyNumber,
  fc.boolean(),
);

/** Rows that columns can stand for: keys of one type, numbers. */
const regular = fc.tuple(keysOfOneType, keysOfOneType).chain(([k, j]) =>
  fc.array(
    fc.record({
      k: fewKeys(k),
      j: fewKeys(j),
      n: anyNumber,
      m: fc.integer({ min: -9, max: 9 }),
    }),
    { minLength: 1, maxLength: 60 },
  ),
);

/** The same, with nothing in some fields of some rows. */
const nullable = fc
  .tuple(regular, fc.subarray(["k", "j", "n", "m"] as const), fc.integer({ min: 1, max: 9 }))
  .chain(([rows, fields, most]) =>
    fc.tuple(
      ...rows.map((row) =>
        fc
          .tuple(fc.nat(9), fc.constantFrom(...fields, undefined), fc.constantFrom(null, undefined))
          .map(([at, field, value]) =>
            at < most && field !== undefined ? { ...row, [field]: value } : row,
          ),
      ),
    ),
  );

/** Rows of which some are not as they should be. */
const irregular = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ k: anyText, j: anyText, n: anyNumber, m: fc.integer() }) },
    fc.record({ k: anyKey, n: anyNumber, m: fc.integer() }),
    fc.record({ k: fc.constantFrom("a", null, undefined), n: fc.integer(), m: fc.integer() }),
    fc.record(
      { k: anyText, n: fc.constantFrom(1, null, undefined, "1"), m: fc.integer() },
      { requiredKeys: [] },
    ),
    anyValue,
  ),
  { minLength: 1, maxLength: 20 },
);

/** 0 and -0 are one key, which is called what its first row calls it; that may be one that is rejected. */
const zero = (key: unknown): unknown => (key === 0 ? 0 : key);

const batchOfRows: fc.Arbitrary<unknown[]> = fc
  .oneof(
    { weight: 3, arbitrary: regular },
    { weight: 3, arbitrary: nullable },
    { weight: 1, arbitrary: irregular },
  )
  .map((rows) =>
    rows.map((row) => {
      const { k, j } = (row ?? {}) as { k?: unknown; j?: unknown };
      return Object.is(k, -0) || Object.is(j, -0)
        ? { ...(row as object), k: zero(k), j: zero(j) }
        : row;
    }),
  );

/** As a receiver has it. */
const encoded = (rows: readonly unknown[]): RecordBatch => decodeBatch(encodeRows(rows));

/** Where columns must do: nobody may ask for rows. */
function onlyColumns(batch: ColumnBatch): RecordBatch {
  const { length, fields } = batch;
  return {
    length,
    fields,
    column: (field) => batch.column(field),
    rows: () => {
      throw new Error("Rows were made.");
    },
  };
}

const threeRows = onlyColumns(
  new ColumnBatch(
    3,
    ["k", "n", "m"],
    [
      dictionaryColumn({ entries: ["unused", "a", "b"], codes: Uint8Array.of(2, 1, 2) }),
      { kind: "float64", values: Float64Array.of(0.5, 1, 2) },
      { kind: "int32", values: Int32Array.of(1, 2, 3) },
    ],
  ),
);

/** The same key, by the names of its fields and by a function. */
const keys = [
  ["a field", fieldSelector("k"), (row: Row) => row.k],
  ["two fields", tupleSelector(["k", "j"]), (row: Row) => [row.k, row.j] as const],
  ["three fields", tupleSelector(["j", "k", "m"]), (row: Row) => [row.j, row.k, row.m] as const],
] as const satisfies readonly (readonly [string, KeySelector, KeySelector])[];

describe("an aggregate", () => {
  const byName = {
    rows: count(),
    total: sum("n"),
    mean: avg("n"),
    least: min("n"),
    most: max("n"),
    sum: sum("m"),
  };
  // One that is not known by anything but its functions, so that all are folded row by row.
  const byFunction: Readonly<Record<keyof typeof byName, Aggregate<Row>>> = {
    rows: { create: () => 0, add: (n) => (n as number) + 1, merge: (n) => n, result: (n) => n },
    total: sum((row: Row) => row.n) as Aggregate<Row>,
    mean: avg((row: Row) => row.n) as Aggregate<Row>,
    least: min((row: Row) => row.n) as Aggregate<Row>,
    most: max((row: Row) => row.n) as Aggregate<Row>,
    sum: sum((row: Row) => row.m) as Aggregate<Row>,
  };

  const byKnownFunction = { ...byFunction, rows: count() };

  /** One operator, with all there is to see of it. */
  class Observed {
    hasFailed = false;
    readonly emitted: unknown[][] = [];
    readonly rejected: unknown[] = [];
    readonly backend: StateBackend;
    readonly operator: AggregateOperator;

    constructor(
      backend: StateBackend,
      key: KeySelector,
      aggregates: Readonly<Record<string, Aggregate<never>>>,
      rejects: boolean,
    ) {
      const reject = rejects
        ? ({ value, error }: { value: unknown; error: Error }) => {
            this.rejected.push([value, error.message]);
          }
        : undefined;
      this.backend = backend;
      const table = backend.store("agg").table<unknown[]>("accumulators");
      this.operator = new AggregateOperator({ uid: "agg", reject }, key, aggregates, table);
    }

    process(batch: RecordBatch): void {
      try {
        this.operator.processBatch(batch, { emit: (out) => this.emitted.push([...out.rows()]) });
      } catch (error) {
        this.rejected.push(String(error));
        this.hasFailed = true;
      }
    }

    freeze(kind: FreezeKind): unknown[] {
      const table = this.backend.store("agg").tables().get("accumulators")!;
      return Array.from(table.freeze(kind), (entry) =>
        structuredClone({ key: entry.key, value: "value" in entry ? entry.value : null }),
      );
    }
  }

  const ways = [
    ...keys.map(([name, key, byFunction]) => {
      return {
        of: `fields, keyed by ${name},`,
        key,
        keyByFunction: byFunction,
        aggregates: byName,
      };
    }),
    ...[
      { of: "functions", aggregates: byKnownFunction },
      { of: "both", aggregates: { ...byKnownFunction, most: max("n") } },
    ].map((way) => ({ ...way, key: keys[0][2], keyByFunction: keys[0][2] })),
  ];

  for (const [{ name, open }, { of, key, keyByFunction, aggregates }] of stateBackends.flatMap(
    (backend) => ways.map((way) => [backend, way] as const),
  )) {
    test(`of ${of} comes to what it comes to row by row, on ${name}`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.record({ rows: batchOfRows, freezes: fc.boolean(), asRows: fc.boolean() }), {
            maxLength: 8,
          }),
          fc.boolean(),
          (batches, rejects) => {
            const options = { maxParallelism: 16 };
            const columns = new Observed(open(options), key, aggregates as never, rejects);
            const rows = new Observed(open(options), keyByFunction, byFunction as never, rejects);
            for (const batch of batches) {
              // Whatever way the state was made, the next batch may come the other.
              columns.process(batch.asRows ? new RowBatch(batch.rows) : encoded(batch.rows));
              rows.process(new RowBatch(batch.rows));
              // The attempt is over, and with it what is in the state.
              if (columns.hasFailed || rows.hasFailed) break;
              if (!batch.freezes) continue;
              expect(columns.freeze("delta")).toSatisfy(exactly(rows.freeze("delta")));
            }
            expect(columns.emitted).toSatisfy(exactly(rows.emitted));
            expect(columns.rejected).toSatisfy(exactly(rows.rejected));
            if (columns.hasFailed) return;
            expect(columns.freeze("full")).toSatisfy(exactly(rows.freeze("full")));
          },
        ),
        { numRuns: name === "memory" ? 200 : 40 },
      );
    });
  }

  test("of fields makes no rows where their columns are there", () => {
    const [{ open }] = stateBackends as [(typeof stateBackends)[number]];
    const observed = new Observed(open({ maxParallelism: 16 }), fieldSelector("k"), byName, false);
    observed.process(threeRows);
    expect(observed.rejected).toEqual([]);
    expect(observed.emitted).toEqual([
      [
        { key: "b", rows: 2, total: 2.5, mean: 1.25, least: 0.5, most: 2, sum: 4 },
        { key: "a", rows: 1, total: 1, mean: 1, least: 1, most: 1, sum: 2 },
      ],
    ]);
  });

  test("makes no rows of those that lack a number, and leaves them out", () => {
    const [{ open }] = stateBackends as [(typeof stateBackends)[number]];
    const batch = onlyColumns(
      new ColumnBatch(
        4,
        ["k", "j", "n"],
        [
          dictionaryColumn({ entries: ["a", "b"], codes: Uint8Array.of(1, 0, 1, 1) }),
          { kind: "string", values: ["x", "x", "y", "x"], dictionary: undefined },
          nullableColumn(
            { kind: "float64", values: Float64Array.of(1, 2, 3, 4) },
            { bits: Uint8Array.of(0b0110), undefineds: Uint8Array.of(0b0100) },
          ),
        ],
      ),
    );
    const observed = new Observed(
      open({ maxParallelism: 16 }),
      tupleSelector(["k", "j"]),
      { rows: count(), total: sum("n"), least: min("n") },
      true,
    );
    observed.process(batch);
    expect(observed.emitted).toEqual([[{ key: ["b", "x"], rows: 2, total: 5, least: 1 }]]);
    expect(observed.rejected).toEqual([
      [{ k: "a", j: "x", n: null }, expect.stringContaining("sum needs a number")],
      [{ k: "b", j: "y", n: undefined }, expect.stringContaining("got undefined")],
    ]);
  });

  test("of a field with another function in it is a user's own, where it is a copy of one", () => {
    const [{ open }] = stateBackends as [(typeof stateBackends)[number]];
    const total = sum("n");
    const result = (held: number): number => -held;
    // Changed in place it would be folded as what it was, where rows come in columns.
    expect(() => Object.assign(total, { result })).toThrow(TypeError);
    const aggregates = { total: { ...total, result } };
    const observed = new Observed(
      open({ maxParallelism: 16 }),
      fieldSelector("k"),
      aggregates,
      false,
    );
    observed.process(encoded([{ k: "a", n: 3, m: 1 }]));
    expect(observed.emitted).toEqual([[{ key: "a", total: -3 }]]);
  });

  test("that held something else leaves it to the functions to say so", () => {
    const [{ open }] = stateBackends as [(typeof stateBackends)[number]];
    const both = [avg("n"), avg((row: Row) => row.n)].map((mean) => {
      const backend = open({ maxParallelism: 16 });
      backend.store("agg").table<unknown[]>("accumulators").put("a", [7]);
      const observed = new Observed(backend, fieldSelector("k"), { mean }, false);
      observed.process(encoded([{ k: "a", n: 1, m: 1 }]));
      return observed.rejected;
    });
    expect(both[0]).toHaveLength(1);
    expect(both[0]).toEqual(both[1]);
  });
});

describe("a partitioner", () => {
  const partitioner = (selector: KeySelector, rejected: unknown[]): HashPartitioner =>
    new HashPartitioner({
      uid: "agg",
      selector,
      receivers: 5,
      maxParallelism: 32,
      reject: ({ value, error }) => rejected.push([value, error.message]),
    });

  test.each(keys)("splits columns as it splits rows, by %s", (_, byName, byFunction) => {
    fc.assert(
      fc.property(fc.array(batchOfRows, { maxLength: 4 }), (batches) => {
        const rejected: [unknown[], unknown[]] = [[], []];
        const columns = partitioner(byName, rejected[0]);
        const rows = partitioner(byFunction, rejected[1]);
        for (const batch of batches) {
          expect(columns.split(encoded(batch))).toEqual(rows.split(new RowBatch(batch)));
        }
        expect(rejected[0]).toSatisfy(exactly(rejected[1]));
      }),
      { numRuns: 200 },
    );
  });

  test("splits rows by a function as it splits their columns by it", () => {
    const selectors: readonly KeySelector[] = [
      (row: Row) => row.k,
      (row: Row) => (row.n > 0 ? row.k : "other"),
      (row: { k: string; m: string }) => (row.m === "b" ? row.m : row.k),
    ];
    const texts = fc.array(
      fc.record({ m: fc.constantFrom("a", "b"), k: fc.constantFrom("a", "b", "c") }),
      { minLength: 16, maxLength: 60 },
    );
    const anyBatches = fc.array(fc.oneof(texts, batchOfRows), { maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...selectors), anyBatches, (selector, batches) => {
        const rejected: [unknown[], unknown[]] = [[], []];
        const columns = partitioner(selector, rejected[0]);
        const rows = partitioner(selector, rejected[1]);
        for (const batch of batches) {
          const rowBatch = new RowBatch(batch);
          expect(columns.split(rowBatch, encoded(batch))).toEqual(rows.split(rowBatch));
        }
        expect(rejected[0]).toSatisfy(exactly(rejected[1]));
      }),
      { numRuns: 300 },
    );
  });

  test("makes no rows where the column of the key is there", () => {
    const shares = partitioner(fieldSelector("k"), []).split(threeRows);
    expect(shares.reduce((sum, { count: rows }) => sum + rows, 0)).toBe(3);
    const byTwo = partitioner(tupleSelector(["k", "n"]), []).split(threeRows);
    expect(byTwo.reduce((sum, { count: rows }) => sum + rows, 0)).toBe(3);
  });
});

describe("a filter", () => {
  const passes = ({ n }: Row): boolean => {
    if (Number.isNaN(n)) throw new RangeError("not a number");
    return n > 0;
  };

  test("leaves columns columns: of the rows that stay, with their times and where they come from", () => {
    fc.assert(
      fc.property(fc.oneof(regular, nullable), (drawn) => {
        const rows = drawn.map((row) => ({ ...row }));
        const timestamps = Float64Array.from(rows.keys(), (at) => (at % 3 === 0 ? NaN : at));
        const lineage = new Lineage("t", 0, [...rows.keys()]);
        const [ofColumns, ofRows] = [encoded(rows), new RowBatch(rows)].map((batch) => {
          const rejected: unknown[] = [];
          const reject = ({ value, source }: Rejected): void => void rejected.push([value, source]);
          const emitted: RecordBatch[] = [];
          new FilterOperator({ uid: "f", reject }, passes as never).processBatch(
            new AnnotatedBatch(batch, { lineage, timestamps }),
            { emit: (out) => emitted.push(out) },
          );
          return { rejected, emitted: emitted[0] };
        });
        expect(ofColumns!.rejected).toSatisfy(exactly(ofRows!.rejected));
        const [columns, kept] = [ofColumns!.emitted, ofRows!.emitted];
        if (columns === undefined || kept === undefined) {
          expect(columns).toBe(kept);
          return;
        }
        expect(columns.rows()).toSatisfy(exactly(kept.rows()));
        expect(columns.timestamps).toEqual(kept.timestamps);
        const from = (batch: RecordBatch): unknown[] =>
          Array.from(batch.rows(), (_, at) => batch.lineage!.at(at));
        expect(from(columns)).toEqual(from(kept));
        expect(columns.fields).toEqual(["k", "j", "n", "m"]);
        for (const field of ["k", "j", "n", "m"] as const) {
          const values = kept.rows().map((row) => (row as Row)[field]);
          const column = columns.column!(field);
          expect([...column.values]).toSatisfy(exactly(values));
          const { dictionary } = column as { dictionary?: Dictionary };
          if (dictionary === undefined) continue;
          const texts = Array.from(dictionary.codes, (code) => dictionary.entries[code]);
          expect(texts).toEqual(values);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("rows that are made columns before they are divided", () => {
  test("are the same rows, batch after batch", () => {
    fc.assert(
      fc.property(fc.array(batchOfRows, { maxLength: 8 }), (batches) => {
        const taken = new RowColumns();
        for (const rows of batches) {
          const made = taken.of(rows);
          if (made === undefined) continue;
          const batch = new ColumnBatch(rows.length, made.fields, made.columns);
          expect(batch.rows()).toSatisfy(exactly(rows));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("have one dictionary as long as their texts repeat, and none where they do not", () => {
    const taken = new RowColumns();
    const column = (
      rows: number,
      text: (at: number) => string,
    ): Extract<Column, { kind: "string" }> => {
      const { columns } = taken.of(Array.from({ length: rows }, (_, at) => ({ text: text(at) })))!;
      return columns[0] as never;
    };
    const texts = ({ values }: Column): unknown[] => [...values];
    const first = column(2_000, (at) => `user ${at % 90}`);
    const second = column(2_000, (at) => `user ${at % 100}`);
    expect(second.dictionary?.entries).toBe(first.dictionary?.entries);
    expect(second.dictionary?.entries).toHaveLength(100);
    expect(texts(first)).toEqual(Array.from({ length: 2_000 }, (_, at) => `user ${at % 90}`));
    const own = column(20_000, (at) => `only ${at}`);
    expect(own.dictionary).toBeUndefined();
    for (let batch = 0; batch < 3; batch++) {
      const once = column(9_000, (at) => `once ${batch} ${at}`);
      expect(once.dictionary).toBeUndefined();
      expect(texts(once)).toEqual(Array.from({ length: 9_000 }, (_, at) => `once ${batch} ${at}`));
    }
    expect(texts(first)[89]).toBe("user 89");
  });

  test("share the texts of a field with others, whatever shape these have", () => {
    const texts = new FieldTexts();
    const [own, others] = [new RowColumns(texts), new RowColumns(texts)];
    const rows = Array.from({ length: 50 }, (_, n) => ({ text: `user ${n % 7}`, n }));
    const turned = rows.toReversed().map(({ n, text }) => ({ n, text: `${text}!` }));
    const dictionaries: unknown[] = [];
    for (const [taken, given] of [
      [own, rows],
      [others, turned],
      [own, rows],
    ] as const) {
      const { fields, columns } = taken.of(given)!;
      expect(new ColumnBatch(50, fields, columns).rows()).toSatisfy(exactly(given));
      const column = columns[fields.indexOf("text")] as Extract<Column, { kind: "string" }>;
      dictionaries.push(column.dictionary!.entries);
    }
    expect(new Set(dictionaries).size).toBe(1);
    expect(dictionaries[0]).toHaveLength(14);
  });

  test("are left alone where they are not all of one shape", () => {
    const taken = new RowColumns();
    const odd = [{ b: 1, a: 2 }, { a: 1 }, { a: 1, b: 2, c: 3 }, [1, 2], null, 1, new Date(0)];
    for (const other of [...odd, Object.create({ a: 1, b: 2 })]) {
      expect(taken.of([{ a: 1, b: 2 }, other])).toBeUndefined();
      if (other !== odd[0]) expect(taken.of([other, { a: 1, b: 2 }])).toBeUndefined();
    }
    expect(taken.of([{}, {}])).toBeUndefined();
    expect(taken.of([])).toBeUndefined();
  });
});

describe("rows that wait for a frame", () => {
  const selected = fc.record({
    rows: batchOfRows,
    select: fc.option(fc.array(fc.nat(), { maxLength: 40 }), { nil: undefined }),
  });

  /** The rows of the frames that batches become, frame by frame. */
  function framed(
    pieces: readonly (readonly [RecordBatch, Int32Array | undefined])[],
  ): unknown[][] {
    const frames: unknown[][] = [];
    const pending = new PendingRows((frame, rows, bytes) => {
      const data = decodeFrame(frame);
      if (data.kind !== "data") throw new Error("Not a data frame.");
      expect(data.rows).toHaveLength(bytes);
      frames.push(decodeRows(data.rows));
      expect(frames.at(-1)).toHaveLength(rows);
    });
    for (const [batch, select] of pieces) pending.add(batch, select, (select ?? batch).length);
    pending.cut();
    return frames;
  }

  test("leave as columns as they would have left as rows", () => {
    fc.assert(
      fc.property(fc.array(selected, { maxLength: 6 }), (pieces) => {
        const selections = pieces.map(
          ({ rows, select }) => select && Int32Array.from(select, (at) => at % rows.length),
        );
        const as = (batchOf: (rows: readonly unknown[]) => RecordBatch) =>
          framed(pieces.map(({ rows }, at) => [batchOf(rows), selections[at]]));
        expect(as(encoded)).toSatisfy(exactly(as((rows) => new RowBatch(rows))));
      }),
      { numRuns: 400 },
    );
  });

  test("are copied without making rows, with what is used of their dictionaries", () => {
    const [rows] = framed([
      [threeRows, Int32Array.of(0, 2)],
      [threeRows, undefined],
    ]);
    const [b, a, c] = [
      { k: "b", n: 0.5, m: 1 },
      { k: "a", n: 1, m: 2 },
      { k: "b", n: 2, m: 3 },
    ];
    expect(rows).toEqual([b, c, b, a, c]);
  });

  test("are of their own dictionaries, whatever frames went before", () => {
    // As they come when buffers are flushed: long frames, then short ones.
    const batchOf = (name: string, rows: number) =>
      Array.from({ length: rows }, (_, at) => ({ text: `${name}-${at % (rows >> 2)}` }));
    for (const [at, length] of [400, 30, 200, 31, 40, 400, 17].entries()) {
      const [a, b] = [batchOf(`a${at}`, length), batchOf(`b${at}`, length)];
      const [rows] = framed([
        [encoded(a), undefined],
        [encoded(b), undefined],
      ]);
      expect(rows).toEqual([...a, ...b]);
    }
  });

  test("are cut at the limit of a frame, wherever it falls in a batch", () => {
    const long = encoded(Array.from({ length: 2 * batchRowsMax + 10 }, (_, n) => ({ n })));
    const odd = Int32Array.from({ length: batchRowsMax }, (_, at) => 2 * at + 1);
    const frames = framed([
      [long, odd],
      [long, undefined],
    ]) as { n: number }[][];
    expect(frames.map((frame) => frame.length)).toEqual([
      batchRowsMax,
      batchRowsMax,
      batchRowsMax,
      10,
    ]);
    expect(frames.flat().map(({ n }) => n)).toEqual([...odd, ...long.rows().keys()]);
  });
});

describe("a table", () => {
  test("keeps the same rows of columns", () => {
    fc.assert(
      fc.property(fc.array(regular, { maxLength: 4 }), (batches) => {
        const tables = [encoded, (rows: readonly unknown[]) => new RowBatch(rows)].map(
          (batchOf) => {
            const [{ open }] = stateBackends as [(typeof stateBackends)[number]];
            const rows = open({ maxParallelism: 16 }).store("out").table<unknown>("rows");
            const table = new TableOperator({ uid: "out" }, "t", keyField, rows);
            for (const batch of batches) {
              table.processBatch(batchOf(batch.map(({ k, ...rest }) => ({ key: k, ...rest }))));
            }
            return [...table.entries("latest")];
          },
        );
        expect(tables[0]).toSatisfy(exactly(tables[1]));
      }),
    );
  });
});
