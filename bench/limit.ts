// What the platform allows for the rows that the engine is measured with, and each stage of it alone.

import type { Benchmark } from "./benchmark.ts";
import { batchRows, talliesOf, type Tally } from "./data.ts";
import { byHand } from "./contestants.ts";
import { type Contestant, compete, rateOf } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";

/** Batches of the pool that the rows are taken from again and again; as in `worker/limit.ts`. */
const poolRows = 40 * batchRows;

/** The next number of rows that is whole pools. */
export const limitRows = (rows: number): number => Math.ceil(rows / poolRows) * poolRows;

export function limitContestant(runtime: BenchRuntime, rows: number): Contestant {
  const times = limitRows(rows) / poolRows;
  const expected = new Map<string, Tally>();
  for (const [user, { n, total }] of talliesOf(poolRows)) {
    expected.set(user, { n: n * times, total: total * times });
  }
  return byHand(runtime, { name: "limit", rows: limitRows(rows), expected });
}

const stages = ["encode", "transfer", "decode", "fold"];

/** A stage folds nothing that could be asked for; what it does is part of `limit`, which is checked. */
const stage = (runtime: BenchRuntime, name: string, rows: number): Contestant => ({
  ...byHand(runtime, { name, rows: limitRows(rows), expected: new Map() }),
  check: async () => [],
});

export const limit: Benchmark = {
  name: "limit",
  summary: "what the platform allows for the same rows, with nothing around it",
  async run({ rows, ...rounds }) {
    const runtime = await BenchRuntime.start();
    try {
      const contestants = [
        limitContestant(runtime, rows),
        ...stages.map((name) => stage(runtime, name, rows)),
      ];
      const measured = await compete(contestants, rounds);
      const figures = contestants.map(({ name }) => {
        return [name, { unit: "rows/s", ...rateOf(measured, name) }] as const;
      });
      return { figures: Object.fromEntries(figures), ratios: {} };
    } finally {
      await runtime.stop();
    }
  },
};
