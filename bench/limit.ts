// What the platform allows for the rows that the engine is measured with, and each stage of it alone.

import type { Benchmark } from "./benchmark.ts";
import { byHand, limitContestant, limitRows } from "./contestants.ts";
import { type Contestant, compete, rateOf } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";

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
