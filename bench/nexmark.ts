// Queries of Nexmark: rows a second of CPU, each over its own events with a checkpoint every second.
// Whether queries are right is for tests and `npm run nexmark -- --check`; here each run must have read
// every row and finished.

import { bidsIn } from "../examples/nexmark/generator/stream.ts";
import type { Benchmark, Figure } from "./benchmark.ts";
import { finiteJob } from "./finite-job.ts";
import { compete, type Contestant, cpuRateOf, rateOf } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";

/** What each reads: the bids, or all events. */
const queries = {
  q0: "bids",
  q1: "bids",
  q2: "bids",
  q3: "events",
  q5: "bids",
  q7: "bids",
  q8: "events",
  q11: "bids",
  q17: "bids",
  q18: "bids",
  q19: "bids",
  q20: "events",
} as const;

type Query = keyof typeof queries;

export const queryNames = Object.keys(queries) as readonly Query[];

const parallelism = 2;

/** Of events; the state of q18, q19 and q20 grows with them. */
const mostEvents = 1_000_000;

export function queryContestant(runtime: BenchRuntime, name: string, events: number): Contestant {
  const most = Math.min(events, mostEvents);
  return finiteJob(runtime, {
    name,
    program: name,
    rows: queries[name as Query] === "bids" ? bidsIn(most) : most,
    parallelism,
    flink: { "execution.checkpointing.interval": "1 s" },
    parameters: { events: most },
  });
}

export const nexmark: Benchmark = {
  name: "nexmark",
  summary: "rows a second of CPU of Nexmark's queries",
  async run({ rows, only, ...rounds }) {
    const unknown = only.find((name) => queryNames.every((one) => one !== name));
    if (unknown !== undefined) {
      throw new RangeError(
        `There is no contestant "${unknown}"; there are ${queryNames.join(", ")}.`,
      );
    }
    const runtime = await BenchRuntime.start();
    try {
      const contestants = queryNames
        .filter((name) => only.length === 0 || only.includes(name))
        .map((name) => queryContestant(runtime, name, rows));
      const measured = await compete(contestants, rounds);
      const figures: Record<string, Figure> = {};
      for (const { name } of contestants) {
        figures[name] = { unit: "rows/s", ...rateOf(measured, name) };
        const byCpu = cpuRateOf(measured, name);
        if (byCpu !== undefined) figures[`${name} per core`] = { unit: "rows/s of CPU", ...byCpu };
      }
      return { figures, ratios: {} };
    } finally {
      await runtime.stop();
    }
  },
};
