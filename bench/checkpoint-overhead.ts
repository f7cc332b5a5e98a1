// What checkpoints cost: the same job without any, and with one every so often, for states of two sizes of
// which all keys change or one in a hundred.

import { writeFile } from "node:fs/promises";

import type { Benchmark, Figure } from "./benchmark.ts";
import { curves, type Curve } from "./curves.ts";
import { compete, cpuRatio, rateOf, type Rounds, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { type StateContestant, stateJob } from "./state-job.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Milliseconds. A large state that changes all the time is not written in a shorter time than that. */
const intervals = { small: [300, 1_000, 3_000, 10_000], large: [1_000, 10_000] } as const;
/** Seconds of one run, about: two checkpoints of the longest interval fall into it. */
const runSeconds = (interval = 0): number => Math.max(4, (2.1 * interval) / 1_000);
/** Milliseconds of CPU that putting files alone is measured for, about. */
const storeMillis = 500;
/** Bytes of state per key, about. */
const keyBytes = 84;

interface Setting {
  readonly name: string;
  /** For whoever looks at the curve. */
  readonly title: string;
  readonly keys: number;
  readonly hot: number;
  readonly intervals: readonly number[];
}

const settings: readonly Setting[] = [10, 100].flatMap((megabytes) => {
  const keys = Math.round((megabytes * 1e6) / keyBytes);
  const of = { keys, intervals: megabytes > 10 ? intervals.large : intervals.small };
  return [
    { ...of, name: `${megabytes}MB-hot100`, title: `${megabytes} MB, all hot`, hot: keys },
    {
      ...of,
      name: `${megabytes}MB-hot1`,
      title: `${megabytes} MB, 1 % hot`,
      hot: Math.round(keys / 100),
    },
  ];
});
const quickSettings: readonly Setting[] = [
  { name: "1MB-hot1", title: "1 MB, 1 % hot", keys: 10_000, hot: 100, intervals: intervals.small },
];

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
    [undefined, ...setting.intervals].map((interval): [string, Made] => [
      nameOf(setting, interval),
      (runtime, rows) => contestantOf(runtime, setting, { interval, rows }),
    ]),
  ),
);

export const checkpointOverhead: Benchmark = {
  name: "checkpoint-overhead",
  summary: "throughput by checkpoint interval and size of state",
  async run({ rows, quick, svg, only, ...rounds }) {
    const figures: Record<string, Figure> = {};
    const ratios: Record<string, Summary> = {};
    const cpuRatios: Record<string, Summary> = {};
    const drawn: Curve[] = [];
    const chosen = (quick ? quickSettings : settings).filter(
      ({ name }) => only.length === 0 || only.includes(name),
    );
    for (const setting of chosen) {
      const runtime = await BenchRuntime.start();
      try {
        const first = contestantOf(runtime, setting, { interval: undefined, rows });
        const rate = quick ? 0 : await calibrated(first, rounds.say);
        const contestants = [undefined, ...setting.intervals].map((interval) =>
          contestantOf(runtime, setting, {
            interval,
            rows: quick ? rows : Math.ceil(rate * runSeconds(interval)),
          }),
        );
        // Whatever is to be warm was so for the rate.
        const measured = await compete(contestants, { ...rounds, warmUps: quick ? 1 : 0 });
        const [none, ...others] = contestants;
        for (const each of contestants) Object.assign(figures, figuresOf(each, measured));
        for (const each of others) {
          const { name } = each;
          ratios[name] = speedRatio(measured, name, none!.name);
          const byCpu = cpuRatio(measured, name, none!.name);
          if (byCpu !== undefined) cpuRatios[name] = byCpu;
          const storing = await storingOf(runtime, each);
          if (storing === undefined || byCpu === undefined) continue;
          figures[`${name} storing alone`] = {
            unit: "ms of CPU per MB",
            ...summaryOf([storing]),
          };
          const beyond = beyondStoring(measured, each, storing / 1e9);
          cpuRatios[`${name} beyond storing`] = cpuRatio(beyond, name, none!.name)!;
        }
        const sizes = others.flatMap(({ checkpoints }) => checkpoints);
        if (sizes.length > 0) {
          ratios[`${setting.name}-bytes`] = summaryOf(
            sizes.map((one) => one.bytes / one.stateBytes),
          );
        }
        const points = setting.intervals.map((interval) => ({
          at: interval / 1_000,
          share: ratios[nameOf(setting, interval)]!,
        }));
        drawn.push({ name: setting.title, points });
      } finally {
        await runtime.stop();
      }
    }
    if (svg !== undefined) await writeFile(svg, curves(drawn));
    return { figures, ratios, cpuRatios };
  },
};

/** Rows a second without checkpoints. */
async function calibrated(
  contestant: StateContestant,
  say: (text: string) => void,
): Promise<number> {
  const measured = await compete([contestant], { rounds: 1, warmUps: 0, say });
  return rateOf(measured, contestant.name).median;
}

/**
 * Milliseconds of CPU that it takes to put a MB of files like those of its checkpoints into R2, and nothing else:
 * the local R2 runs on the thread of the objects, where on Cloudflare's network it does not. Undefined
 * where it stores none, or the machine does not tell.
 */
async function storingOf(
  runtime: BenchRuntime,
  { checkpoints }: StateContestant,
): Promise<number | undefined> {
  const stored = checkpoints.filter(({ files }) => files > 0);
  if (stored.length === 0) return undefined;
  const files = Math.round(summaryOf(stored.map((one) => one.files)).median);
  const bytes = Math.round(summaryOf(stored.map((one) => one.bytes)).median / files);
  const store = async (times: number): Promise<number | undefined> => {
    const before = await runtime.cpuSeconds();
    await runtime.ask("POST", `/bench/store/${files}?bytes=${bytes}&times=${times}`);
    const after = await runtime.cpuSeconds();
    return before === undefined || after === undefined ? undefined : 1_000 * (after - before);
  };
  const once = await store(1);
  if (once === undefined) return undefined;
  const times = Math.ceil(storeMillis / Math.max(once, 1));
  return (await store(times))! / times / ((files * bytes) / 1e6);
}

/** The runs of a contestant without the CPU that storing its checkpoints took, in seconds per byte. */
function beyondStoring(
  measured: Rounds,
  { name, stored }: StateContestant,
  storing: number,
): Rounds {
  const runs = measured.get(name)!;
  const bytes = stored.slice(-runs.length);
  const without = runs.map(({ cpuSeconds = 0, ...run }, round) => ({
    ...run,
    cpuSeconds: Math.max(0, cpuSeconds - bytes[round]! * storing),
  }));
  return new Map([...measured, [name, without]]);
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
