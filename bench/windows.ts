// Sliding windows: what a row costs in windows of 5 and of 60 slides, with slides of the same length; and
// in windows of one length, with 5 slides in it and 60, which have twelve times as many results.

import type { Benchmark } from "./benchmark.ts";
import { differences, type Tally, talliesOfReadings } from "./data.ts";
import { finiteJob } from "./finite-job.ts";
import { compete, type Contestant, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";

interface Sliding {
  /** Milliseconds of event time; there is a row in each. */
  readonly size: number;
  readonly slide: number;
}

const windows: Readonly<Record<string, Sliding>> = {
  "slides-5": { size: 50_000, slide: 10_000 },
  "slides-60": { size: 600_000, slide: 10_000 },
  "panes-5": { size: 60_000, slide: 12_000 },
  "panes-60": { size: 60_000, slide: 1_000 },
};

export const windowNames: readonly string[] = Object.keys(windows);

export function windowContestant(runtime: BenchRuntime, name: string, rows: number): Contestant {
  const { size, slide } = windows[name]!;
  // At the end of its input a job tells all windows: each row is in as many.
  const times = size / slide;
  const expected = new Map<string, Tally>();
  for (const [user, { n, total }] of talliesOfReadings(rows)) {
    expected.set(user, { n: n * times, total: total * times });
  }
  type Page = { readonly rows: readonly (Tally & { readonly key: string })[] };
  return finiteJob(runtime, {
    name,
    program: "windowed-count",
    rows,
    parallelism: 4,
    flink: { "execution.checkpointing.interval": "1 s" },
    parameters: { rows, size, slide },
    differences: async (job) => {
      const path = `/jobs/${job}/tables/tallies?read=latest&limit=100000`;
      const page = await runtime.ask<Page>("GET", path);
      return differences(expected, new Map(page.rows.map((row) => [row.key, row])));
    },
  });
}

export const slidingWindows: Benchmark = {
  name: "windows",
  summary: "count and sum by key in sliding windows of 5 and 60 slides",
  async run({ rows, only, ...rounds }) {
    const unknown = only.find((name) => !windowNames.includes(name));
    if (unknown !== undefined) {
      throw new RangeError(
        `There is no contestant "${unknown}"; there are ${windowNames.join(", ")}.`,
      );
    }
    const runtime = await BenchRuntime.start();
    try {
      const names = windowNames.filter((name) => only.length === 0 || only.includes(name));
      const contestants = names.map((name) => windowContestant(runtime, name, rows));
      const measured = await compete(contestants, rounds);
      const figures = names.map((name) => {
        return [name, { unit: "rows/s", ...rateOf(measured, name) }] as const;
      });
      const known = Object.entries(pairs).filter(([, pair]) => {
        return pair.every((name) => measured.has(name));
      });
      return {
        figures: Object.fromEntries(figures),
        ratios: Object.fromEntries(
          known.map(([ratio, [few, many]]) => [ratio, speedRatio(measured, few, many)]),
        ),
        cpuRatios: Object.fromEntries(
          known.flatMap(([ratio, [few, many]]) => {
            const byCpu = cpuRatio(measured, few, many);
            return byCpu === undefined ? [] : [[ratio, byCpu] as const];
          }),
        ),
      };
    } finally {
      await runtime.stop();
    }
  },
};

/** How many times as much a row costs in the second. */
const pairs = {
  costOf60Slides: ["slides-5", "slides-60"],
  costOf60Panes: ["panes-5", "panes-60"],
} as const;
