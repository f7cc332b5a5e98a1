// Throughput by number of keys, on both backends.

import type { Benchmark, Figure } from "./benchmark.ts";
import { compete, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { type StateContestant, stateJob } from "./state-job.ts";
import type { Summary } from "./statistics.ts";

const sizes = { quick: [1_000, 10_000], full: [10_000, 100_000, 1_000_000] } as const;
// Of the sqlite backend only: it is what state beyond memory is for.
const largest = 10_000_000;
const warmRows = 5_000_000;
const backends = ["memory", "sqlite"] as const;
/** How keys are drawn: by Zipf's law, as those of `keyed-count`, or each as likely, which is the worst case. */
const draws = ["zipf", "uniform"] as const;

const nameOf = ({ backend, draw }: Series, keys: number): string => `${backend}-${draw}-${keys}`;

interface Series {
  readonly backend: (typeof backends)[number];
  readonly draw: (typeof draws)[number];
}

const allSeries: readonly Series[] = backends.flatMap((backend) =>
  draws.map((draw) => ({ backend, draw })),
);

const contestantOf = (
  runtime: BenchRuntime,
  series: Series,
  {
    keys,
    rows,
    say,
  }: {
    readonly keys: number;
    readonly rows: number;
    readonly say?: (text: string) => void;
  },
): StateContestant =>
  stateJob(runtime, {
    name: nameOf(series, keys),
    shape: { keys, hot: keys, isZipf: series.draw === "zipf" },
    rows,
    note: 0,
    // The others have whole runs to warm up.
    ...(keys === largest && { warmRows, say: say ?? (() => {}) }),
    flink: { "execution.checkpointing.interval": "1 s", "state.backend.type": series.backend },
    // On sqlite it is the size of the cache, and stays what it is by default.
    isBudgeted: series.backend === "sqlite",
  });

/** Each of them by its name, to be run by itself. */
export const sizeContestants: ReadonlyMap<
  string,
  (runtime: BenchRuntime, rows: number) => StateContestant
> = new Map(
  allSeries.flatMap((series) =>
    [...sizes.full, largest].map((keys) => [
      nameOf(series, keys),
      (runtime: BenchRuntime, rows: number) => contestantOf(runtime, series, { keys, rows }),
    ]),
  ),
);

export const stateSize: Benchmark = {
  name: "state-size",
  summary: "throughput by number of keys, on both backends",
  async run({ rows, quick, large, only, ...rounds }) {
    const figures: Record<string, Figure> = {};
    const ratios: Record<string, Summary> = {};
    const cpuRatios: Record<string, Summary> = {};
    const isWanted = (name: string): boolean =>
      only.length === 0 || only.some((wanted) => name.startsWith(wanted));
    for (const series of allSeries) {
      if (!isWanted(`${series.backend}-${series.draw}`)) continue;
      const isLarge = large && series.backend === "sqlite";
      const counts = quick ? sizes.quick : isLarge ? [sizes.full[0], largest] : sizes.full;
      const runtime = await BenchRuntime.start();
      try {
        const contestants = counts.map((keys) =>
          contestantOf(runtime, series, { keys, rows, say: rounds.say }),
        );
        const measured = await compete(contestants, rounds);
        for (const { name } of contestants) {
          figures[name] = { unit: "rows/s", ...rateOf(measured, name) };
        }
        const [least, ...more] = counts;
        for (const keys of more) {
          const [ours, theirs] = [nameOf(series, keys), nameOf(series, least!)];
          const name = `${ours}-vs-${least}`;
          ratios[name] = speedRatio(measured, ours, theirs);
          const byCpu = cpuRatio(measured, ours, theirs);
          if (byCpu !== undefined) cpuRatios[name] = byCpu;
        }
      } finally {
        await runtime.stop();
      }
    }
    return { figures, ratios, cpuRatios };
  },
};
