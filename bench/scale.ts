// Cost per row by number of subtasks in one runtime, cost of a checkpoint of very many, and what a million
// rows cost on Cloudflare by its price list.

import type { Benchmark, Figure } from "./benchmark.ts";
import { countingJob } from "./contestants.ts";
import { coordinatorCost } from "./coordinator-cost.ts";
import { dollarsOf, foreseen, kinds, type Operations } from "./cost.ts";
import { talliesOf, type Tallies } from "./data.ts";
import { compete, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

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
      await costs(runtime, { rows, expected, figures, ratios });
      const many = coordinatorCost(quick ? 100 : 1_000, quick ? 3 : 20);
      const title = `coordinator, a checkpoint of ${quick ? "100" : "1,000"} subtasks`;
      figures[title] = { unit: "ms", ...summaryOf(many.milliseconds) };
      figures[`${title}, writes`] = { unit: "", ...summaryOf([many.persists]) };
      figures[`${title}, calls`] = { unit: "", ...summaryOf([many.calls]) };
      return { figures, ratios, cpuRatios };
    } finally {
      await runtime.stop();
    }
  },
};

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
