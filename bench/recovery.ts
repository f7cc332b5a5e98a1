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

/** What a restart took until there was something to see. */
interface Restart {
  readonly seconds: number;
  /** Of CPU, of all threads of the new runtime; undefined where the machine does not tell. */
  readonly cpuSeconds: number | undefined;
}

export const recovery: Benchmark = {
  name: "recovery",
  summary: "from SIGKILL to the first committed row, by size of state",
  async run({ rows, rounds, quick, large, only, say }) {
    const chosen = chosenOf({ quick, large, only });
    const bare: Restart[] = [];
    const measured = new Map(chosen.map((setting) => [setting, [] as Restart[]]));
    for (let round = 0; round < rounds; round++) {
      const told = (name: string, restart: Restart): Restart => {
        say(`round ${round + 1}: ${name} ${restart.seconds.toFixed(2)} s`);
        return restart;
      };
      bare.push(told("bare", await bareRestart()));
      for (const setting of chosen) {
        measured.get(setting)!.push(told(nameOf(setting), await recovered(setting, rows, say)));
      }
    }
    const figures: Record<string, Figure> = {};
    const tell = (name: string, restarts: readonly Restart[]): void => {
      figures[name] = { unit: "s", ...summaryOf(restarts.map(({ seconds }) => seconds)) };
      const cpu = restarts.flatMap(({ cpuSeconds }) => cpuSeconds ?? []);
      if (cpu.length > 0) figures[`${name} CPU`] = { unit: "s", ...summaryOf(cpu) };
    };
    tell("bare", bare);
    const ratios: Record<string, Summary> = {};
    for (const [setting, restarts] of measured) {
      const name = nameOf(setting);
      tell(name, restarts);
      const more = restarts.map(({ seconds }, round) => seconds - bare[round]!.seconds);
      figures[`${name} beyond bare`] = { unit: "s", ...summaryOf(more) };
      ratios[name] = summaryOf(
        restarts.map(({ seconds }, round) => seconds / bare[round]!.seconds),
      );
    }
    return { figures, ratios };
  },
};

/** @throws RangeError for the name of no setting */
function chosenOf({
  quick,
  large,
  only,
}: {
  readonly quick: boolean;
  readonly large: boolean;
  readonly only: readonly string[];
}): readonly Setting[] {
  const all = [...settings, ...largeSettings];
  if (only.length > 0) {
    return only.map((name) => {
      const found = all.find((setting) => nameOf(setting) === name);
      if (found !== undefined) return found;
      throw new RangeError(
        `There is no state "${name}" to recover; there are ${all.map(nameOf).join(", ")}.`,
      );
    });
  }
  if (quick) return quickSettings;
  return large ? all : settings;
}

/** From SIGKILL until a runtime without a job answers again. */
async function bareRestart(): Promise<Restart> {
  const runtime = await BenchRuntime.start();
  try {
    await runtime.ask("GET", "/jobs/overview");
    const begunAt = performance.now();
    await runtime.restart();
    await runtime.ask("GET", "/jobs/overview");
    const seconds = (performance.now() - begunAt) / 1_000;
    return { seconds, cpuSeconds: await runtime.cpuSeconds() };
  } finally {
    await runtime.stop();
  }
}

interface Committed {
  readonly checkpoint: number | null;
  readonly rows: readonly (Tally & { readonly key: string })[];
}

async function recovered(
  { megabytes, backend, isLocal }: Setting,
  rows: number,
  say: (text: string) => void,
): Promise<Restart> {
  const keys = Math.round((megabytes * 1e6) / keyBytes);
  const shape: StateShape = { keys, hot: Math.max(10, Math.round(keys / 100)) };
  const all = keys + rows;
  const runtime = await BenchRuntime.start();
  try {
    const job = await runtime.submit("keyed-state", {
      parallelism: 4,
      parameters: { keys, hot: shape.hot, rows: all },
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
    const submittedAt = performance.now();
    await runtime.ask("GET", `/bench/processed/${job}?uid=tallies&rows=${keys}`);
    const loaded = await committed(0);
    say(`  loaded in ${((performance.now() - submittedAt) / 1_000).toFixed(1)} s`);
    const last = await committed(loaded);
    const begunAt = performance.now();
    await runtime.restart();
    await committed(last);
    const seconds = (performance.now() - begunAt) / 1_000;
    const cpuSeconds = await runtime.cpuSeconds();
    await assertExact(runtime, { job, rows: all, shape });
    return { seconds, cpuSeconds };
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
