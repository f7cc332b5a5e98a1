// From SIGKILL of the whole runtime to the first row that is committed after it, by size of state, backend
// and where the state is read from; beside it a runtime that is killed with nothing to recover.
//   R1. Committed is what the first checkpoint after it holds, from the moment that its manifest is stored, by
//       the clock of the machine. When a reader had it over HTTP, of a job that leaves the thread no time,
//       is told beside.

import { setTimeout as sleep } from "node:timers/promises";

import type { CheckpointOverview } from "../format/job-status.ts";
import type { Benchmark, Figure } from "./benchmark.ts";
import { differences, sampledTalliesOf, type StateShape, type Tally } from "./data.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Bytes of a key's tally as it is stored, without the text beside it, about. */
const tallyBytes = 20;
/** Rows that one request waits for. */
const rowsAwaited = 250_000;
/** Milliseconds between two looks. */
const lookEvery = 10;
/** Checkpoints whose manifests stay, so that of each it is known when it was stored. */
const retained = 20;

interface Setting {
  readonly megabytes: number;
  readonly backend: "memory" | "sqlite";
  /**
   * Whether the state is at hand: on `memory` copies of snapshots, on `sqlite` the rows of the objects, which
   * are gone otherwise, as after a change of parallelism.
   */
  readonly isLocal: boolean;
  readonly parallelism: number;
  /** Bytes of the text of each key. */
  readonly note: number;
}

const settings: readonly Setting[] = [1, 10, 100].flatMap((megabytes) =>
  (["memory", "sqlite"] as const).flatMap((backend) =>
    [false, true].map((isLocal) => ({ megabytes, backend, isLocal, parallelism: 4, note: 64 })),
  ),
);
// Among so many subtasks that what one of them writes whole, 62 MB, fits into an object; and in keys that
// can be loaded within minutes.
const largeSettings: readonly Setting[] = [false, true].map((isLocal) => {
  return { megabytes: 1_000, backend: "sqlite", isLocal, parallelism: 16, note: 980 } as const;
});
const quickSettings: readonly Setting[] = settings.slice(0, 1);

const nameOf = ({ megabytes, backend, isLocal }: Setting): string =>
  `${megabytes}MB-${backend}-${isLocal ? "local" : "r2"}`;

/** What a restart took. */
interface Restart {
  /** Until a row was committed; of a bare one, until a request was answered. */
  readonly seconds: number;
  /** Until a reader had it. */
  readonly seen: number;
  /** Of CPU until then, of all threads of the new runtime; undefined where the machine does not tell. */
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
      figures[`${name} seen`] = { unit: "s", ...summaryOf(restarts.map(({ seen }) => seen)) };
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
      const why = name.startsWith("1000MB-memory")
        ? `1 GB is more than the memory of 16 objects, which have 128 MB each for all that they do`
        : `There is no state "${name}" to recover`;
      throw new RangeError(`${why}; there are ${all.map(nameOf).join(", ")}.`);
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
    return { seconds, seen: seconds, cpuSeconds: await runtime.cpuSeconds() };
  } finally {
    await runtime.stop();
  }
}

interface Committed {
  readonly checkpoint: number | null;
  readonly rows: readonly (Tally & { readonly key: string })[];
}

async function recovered(
  { megabytes, backend, isLocal, parallelism, note }: Setting,
  rows: number,
  say: (text: string) => void,
): Promise<Restart> {
  const keys = Math.round((megabytes * 1e6) / (tallyBytes + note));
  const shape: StateShape = { keys, hot: Math.max(10, Math.round(keys / 100)) };
  const all = keys + rows;
  const runtime = await BenchRuntime.start();
  try {
    const job = await runtime.submit("keyed-state", {
      parallelism,
      parameters: { keys, hot: shape.hot, rows: all, note },
      flink: {
        "execution.checkpointing.interval": "500 ms",
        "state.checkpoints.num-retained": String(retained),
        "state.backend.type": backend,
        "execution.state-recovery.from-local": String(isLocal),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "100 ms",
        ...(backend === "memory" && { "taskmanager.memory.managed.size": "1024 mb" }),
      },
    });
    const submittedAt = Date.now();
    // Sources do not keep in step: when one has its last key to load, others are past theirs. And some
    // at a time: a request may not wait for minutes.
    const loading = keys + Math.floor(rows / 10);
    for (let least = rowsAwaited; ; least += rowsAwaited) {
      const path = `/bench/processed/${job}?uid=tallies&rows=${Math.min(least, loading)}`;
      await runtime.ask("GET", path);
      if (least >= loading) break;
    }
    const loadedAt = Date.now();
    say(`  loaded in ${((loadedAt - submittedAt) / 1_000).toFixed(1)} s`);
    // The first has the last of what was loaded, the second what a checkpoint has then on.
    const last = await completed(runtime, job, { since: loadedAt, count: 2 });
    const begunAt = Date.now();
    await runtime.restart({ losesSubtasks: backend === "sqlite" && !isLocal });
    const first = await seenAfter(runtime, job, { last, begunAt });
    const seen = (Date.now() - begunAt) / 1_000;
    const cpuSeconds = await runtime.cpuSeconds();
    const phases = await phasesOf(runtime, job, { begunAt, from: last + 1, upTo: first });
    for (const text of phases.told) say(`  ${text}`);
    await assertExact(runtime, { job, rows: all, shape });
    return { seconds: phases.committed, seen, cpuSeconds };
  } finally {
    await runtime.stop();
  }
}

const checkpointsOf = (runtime: BenchRuntime, job: string): Promise<CheckpointOverview> =>
  runtime.ask("GET", `/bench/checkpoints/${job}`);

/** When its manifest was stored; null before. */
const storedAt = (runtime: BenchRuntime, job: string, checkpoint: number): Promise<number | null> =>
  runtime.ask("GET", `/bench/committed/${job}?checkpoint=${checkpoint}`);

/** Waits until so many checkpoints are complete that were triggered since then. */
async function completed(
  runtime: BenchRuntime,
  job: string,
  { since, count }: { readonly since: number; readonly count: number },
): Promise<number> {
  for (;;) {
    const { history } = await checkpointsOf(runtime, job);
    const all = history.filter(
      ({ triggered, outcome }) => triggered >= since && outcome.kind === "completed",
    );
    if (all.length >= count) return all[0]!.id;
    await sleep(lookEvery);
  }
}

/** Reads the table until it is that of a checkpoint which was stored since then. */
async function seenAfter(
  runtime: BenchRuntime,
  job: string,
  { last, begunAt }: { readonly last: number; readonly begunAt: number },
): Promise<number> {
  for (;;) {
    // There is none to answer while the job restarts.
    const page = await runtime
      .ask<Committed>("GET", `/jobs/${job}/tables/tallies`)
      .catch(() => undefined);
    const checkpoint = page?.checkpoint ?? 0;
    // One more may have been complete before the end.
    if (checkpoint > last && (await storedAt(runtime, job, checkpoint))! >= begunAt) {
      return checkpoint;
    }
    await sleep(lookEvery);
  }
}

interface JobTimes {
  readonly timestamps: Readonly<Record<string, number>>;
}

interface Failures {
  readonly exceptionHistory: {
    readonly entries: readonly { readonly timestamp: number; readonly stacktrace: string }[];
  };
}

/** When the first of these checkpoints was stored, in seconds, and what was waited for until then. */
async function phasesOf(
  runtime: BenchRuntime,
  job: string,
  {
    begunAt,
    from,
    upTo,
  }: { readonly begunAt: number; readonly from: number; readonly upTo: number },
): Promise<{ readonly committed: number; readonly told: readonly string[] }> {
  const [{ timestamps }, { exceptionHistory }, overview] = await Promise.all([
    runtime.ask<JobTimes>("GET", `/jobs/${job}`),
    runtime.ask<Failures>("GET", `/jobs/${job}/exceptions`),
    checkpointsOf(runtime, job),
  ]);
  const after = (at: number | undefined): number => ((at ?? NaN) - begunAt) / 1_000;
  const second = (at: number | undefined): string => `${after(at).toFixed(2)} s`;
  let stored = 0;
  for (let checkpoint = from; stored < begunAt && checkpoint <= upTo; checkpoint++) {
    stored = (await storedAt(runtime, job, checkpoint)) ?? 0;
  }
  if (stored < begunAt) throw new Error(`Job ${job} has no checkpoint of ${from} to ${upTo}.`);
  const told = [
    `restarting ${second(timestamps["RESTARTING"])}, running ${second(timestamps["RUNNING"])}, ` +
      `committed ${second(stored)}`,
  ];
  const { history } = overview;
  for (const { id, triggered, acks, outcome } of history.toReversed()) {
    if (id > upTo || triggered < begunAt) continue;
    const bytes = acks.reduce((sum, { metrics }) => sum + metrics.bytes, 0);
    const last = Math.max(...acks.map(({ at }) => at));
    const acknowledged = `acknowledged ${second(last)}, ${(bytes / 1e6).toFixed(2)} MB`;
    told.push(`checkpoint ${id} ${outcome.kind}: triggered ${second(triggered)}, ${acknowledged}`);
  }
  const failures = exceptionHistory.entries.filter(({ timestamp }) => timestamp >= begunAt);
  // One is that the subtasks have lost their memory.
  for (const { timestamp, stacktrace } of failures.slice(0, -1)) {
    told.push(`failed ${second(timestamp)}: ${stacktrace}`);
  }
  return { committed: after(stored), told };
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
      .ask<Committed>("GET", `/jobs/${job}/tables/tallies?read=latest&limit=100000`)
      .catch(() => undefined);
    if (page === undefined) continue;
    wrong = differences(expected, new Map(page.rows.map((row) => [row.key, row])));
    if (wrong.length === 0) return;
  }
  throw new Error(`Job ${job} after its recovery: ${wrong.join("; ")}`);
}
