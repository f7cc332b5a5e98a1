// What checkpoints cost: the same job without any, and with one every so often, for states of two sizes of
// which all keys change or one in a hundred.

import { writeFile } from "node:fs/promises";

import type { Benchmark, Figure } from "./benchmark.ts";
import { curves, type Curve } from "./curves.ts";
import { compete, cpuRatio, rateOf, type Rounds, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { type StateContestant, stateJob } from "./state-job.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Milliseconds. */
const intervals = [300, 1_000, 3_000, 10_000];
/** Seconds of one run, about: enough for a checkpoint at the longest interval. */
const runSeconds = 12;
/** Bytes of state per key, about. */
const keyBytes = 84;

interface Setting {
  readonly name: string;
  readonly keys: number;
  readonly hot: number;
}

const settings: readonly Setting[] = [10, 100].flatMap((megabytes) => {
  const keys = Math.round((megabytes * 1e6) / keyBytes);
  return [
    { name: `${megabytes}MB-hot100`, keys, hot: keys },
    { name: `${megabytes}MB-hot1`, keys, hot: Math.round(keys / 100) },
  ];
});
const quickSettings: readonly Setting[] = [{ name: "1MB-hot1", keys: 10_000, hot: 100 }];

const nameOf = (setting: Setting, interval: number | undefined): string =>
  `${setting.name}-${interval === undefined ? "none" : `${interval / 1_000}s`}`;

/** The job with that state and interval; `rows` are those that are measured. */
const contestantOf = (
  runtime: BenchRuntime,
  setting: Setting,
  { interval, rows }: { readonly interval: number | undefined; readonly rows: number },
): StateContestant =>
  stateJob(runtime, {
    name: nameOf(setting, interval),
    shape: { keys: setting.keys, hot: setting.hot },
    rows,
    flink: interval === undefined ? {} : { "execution.checkpointing.interval": `${interval} ms` },
  });

type Made = (runtime: BenchRuntime, rows: number) => StateContestant;

/** Each of them by its name, to be run by itself. */
export const overheadContestants: ReadonlyMap<string, Made> = new Map(
  settings.flatMap((setting) =>
    [undefined, ...intervals].map((interval): [string, Made] => [
      nameOf(setting, interval),
      (runtime, rows) => contestantOf(runtime, setting, { interval, rows }),
    ]),
  ),
);

export const checkpointOverhead: Benchmark = {
  name: "checkpoint-overhead",
  summary: "throughput by checkpoint interval and size of state",
  async run({ rows, quick, svg, ...rounds }) {
    const figures: Record<string, Figure> = {};
    const ratios: Record<string, Summary> = {};
    const cpuRatios: Record<string, Summary> = {};
    const drawn: Curve[] = [];
    for (const setting of quick ? quickSettings : settings) {
      const runtime = await BenchRuntime.start();
      try {
        const first = contestantOf(runtime, setting, { interval: undefined, rows });
        const perRun = quick ? rows : await calibrated(first, rounds.say);
        const contestants = [undefined, ...intervals].map((interval) =>
          contestantOf(runtime, setting, { interval, rows: perRun }),
        );
        const measured = await compete(contestants, rounds);
        for (const each of contestants) Object.assign(figures, figuresOf(each, measured));
        const none = nameOf(setting, undefined);
        for (const interval of intervals) {
          const name = nameOf(setting, interval);
          ratios[name] = speedRatio(measured, name, none);
          const byCpu = cpuRatio(measured, name, none);
          if (byCpu !== undefined) cpuRatios[name] = byCpu;
        }
        const sizes = contestants.flatMap(({ checkpoints }) => checkpoints);
        if (sizes.length > 0) {
          ratios[`${setting.name}-bytes`] = summaryOf(
            sizes.map((one) => one.bytes / one.stateBytes),
          );
        }
        const points = intervals.map((interval) => ({
          at: interval / 1_000,
          share: ratios[nameOf(setting, interval)]!,
        }));
        drawn.push({ name: setting.name, points });
      } finally {
        await runtime.stop();
      }
    }
    if (svg !== undefined) await writeFile(svg, curves(drawn));
    return { figures, ratios, cpuRatios };
  },
};

/** Rows that take `runSeconds`. */
async function calibrated(
  contestant: StateContestant,
  say: (text: string) => void,
): Promise<number> {
  const measured = await compete([contestant], { rounds: 1, warmUps: 0, say });
  return Math.ceil(rateOf(measured, contestant.name).median * runSeconds);
}

function figuresOf(
  { name, checkpoints }: StateContestant,
  measured: Rounds,
): Record<string, Figure> {
  const of = (what: "bytes" | "stateBytes" | "alignment", unit: string): Figure => ({
    unit,
    ...summaryOf(checkpoints.map((one) => one[what])),
  });
  return {
    [name]: { unit: "rows/s", ...rateOf(measured, name) },
    ...(checkpoints.length > 0 && {
      [`${name} bytes per checkpoint`]: of("bytes", "bytes"),
      [`${name} state`]: of("stateBytes", "bytes"),
      [`${name} alignment`]: of("alignment", "ms"),
    }),
  };
}
