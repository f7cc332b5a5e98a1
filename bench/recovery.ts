// From SIGKILL of the whole runtime to the first row that is committed after it, by size of state, backend
// and where the state is read from; beside it a runtime that is killed with nothing to recover.

import { setTimeout as sleep } from "node:timers/promises";

import type { Benchmark, Figure } from "./benchmark.ts";
import { differences, sampledTalliesOf, type StateShape, type Tally } from "./data.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Bytes of state per key, about. */
const keyBytes = 84;
/** Milliseconds between two looks. */
const lookEvery = 10;

interface Setting {
  readonly megabytes: number;
  readonly backend: "memory" | "sqlite";
  /** Whether subtasks keep copies of their snapshots at hand. */
  readonly isLocal: boolean;
}

const settings: readonly Setting[] = [1, 10, 100].flatMap((megabytes) =>
  (["memory", "sqlite"] as const).flatMap((backend) =>
    [false, true].map((isLocal) => ({ megabytes, backend, isLocal })),
  ),
);
// More than an isolate has, so it is for rows.
const largeSettings: readonly Setting[] = [false, true].map((isLocal) => {
  return { megabytes: 1_000, backend: "sqlite", isLocal } as const;
});
const quickSettings: readonly Setting[] = [{ megabytes: 1, backend: "memory", isLocal: false }];

const nameOf = ({ megabytes, backend, isLocal }: Setting): string =>
  `${megabytes}MB-${backend}-${isLocal ? "local" : "r2"}`;

export const recovery: Benchmark = {
  name: "recovery",
  summary: "from SIGKILL to the first committed row, by size of state",
  async run({ rows, rounds, quick, large, say }) {
    const chosen = quick ? quickSettings : [...settings, ...(large ? largeSettings : [])];
    const bare: number[] = [];
    const measured = new Map(chosen.map((setting) => [setting, [] as number[]]));
    for (let round = 0; round < rounds; round++) {
      bare.push(await bareRestart());
      say(`round ${round + 1}: bare ${bare.at(-1)!.toFixed(2)} s`);
      for (const setting of chosen) {
        const seconds = await recovered(setting, rows);
        measured.get(setting)!.push(seconds);
        say(`round ${round + 1}: ${nameOf(setting)} ${seconds.toFixed(2)} s`);
      }
    }
    const figures: Record<string, Figure> = { bare: { unit: "s", ...summaryOf(bare) } };
    const beyond: Record<string, Summary> = {};
    for (const [setting, seconds] of measured) {
      const name = nameOf(setting);
      figures[name] = { unit: "s", ...summaryOf(seconds) };
      const more = seconds.map((one, round) => one - bare[round]!);
      figures[`${name} beyond bare`] = { unit: "s", ...summaryOf(more) };
      beyond[name] = summaryOf(seconds.map((one, round) => one / bare[round]!));
    }
    return { figures, ratios: beyond };
  },
};

/** Seconds from SIGKILL until a runtime without a job answers again. */
async function bareRestart(): Promise<number> {
  const runtime = await BenchRuntime.start();
  try {
    await runtime.ask("GET", "/jobs/overview");
    const begunAt = performance.now();
    await runtime.restart();
    await runtime.ask("GET", "/jobs/overview");
    return (performance.now() - begunAt) / 1_000;
  } finally {
    await runtime.stop();
  }
}

interface Committed {
  readonly checkpoint: number | null;
  readonly rows: readonly (Tally & { readonly key: string })[];
}

async function recovered({ megabytes, backend, isLocal }: Setting, rows: number): Promise<number> {
  const keys = Math.round((megabytes * 1e6) / keyBytes);
  const shape: StateShape = { keys, hot: Math.max(10, Math.round(keys / 100)) };
  const all = keys + rows;
  const runtime = await BenchRuntime.start();
  try {
    const job = await runtime.submit("keyed-state", {
      parallelism: 4,
      parameters: { ...shape, rows: all },
      flink: {
        "execution.checkpointing.interval": "500 ms",
        "state.backend.type": backend,
        "execution.state-recovery.from-local": String(isLocal),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "100 ms",
        ...(backend === "memory" && { "taskmanager.memory.managed.size": "1024 mb" }),
      },
    });
    const table = `/jobs/${job}/tables/tallies`;
    const committed = async (least: number): Promise<number> => {
      for (;;) {
        // There is none to answer while the job restarts.
        const page = await runtime.ask<Committed>("GET", table).catch(() => undefined);
        if ((page?.checkpoint ?? 0) > least) return page!.checkpoint!;
        await sleep(lookEvery);
      }
    };
    await runtime.ask("GET", `/bench/processed/${job}?uid=tallies&rows=${keys}`);
    const loaded = await committed(0);
    const last = await committed(loaded);
    const begunAt = performance.now();
    await runtime.restart();
    await committed(last);
    const seconds = (performance.now() - begunAt) / 1_000;
    await assertExact(runtime, { job, rows: all, shape });
    return seconds;
  } finally {
    await runtime.stop();
  }
}

/** Waits for every row, and compares what came of them. */
async function assertExact(
  runtime: BenchRuntime,
  { job, rows, shape }: { job: string; rows: number; shape: StateShape },
): Promise<void> {
  const expected = sampledTalliesOf(rows, shape);
  let wrong: string[] = [];
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(200)) {
    const page = await runtime
      .ask<Committed>("GET", `/jobs/${job}/tables/tallies?read=latest`)
      .catch(() => undefined);
    if (page === undefined) continue;
    wrong = differences(expected, new Map(page.rows.map((row) => [row.key, row])));
    if (wrong.length === 0) return;
  }
  throw new Error(`Job ${job} after its recovery: ${wrong.join("; ")}`);
}
