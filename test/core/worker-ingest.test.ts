import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { batchRowsMax, frameBytesMax } from "../../format/limits.ts";
import { type Batches, partitionOf, spread, type TopicSpread } from "../../worker/ingest.ts";

const records = (rows: readonly unknown[]) => ({
  rows,
  placeOf: (index: number) => `Line ${index + 1}`,
});

function spreadOf(rows: readonly unknown[], topic: TopicSpread, unkeyed = 0) {
  const outcome = spread(records(rows), topic, unkeyed);
  if (outcome.kind === "refused") throw new Error(outcome.reason);
  return outcome.byPartition;
}

const decoded = (batches: Batches | undefined) =>
  (batches ?? []).flatMap(({ bytes }) => decodeRows(bytes));

const byId: TopicSpread = { partitions: 4, key: (row: { id: number }) => row.id };

describe("spread", () => {
  test("without a key everything goes to the given partition", () => {
    const spreaded = spreadOf([1, 2, 3], { partitions: 4 }, 2);
    expect([...spreaded.keys()]).toEqual([2]);
    expect(decoded(spreaded.get(2))).toEqual([1, 2, 3]);
  });

  test("with a key, equal keys share a partition and keep their order (N1)", () => {
    const row = fc.record({ id: fc.integer({ min: 0, max: 9 }), n: fc.integer() });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1 }), (rows) => {
        const spreaded = spreadOf(rows, byId);
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
});

describe("refusals name the record", () => {
  const reasonOf = (rows: readonly unknown[], topic: TopicSpread) => {
    const outcome = spread(records(rows), topic, 0);
    return outcome.kind === "refused" ? outcome.reason : "was not refused";
  };

  test("a key function that throws", () => {
    const topic: TopicSpread = { partitions: 2, key: (row: { a: { b: string } }) => row.a.b };
    expect(reasonOf([{ a: { b: "x" } }, {}], topic)).toMatch(
      /^Line 2: the topic's key function threw TypeError: /,
    );
  });

  test("a key that is none", () => {
    expect(reasonOf([{ id: 1 }, { id: 2 }, { id: null }], byId)).toMatch(
      /^Line 3: the topic's key is null/,
    );
  });

  test("a record that does not fit a frame once encoded", () => {
    const wide = Array.from({ length: 200_000 }, (_, n) => (n % 7 === 0 ? n + 0.5 : `${n}`));
    expect(reasonOf(["small", wide], { partitions: 1 })).toMatch(/^Line 2 takes \d+ bytes encoded/);
  });

  test("a record nested too deep to be stored", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
    expect(reasonOf([1, 2, deep], { partitions: 1 })).toMatch(/^Line 3 cannot be stored: /);
  });
});
