// Where a job's life takes it in a world: savepoints, and other jobs that go on from them, at other
// sizes and in changed code. Drawn with the world, as plain data.

import type { JobOptions } from "../stream/config.ts";
import type { Prng } from "./prng.ts";
import type { StageKind, StepKind, StepShape, TableShape, Topology } from "./topology.ts";

/** What a job is made of. */
export interface JobShape<O = JobOptions> {
  readonly topology: Topology;
  readonly options: O;
  /** Bytes of state that a subtask may have in memory: beside the least cache, rows are written at once. */
  readonly memoryBudget: number;
}

/** A job that goes on where another stood. */
export interface NextJob<O = JobOptions> extends JobShape<O> {
  /** It leaves state behind, and may. */
  readonly leavesState: boolean;
}

export type Move<O = JobOptions> =
  /** A savepoint, and nothing else. */
  | { readonly kind: "savepoint"; readonly at: number }
  | Hop<O>;

/**
 * The job ends and another goes on: with a savepoint that stops or cancels it, or from its last
 * checkpoint. `branch`: both go on from then.
 */
export interface Hop<O = JobOptions> {
  readonly kind: "stop" | "cancel" | "retained" | "branch";
  readonly at: number;
  readonly next: NextJob<O>;
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
    const size = resized(prng, topology, most);
    // Rows on their way fit the code that they were on their way in.
    const mayChange = kind !== "retained" && prng.chance(0.6);
    const next = mayChange ? changed(draw, size) : { topology: size, leavesState: false };
    topology = next.topology;
    const job = { ...next, options: optionsOf(part + 1), memoryBudget: 2 ** 26 };
    const hop: Move<O> = { kind, at, next: job };
    return prng.chance(0.2) ? [{ kind: "savepoint", at: at - prng.below(at + 1) }, hop] : [hop];
  });
  return moves.toSorted((one, other) => one.at - other.at);
}

/** Of all operators; most worlds have fewer subtasks than that. */
const sizes = [1, 1, 2, 2, 3, 3, 4, 8];

/** The same job at another size: all operators alike, or each for itself. */
function resized(prng: Prng, topology: Topology, most: number): Topology {
  const all = Math.min(prng.pick(sizes), most);
  const isEach = prng.chance(0.4);
  const size = <T extends { readonly parallelism: number }>(shape: T): T => {
    const parallelism = isEach ? Math.min(prng.between(1, 3), most) : all;
    return { ...shape, parallelism };
  };
  const { sources, steps, stages, tables, rules } = topology;
  return {
    ...topology,
    sources: sources.map((source) => ({ ...size(source), steps: source.steps.map(size) })),
    steps: steps.map(size),
    stages: stages.map(size),
    tables: tables.map(size),
    ...(rules && {
      rules: { ...size(rules), at: rules.at === "first stage" ? rules.at : size(rules.at) },
    }),
  };
}

/** Changed code, and whether state is left behind in it. */
interface Changed {
  readonly topology: Topology;
  readonly leavesState: boolean;
}

/** Draws, and numbers for what is new: what is gone never comes back under its number. */
interface Drawing {
  readonly prng: Prng;
  readonly freshId: () => number;
}

const changes: readonly ((draw: Drawing, topology: Topology) => Changed)[] = [
  (draw, topology) => kept({ ...topology, steps: otherSteps(draw, topology.steps) }),
  (draw, topology) => {
    const { prng } = draw;
    const at = prng.below(topology.sources.length);
    const sources = topology.sources.map((source, index) =>
      index === at ? { ...source, steps: otherSteps(draw, source.steps) } : source,
    );
    return kept({ ...topology, sources });
  },
  (_, topology) => kept({ ...topology, rebalance: !topology.rebalance }),
  (draw, topology) => {
    const { tables, stages, sources } = topology;
    const kinds = (["items", "first", "second"] as const).slice(0, stages.length + 1);
    const isApart = sources.at(-1)!.isApart === true;
    const of = draw.prng.pick([...kinds, ...(isApart ? (["apart"] as const) : [])]);
    return kept({ ...topology, tables: [...tables, { ...fresh(draw), of }] });
  },
  ({ prng }, topology) => {
    const gone = prng.pick(topology.tables);
    if (topology.tables.filter(({ of }) => of === gone.of).length < 2) return kept(topology);
    return left({ ...topology, tables: topology.tables.filter((table) => table !== gone) });
  },
  (draw, topology) => {
    const { stages, tables } = topology;
    if (stages.length === 0) return kept(topology);
    if (stages.length === 1) {
      const kind = draw.prng.pick<StageKind>(["aggregate", "reduce", "process"]);
      const added: TableShape = { ...fresh(draw), of: "second" };
      return kept({
        ...topology,
        stages: [...stages, { kind, parallelism: 1 }],
        tables: [...tables, added],
      });
    }
    const others = tables.filter(({ of }) => of !== "second");
    const shown: TableShape[] = others.some(({ of }) => of === "first")
      ? others
      : [...others, { ...fresh(draw), of: "first" }];
    return left({ ...topology, stages: stages.slice(0, 1), tables: shown });
  },
];

/** The job in other code: operators were added or removed, or their functions are others. */
function changed(draw: Drawing, topology: Topology): Changed {
  const { prng } = draw;
  let all: Changed = kept(topology);
  for (let count = prng.pick([1, 1, 2, 3]); count > 0; count--) {
    const next = prng.pick(changes)(draw, all.topology);
    all = { ...next, leavesState: all.leavesState || next.leavesState };
  }
  return all;
}

const kept = (topology: Topology): Changed => ({ topology, leavesState: false });
const left = (topology: Topology): Changed => ({ topology, leavesState: true });

const fresh = ({ freshId }: Drawing) => ({ id: freshId(), parallelism: 1 });

function otherSteps(draw: Drawing, steps: readonly StepShape[]): StepShape[] {
  const { prng } = draw;
  const at = prng.below(steps.length + 1);
  const { kind, version = 0 } = steps[at] ?? {};
  if (kind === "map") return steps.with(at, { ...steps[at]!, version: version + 1 });
  // Whether a row is rejected was decided, and may not have been told: that one stays.
  if (kind !== undefined && kind !== "reject") return steps.filter((_, index) => index !== at);
  // A third flatMap would make ids that others have.
  const isFlat = steps.some((step) => step.kind === "flatMap");
  const kinds: StepKind[] = ["map", "filter", "reject", ...(isFlat ? [] : (["flatMap"] as const))];
  return steps.toSpliced(at, 0, { ...fresh(draw), kind: prng.pick(kinds) });
}
