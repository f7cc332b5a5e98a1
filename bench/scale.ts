// Cost per row by number of subtasks in one runtime, cost of a checkpoint of very many, and what a million
// rows cost on Cloudflare by its price list.

import type { Benchmark, Figure } from "./benchmark.ts";
import { countingJob } from "./contestants.ts";
import { talliesOf } from "./data.ts";
import { compete, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import type { Summary } from "./statistics.ts";

const sizes = { quick: [1, 4], full: [1, 4, 16, 64] } as const;
const reference = 4;

export const scale: Benchmark = {
  name: "scale",
  summary: "cost per row by number of subtasks, and on Cloudflare's price list",
  async run({ rows, quick, ...rounds }) {
    const runtime = await BenchRuntime.start();
    try {
      const expected = talliesOf(rows);
      const nameOf = (parallelism: number): string => `parallelism-${parallelism}`;
      const parallelisms = quick ? sizes.quick : sizes.full;
      const contestants = parallelisms.map((parallelism) => ({
        ...countingJob(runtime, { name: "rows", rows, expected, parallelism }),
        name: nameOf(parallelism),
      }));
      const measured = await compete(contestants, rounds);
      const figures: Record<string, Figure> = {};
      const ratios: Record<string, Summary> = {};
      const cpuRatios: Record<string, Summary> = {};
      for (const parallelism of parallelisms) {
        const name = nameOf(parallelism);
        figures[name] = { unit: "rows/s", ...rateOf(measured, name) };
        if (parallelism === reference) continue;
        // Of costs, so the other way round.
        const ratio = `cost-${parallelism}-vs-${reference}`;
        ratios[ratio] = speedRatio(measured, nameOf(reference), name);
        const byCpu = cpuRatio(measured, nameOf(reference), name);
        if (byCpu !== undefined) cpuRatios[ratio] = byCpu;
      }
      return { figures, ratios, cpuRatios };
    } finally {
      await runtime.stop();
    }
  },
};
