// Cost per row by number of subtasks in one runtime, cost of a checkpoint of very many, and what a million
// rows cost on Cloudflare by its price list.
//   C1. The job has two vertices, so it has twice as many subtasks as its parallelism, and as many
//       channels as the square of that.
//   C2. A job is run at two lengths. The cost of a row of a whole run has the start of the job in it; that
//       of a further row is what the longer run cost beyond the shorter one, by the rows that it had more.

import type { Benchmark, Figure } from "./benchmark.ts";
import { countingJob } from "./contestants.ts";
import { coordinatorCost } from "./coordinator-cost.ts";
import { dollarsOf, foreseen, kinds, type Operations } from "./cost.ts";
import { talliesOf, type Tallies } from "./data.ts";
import {
  compete,
  type Contestant,
  costRatio,
  cpuCostRatio,
  cpuPerRow,
  furtherRows,
  rateOf,
  type Rounds,
} from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

const sizes = { quick: [2, 8], full: [1, 2, 4, 8, 32, 64] } as const;
/** What is compared, as parallelisms: 64 subtasks with 4, and a parallelism of 64 with one of 4. */
const pairs = [
  [8, 2],
  [32, 2],
  [64, 4],
] as const;
const vertices = 2;
/** How often as long the longer run is. */
const longer = 4;
/** Of the run whose operations are counted. */
const reference = 4;

const titleOf = (parallelism: number): string =>
  `${vertices * parallelism} subtasks (parallelism ${parallelism})`;

export const scale: Benchmark = {
  name: "scale",
  summary: "cost per row by number of subtasks, and on Cloudflare's price list",
  async run({ rows, quick, only, ...rounds }) {
    const runtime = await BenchRuntime.start();
    try {
      const all = quick ? sizes.quick : sizes.full;
      const parallelisms =
        only.length === 0 ? all : all.filter((one) => only.includes(String(vertices * one)));
      const lengths = [rows, longer * rows].map((length) => ({
        rows: length,
        expected: talliesOf(length),
      }));
      const contestants = parallelisms.flatMap((parallelism) =>
        lengths.map((length): Contestant => ({
          ...countingJob(runtime, { name: "rows", ...length, parallelism }),
          name: wholeOf(parallelism, length.rows),
        })),
      );
      const measured = await compete(contestants, rounds);
      const result = { figures: {}, ratios: {}, cpuRatios: {} };
      costsByParallelism({ measured, parallelisms, rows }, result);
      if (only.length > 0) return result;
      const { figures, ratios } = result;
      await costs(runtime, { ...lengths[0]!, figures, ratios });
      coordinatorCosts(figures, quick);
      return result;
    } finally {
      await runtime.stop();
    }
  },
};

interface Result {
  readonly figures: Record<string, Figure>;
  readonly ratios: Record<string, Summary>;
  readonly cpuRatios: Record<string, Summary>;
}

const wholeOf = (parallelism: number, rows: number): string =>
  `${titleOf(parallelism)}, run of ${rows.toLocaleString("en")} rows`;

function costsByParallelism(
  {
    measured,
    parallelisms,
    rows,
  }: { measured: Rounds; parallelisms: readonly number[]; rows: number },
  { figures, ratios, cpuRatios }: Result,
): void {
  const further = new Map(measured);
  const furtherOf = (parallelism: number): string => `${titleOf(parallelism)}, a further row`;
  for (const parallelism of parallelisms) {
    const [short, long] = [rows, longer * rows].map((length) => wholeOf(parallelism, length));
    further.set(furtherOf(parallelism), furtherRows(measured, short!, long!));
    for (const name of [short!, long!])
      figures[name] = { unit: "rows/s", ...rateOf(measured, name) };
    for (const name of [short!, long!, furtherOf(parallelism)]) {
      const cpu = cpuPerRow(further, name);
      if (cpu !== undefined) figures[`${name}, CPU`] = { unit: "µs/row", ...cpu };
    }
  }
  for (const [many, few] of pairs) {
    if (!parallelisms.includes(many) || !parallelisms.includes(few)) continue;
    const against = `${titleOf(many)} vs ${vertices * few}`;
    const compare = (what: string, nameOf: (parallelism: number) => string): void => {
      const name = `cost of a row, ${against}, ${what}`;
      ratios[name] = costRatio(further, nameOf(many), nameOf(few));
      const byCpu = cpuCostRatio(further, nameOf(many), nameOf(few));
      if (byCpu !== undefined) cpuRatios[name] = byCpu;
    };
    for (const length of [rows, longer * rows]) {
      compare(`run of ${length.toLocaleString("en")} rows`, (one) => wholeOf(one, length));
    }
    compare("a further row", furtherOf);
  }
}

function coordinatorCosts(figures: Record<string, Figure>, quick: boolean): void {
  const subtasks = quick ? 100 : 1_000;
  const many = coordinatorCost(subtasks, quick ? 3 : 20);
  const title = `coordinator, a checkpoint of ${subtasks.toLocaleString("en")} subtasks`;
  figures[title] = { unit: "ms", ...summaryOf(many.milliseconds) };
  figures[`${title}, writes`] = { unit: "", ...summaryOf([many.persists]) };
  figures[`${title}, calls`] = { unit: "", ...summaryOf([many.calls]) };
}

/** A run of `keyed-count` whose billed operations are counted, and compared with those foreseen. */
async function costs(
  runtime: BenchRuntime,
  {
    rows,
    expected,
    figures,
    ratios,
  }: {
    rows: number;
    expected: Tallies;
    figures: Record<string, Figure>;
    ratios: Record<string, Summary>;
  },
): Promise<void> {
  const contestant = countingJob(runtime, { name: "rows", rows, expected, parallelism: reference });
  await runtime.ask("POST", "/bench/count");
  const begunAt = performance.now();
  await contestant.run();
  const counts = await runtime.ask<Omit<Operations, "gigabyteSeconds">>("POST", "/bench/counted");
  const seconds = (performance.now() - begunAt) / 1_000;
  const checkpoints = await contestant.checkpoints();
  const wrong = await contestant.check();
  if (wrong.length > 0) throw new Error(`The counted run: ${wrong.join("; ")}`);
  const subtasks = 2 * reference;
  const model = foreseen({
    seconds,
    sources: reference,
    subtasks,
    channels: reference ** 2,
    checkpoints,
    filesPerCheckpoint: reference,
  });
  const counted: Operations = { ...counts, gigabyteSeconds: model.gigabyteSeconds };
  for (const kind of kinds) {
    figures[`counted ${kind}`] = { unit: "", ...summaryOf([counted[kind]]) };
    figures[`foreseen ${kind}`] = { unit: "", ...summaryOf([model[kind]]) };
  }
  const perMillion = (operations: Operations): number => (dollarsOf(operations) / rows) * 1e6;
  figures["counted cost of a million rows"] = {
    unit: "dollars",
    ...summaryOf([perMillion(counted)]),
  };
  ratios["foreseen cost vs counted"] = summaryOf([dollarsOf(model) / dollarsOf(counted)]);
}
