// A world, drawn from its seed: what the job looks like, how it is configured, what it is fed, and
// what goes wrong. Most are small, so that many fit into a second; some are not.

import type { CheckpointOptions, JobOptions, RestartOptions } from "../stream/config.ts";
import { drawRules, drawRulesArrivals } from "./broadcast-side.ts";
import { isBounded } from "./event-time.ts";
import { drawTimedArrivals, drawTimedTopology, withCalls } from "./event-time-draw.ts";
import { type FaultRates, noFaults } from "./faults.ts";
import { drawMoves, type Hop, type JobShape, type Move, resized } from "./moves.ts";
import { Prng } from "./prng.ts";
import {
  type KeyShape,
  type StageKind,
  stageUid,
  type StepKind,
  type StepShape,
  type TableShape,
  tableUid,
  type Topology,
} from "./topology.ts";

/** Items that one producer appends at once. */
export interface Arrival {
  readonly at: number;
  readonly source: number;
  readonly partition: number;
  /** With when they happened, where anybody asks. */
  readonly items: readonly { readonly k: number; readonly v: number; readonly t?: number }[];
}

export type WorldOptions = JobOptions & {
  readonly maxParallelism: number;
  readonly checkpointing: CheckpointOptions & {
    readonly mode: "EXACTLY_ONCE" | "AT_LEAST_ONCE";
    readonly storage: "inline" | "r2";
  };
  readonly restart: RestartOptions;
};

/** The job that a world begins with, and what happens to it. */
export interface World extends JobShape<WorldOptions> {
  readonly seed: number;
  readonly arrivals: readonly Arrival[];
  readonly faults: FaultRates;
  /** Milliseconds per row of operators that are slow. */
  readonly rowCost: Readonly<Record<string, number>>;
  /** Milliseconds with faults. */
  readonly duration: number;
  /** Whether the input has silences in which the job comes to rest, and must rest in the end. */
  readonly rests: boolean;
  /** In the order of their times. */
  readonly moves: readonly Move<WorldOptions>[];
  /** When a file of a retained checkpoint is damaged. */
  readonly damages: readonly number[];
  /** Checkpoints that must complete after the faults. */
  readonly checkpointsAfter: number;
  /** Milliseconds between two reads of the tables. */
  readonly readEvery: number;
  /** Whether the job is cancelled in the end, or stopped with a savepoint, or cancelled amid the faults. */
  readonly ending: "running" | "cancelled" | "cancelled under faults" | "stopped";
}

/** @param only worlds of that size; the same seed is then another world */
export function drawWorld(seed: number, only?: Size): World {
  // Neighbouring seeds begin alike; a few steps in, they no longer do.
  const prng = new Prng(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
  prng.next();
  const size = only ?? drawSize(prng);
  const timing = new Prng(Math.imul(seed, 0x2c1b3c6d) ^ 0x297a2d39);
  timing.next();
  if (timing.chance(timedShare)) return drawTimed(seed, timing, size);
  const world = drawAwake(seed, prng, size);
  const sleepy = new Prng(Math.imul(seed, 0x85ebca6b) ^ 0x7f4a7c15);
  sleepy.next();
  const moving = new Prng(Math.imul(seed, 0xc2b2ae35) ^ 0x27d4eb2f);
  moving.next();
  if (size !== "large" && sleepy.chance(restingShare)) {
    return withSavepoints(withSilences(world, sleepy), moving, restingSavepointsShare);
  }
  if (sleepy.chance(damagedShare)) return withDamage(world, sleepy);
  if (size !== "large" && moving.chance(movingShare)) {
    const kinds = Array.from({ length: moving.pick([1, 1, 2, 3]) }, () => moving.pick(hopKinds));
    return withMoves(world, moving, kinds);
  }
  const busy = new Prng(Math.imul(seed, 0x27d4eb2f) ^ 0x165667b1);
  busy.next();
  if (size === "small" && busy.chance(busyShare)) return withMovesAmidRows(world, busy);
  if (size === "small" && busy.chance(failingShare)) return withFailingStop(world, busy);
  return withSavepoints(world, moving, savepointsShare);
}

/** Of the worlds that are not large: a rest takes virtual minutes, and events while it comes. */
const restingShare = 0.04;

/** Of the others. */
const damagedShare = 0.06;

/** Of the rest: those in which other jobs go on where the first stood, and those with savepoints only. */
const movingShare = 0.04;
/** Of small ones: those in which that happens while rows are on their way. */
const busyShare = 0.03;
/** And those in which nothing but the savepoint that is to stop the job goes wrong. */
const failingShare = 0.02;
const savepointsShare = 0.06;
const restingSavepointsShare = 0.08;

/** Of all worlds: those that go by event time. */
const timedShare = 0.35;

/** Of these: those that make calls for their rows, where they can. */
const askedShare = 0.25;

/** A world whose job goes by event time. */
function drawTimed(seed: number, prng: Prng, size: Size): World {
  const { parallelism, batches, rows } = sizes[size];
  const drawnTopology = drawTimedTopology(prng, parallelism);
  const asking = new Prng(Math.imul(seed, 0x165667b1) ^ 0x6a09e667);
  asking.next();
  const timed = asking.chance(askedShare)
    ? withCalls(drawnTopology.timed!, asking, parallelism)
    : drawnTopology.timed!;
  const topology = { ...drawnTopology, timed };
  const bounded = isBounded(timed);
  const drawn = drawOptions(prng);
  const optionsOf = (all: WorldOptions): WorldOptions => {
    const { checkpointing } = all;
    const isAligned = timed.late === "known";
    return {
      ...all,
      maxParallelism: drawn.maxParallelism,
      restart: { strategy: "fixed-delay", attempts: 1_000_000, delay: prng.pick([0, 20, 100]) },
      checkpointing: {
        ...checkpointing,
        mode: "EXACTLY_ONCE",
        tolerableFailures: tolerant,
        timeout: prng.pick([1_000, 2_000, 10_000]),
        ...(isAligned && { unaligned: false }),
      },
    };
  };
  const options = optionsOf(drawn);
  const [shortest, longest] = sizes[size].duration;
  const part = prng.between(shortest, longest);
  const kinds = !bounded && prng.chance(timedHopsShare) ? [prng.pick(hopKinds)] : [];
  const moves: Move<WorldOptions>[] = drawMoves(
    prng,
    { topology, options, memoryBudget: 2 ** 26, duration: part },
    kinds,
    () => optionsOf(drawOptions(prng)),
  );
  const duration = part * (kinds.length + 1);
  if (kinds.length === 0 && prng.chance(0.3)) {
    const at = prng.below(duration);
    moves.push({ kind: "rescale", at, isRefused: prng.chance(0.2) });
  }
  if (!bounded && prng.chance(0.15)) moves.push({ kind: "drain", at: prng.below(200) + duration });
  const isInRows = [options, ...moves.map((move) => "next" in move && move.next.options)].some(
    (one) => one !== false && one.state?.backend === "sqlite",
  );
  const [fewest, most] = batches;
  const room = isInRows ? prng.pick([4_000, 2 ** 26]) : 2 ** 26;
  const uids = ["program", ...topology.tables.map(tableUid)];
  const world: World = {
    seed,
    topology,
    options,
    arrivals: drawTimedArrivals(prng, timed, {
      duration,
      batches: prng.between(fewest, most),
      rows: prng.pick(rows),
    }),
    faults: { ...drawFaults(prng, size), ...(isInRows && { zombie: 0 }) },
    // Of the first job alone: what it holds in memory must fit.
    memoryBudget: options.state?.backend === "sqlite" ? room : 2 ** 26,
    rowCost: prng.chance(0.15) ? { [prng.pick(uids)]: prng.pick([0.3, 1, 5]) } : {},
    duration,
    rests: false,
    moves: moves.map((move) => ({ ...move, at: Math.max(0, move.at) })),
    damages: [],
    checkpointsAfter: prng.pick([1, 1, 2]),
    readEvery: prng.pick([30, 60, 200]),
    ending: prng.pick(["running", "running", "cancelled", "stopped", "stopped", "stopped"]),
  };
  return world;
}

/** Of worlds that go by event time: those in which another job goes on from the first. */
const timedHopsShare = 0.15;

/** A world whose input never stops for long. */
function drawAwake(seed: number, prng: Prng, size: Size): World {
  const side = new Prng(seed ^ 0x3c6ef372);
  const options = attainable(drawOptions(prng), size);
  const drawn = drawTopology(prng, size);
  const rules = drawRules(side, drawn);
  const topology = rules === undefined ? drawn : { ...drawn, rules };
  const [shortest, longest] = sizes[size].duration;
  // Rows matter once a job goes back to a checkpoint after others were taken: that takes a while.
  const isInRows = options.state?.backend === "sqlite";
  const duration = prng.between(shortest, longest) * (isInRows && size === "small" ? 3 : 1);
  const steps = [...topology.steps, ...topology.sources.flatMap((source) => source.steps)];
  const holdsLists = rules !== undefined || steps.some(({ kind }) => kind === "reject");
  const world: World = {
    seed,
    topology,
    options,
    arrivals: [
      ...drawArrivals(prng, topology, duration, size),
      ...drawRulesArrivals(side, topology, duration),
    ],
    faults: {
      ...drawFaults(prng, size),
      // A zombie has no storage to play: the platform takes it away.
      ...(isInRows && { zombie: 0, crashSubtask: 0.005 }),
    },
    // State without a key is in memory on either backend, and must fit.
    memoryBudget: isInRows && !holdsLists ? prng.pick([1, 4_000, 2 ** 26]) : 2 ** 26,
    rowCost: drawRowCost(prng, topology),
    duration,
    rests: false,
    moves: [],
    damages: [],
    checkpointsAfter: prng.pick([1, 1, 2]),
    readEvery: prng.pick([30, 60, 200]),
    ending: prng.chance(0.1)
      ? "cancelled under faults"
      : prng.chance(0.4)
        ? "cancelled"
        : "running",
  };
  return isAttainable(world) ? world : { ...world, options: withTime(world.options) };
}

/**
 * The same world with silences in its input, so long that the job rests. What goes wrong by the second
 * goes wrong as often by the silence; the rest happens when there is an occasion.
 */
function withSilences(world: World, prng: Prng): World {
  const bursts = prng.pick([1, 2, 2, 3]);
  const starts = [0];
  while (starts.length < bursts) {
    starts.push(starts.at(-1)! + world.duration + prng.between(11_000, 30_000));
  }
  const { options, faults } = world;
  const { interval: _, ...checkpointing } = options.checkpointing;
  const isPeriodic = prng.chance(0.8);
  const interval = prng.pick([500, 2_000, 10_000, 10_000]);
  return {
    ...world,
    options: {
      ...options,
      checkpointing: { ...checkpointing, ...(isPeriodic && { interval }) },
    },
    // A burst has what one of a world that does not rest has, and begins when all is still.
    arrivals: world.arrivals.map((arrival) => ({
      ...arrival,
      at: arrival.at + prng.pick(starts),
    })),
    faults: {
      ...faults,
      crashAll: faults.crashAll === 0 ? 0 : prng.pick([0.01, 0.04]),
      // Most of what is to be met is met by few messages: those that wake objects up.
      crashSubtask: faults.crashSubtask === 0 ? 0 : prng.pick([0.005, 0.02]),
    },
    // Into the last silence, or to the end of the last burst.
    duration: starts.at(-1)! + world.duration + prng.pick([0, 0, 15_000, 30_000]),
    rests: true,
    readEvery: prng.pick([2_000, 20_000]),
  };
}

/** The same world, in which files of retained checkpoints do not stay what they are. */
function withDamage(world: World, prng: Prng): World {
  const { options, duration } = world;
  const { checkpointing } = options;
  const retained = prng.pick([1, 2, 2, 3]);
  const times = prng.pick([1, 1, 2, 4]);
  return {
    ...world,
    options: {
      ...options,
      checkpointing: { ...checkpointing, storage: "r2", retained },
      state: { ...options.state, localRecovery: prng.chance(0.4) },
    },
    // There is something to be damaged once there was time for a checkpoint.
    duration: duration + 400,
    damages: Array.from({ length: times }, () => prng.between(300, duration + 300)),
  };
}

/** The same world with savepoints that change nothing, in some. */
function withSavepoints(world: World, prng: Prng, share: number): World {
  if (!prng.chance(share)) return world;
  const times = Array.from({ length: prng.pick([1, 1, 2, 4]) }, () => prng.below(world.duration));
  const moves = times.toSorted((a, b) => a - b).map((at) => ({ kind: "savepoint" as const, at }));
  return { ...world, moves };
}

/**
 * The same world, several times as long, in which other jobs go on where the one before stood: at other
 * sizes, in changed code, differently configured.
 */
function withMoves(world: World, prng: Prng, kinds: readonly Hop<WorldOptions>["kind"][]): World {
  const { mode } = world.options.checkpointing;
  const optionsOf = (at: number, { checkpointing: all, ...drawn }: WorldOptions): WorldOptions => {
    const { interval, ...checkpointing } = all;
    return {
      ...drawn,
      maxParallelism: world.options.maxParallelism,
      // What ends before its time, or does not get on, goes nowhere.
      restart: { strategy: "fixed-delay", attempts: 1_000_000, delay: prng.pick([0, 20, 100]) },
      checkpointing: {
        ...checkpointing,
        ...(prng.chance(0.9) && { interval }),
        mode,
        tolerableFailures: tolerant,
        timeout: prng.pick([1_000, 2_000, 10_000]),
        ...(mode === "AT_LEAST_ONCE" && { unaligned: false }),
        ...(kinds[at] === "retained" && { retention: "RETAIN_ON_CANCELLATION" }),
      },
    };
  };
  const own = optionsOf(0, world.options);
  const moves = drawMoves(prng, { ...world, options: own }, kinds, (at) =>
    optionsOf(at, drawOptions(prng)),
  );
  const isInRows = moves.some(
    (move) => "next" in move && move.next.options.state?.backend === "sqlite",
  );
  const { arrivals, duration, faults } = world;
  const hops = moves.filter((move) => "next" in move);
  return {
    ...world,
    options: own,
    moves,
    arrivals: [
      ...arrivals.map((arrival) => ({
        ...arrival,
        at: arrival.at + duration * prng.below(kinds.length + 1),
      })),
      // Who ends with nothing to do ends well.
      ...hops.flatMap(({ at }) => burst(prng, arrivals, { upTo: at, count: 3 })),
    ],
    duration: duration * (kinds.length + 1),
    faults: { ...faults, ...(isInRows && { zombie: 0 }) },
    ending: prng.pick(["cancelled", "stopped", "stopped"]),
  };
}

/**
 * The same world, in which a job goes on from a checkpoint that barriers were quick to complete, with
 * rows that wait in front of every operator, others that were rejected, and sizes that differ: so that
 * rows are in channels, and letters are prepared, which other subtasks take over.
 */
function withMovesAmidRows(world: World, prng: Prng): World {
  const { options, arrivals } = world;
  const [first, ...others] = world.topology.sources;
  const reject = { id: 99, kind: "reject" as const, parallelism: 1 };
  const topology = resized(
    prng,
    {
      ...world.topology,
      rebalance: prng.chance(0.5),
      sources: [{ ...first!, steps: [...first!.steps, reject] }, ...others],
    },
    { most: 3, isEach: true },
  );
  const { stages, tables } = topology;
  const slow = [...stages.map((_, at) => stageUid(at + 1)), ...tables.map(tableUid)];
  const moved = withMoves(
    {
      ...world,
      topology,
      // Letters are state without a key, and must fit.
      memoryBudget: 2 ** 26,
      options: {
        ...options,
        checkpointing: {
          ...options.checkpointing,
          interval: prng.pick([60, 100]),
          mode: "EXACTLY_ONCE",
          unaligned: true,
          alignedTimeout: 0,
          maxConcurrent: 1,
          retained: prng.pick([1, 2, 3]),
        },
      },
      rowCost: Object.fromEntries(slow.map((uid) => [uid, prng.pick([3, 10, 20])])),
    },
    prng,
    [prng.pick(["retained", "retained", "fork"])],
  );
  // By then a job has rows, and no savepoint keeps it from going on among them.
  const moves = moved.moves.flatMap((move): Move<WorldOptions>[] => {
    if (move.kind === "savepoint") return [];
    const at = Math.max(0, move.at) + 300;
    return [
      move.kind === "rescale" ? { ...move, at, isRefused: prng.chance(0.6) } : { ...move, at },
    ];
  });
  const hop = moves.at(-1)!.at;
  return {
    ...moved,
    moves,
    arrivals: [...moved.arrivals, ...burst(prng, arrivals, { upTo: hop + 100, count: 16 })],
    duration: moved.duration + 300,
    faults: prng.chance(0.5) ? moved.faults : { ...noFaults, slowTurn: 0.3, slowWrite: 0.1 },
    ending: "stopped",
  };
}

/**
 * The same world, in which a savepoint that is to stop the job fails, and nothing else: no attempt ends
 * with it, and no other checkpoint tells anybody that it has failed.
 */
function withFailingStop(world: World, prng: Prng): World {
  const moved = withMoves(world, prng, ["stop"]);
  const { interval: _, ...checkpointing } = moved.options.checkpointing;
  return {
    ...moved,
    options: {
      ...moved.options,
      checkpointing: {
        ...checkpointing,
        storage: "r2",
        inlineThreshold: 0,
        timeout: prng.pick([300, 1_000]),
      },
    },
    moves: moved.moves.filter(({ kind }) => kind !== "rescale"),
    faults: { ...noFaults, slowBucket: prng.pick([0.2, 0.6]), bucketError: prng.pick([0, 0.2]) },
  };
}

/** Batches as others of the world, one soon after the other. */
function burst(
  prng: Prng,
  arrivals: readonly Arrival[],
  { upTo, count }: { readonly upTo: number; readonly count: number },
): Arrival[] {
  const first = Math.max(0, upTo - 25 * count);
  return Array.from({ length: count }, () => {
    return { ...prng.pick(arrivals), at: prng.between(first, upTo) };
  });
}

/** Most stop with a savepoint. */
const hopKinds = ["stop", "stop", "stop", "cancel", "branch", "fork", "retained"] as const;

/** How much there is of everything, from the least to the most. */
const sizes = {
  small: {
    duration: [150, 600],
    sources: [1, 1, 1, 1, 2],
    partitions: 2,
    parallelism: [1, 1, 2],
    batches: [1, 12],
    rows: [1, 3, 6],
    extras: 0.15,
  },
  medium: {
    duration: [300, 1_200],
    sources: [1, 1, 2, 2, 2],
    partitions: 3,
    parallelism: [1, 2],
    batches: [5, 45],
    rows: [2, 5, 12],
    extras: 0.4,
  },
  large: {
    duration: [300, 2_500],
    sources: [1, 1, 2, 2, 3],
    partitions: 4,
    parallelism: [1, 2, 3],
    batches: [5, 80],
    rows: [3, 12, 40],
    extras: 0.4,
  },
} as const;

export type Size = keyof typeof sizes;

/** What is to be found is mostly found in small worlds, of which more fit into a second. */
function drawSize(prng: Prng): Size {
  const at = prng.next();
  return at < 0.84 ? "small" : at < 0.98 ? "medium" : "large";
}

function drawTopology(prng: Prng, size: Size): Topology {
  const { sources: counts, partitions, extras, ...most } = sizes[size];
  const parallelism = (): number => prng.pick(most.parallelism);
  const step = (): Omit<StepShape, "id"> => ({
    kind: prng.pick<StepKind>(["map", "filter", "flatMap", "reject"]),
    parallelism: parallelism(),
  });
  const sources: Topology["sources"][number][] = Array.from({ length: prng.pick(counts) }, () => ({
    partitions: prng.between(1, partitions),
    parallelism: parallelism(),
    steps: numbered([
      // In the chain of the source, so that rows are rejected in small worlds as well.
      ...(prng.chance(0.3) ? [{ kind: "reject" as const, parallelism: 1 }] : []),
      ...(prng.chance(0.75 * extras) ? [step()] : []),
    ]),
  }));
  const stageCount = prng.pick([0, 1, 1, 1, 2]);
  const stages = Array.from({ length: stageCount }, () => ({
    kind: prng.pick<StageKind>(["aggregate", "reduce", "process"]),
    parallelism: parallelism(),
  }));
  const rebalance = prng.chance(0.6 * extras);
  const shows = (["items", "first", "second"] as const).slice(0, stageCount + 1);
  const tables: Omit<TableShape, "id">[] = [{ of: shows.at(-1)!, parallelism: parallelism() }];
  if (prng.chance(extras / 2)) tables.push({ of: prng.pick(shows), parallelism: parallelism() });
  const last = sources.at(-1)!;
  if (sources.length > 1 && prng.chance(0.4)) {
    sources[sources.length - 1] = { ...last, isApart: true };
    tables.push({ of: "apart", parallelism: parallelism() });
  }
  return {
    sources,
    rebalance,
    steps: numbered(rebalance || prng.chance(extras) ? [step()] : []),
    key: prng.pick<KeyShape>(["text", "field", "number", "tuple"]),
    stages,
    tables: numbered(tables),
  };
}

const numbered = <T>(shapes: readonly T[]): (T & { readonly id: number })[] =>
  shapes.map((shape, id) => ({ ...shape, id }));

function drawOptions(prng: Prng): WorldOptions {
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
      storage: prng.chance(0.08) ? "inline" : "r2",
      timeout: prng.pick([300, 1_000, 2_000, 10_000]),
      minPause: prng.pick([0, 0, 20, 100]),
      tolerableFailures: isTolerant ? tolerant : prng.below(4),
      retained: prng.pick([1, 1, 2, 3]),
      inlineThreshold: prng.pick([0, 0, 300, 2_000, 20_480]),
    },
    state: { backend: prng.chance(0.05) ? "sqlite" : "memory" },
    restart: drawRestart(prng),
  };
}

/**
 * A job with much to catch up on, little time for a checkpoint and no failure to spare begins anew for
 * ever, in any engine.
 */
function attainable(options: WorldOptions, size: Size): WorldOptions {
  const { checkpointing } = options;
  if (size === "small" || checkpointing?.tolerableFailures === tolerant) return options;
  return withTime(options);
}

/** Whether the barrier is through in time behind all rows that there are, at the slowest operator. */
function isAttainable({ options, arrivals, rowCost }: World): boolean {
  const { timeout = Infinity, tolerableFailures } = options.checkpointing;
  const rows = arrivals.reduce((sum, { items }) => sum + items.length, 0);
  const slowest = Math.max(0, ...Object.values(rowCost));
  return tolerableFailures === tolerant || rows * slowest < Number(timeout);
}

const withTime = (options: WorldOptions): WorldOptions => ({
  ...options,
  checkpointing: { ...options.checkpointing, timeout: 10_000 },
});

/** Failed checkpoints in a row that no world has. */
const tolerant = 1_000;

/** Most jobs start again however often they fail: what ends early finds little. */
function drawRestart(prng: Prng): RestartOptions {
  const delay = prng.pick([0, 20, 100, 500]);
  const kind = prng.next();
  if (kind < 0.75) return { strategy: "fixed-delay", attempts: 1_000_000, delay };
  if (kind < 0.8) return { strategy: "fixed-delay", attempts: prng.below(4), delay };
  if (kind < 0.83) return { strategy: "none" };
  if (kind < 0.9) {
    const maxFailures = prng.pick([1, 3, 1_000]);
    return { strategy: "failure-rate", maxFailures, interval: prng.pick([200, 2_000]), delay };
  }
  return {
    strategy: "exponential-delay",
    initialBackoff: prng.pick([10, 50]),
    maxBackoff: prng.pick([200, 1_000]),
    multiplier: prng.pick([1, 1.5, 2]),
    resetThreshold: prng.pick([500, 5_000]),
    jitter: prng.pick([0, 0.3]),
    attempts: prng.pick([3, 1_000_000, 1_000_000]),
  };
}

function drawArrivals(
  prng: Prng,
  { sources, key }: Topology,
  duration: number,
  size: Size,
): Arrival[] {
  const [fewest, most] = sizes[size].batches;
  const batches = prng.between(fewest, most);
  // Texts that repeat are a dictionary only in batches that are long enough.
  const rowsMost = Math.min(prng.pick(sizes[size].rows) * (key === "field" ? 12 : 1), 60);
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

/** Where one operator is slow, rows wait in front of it, up to the sources. */
function drawRowCost(prng: Prng, { stages, tables }: Topology): World["rowCost"] {
  if (!prng.chance(0.12)) return {};
  const uids = [...stages.map((_, at) => stageUid(at + 1)), ...tables.map(tableUid)];
  return { [prng.pick(uids)]: prng.pick([0.3, 1, 5]) };
}

function drawFaults(prng: Prng, size: Size): FaultRates {
  // Each kind for itself: some worlds have one, some have all, a few have none.
  const rate = (...rates: readonly number[]): number => (prng.chance(0.5) ? 0 : prng.pick(rates));
  // A restart mends what failures of R2 leave in a running attempt, so some worlds know nothing else.
  if (prng.chance(0.08)) {
    return { ...noFaults, bucketError: prng.pick([0.1, 0.3]), slowBucket: prng.pick([0, 0.05]) };
  }
  // What little happens in a small world gives as many occasions for what is rare as in a larger one.
  const often = size === "small" ? 3 : 1;
  return {
    slow: rate(0.02, 0.1, 0.3),
    drop: rate(0.002, 0.01, 0.03),
    duplicate: rate(0.01, 0.05),
    dropFrame: often * rate(0.002, 0.01),
    cut: often * rate(0.005, 0.03, 0.1),
    crashSubtask: often * rate(0.0005, 0.002, 0.005),
    crashCoordinator: often * rate(0.002, 0.01, 0.03),
    crashAll: often * rate(0.3, 1),
    zombie: rate(0.3, 0.8),
    slowWrite: rate(0.1, 0.5),
    bucketError: often * rate(0.01, 0.04, 0.12),
    slowBucket: rate(0.02, 0.1),
    alarm: rate(0.05, 0.3),
    userError: prng.chance(0.15) ? prng.pick([0.002, 0.01, 0.05]) : 0,
    slowTurn: rate(0.1, 0.7),
    skew: rate(5, 50, 1_000),
    loseAnswer: rate(0.005, 0.02, 0.05),
    hang: rate(0.02, 0.1),
  };
}
