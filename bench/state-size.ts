// Throughput by number of keys, on both backends.

import type { Benchmark, Figure } from "./benchmark.ts";
import { compete, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { stateJob } from "./state-job.ts";
import type { Summary } from "./statistics.ts";

const sizes = { quick: [1_000, 10_000], full: [10_000, 100_000, 1_000_000] } as const;
// Of the sqlite backend only: it is what state beyond memory is for.
const largest = 10_000_000;
const backends = ["memory", "sqlite"] as const;
/** How keys are drawn: by Zipf's law, as those of `keyed-count`, or each as likely, which is the worst case. */
const draws = ["zipf", "uniform"] as const;

export const stateSize: Benchmark = {
  name: "state-size",
  summary: "throughput by number of keys, on both backends",
  async run({ rows, quick, large, only, ...rounds }) {
    const figures: Record<string, Figure> = {};
    const ratios: Record<string, Summary> = {};
    const cpuRatios: Record<string, Summary> = {};
    const series = backends.flatMap((backend) => draws.map((draw) => ({ backend, draw })));
    const isWanted = (name: string): boolean =>
      only.length === 0 || only.some((wanted) => name.startsWith(wanted));
    for (const { backend, draw } of series) {
      if (!isWanted(`${backend}-${draw}`)) continue;
      const isLarge = large && backend === "sqlite";
      const counts = quick ? sizes.quick : [...sizes.full, ...(isLarge ? [largest] : [])];
      const nameOf = (keys: number): string => `${backend}-${draw}-${keys}`;
      const runtime = await BenchRuntime.start();
      try {
        const contestants = counts.map((keys) =>
          stateJob(runtime, {
            name: nameOf(keys),
            shape: { keys, hot: keys, isZipf: draw === "zipf" },
            rows,
            flink: { "execution.checkpointing.interval": "1 s", "state.backend.type": backend },
            // On sqlite it is the size of the cache, and stays what it is by default.
            isBudgeted: backend === "sqlite",
          }),
        );
        const measured = await compete(contestants, rounds);
        for (const { name } of contestants) {
          figures[name] = { unit: "rows/s", ...rateOf(measured, name) };
        }
        const [least, ...more] = counts;
        for (const keys of more) {
          const name = `${nameOf(keys)}-vs-${least}`;
          ratios[name] = speedRatio(measured, nameOf(keys), nameOf(least!));
          const byCpu = cpuRatio(measured, nameOf(keys), nameOf(least!));
          if (byCpu !== undefined) cpuRatios[name] = byCpu;
        }
      } finally {
        await runtime.stop();
      }
    }
    return { figures, ratios, cpuRatios };
  },
};
