// How long an event takes from its sender to the state, at shares of the load that the job can bear; beside
// it the bare round trip of a call, in the same runtime under the same load. An event is sent over HTTP and
// kept in a topic first, so its latency has all of that in it.

import { setTimeout as sleep } from "node:timers/promises";

import type { Benchmark, Figure } from "./benchmark.ts";
import { BenchRuntime } from "./runtime.ts";
import { quantile, type Summary, summaryOf } from "./statistics.ts";

/** Of the greatest load that was measured. */
const shares = [0.1, 0.5, 0.8];
const intervals = { "with checkpoints": "1 s", "without checkpoints": undefined } as const;
/** Milliseconds: of `probed`, and between two events. */
const bufferTimeout = 10;
const probeEvery = 10;
/** More than any runtime takes. */
const boundless = 100_000_000;

interface Latencies {
  /** Milliseconds, ascending. */
  readonly events: readonly number[];
  readonly pings: readonly number[];
}

export const latency: Benchmark = {
  name: "latency",
  summary: "of an event from its sender to the state, by load",
  async run({ rounds, quick, say }) {
    const figures: Record<string, Figure> = {};
    const ratios: Record<string, Summary> = {};
    const runtime = await BenchRuntime.start();
    try {
      const seconds = quick ? 1 : 10;
      const idle = await idlePings(runtime);
      figures["bare call, idle, p99"] = { unit: "ms", ...summaryOf([quantile(idle, 0.99)]) };
      const most = await greatestLoad(runtime, seconds);
      figures["greatest load"] = { unit: "rows/s", ...summaryOf([most]) };
      for (const [title, interval] of Object.entries(intervals)) {
        for (const share of quick ? [0.1] : shares) {
          const name = `${share * 100} % ${title}`;
          const rate = Math.max(1_000, Math.round(most * share));
          const taken: Latencies[] = [];
          for (let round = 0; round < rounds; round++) {
            taken.push(await latencies(runtime, { rate, interval, seconds }));
            say(`round ${round + 1}: ${name}, p99 ${quantile(taken.at(-1)!.events, 0.99)} ms`);
          }
          for (const [label, q] of [
            ["p50", 0.5],
            ["p99", 0.99],
            ["p99.9", 0.999],
          ] as const) {
            const of = (which: keyof Latencies): Summary =>
              summaryOf(taken.map((one) => quantile(one[which], q)));
            figures[`${name} ${label}`] = { unit: "ms", ...of("events") };
            figures[`${name} bare call ${label}`] = { unit: "ms", ...of("pings") };
          }
          const against = (bare: (one: Latencies) => readonly number[]): Summary =>
            summaryOf(
              taken.map(
                (one) => quantile(one.events, 0.99) / (quantile(bare(one), 0.99) + bufferTimeout),
              ),
            );
          // Against a call while nothing else happens, and against one under the same load.
          ratios[`${name}: p99 vs bare call and timeout`] = against(() => idle);
          ratios[`${name}: p99 vs bare call under load`] = against(({ pings }) => pings);
        }
      }
      return { figures, ratios };
    } finally {
      await runtime.stop();
    }
  },
};

const submit = (
  runtime: BenchRuntime,
  rate: number,
  interval: string | undefined,
): Promise<string> =>
  runtime.submit("probed", {
    parallelism: 4,
    parameters: { rate },
    ...(interval !== undefined && { flink: { "execution.checkpointing.interval": interval } }),
  });

/** Rows per second of the same job without a limit. */
async function greatestLoad(runtime: BenchRuntime, seconds: number): Promise<number> {
  const job = await submit(runtime, boundless, "1 s");
  const taken = (): Promise<number> =>
    runtime.ask("GET", `/bench/processed/${job}?uid=tallies&rows=1`);
  await sleep(seconds * 200);
  const [before, begunAt] = [await taken(), performance.now()];
  await sleep(seconds * 1_000);
  const after = await taken();
  const took = (performance.now() - begunAt) / 1_000;
  await runtime.cancel(job);
  return (after - before) / took;
}

async function latencies(
  runtime: BenchRuntime,
  { rate, interval, seconds }: { rate: number; interval: string | undefined; seconds: number },
): Promise<Latencies> {
  const { partitions } = await runtime.ask<{ partitions: { next: number }[] }>(
    "GET",
    "/topics/probes",
  );
  const first = partitions[0]!.next;
  const job = await submit(runtime, rate, interval);
  await runtime.ask("GET", `/bench/processed/${job}?uid=tallies&rows=${rate}`);
  const count = Math.round((seconds * 1_000) / probeEvery);
  const pings: number[] = [];
  const sent: Promise<unknown>[] = [];
  for (let probe = first; probe < first + count; probe++) {
    sent.push(runtime.ask("POST", "/topics/probes/records", { probe, sent: Date.now() }));
    sent.push(ping(runtime).then((took) => pings.push(took)));
    await sleep(probeEvery);
  }
  await Promise.all(sent);
  const events = await arrived(runtime, { job, first, count });
  await runtime.cancel(job);
  return { events, pings: pings.toSorted((a, b) => a - b) };
}

async function ping(runtime: BenchRuntime): Promise<number> {
  const begunAt = performance.now();
  await runtime.ask("POST", "/bench/ping");
  return performance.now() - begunAt;
}

async function idlePings(runtime: BenchRuntime): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < 500; i++) took.push(await ping(runtime));
  return took.slice(100).toSorted((a, b) => a - b);
}

/** @throws Error where an event does not come, or comes twice */
async function arrived(
  runtime: BenchRuntime,
  { job, first, count }: { job: string; first: number; count: number },
): Promise<number[]> {
  type Page = { readonly rows: readonly { readonly key: string; readonly latency: number }[] };
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    const { rows } = await runtime.ask<Page>("GET", `/jobs/${job}/tables/latencies?read=latest`);
    // The topic also has those of earlier rounds, which this job finds there late.
    const ours = rows.filter(({ key }) => Number(key.slice("probe-".length)) >= first);
    if (ours.length === count) return ours.map((row) => row.latency).toSorted((a, b) => a - b);
    if (Date.now() > deadline) throw new Error(`Of ${count} events ${ours.length} have arrived.`);
  }
}
