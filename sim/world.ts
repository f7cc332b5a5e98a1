// A world, drawn from its seed: what the job looks like, how it is configured, what it is fed, and
// what goes wrong. Most are small, so that many fit into a second; some are not.

import type { JobOptions } from "../stream/config.ts";
import type { FaultRates } from "./faults.ts";
import { Prng } from "./prng.ts";
import type { KeyShape, StageKind, StepKind, StepShape, Topology } from "./topology.ts";

/** Items that one producer appends at once. */
export interface Arrival {
  readonly at: number;
  readonly source: number;
  readonly partition: number;
  readonly items: readonly { readonly k: number; readonly v: number }[];
}

export interface World {
  readonly seed: number;
  readonly topology: Topology;
  readonly options: JobOptions & {
    readonly checkpointing: { readonly mode: "EXACTLY_ONCE" | "AT_LEAST_ONCE" };
  };
  readonly arrivals: readonly Arrival[];
  readonly faults: FaultRates;
  /** Milliseconds with faults. */
  readonly duration: number;
  /** Milliseconds between two reads of the tables. */
  readonly readEvery: number;
  /** Whether the job is cancelled in the end, and when it is cancelled in the midst of faults. */
  readonly ending: "running" | "cancelled" | "cancelled under faults";
}

export function drawWorld(seed: number): World {
  // Neighbouring seeds begin alike; a few steps in, they no longer do.
  const prng = new Prng(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
  prng.next();
  const isLarge = prng.chance(0.08);
  const topology = drawTopology(prng, isLarge);
  const duration = prng.between(300, isLarge ? 4_000 : 1_200);
  return {
    seed,
    topology,
    options: drawOptions(prng),
    arrivals: drawArrivals(prng, topology, duration, isLarge),
    faults: drawFaults(prng),
    duration,
    readEvery: prng.pick([20, 50, 200]),
    ending: prng.chance(0.1)
      ? "cancelled under faults"
      : prng.chance(0.4)
        ? "cancelled"
        : "running",
  };
}

function drawTopology(prng: Prng, isLarge: boolean): Topology {
  const most = isLarge ? 4 : 2;
  const parallelism = (): number => prng.between(1, most);
  const step = (): StepShape => ({
    kind: prng.pick<StepKind>(["map", "filter", "flatMap"]),
    parallelism: parallelism(),
  });
  const sources = Array.from({ length: prng.pick([1, 1, 2, 2, isLarge ? 3 : 2]) }, () => ({
    partitions: prng.between(1, isLarge ? 4 : 3),
    parallelism: parallelism(),
    steps: prng.chance(0.3) ? [step()] : [],
  }));
  const stageCount = prng.pick([0, 1, 1, 1, 2]);
  const stages = Array.from({ length: stageCount }, () => ({
    kind: prng.pick<StageKind>(["aggregate", "reduce", "process"]),
    parallelism: parallelism(),
  }));
  const rebalance = prng.chance(0.25);
  const shows = (["items", "first", "second"] as const).slice(0, stageCount + 1);
  const tables = [{ of: shows.at(-1)!, parallelism: parallelism() }];
  if (prng.chance(0.2)) tables.push({ of: prng.pick(shows), parallelism: parallelism() });
  return {
    sources,
    rebalance,
    steps: rebalance || prng.chance(0.4) ? [step()] : [],
    key: prng.pick<KeyShape>(["text", "text", "number", "tuple"]),
    stages,
    tables,
  };
}

function drawOptions(prng: Prng): World["options"] {
  const isTolerant = prng.chance(0.7);
  const mode = prng.chance(0.12) ? "AT_LEAST_ONCE" : "EXACTLY_ONCE";
  const unaligned = mode === "EXACTLY_ONCE" && prng.chance(0.3);
  return {
    parallelism: 1,
    maxParallelism: prng.pick([128, 16, 7]),
    bufferTimeout: prng.pick([0, 0, 5, 20, 100]),
    checkpointing: {
      interval: prng.pick([60, 100, 150, 300]),
      mode,
      unaligned,
      ...(unaligned && { alignedTimeout: prng.pick([0, 0, 5, 50]) }),
      maxConcurrent: !unaligned && prng.chance(0.25) ? 2 : 1,
      retention: prng.chance(0.2) ? "RETAIN_ON_CANCELLATION" : "NO_EXTERNALIZED_CHECKPOINTS",
      incremental: prng.chance(0.85),
      timeout: prng.pick([300, 1_000, 2_000, 10_000]),
      minPause: prng.pick([0, 0, 20, 100]),
      tolerableFailures: isTolerant ? 1_000 : prng.below(4),
      retained: prng.pick([1, 1, 2, 3]),
      inlineThreshold: prng.pick([0, 0, 300, 2_000, 20_480]),
    },
    restart: {
      strategy: "fixed-delay",
      attempts: 1_000_000,
      delay: prng.pick([0, 20, 100, 500]),
    },
  };
}

function drawArrivals(
  prng: Prng,
  { sources }: Topology,
  duration: number,
  isLarge: boolean,
): Arrival[] {
  const batches = prng.between(5, isLarge ? 150 : 45);
  const rowsMost = prng.pick(isLarge ? [3, 12, 40] : [2, 5, 12]);
  const keys = prng.pick([1, 3, 8, 20]);
  const isSkewed = prng.chance(0.3);
  const burst = prng.pick([0, 0.3, 0.8]);
  let at = 0;
  return Array.from({ length: batches }, () => {
    if (!prng.chance(burst)) at = prng.below(duration);
    const source = prng.below(sources.length);
    const items = Array.from({ length: prng.between(1, rowsMost) }, () => ({
      k: isSkewed && prng.chance(0.8) ? 0 : prng.below(keys),
      v: prng.below(100),
    }));
    return { at, source, partition: prng.below(sources[source]!.partitions), items };
  });
}

function drawFaults(prng: Prng): FaultRates {
  // Each kind for itself: some worlds have one, some have all, a few have none.
  const rate = (...rates: readonly number[]): number => (prng.chance(0.5) ? 0 : prng.pick(rates));
  return {
    slow: rate(0.02, 0.1, 0.3),
    drop: rate(0.002, 0.01, 0.03),
    duplicate: rate(0.01, 0.05),
    dropFrame: rate(0.002, 0.01),
    cut: rate(0.005, 0.03, 0.1),
    crashSubtask: rate(0.0005, 0.002, 0.005),
    crashCoordinator: rate(0.002, 0.01, 0.03),
    crashAll: rate(0.3, 1),
    zombie: rate(0.3, 0.8),
    slowWrite: rate(0.1, 0.5),
    bucketError: rate(0.01, 0.05, 0.2),
    slowBucket: rate(0.02, 0.1),
    alarm: rate(0.05, 0.3),
    slowTurn: rate(0.1, 0.7),
    skew: rate(5, 50, 1_000),
  };
}
