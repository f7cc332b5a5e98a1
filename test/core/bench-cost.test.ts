// What a run costs by the platform's price list, and the rows that everything is measured with.

import { describe, expect, test } from "vitest";

import { coordinatorCost } from "../../bench/coordinator-cost.ts";
import { costsOf, dollarsOf, foreseen, type Operations } from "../../bench/cost.ts";
import {
  batches,
  differences,
  fillPurchases,
  purchaseAt,
  sampledKeys,
  sampledTalliesOf,
  stateKeyAt,
  talliesOf,
  userNames,
} from "../../bench/data.ts";

const none: Operations = {
  requests: 0,
  gigabyteSeconds: 0,
  rowsRead: 0,
  rowsWritten: 0,
  classA: 0,
  classB: 0,
};

describe("costs", () => {
  test("are those of the price list, per million", () => {
    const million = 1e6;
    const all = {
      requests: million,
      gigabyteSeconds: million,
      rowsRead: million,
      rowsWritten: million,
      classA: million,
      classB: million,
    };
    const costs = costsOf(all);
    expect(costs.requests).toBeCloseTo(0.15);
    expect(costs.gigabyteSeconds).toBeCloseTo(12.5);
    expect(costs.rowsRead).toBeCloseTo(0.001);
    expect(costs.rowsWritten).toBeCloseTo(1);
    expect(costs.classA).toBeCloseTo(4.5);
    expect(costs.classB).toBeCloseTo(0.36);
    expect(dollarsOf(all)).toBeCloseTo(18.511);
    expect(dollarsOf(none)).toBe(0);
  });

  test("of an object that is awake for a month are those of the platform's example", () => {
    const [month, objects] = [30 * 24 * 3_600, 1];
    const run = { sources: 0, subtasks: 0, channels: 0, checkpoints: 0, filesPerCheckpoint: 0 };
    const { gigabyteSeconds } = foreseen({ ...run, seconds: month });
    expect(gigabyteSeconds).toBeCloseTo(objects * 331_776);
    expect(dollarsOf({ ...none, gigabyteSeconds })).toBeCloseTo(4.15, 2);
  });

  // Counted by the worker of the benchmarks; see the counters of `npm run bench -- scale`.
  test.each([
    [
      { parallelism: 1, checkpoints: 1, seconds: 2 },
      { requests: 18, rowsRead: 45, rowsWritten: 49, classA: 3 },
    ],
    [
      { parallelism: 2, checkpoints: 4, seconds: 4 },
      { requests: 64, rowsRead: 84, rowsWritten: 92, classA: 13 },
    ],
    [
      { parallelism: 4, checkpoints: 1, seconds: 2 },
      { requests: 72, rowsRead: 99, rowsWritten: 115, classA: 6 },
    ],
    [
      { parallelism: 4, checkpoints: 3, seconds: 4 },
      { requests: 112, rowsRead: 113, rowsWritten: 129, classA: 16 },
    ],
    [
      { parallelism: 4, checkpoints: 24, seconds: 28 },
      { requests: 572, rowsRead: 274, rowsWritten: 309, classA: 121 },
    ],
  ])("of a run of keyed-count are foreseen as they were counted: %j", (run, counted) => {
    const { parallelism, checkpoints, seconds } = run;
    const { requests, classA, rowsRead, rowsWritten } = foreseen({
      seconds,
      sources: parallelism,
      subtasks: 2 * parallelism,
      channels: parallelism ** 2,
      checkpoints,
      filesPerCheckpoint: parallelism,
    });
    expect({ requests, classA }).toEqual({ requests: counted.requests, classA: counted.classA });
    expect(rowsWritten / counted.rowsWritten).toBeCloseTo(1, 1);
    expect(rowsRead / counted.rowsRead).toBeCloseTo(1, 1);
  });
});

test("a coordinator of many subtasks completes its checkpoints, with as many calls as it has to make", () => {
  const { milliseconds, calls, persists } = coordinatorCost(100, 5);
  expect(milliseconds).toHaveLength(5);
  expect(calls).toBeGreaterThanOrEqual(150);
  expect(persists).toBeLessThan(10);
});

describe("rows", () => {
  test("are the same as objects and as columns, wherever a run of them begins", () => {
    const columns = {
      user: new Uint16Array(50),
      amount: new Int32Array(50),
      ts: new Float64Array(50),
    };
    fillPurchases(columns, 123_456);
    const rows = Array.from(columns.user, (code, i) => {
      return { user: userNames[code], amount: columns.amount[i], ts: columns.ts[i] };
    });
    expect(rows).toEqual(Array.from({ length: 50 }, (_, i) => purchaseAt(123_456 + i)));
  });

  test("come in batches that have each of them once", () => {
    const made = [...batches(12_345)];
    expect(made.map((batch) => batch.length)).toEqual([5_000, 5_000, 2_345]);
    expect(made.flat().at(-1)).toEqual(purchaseAt(12_344));
  });

  test("are of users by Zipf's law", () => {
    const tallies = talliesOf(400_000);
    const shareOf = (rank: number): number => tallies.get(userNames[rank]!)!.n / 400_000;
    expect(shareOf(0) / shareOf(1)).toBeCloseTo(2, 0);
    expect(shareOf(0) / shareOf(9)).toBeCloseTo(10, -0.5);
    expect(tallies.size).toBeGreaterThan(9_000);
  });

  test("of a state are one of each key, then of the hot ones", () => {
    const shape = { keys: 100, hot: 20 };
    expect(Array.from({ length: 100 }, (_, i) => stateKeyAt(i, shape))).toEqual([
      ...Array.from({ length: 100 }).keys(),
    ]);
    expect(Math.max(...Array.from({ length: 500 }, (_, i) => stateKeyAt(100 + i, shape)))).toBe(19);
    expect(sampledTalliesOf(600, shape).size).toBe(sampledKeys);
  });

  test("that were miscounted are named", () => {
    const expected = new Map([["ann", { n: 2, total: 5 }]]);
    expect(differences(expected, new Map([["ann", { n: 2, total: 5 }]]))).toEqual([]);
    expect(differences(expected, new Map([["bob", { n: 1, total: 5 }]]))).toEqual([
      "ann has nothing, should have 2 rows and 5",
      "bob has 1 rows and 5, should have nothing",
    ]);
  });
});
