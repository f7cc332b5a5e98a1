import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { batchRowsMax, frameBytesMax } from "../../format/limits.ts";
import { readJsonColumns } from "../../format/json-columns.ts";
import type { Records } from "../../format/records.ts";
import { topic as declared } from "../../stream/topic.ts";
import { type Batches, partitionOf, spread, type TopicSpread } from "../../worker/ingest.ts";

const placeOf = (index: number) => `Line ${index + 1}`;

const records = (rows: readonly unknown[]): Records => ({ kind: "rows", rows, placeOf });

/** The same rows, all objects of one shape, as columns. */
function inColumns(rows: readonly unknown[]): Records {
  const text = rows.map((row) => JSON.stringify(row)).join("\n");
  const limits = { rowsMax: Infinity, lineBytesMax: Infinity, takes: () => true };
  const columns = readJsonColumns(new TextEncoder().encode(text), text, limits);
  if (columns === undefined) throw new Error(`No columns: ${text}`);
  return { kind: "columns", columns, placeOf };
}

function spreadOf(
  rows: readonly unknown[],
  topic: TopicSpread,
  { unkeyed = 0, as = records } = {},
) {
  const outcome = spread(as(rows), topic, unkeyed);
  if (outcome.kind === "refused") throw new Error(outcome.reason);
  return outcome.byPartition;
}

const decoded = (batches: Batches | undefined) =>
  (batches ?? []).flatMap(({ bytes }) => decodeRows(bytes));

interface Row {
  readonly id: number | string | boolean;
}

const byId: TopicSpread = { partitions: 4, key: (row: Row) => row.id };
const byField: TopicSpread = declared<Row>("by-field", { partitions: 4, key: "id" });

const ways = [
  ["a function, of rows", byId, records],
  ["a field, of rows", byField, records],
  ["a function, of columns", byId, inColumns],
  ["a field, of columns", byField, inColumns],
] as const;

describe("spread", () => {
  test("without a key everything goes to the given partition", () => {
    const spreaded = spreadOf([1, 2, 3], { partitions: 4 }, { unkeyed: 2 });
    expect([...spreaded.keys()]).toEqual([2]);
    expect(decoded(spreaded.get(2))).toEqual([1, 2, 3]);
  });

  test.each(ways)("by %s, equal keys share a partition in order (N1)", (_, topic, as) => {
    const id = fc.oneof(
      fc.integer({ min: 0, max: 9 }),
      fc.constantFrom("a", "b", "é", "\n"),
      fc.boolean(),
    );
    const rowsOfKeys = (key: fc.Arbitrary<Row["id"]>) =>
      fc.array(fc.record({ id: key, n: fc.integer() }), { minLength: 1 });
    const column = fc.oneof(
      rowsOfKeys(fc.integer({ min: 0, max: 9 })),
      rowsOfKeys(fc.constantFrom("a", "b", "c")),
      rowsOfKeys(id),
    );
    fc.assert(
      fc.property(column, (rows) => {
        const spreaded = spreadOf(rows, topic, { as });
        for (let partition = 0; partition < 4; partition++) {
          const own = rows.filter(({ id }) => partitionOf(id, 4) === partition);
          expect(decoded(spreaded.get(partition))).toEqual(own);
        }
      }),
    );
  });

  test("batches keep to both limits", () => {
    const many = spreadOf(
      Array.from({ length: 2 * batchRowsMax + 1 }, (_, n) => ({ n })),
      { partitions: 1 },
    );
    expect(many.get(0)?.map(({ rows }) => rows)).toEqual([batchRowsMax, batchRowsMax, 1]);

    const long = Array.from({ length: 10 }, (_, n) => `${n}`.padEnd(frameBytesMax / 4, "x"));
    const batches = spreadOf(long, { partitions: 1 }).get(0);
    expect(batches?.every(({ bytes }) => bytes.length <= frameBytesMax)).toBe(true);
    expect(decoded(batches)).toEqual(long);
  });

  test("batches of columns keep to both limits", () => {
    const rows = Array.from({ length: 2 * batchRowsMax + 1 }, (_, n) => ({ id: n % 7, n }));
    const many = spreadOf(rows, { partitions: 1 }, { as: inColumns }).get(0);
    expect(many?.map((batch) => batch.rows)).toEqual([batchRowsMax, batchRowsMax, 1]);
    expect(decoded(many)).toEqual(rows);

    const long = Array.from({ length: 10 }, (_, n) => ({ id: `${n}`.padEnd(frameBytesMax / 4) }));
    const batches = spreadOf(long, { partitions: 1 }, { as: inColumns }).get(0);
    expect(batches?.every(({ bytes }) => bytes.length <= frameBytesMax)).toBe(true);
    expect(decoded(batches)).toEqual(long);
  });
});

describe("refusals name the record", () => {
  const reasonOf = (rows: readonly unknown[], topic: TopicSpread, as = records) => {
    const outcome = spread(as(rows), topic, 0);
    return outcome.kind === "refused" ? outcome.reason : "was not refused";
  };

  test("a key function that throws", () => {
    const topic: TopicSpread = { partitions: 2, key: (row: { a: { b: string } }) => row.a.b };
    expect(reasonOf([{ a: { b: "x" } }, {}], topic)).toMatch(
      /^Line 2: the topic's key function threw TypeError: /,
    );
  });

  test.each(ways)("a key that is none, by %s", (_, topic, as) => {
    expect(reasonOf([{ id: 1 }, { id: 2 }, { id: null }], topic, as)).toMatch(
      /^Line 3: the topic's key is null/,
    );
    expect(reasonOf([{ no: 1 }, { no: 2 }], topic, as)).toMatch(
      /^Line 1: the topic's key is undefined/,
    );
  });

  test("a record that does not fit a frame once encoded", () => {
    const wide = Array.from({ length: 200_000 }, (_, n) => (n % 7 === 0 ? n + 0.5 : `${n}`));
    expect(reasonOf(["small", wide], { partitions: 1 })).toMatch(/^Line 2 takes \d+ bytes encoded/);
    expect(reasonOf([{ id: "small" }, { id: wide }], { partitions: 1 }, inColumns)).toMatch(
      /^Line 2 takes \d+ bytes encoded/,
    );
  });

  test("a record nested too deep to be stored", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
    expect(reasonOf([1, 2, deep], { partitions: 1 })).toMatch(/^Line 3 cannot be stored: /);
  });
});
