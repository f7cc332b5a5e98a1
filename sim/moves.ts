// Where a job's life takes it in a world: savepoints, and other jobs that go on from them, at other
// sizes and in changed code. Drawn with the world, as plain data.

import type { JobOptions } from "../stream/config.ts";
import type { TimedShape } from "./event-time.ts";
import type { Prng } from "./prng.ts";
import type { StageKind, StepKind, StepShape, TableShape, Topology } from "./topology.ts";

/** What a job is made of. */
export interface JobShape<O = JobOptions> {
  readonly topology: Topology;
  readonly options: O;
  /** Bytes of state that a subtask may have in memory: beside the least cache, rows are written at once. */
  readonly memoryBudget: number;
}

export type Move<O = JobOptions> =
  /** A savepoint, and nothing else. */
  | { readonly kind: "savepoint"; readonly at: number }
  /** It is stopped, and event time comes to its end before. */
  | { readonly kind: "drain"; readonly at: number }
  /** Another size, while it runs: all vertices alike, or each for itself. */
  | { readonly kind: "rescale"; readonly at: number; readonly isRefused: boolean }
  | Hop<O>;

/**
 * The job ends and another goes on: with a savepoint that stops or cancels it, or from its last
 * checkpoint. Both go on: from a savepoint (`branch`), or from the latest checkpoint (`fork`).
 */
export interface Hop<O = JobOptions> {
  readonly kind: "stop" | "cancel" | "retained" | "branch" | "fork";
  readonly at: number;
  /** What it begins with is the new job's own from then on. */
  readonly claims: boolean;
  /** The job that goes on. */
  readonly next: JobShape<O>;
}

/**
 * Moves through a world: one that ends each of its parts, with the job that goes on, and savepoints
 * in between.
 *
 * @param world its job, and how long each part is; @param optionsOf those of the job that comes after so
 *   many others
 */
export function drawMoves<O extends JobOptions & { readonly maxParallelism: number }>(
  prng: Prng,
  world: JobShape<O> & { readonly duration: number },
  kinds: readonly Hop<O>["kind"][],
  optionsOf: (before: number) => O,
): Move<O>[] {
  const { duration, options } = world;
  const { maxParallelism: most } = options;
  let id = 100;
  const draw = { prng, freshId: () => id++ };
  let { topology } = world;
  const moves = kinds.flatMap((kind, part): Move<O>[] => {
    const at = part * duration + prng.below(duration);
    const size = resized(prng, topology, { most });
    // Rows on their way fit the code that they were on their way in.
    const isSame = kind === "retained" || kind === "fork" || topology.timed !== undefined;
    const mayChange = !isSame && prng.chance(0.6);
    topology = mayChange ? changed(draw, size) : size;
    const next = { topology, options: optionsOf(part + 1), memoryBudget: 2 ** 26 };
    // Of a job that goes on its own checkpoints are its own.
    const claims = kind !== "branch" && kind !== "fork" && prng.chance(0.3);
    const hop: Move<O> = { kind, at, claims, next };
    const before = (): number => at - prng.below(duration);
    return [
      ...(prng.chance(0.2) ? [{ kind: "savepoint" as const, at: before() }] : []),
      ...(prng.chance(0.4)
        ? [{ kind: "rescale" as const, at: before(), isRefused: prng.chance(0.3) }]
        : []),
      hop,
    ];
  });
  return moves.toSorted((one, other) => one.at - other.at);
}

/** How many subtasks each of so many vertices gets. */
export function drawnSizes(prng: Prng, vertices: number, most: number): number[] {
  const all = Math.min(prng.pick(sizes), most);
  const isEach = prng.chance(0.4);
  return Array.from({ length: vertices }, () =>
    isEach ? Math.min(prng.between(1, 3), most) : all,
  );
}

/** Of all operators; most worlds have fewer subtasks than that. */
const sizes = [1, 1, 2, 2, 3, 3, 4, 8];

/** The same job at another size: all operators alike, or each for itself. */
export function resized(
  prng: Prng,
  topology: Topology,
  of: { readonly most: number; readonly isEach?: true },
): Topology {
  const { most } = of;
  const all = Math.min(prng.pick(sizes), most);
  const isEach = of.isEach ?? prng.chance(0.4);
  const size = <T extends { readonly parallelism: number }>(shape: T): T => {
    const parallelism = isEach ? Math.min(prng.between(1, 3), most) : all;
    return { ...shape, parallelism };
  };
  const { sources, steps, stages, tables, rules, timed } = topology;
  return {
    ...topology,
    ...(timed && { timed: resizedTimed(timed, size) }),
    sources: sources.map((source) => ({ ...size(source), steps: source.steps.map(size) })),
    steps: steps.map(size),
    stages: stages.map(size),
    tables: tables.map(size),
    ...(rules && {
      rules: { ...size(rules), at: rules.at === "first stage" ? rules.at : size(rules.at) },
    }),
  };
}

function resizedTimed(
  timed: TimedShape,
  size: <T extends { readonly parallelism: number }>(shape: T) => T,
): TimedShape {
  const { sources, late, following } = timed;
  return {
    ...size(timed),
    // A second subtask would be waited for at times, until it is known to have nothing.
    sources: late === "known" ? sources : sources.map(size),
    ...(following && { following: size(following) }),
  };
}

/** Draws, and numbers for what is new: what is gone never comes back under its number. */
interface Drawing {
  readonly prng: Prng;
  readonly freshId: () => number;
}

/** Changes of code, each to the same topology where there is no occasion for it. */
const changes: readonly ((draw: Drawing, topology: Topology) => Topology)[] = [
  withOtherSteps,
  withOtherSourceSteps,
  (_, topology) => ({ ...topology, rebalance: !topology.rebalance }),
  withTable,
  withoutTable,
  withOtherStages,
];

/** The job in other code: operators were added or removed, or their functions are others. */
function changed(draw: Drawing, topology: Topology): Topology {
  const { prng } = draw;
  // Each once: what one takes away, the same would bring back as something else.
  const left = [...changes];
  let all = topology;
  for (let count = prng.pick([1, 1, 2, 3]); count > 0; count--) {
    const [change] = left.splice(prng.below(left.length), 1);
    all = change!(draw, all);
  }
  return all;
}

const fresh = ({ freshId, prng }: Drawing) => ({ id: freshId(), parallelism: prng.between(1, 3) });

function withOtherSteps(draw: Drawing, topology: Topology): Topology {
  return { ...topology, steps: otherSteps(draw, topology.steps) };
}

function withOtherSourceSteps(draw: Drawing, topology: Topology): Topology {
  const at = draw.prng.below(topology.sources.length);
  const source = topology.sources[at]!;
  const other = { ...source, steps: otherSteps(draw, source.steps) };
  return { ...topology, sources: topology.sources.with(at, other) };
}

function otherSteps(draw: Drawing, steps: readonly StepShape[]): StepShape[] {
  const { prng } = draw;
  const at = prng.below(steps.length + 1);
  const { kind, version = 0 } = steps[at] ?? {};
  if (kind === "map") return steps.with(at, { ...steps[at]!, version: version + 1 });
  if (kind !== undefined && kind !== "reject") return steps.toSpliced(at, 1);
  // A third flatMap on the way of a row would make ids that others have.
  const isFlat = steps.some((step) => step.kind === "flatMap");
  const kinds: StepKind[] = ["map", "filter", "reject", ...(isFlat ? [] : (["flatMap"] as const))];
  return steps.toSpliced(at, 0, { ...fresh(draw), kind: prng.pick(kinds) });
}

function withTable(draw: Drawing, topology: Topology): Topology {
  const { tables, stages, sources } = topology;
  const kinds = (["items", "first", "second"] as const).slice(0, stages.length + 1);
  const apart = sources.at(-1)!.isApart === true ? (["apart"] as const) : [];
  const added = { ...fresh(draw), of: draw.prng.pick([...kinds, ...apart]) };
  return { ...topology, tables: [...tables, added] };
}

/** Where something else is made of the rows that it shows. */
function withoutTable({ prng }: Drawing, topology: Topology): Topology {
  const { tables, stages } = topology;
  const last = (["items", "first", "second"] as const)[stages.length];
  const gone = prng.pick(tables);
  const left = tables.filter((table) => table !== gone);
  const mayGo = left.some(({ of }) => of === (gone.of === "apart" ? "apart" : last));
  return mayGo ? { ...topology, tables: left } : topology;
}

/** A second stage with a table, or none any more. */
function withOtherStages(draw: Drawing, topology: Topology): Topology {
  const { stages, tables } = topology;
  if (stages.length === 0) return topology;
  if (stages.length === 1) {
    const kind = draw.prng.pick<StageKind>(["aggregate", "reduce", "process"]);
    const added: TableShape = { ...fresh(draw), of: "second" };
    const stage = { kind, parallelism: draw.prng.between(1, 3) };
    return { ...topology, stages: [...stages, stage], tables: [...tables, added] };
  }
  const others = tables.filter(({ of }) => of !== "second");
  const isShown = others.some(({ of }) => of === "first");
  const shown: TableShape = { ...fresh(draw), of: "first" };
  return {
    ...topology,
    stages: stages.slice(0, 1),
    tables: isShown ? others : [...others, shown],
  };
}
