// How long an event takes from its sender to the state, at shares of the load that the job can bear; beside
// it the bare round trip of a call, in the same runtime under the same load. An event is sent over HTTP and
// kept in a topic first, so its latency has all of that in it.
//   L1. The greatest load is measured while events and calls come as they do later: they take their share of
//       the one thread.
//   L2. Rows of a rate come in smaller batches than those of no rate, and cost more each. So what the runtime
//       has used of a processor stands beside each latency: near 1 its thread was never idle, whatever the
//       share is called, and a latency is one of a queue.

import { setTimeout as sleep } from "node:timers/promises";

import type { Benchmark, Figure } from "./benchmark.ts";
import type { Contestant } from "./harness.ts";
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
  /** Rows per second that were there of those that were asked for. */
  readonly rate: number;
  /** Seconds of CPU per second, of all threads; undefined where the machine does not tell. */
  readonly busy: number | undefined;
}

export const latency: Benchmark = {
  name: "latency",
  summary: "of an event from its sender to the state, by load",
  async run({ rounds, quick, only, say }) {
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
          if (only.length > 0 && !only.includes(String(share * 100))) continue;
          const name = `${share * 100} % ${title}`;
          const rate = Math.max(1_000, Math.round(most * share));
          const measured: Latencies[] = [];
          for (let round = 0; round < rounds; round++) {
            measured.push(await latencies(runtime, { rate, interval, seconds }));
            say(`round ${round + 1}: ${name}, p99 ${quantile(measured.at(-1)!.events, 0.99)} ms`);
          }
          for (const [label, q] of [
            ["p50", 0.5],
            ["p99", 0.99],
            ["p99.9", 0.999],
          ] as const) {
            const of = (which: "events" | "pings"): Summary =>
              summaryOf(measured.map((one) => quantile(one[which], q)));
            figures[`${name} ${label}`] = { unit: "ms", ...of("events") };
            figures[`${name} bare call ${label}`] = { unit: "ms", ...of("pings") };
          }
          figures[`${name} rows/s`] = {
            unit: "rows/s",
            ...summaryOf(measured.map((one) => one.rate)),
          };
          const busy = measured.flatMap((one) => one.busy ?? []);
          if (busy.length > 0) figures[`${name} CPU`] = { unit: "s/s", ...summaryOf(busy) };
          const against = (bare: (one: Latencies) => readonly number[]): Summary =>
            summaryOf(
              measured.map(
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

/** Ten seconds under a load of a tenth of `rows` a second, with a checkpoint a second; to be profiled. */
export function latencyContestant(runtime: BenchRuntime, rows: number): Contestant {
  const seconds = 10;
  let job = "";
  return {
    name: "latency",
    rows,
    prepare: async () => {
      const rate = Math.round(rows / seconds);
      job = await submit(runtime, rate, "1 s");
      await taken(runtime, job, rate);
    },
    run: async () => {
      const { first, count } = await probed(runtime, job, seconds);
      await arrived(runtime, { job: job, first, count });
    },
    check: async () => {
      await runtime.cancel(job);
      return [];
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

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

/** Rows per second of the same job without a limit, with as many events and calls beside them (L1). */
async function greatestLoad(runtime: BenchRuntime, seconds: number): Promise<number> {
  const job = await submit(runtime, boundless, "1 s");
  await sleep(seconds * 200);
  const { rate } = await probed(runtime, job, seconds);
  await runtime.cancel(job);
  return rate;
}

async function latencies(
  runtime: BenchRuntime,
  { rate, interval, seconds }: { rate: number; interval: string | undefined; seconds: number },
): Promise<Latencies> {
  const job = await submit(runtime, rate, interval);
  await taken(runtime, job, rate);
  const { first, count, ...measured } = await probed(runtime, job, seconds);
  const events = await arrived(runtime, { job, first, count });
  await runtime.cancel(job);
  return { events, ...measured };
}

interface Probed extends Omit<Latencies, "events"> {
  /** The numbers of the events that were sent. */
  readonly first: number;
  readonly count: number;
}

/** Sends an event and a bare call every some milliseconds, and returns once all are answered. */
async function probed(runtime: BenchRuntime, job: string, seconds: number): Promise<Probed> {
  const { partitions } = await runtime.ask<{ partitions: { next: number }[] }>(
    "GET",
    "/topics/probes",
  );
  const first = partitions[0]!.next;
  const count = Math.round((seconds * 1_000) / probeEvery);
  const pings: number[] = [];
  const sent: Promise<unknown>[] = [];
  const [rowsBefore, cpuBefore] = [await taken(runtime, job), await runtime.cpuSeconds()];
  const begunAt = performance.now();
  for (let probe = first; probe < first + count; probe++) {
    sent.push(runtime.ask("POST", "/topics/probes/records", { probe, sent: Date.now() }));
    sent.push(ping(runtime).then((took) => pings.push(took)));
    await sleep(probeEvery);
  }
  await Promise.all(sent);
  const [rows, cpu] = [(await taken(runtime, job)) - rowsBefore, await runtime.cpuSeconds()];
  const took = (performance.now() - begunAt) / 1_000;
  const isKnown = cpu !== undefined && cpuBefore !== undefined;
  return {
    first,
    count,
    pings: pings.toSorted((a, b) => a - b),
    rate: rows / took,
    busy: isKnown ? (cpu - cpuBefore) / took : undefined,
  };
}

/** Rows that the job has taken in, once they are so many. */
const taken = (runtime: BenchRuntime, job: string, rows = 1): Promise<number> =>
  runtime.ask("GET", `/bench/processed/${job}?uid=tallies&rows=${rows}`);

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
    const { rows } = await runtime.ask<Page>(
      "GET",
      `/jobs/${job}/tables/latencies?read=latest&limit=100000`,
    );
    // The topic also has those of earlier rounds, which this job finds there late.
    const ours = rows.filter(({ key }) => Number(key.slice("probe-".length)) >= first);
    if (ours.length === count) return ours.map((row) => row.latency).toSorted((a, b) => a - b);
    if (Date.now() > deadline) throw new Error(`Of ${count} events ${ours.length} have arrived.`);
  }
}
