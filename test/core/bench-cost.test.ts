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
      { parallelism: 1, checkpoints: 1 },
      { requests: 12, rowsRead: 27, rowsWritten: 35, classA: 2 },
    ],
    [
      { parallelism: 4, checkpoints: 0 },
      { requests: 34, rowsRead: 44, rowsWritten: 71, classA: 0 },
    ],
    [
      { parallelism: 8, checkpoints: 0 },
      { requests: 98, rowsRead: 76, rowsWritten: 127, classA: 0 },
    ],
    [
      { parallelism: 4, checkpoints: 1 },
      { requests: 54, rowsRead: 51, rowsWritten: 77, classA: 5 },
    ],
  ])("of a short run of keyed-count are foreseen as they were counted: %j", (run, counted) => {
    const { parallelism, checkpoints } = run;
    expect(
      foreseen({
        seconds: 3,
        sources: parallelism,
        subtasks: 2 * parallelism,
        channels: parallelism ** 2,
        checkpoints,
        filesPerCheckpoint: parallelism,
      }),
    ).toMatchObject(counted);
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
