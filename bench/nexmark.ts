// Queries of Nexmark: rows a second of CPU, each over its own events with a checkpoint every second.
// Whether queries are right is for tests and `npm run nexmark -- --check`; here each run must have read
// every row and finished.

import { setTimeout as sleep } from "node:timers/promises";

import { bidsIn } from "../examples/nexmark/generator/stream.ts";
import type { Benchmark, Figure } from "./benchmark.ts";
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

const parallelism = 2;
const lookEvery = 50;

interface JobDetails {
  readonly state: string;
  readonly vertices: readonly {
    readonly name: string;
    readonly metrics: { readonly "read-records": number };
  }[];
}

function queryOf(runtime: BenchRuntime, name: Query, events: number): Contestant {
  const rows = queries[name] === "bids" ? bidsIn(events) : events;
  let ended: JobDetails | undefined;
  return {
    name,
    rows,
    run: async () => {
      const job = await runtime.submit(name, {
        parallelism,
        flink: { "execution.checkpointing.interval": "1 s" },
        parameters: { events },
      });
      do {
        await sleep(lookEvery);
        ended = await runtime.ask<JobDetails>("GET", `/jobs/${job}`);
      } while (!["FINISHED", "FAILED"].includes(ended.state));
    },
    check: async () => {
      const { state, vertices } = ended!;
      const sources = vertices.filter((vertex) => vertex.name.startsWith("Source: "));
      const read = sources.reduce((sum, { metrics }) => sum + metrics["read-records"], 0);
      return state === "FINISHED" && read === rows
        ? []
        : [`it is ${state} with ${read} rows of ${rows}`];
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

export const nexmark: Benchmark = {
  name: "nexmark",
  summary: "rows a second of CPU of Nexmark's queries",
  async run({ rows, only, ...rounds }) {
    const names = Object.keys(queries) as Query[];
    const unknown = only.find((name) => names.every((one) => one !== name));
    if (unknown !== undefined) {
      throw new RangeError(`There is no contestant "${unknown}"; there are ${names.join(", ")}.`);
    }
    const runtime = await BenchRuntime.start();
    try {
      const contestants = names
        .filter((name) => only.length === 0 || only.includes(name))
        .map((name) => queryOf(runtime, name, rows));
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
