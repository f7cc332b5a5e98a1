// Rows sent over HTTP until they are durable, by one to many clients; beside it a handler that parses the
// same bodies and drops them.

import type { Benchmark, Figure } from "./benchmark.ts";
import { batches } from "./data.ts";
import { compete, type Contestant, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { BenchRuntime } from "./runtime.ts";
import { quantile, type Summary, summaryOf } from "./statistics.ts";

const rowsPerBody = 1_000;
const clientCounts = [1, 4, 16, 64];
/** Of the rows of a run of other benchmarks: requests are slow beside channels. */
const share = 1 / 20;

const topicPath = "/topics/ingested/records";

interface Sender extends Contestant {
  /** Milliseconds of each request of all runs. */
  readonly latencies: readonly number[];
}

export const ingest: Benchmark = {
  name: "ingest",
  summary: "NDJSON over HTTP into a topic, by 1 to 64 clients",
  async run({ rows, ...rounds }) {
    const bodies = bodiesOf(Math.max(rowsPerBody * 2, Math.round(rows * share)));
    const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
    const perRow = bytes / (bodies.length * rowsPerBody);
    const runtime = await BenchRuntime.start();
    try {
      const contestants = clientCounts.flatMap((clients) => [
        sender(runtime, { name: `topic-${clients}`, path: topicPath, bodies, clients }),
        sender(runtime, { name: `bare-${clients}`, path: "/bench/bare", bodies, clients }),
      ]);
      const measured = await compete(contestants, rounds);
      const figures: Record<string, Figure> = {};
      const ratios: Record<string, Summary> = {};
      const cpuRatios: Record<string, Summary> = {};
      for (const { name, latencies } of contestants) {
        const rate = rateOf(measured, name);
        const sorted = latencies.toSorted((a, b) => a - b);
        figures[name] = { unit: "rows/s", ...rate };
        figures[`${name} MB/s`] = { unit: "MB/s", ...scaled(rate, perRow / 1e6) };
        for (const [title, q] of [
          ["p50", 0.5],
          ["p99", 0.99],
        ] as const) {
          figures[`${name} ${title}`] = { unit: "ms", ...summaryOf([quantile(sorted, q)]) };
        }
      }
      for (const clients of clientCounts) {
        const pair = [`topic-${clients}`, `bare-${clients}`] as const;
        ratios[`vsBare-${clients}`] = speedRatio(measured, ...pair);
        const byCpu = cpuRatio(measured, ...pair);
        if (byCpu !== undefined) cpuRatios[`vsBare-${clients}`] = byCpu;
      }
      return { figures, ratios, cpuRatios };
    } finally {
      await runtime.stop();
    }
  },
};

/** One client that sends so many rows, for whoever wants to see where the time goes. */
export const ingestContestant = (runtime: BenchRuntime, rows: number): Contestant =>
  sender(runtime, { name: "ingest", path: topicPath, bodies: bodiesOf(rows), clients: 1 });

const scaled = ({ median, min, max }: Summary, by: number): Summary => ({
  median: median * by,
  min: min * by,
  max: max * by,
});

/** Whole bodies, of at least so many rows. */
function bodiesOf(rows: number): string[] {
  const lines = [...batches(Math.ceil(rows / rowsPerBody) * rowsPerBody)]
    .flat()
    .map((row) => JSON.stringify(row));
  return Array.from({ length: lines.length / rowsPerBody }, (_, body) =>
    lines.slice(body * rowsPerBody, (body + 1) * rowsPerBody).join("\n"),
  );
}

function sender(
  runtime: BenchRuntime,
  {
    name,
    path,
    bodies,
    clients,
  }: { name: string; path: string; bodies: readonly string[]; clients: number },
): Sender {
  const rows = bodies.length * rowsPerBody;
  const isTopic = path.startsWith("/topics/");
  const latencies: number[] = [];
  let [stored, answered] = [0, 0];
  return {
    name,
    rows,
    latencies,
    prepare: async () => {
      answered = 0;
      stored = await storedRows(runtime);
    },
    run: async () => {
      let next = 0;
      const send = async (): Promise<void> => {
        for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
          const begunAt = performance.now();
          const response = await fetch(runtime.url + path, {
            method: "POST",
            body,
            headers: { "Content-Type": "application/x-ndjson" },
          });
          const { records } = (await response.json()) as { records: number };
          latencies.push(performance.now() - begunAt);
          answered += records;
        }
      };
      await Promise.all(Array.from({ length: clients }, send));
    },
    check: async () => {
      const kept = (await storedRows(runtime)) - stored;
      return [
        ...(answered === rows ? [] : [`${answered} rows were taken, and ${rows} were sent`]),
        ...(!isTopic || kept === rows ? [] : [`the topic has ${kept} more rows, not ${rows}`]),
      ];
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

async function storedRows(runtime: BenchRuntime): Promise<number> {
  type Topic = { readonly partitions: readonly { readonly next: number }[] };
  const { partitions } = await runtime.ask<Topic>("GET", "/topics/ingested");
  return partitions.reduce((sum, { next }) => sum + next, 0);
}
