// What the benchmarks make of their measurements.

import { describe, expect, test } from "vitest";

import { compete, type Contestant, cpuRatio, speedRatio } from "../../bench/harness.ts";
import { orderOf, quantile, ratioOf, summaryOf } from "../../bench/statistics.ts";

describe("a summary", () => {
  test.each([
    [[3], { median: 3, min: 3, max: 3 }],
    [[3, 1, 2], { median: 2, min: 1, max: 3 }],
    [[4, 1, 2, 3], { median: 2.5, min: 1, max: 4 }],
  ])("of %j", (values, summary) => {
    expect(summaryOf(values)).toEqual(summary);
  });

  test("of nothing is refused", () => {
    expect(() => summaryOf([])).toThrow("nothing to summarise");
  });
});

test("a quantile lies between the two values next to it", () => {
  const sorted = [0, 10, 20, 30, 40];
  expect([0, 0.5, 0.9, 1].map((q) => quantile(sorted, q))).toEqual([0, 20, 36, 40]);
});

test("a ratio is of the runs of one round, not of medians (S1)", () => {
  // The machine was ten times as slow in the second round, for both.
  expect(ratioOf([200, 20, 200], [100, 10, 100])).toEqual({ median: 2, min: 2, max: 2 });
  expect(() => ratioOf([1], [1, 2])).toThrow("1 rounds cannot be compared with 2");
});

test("in as many rounds as there are contestants each is first once", () => {
  const orders = [0, 1, 2].map((round) => orderOf(["a", "b", "c"], round));
  expect(orders).toEqual([
    ["a", "b", "c"],
    ["b", "c", "a"],
    ["c", "a", "b"],
  ]);
});

describe("contestants", () => {
  const runs: string[] = [];
  const contestant = (name: string, seconds: number, wrong: string[] = []): Contestant => ({
    name,
    rows: 1_000,
    run: async () => {
      runs.push(name);
      return { seconds, cpuSeconds: seconds / 2 };
    },
    check: async () => wrong,
  });
  const options = { rounds: 3, warmUps: 1, say: () => {} };

  test("run in turn, and rounds to warm up are not measured (H1, H2)", async () => {
    runs.length = 0;
    const measured = await compete([contestant("a", 1), contestant("b", 4)], options);
    expect(runs).toEqual(["a", "b", "b", "a", "a", "b", "b", "a"]);
    expect(measured.get("a")).toHaveLength(3);
    expect(speedRatio(measured, "a", "b")).toEqual({ median: 4, min: 4, max: 4 });
    expect(cpuRatio(measured, "a", "b")).toEqual({ median: 4, min: 4, max: 4 });
  });

  test("with a wrong answer end the benchmark (H3)", async () => {
    const liar = contestant("liar", 1, ["user-0 has 1 row, should have 2"]);
    await expect(compete([liar], options)).rejects.toThrow("liar: user-0 has 1 row");
  });
});
