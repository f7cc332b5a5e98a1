// The broadcast side of a world's job, where it has one: a topic of rules that goes to every subtask
// of an operator, which keeps them all and lets them change nothing. So what everything else must be
// stays what it was, and what must be in each copy is known as well.
//   D1. A rule is a record with an id of its own; a copy is the ids of all rules that it was given.
//   D2. Where the operator has no key it also lists the id of every item that it passes on.

import type { TopicOffsets } from "../connectors/topic-source.ts";
import { edgeOf, type ExecutionPlan } from "../format/plan.ts";
import type { TaskStateHandle } from "../format/state-handle.ts";
import { listState, mapState, rows, topic } from "../stream/index.ts";
import type { BroadcastStream } from "../stream/broadcast.ts";
import type { DataStream } from "../stream/data-stream.ts";
import type { JobEnvironment } from "../stream/job.ts";
import type { MapStateDescriptor } from "../stream/state.ts";
import type { Prng } from "./prng.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Item, Topology } from "./topology.ts";
import type { Arrival } from "./world.ts";

export interface RulesShape {
  readonly partitions: number;
  /** Of their source. */
  readonly parallelism: number;
  /** Beside the items in front of the stages, by an operator without a key; or beside the first. */
  readonly at: { readonly parallelism: number } | "first stage";
}

export type Rules = BroadcastStream<Item, { rules: MapStateDescriptor<number, number> }>;

const rulesUid = "rules";
export const besideUid = "beside";

/** The number of their topic: the one after those of the items. */
const topicOf = ({ sources }: Pick<Topology, "sources">): number => sources.length;

/** A generator of its own keeps the worlds without rules as they would be. */
export function drawRules(prng: Prng, topology: Topology): RulesShape | undefined {
  if (!prng.chance(0.25)) return undefined;
  const isKeyed = topology.stages[0]?.kind === "process" && prng.chance(0.7);
  return {
    partitions: prng.between(1, 2),
    parallelism: prng.between(1, 2),
    at: isKeyed ? "first stage" : { parallelism: prng.between(1, 3) },
  };
}

export function drawRulesArrivals(prng: Prng, topology: Topology, duration: number): Arrival[] {
  const { rules } = topology;
  if (rules === undefined) return [];
  return Array.from({ length: prng.between(1, 12) }, () => ({
    at: prng.below(duration),
    source: topicOf(topology),
    partition: prng.below(rules.partitions),
    items: Array.from({ length: prng.between(1, 4) }, () => ({ k: 0, v: prng.below(100) })),
  }));
}

// The program.

export function rulesOf(env: JobEnvironment, topology: Topology): Rules | undefined {
  const { rules } = topology;
  if (rules === undefined) return undefined;
  const { partitions, parallelism } = rules;
  return env
    .from(topic<Item>(`topic-${topicOf(topology)}`, { partitions }), { uid: rulesUid, parallelism })
    .broadcast({ rules: mapState<number, number>() });
}

export const keepRule = (
  { id, v }: Item,
  ctx: { readonly broadcast: { readonly rules: { set(id: number, v: number): void } } },
): void => ctx.broadcast.rules.set(id, v);

export const besideRules = (
  items: DataStream<Item>,
  rules: Rules,
  parallelism: number,
): DataStream<Item> =>
  items.connect(rules).process(
    {
      operatorState: { passed: listState<number>() },
      emits: rows<Item>(),
      process(item, { operatorState, emit }) {
        operatorState.passed.add(item.id);
        emit(item);
      },
      processBroadcast: keepRule,
    },
    { uid: besideUid, parallelism },
  );

// The checks.

/** What a checkpoint holds of the side, gathered subtask by subtask. */
export class SideCut {
  readonly #topology: Topology;
  readonly #plan: ExecutionPlan;
  readonly #snapshots: Snapshots;
  readonly #offsets: TopicOffsets[number][] = [];
  /** By subtask, the rules in its copy and those on their way to it. */
  readonly #copies: number[][];
  readonly #passed: number[] = [];

  constructor(topology: Topology, plan: ExecutionPlan, snapshots: Snapshots) {
    this.#topology = topology;
    this.#plan = plan;
    this.#snapshots = snapshots;
    const edge = plan.edges.find(({ fromUid }) => fromUid === rulesUid);
    const vertex = plan.vertices.find(({ id }) => id === edge?.to);
    this.#copies = Array.from({ length: vertex?.parallelism ?? 0 }, () => []);
  }

  /** Whether a state that no key owns is the side's; then it has been taken in. */
  took(handle: TaskStateHandle["operator"][number], index: number): boolean {
    const isOffsets = handle.uid === rulesUid;
    if (!isOffsets && handle.state !== "rules" && handle.state !== "passed") return false;
    const elements = this.#snapshots.elements(handle);
    if (isOffsets) this.#offsets.push(...(elements as TopicOffsets));
    else if (handle.state === "passed") this.#passed.push(...(elements as number[]));
    else this.#copies[index]!.push(...(elements as [number, number][]).map(([id]) => id));
    return true;
  }

  /** Whether rows under way are rules; then they have been taken in. */
  tookRows(handle: NonNullable<TaskStateHandle["channels"]>[number]): boolean {
    if (edgeOf(this.#plan, handle.edge).fromUid !== rulesUid) return false;
    const rules = this.#snapshots.rows(handle) as Item[];
    this.#copies[handle.to]!.push(...rules.map(({ id }) => id));
    return true;
  }

  /**
   * What is wrong, if anything. `passing`: items that are on their way to the operator; `passed`: all
   * that it passes on with these offsets.
   */
  fault(world: {
    readonly rules: (partition: number, next: number) => readonly Item[];
    readonly passing: readonly Item[];
    readonly passed: readonly number[];
    readonly atLeast: boolean;
  }): string | undefined {
    const { rules: shape } = this.#topology;
    if (shape === undefined) return undefined;
    const { atLeast } = world;
    const rules = this.#offsets.flatMap(({ partition, next }) => world.rules(partition, next));
    const ids = rules.map(({ id }) => id);
    for (const [index, copy] of this.#copies.entries()) {
      const wrong = unlike(copy, ids, atLeast);
      if (wrong !== undefined) return `the copy of subtask ${index} ${wrong}`;
    }
    if (shape.at === "first stage") return undefined;
    const all = [...this.#passed, ...world.passing.map(({ id }) => id)];
    const wrong = unlike(all, world.passed, atLeast);
    return wrong === undefined ? undefined : `the list of what was passed on ${wrong}`;
  }
}

/** How one collection of ids differs from what it is to be, each as often as it is there. */
function unlike(
  found: readonly number[],
  expected: readonly number[],
  atLeast: boolean,
): string | undefined {
  const left = new Map<number, number>();
  for (const id of found) left.set(id, (left.get(id) ?? 0) + 1);
  for (const id of expected) {
    const count = left.get(id) ?? 0;
    if (count === 0) return `lacks ${id}`;
    if (count === 1) left.delete(id);
    else left.set(id, count - 1);
  }
  if (atLeast || left.size === 0) return undefined;
  return `has ${[...left.keys()].join(", ")} too often`;
}
