// Draws the programs of worlds that go by event time, and the rows they are fed.

import {
  type Following,
  joins,
  type TimedItem,
  type TimedProgram,
  type TimedShape,
  type TimedSource,
} from "./event-time.ts";
import type { Prng } from "./prng.ts";
import { scramble, type TableShape, type Topology } from "./topology.ts";

/** Milliseconds between two times of the grid (E2). */
const grid = 10;

/** When the first rows happened. */
const firstTime = 1_000;

/** Ids of rows that no topic has begin here, source by source. */
const generatedFrom = 1_000_000;

export const timedItemOf = (id: number, k: number, t: number): TimedItem => ({
  id,
  k,
  t,
  u: `k${k}`,
  h: scramble(id + 1) % 1_000,
});

/** When a row happens that comes after these. */
export const timeAfter = (before: readonly TimedItem[]): number =>
  grid + before.reduce((latest, { t }) => Math.max(latest, t), firstTime);

/** A job that goes by event time and has no other part. */
export function drawTimedTopology(prng: Prng, sizes: readonly number[]): Topology {
  const timed = drawShape(prng, sizes);
  const tables: TableShape[] = [{ id: 0, of: "told", parallelism: prng.pick(sizes) }];
  if (timed.late !== "in bounds") {
    tables.push({ id: 1, of: "late", parallelism: prng.pick(sizes) });
  }
  return { sources: [], rebalance: false, steps: [], key: "text", stages: [], tables, timed };
}

function drawShape(prng: Prng, sizes: readonly number[]): TimedShape {
  const late = prng.pick([
    "in bounds",
    "in bounds",
    "in bounds",
    "known",
    "known",
    "open",
  ] as const);
  const program = drawProgram(prng, late);
  const bound = prng.pick([0, 10, 20, 50]);
  const count = joins(program) ? 2 : 1;
  const sources = Array.from({ length: count }, (_, at) =>
    drawSource(prng, { late, bound, at, sizes }),
  );
  const [only] = sources;
  // Several splits would be late against one another where some are not waited for.
  const mayIdle = count === 1 && only!.kind === "topic";
  const isIdle = mayIdle && prng.chance(late === "in bounds" ? 0.3 : 0.2);
  const following = drawFollowing(prng, program, { late, sizes, isIdle });
  return {
    sources,
    bound,
    ...(isIdle && { idleness: prng.pick([30, 100, 300]) }),
    isPunctuated: late === "known" || prng.chance(0.3),
    late,
    program,
    parallelism: prng.pick(sizes),
    ...(following && { following }),
  };
}

/**
 * Calls for the rows of the first source, where no row may be late: rows in flight are kept by themselves,
 * without the event time between them.
 */
export function withCalls(timed: TimedShape, prng: Prng, sizes: readonly number[]): TimedShape {
  if (timed.late !== "in bounds") return timed;
  const asked = {
    order: prng.pick(["ordered", "unordered"] as const),
    capacity: prng.pick([1, 3, 20, 100]),
    timeout: prng.pick([50, 300, 2_000]),
    parallelism: prng.chance(0.5) ? timed.sources[0]!.parallelism : prng.pick(sizes),
    service: {
      slowest: prng.pick([0, 20, 200]),
      fails: prng.pick([0, 0.1, 0.5]),
      forgets: prng.pick([0, 0, 0.05, 0.3]),
    },
  };
  return { ...timed, asked };
}

function drawProgram(prng: Prng, late: TimedShape["late"]): TimedProgram {
  const ids = ["ids", "columns", "rows"] as const;
  const windows = (): TimedProgram => {
    const size = prng.pick([20, 50, 100]);
    const slide = prng.chance(0.5) ? size : prng.pick([10, 20, 30, 150]);
    return {
      kind: "sliding",
      size,
      slide,
      offset: prng.chance(0.4) ? 10 * prng.below(slide / 10) : 0,
      fold: late === "open" ? prng.pick(["ids", "rows"] as const) : prng.pick(ids),
      lateness: late === "open" ? 0 : prng.pick([0, 0, 10, 40]),
    };
  };
  const timers = (): TimedProgram => ({ kind: "timers", size: prng.pick([10, 30, 100]) });
  const sessions = (): TimedProgram => ({
    kind: "session",
    gap: prng.pick([15, 25, 55]),
    fold: prng.pick(["ids", "rows"] as const),
  });
  if (late === "known") return prng.pick([windows, windows, timers])();
  if (late === "open") return prng.pick([windows, timers, sessions])();
  const lower = 10 * prng.between(-4, 2);
  return prng.pick([
    windows,
    windows,
    sessions,
    timers,
    (): TimedProgram => ({ kind: "clock timers", delay: prng.pick([5, 50, 200]) }),
    (): TimedProgram => ({ kind: "interval join", lower, upper: lower + 10 * prng.below(6) }),
    (): TimedProgram => ({ kind: "interval join", lower, upper: lower + 10 * prng.below(6) }),
    (): TimedProgram => ({ kind: "window join", size: prng.pick([20, 100]) }),
    (): TimedProgram => ({ kind: "co-group", gap: prng.pick([15, 25, 55]) }),
  ])();
}

function drawSource(
  prng: Prng,
  of: {
    readonly late: TimedShape["late"];
    readonly bound: number;
    readonly at: number;
    readonly sizes: readonly number[];
  },
): TimedSource {
  const { late, bound, at, sizes } = of;
  if (late === "known") return { kind: "topic", partitions: 1, parallelism: 1 };
  const parallelism = prng.pick(sizes);
  if (late === "open" || !prng.chance(0.25)) {
    return { kind: "topic", partitions: prng.pick([1, 1, 2, 3]), parallelism };
  }
  const rows = prng.pick([10, 40, 40, 130]);
  const keys = prng.pick([1, 3]);
  return {
    kind: prng.pick(["generate", "iterable"] as const),
    // Nearly in the order of their times.
    items: Array.from({ length: rows }, (_, index) => {
      const t = firstTime + grid * index - grid * prng.below(bound / grid + 1);
      return timedItemOf(generatedFrom * (at + 1) + index, prng.below(keys), t);
    }),
    rowsPerSecond: prng.pick([50, 200, 1_000]),
    parallelism,
  };
}

function drawFollowing(
  prng: Prng,
  program: TimedProgram,
  {
    late,
    sizes,
    isIdle,
  }: {
    readonly late: TimedShape["late"];
    readonly sizes: readonly number[];
    readonly isIdle: boolean;
  },
): Following | undefined {
  if (prng.chance(0.4)) return undefined;
  const parallelism = prng.pick(sizes);
  const isTimed = program.kind !== "clock timers";
  const isOnce = program.kind !== "sliding" || program.lateness === 0;
  const mayWindow = isTimed && isOnce && late !== "open" && prng.chance(0.5);
  // When a source wakes, the results of a slow subtask that is still thought idle are late.
  const kind = mayWindow && !isIdle ? "windows" : "counted";
  return { kind, size: prng.pick([50, 200]), parallelism };
}

/** Rows that one producer appends at once. */
interface TimedArrival {
  readonly at: number;
  readonly source: number;
  readonly partition: number;
  readonly items: readonly { readonly k: number; readonly v: number; readonly t: number }[];
}

/** Rows come about when they happened; how much later is within the bound, or not. */
export function drawTimedArrivals(
  prng: Prng,
  { sources, late, bound, idleness }: TimedShape,
  {
    duration,
    batches,
    rows,
  }: { readonly duration: number; readonly batches: number; readonly rows: number },
): TimedArrival[] {
  const keys = prng.pick([1, 2, 4]);
  const disorder =
    late === "in bounds" ? prng.pick([0, bound, bound]) : bound + prng.pick([20, 60, 200]);
  const isRarelyLate = prng.chance(0.5);
  return sources.flatMap((source, at) => {
    if (source.kind !== "topic") return [];
    // Of splits that are not waited for only one has rows, where none may be late.
    const partitions = idleness !== undefined && late === "in bounds" ? 1 : source.partitions;
    const own = Array.from({ length: Math.max(batches, 2) }, () => prng.below(duration));
    return own
      .toSorted((one, other) => one - other)
      .map((when): TimedArrival => {
        const items = Array.from({ length: prng.between(1, rows) }, () => {
          const most = isRarelyLate && prng.chance(0.7) ? Math.min(bound, disorder) : disorder;
          const t = firstTime + grid * Math.floor(when / grid) - grid * prng.below(most / grid + 1);
          return { k: prng.below(keys), v: 0, t };
        });
        return { at: when, source: at, partition: prng.below(partitions), items };
      });
  });
}
