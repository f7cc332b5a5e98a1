// What the job of a world looks like, as plain data, and the program made of it. Every operator's
// result is a function of the set of rows it was given, not of their order or of how they were
// batched, so that a reference can say exactly what any state must be:
//   S1. Functions of single rows are pure, and a row's id tells it from every other.
//   S2. The first keyed stage counts rows; what it emits for a key only grows, by `n`.
//   S3. The second stage keeps, per key of the first, the row with the greatest `n`.

import type { Key } from "../format/key.ts";
import {
  type Aggregate,
  count,
  type DeadLetter,
  deadLetter,
  defineJob,
  max,
  rows,
  sum,
  table,
  topic,
  valueState,
} from "../stream/index.ts";
import type { JobOptions } from "../stream/config.ts";
import type { DataStream } from "../stream/data-stream.ts";
import type { JobDefinition } from "../stream/job.ts";
import type { Topic } from "../stream/topic.ts";
import type { ProcessFunction } from "../stream/process.ts";
import { besideRules, keepRule, type Rules, rulesOf, type RulesShape } from "./broadcast-side.ts";
import { timedProgram, type TimedShape } from "./event-time.ts";

/** A record of a topic. */
export interface Item {
  readonly id: number;
  readonly k: number;
  readonly v: number;
  /** The key as a text, and what the id adds to `ids`: for who names fields and writes no function. */
  readonly u: string;
  readonly h: number;
}

/** What the first keyed stage emits: all it has seen of a key. */
export interface Stat {
  readonly key: Key;
  readonly n: number;
  readonly sum: number;
  readonly top: number;
  /** All ids, folded into one number. */
  readonly ids: number;
}

/** `[n, sum, ids]` of each key of the first stage. */
export type Parts = Readonly<Record<string, readonly [number, number, number]>>;

/** What the second keyed stage emits. */
export interface Group {
  readonly key: Key;
  readonly parts: Parts;
  /** Rows it was given. */
  readonly updates: number;
}

/** `reject`: a map that throws on some rows, which go to a dead letter topic. */
export type StepKind = "map" | "filter" | "flatMap" | "reject";
export type StageKind = "aggregate" | "reduce" | "process";
/** `field`: by the name of one, and what is aggregated, too: rows stay columns. */
export type KeyShape = "text" | "field" | "number" | "tuple";

export interface StepShape {
  /** Among the steps of its place, for as long as the job's code changes. */
  readonly id: number;
  readonly kind: StepKind;
  readonly parallelism: number;
  /** What a `map` adds: another one is another function. */
  readonly version?: number;
}

export interface StageShape {
  readonly kind: StageKind;
  readonly parallelism: number;
}

export interface TableShape {
  /** Its own, for as long as the job's code changes. */
  readonly id: number;
  /** `told`, `late`: of a program that goes by event time. */
  readonly of: "items" | "first" | "second" | "apart" | "told" | "late";
  readonly parallelism: number;
}

export interface Topology {
  readonly sources: readonly {
    readonly partitions: number;
    readonly parallelism: number;
    readonly steps: readonly StepShape[];
    /** Not of the union: a pipeline of its own, into the tables of `apart`. Only the last may be. */
    readonly isApart?: true;
  }[];
  readonly rebalance: boolean;
  /** After the union of the sources. */
  readonly steps: readonly StepShape[];
  readonly key: KeyShape;
  readonly stages: readonly StageShape[];
  /** What each table shows: the items, the rows of a stage, or the items of the source apart. */
  readonly tables: readonly TableShape[];
  /** Broadcast, where there is any. */
  readonly rules?: RulesShape;
  /** All there is of it but its tables, where it goes by event time. */
  readonly timed?: TimedShape;
}

export const sourceUid = (source: number): string => `source-${source}`;
export const stageUid = (stage: number): string => `stage-${stage}`;
export const tableUid = ({ id }: TableShape): string => `out-${id}`;
export const tableName = ({ id }: TableShape): string => `table-${id}`;
/** Where steps are: behind a source, or behind the union of the sources. */
export const afterUnion = "after";
export const behindSource = (source: number): string => `before-${source}`;
export const stepUid = (place: string, { id }: StepShape): string => `${place}-${id}`;

// Pure functions: what the program runs and the reference runs.

export const scramble = (value: number): number => {
  let x = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
  return (x ^ (x >>> 16)) >>> 0;
};

export const itemOf = (id: number, k: number, v: number): Item => ({
  id,
  k,
  v,
  u: `k${k}`,
  h: scramble(id + 1),
});

export const isRejected = (item: Item): boolean => scramble(item.id + 17) % 5 === 0;

export const stepFunctions = {
  map:
    (version: number) =>
    (item: Item): Item => ({ ...item, v: (item.v * 3 + 1 + version) % 1_000 }),
  filter: (item: Item): boolean => scramble(item.id + 11) % 6 !== 0,
  reject: (item: Item): Item => {
    if (isRejected(item)) throw new RangeError(`${item.id} is no good`);
    return item;
  },
  flatMap: (item: Item): Item[] =>
    Array.from({ length: scramble(item.id) % 3 }, (_, at) =>
      // Ids stay apart whether a row has met none, one or two of these.
      itemOf(item.id + (at + 1) * (item.id < 1_000_000 ? 1_000_000 : 10_000_000), item.k, item.v),
    ),
};

const keyFunctions: Record<KeyShape, (item: Item) => Key> = {
  text: (item) => `k${item.k}`,
  field: (item) => item.u,
  number: (item) => item.k,
  tuple: (item) => [`k${item.k >> 1}`, item.k & 1],
};

export const keyOfItem = (shape: KeyShape): ((item: Item) => Key) => keyFunctions[shape];

const groups = 3;
export const groupOf = (key: Key): number => {
  const text = String(key);
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (hash * 31 + text.charCodeAt(at)) >>> 0;
  return hash % groups;
};

/** Ids are folded modulo this; where a sum of a field stands for the fold, in the end. */
export const idsEnd = 4294967296;

export const statOf = (key: Key, { id, v }: Item): Stat => ({
  key,
  n: 1,
  sum: v,
  top: v,
  ids: scramble(id + 1),
});

export const joined = (left: Stat, right: Stat): Stat => ({
  key: left.key,
  n: left.n + right.n,
  sum: left.sum + right.sum,
  top: Math.max(left.top, right.top),
  ids: (left.ids + right.ids) % idsEnd,
});

export const partsOf = ({ key, n, sum: total, ids }: Stat): Parts => ({
  [String(key)]: [n, total, ids % idsEnd],
});

export function latest(left: Parts, right: Parts): Parts {
  const out: Record<string, readonly [number, number, number]> = { ...left };
  for (const [key, part] of Object.entries(right)) {
    if ((out[key]?.[0] ?? 0) < part[0]) out[key] = part;
  }
  return out;
}

// The program.

const idsOf: Aggregate<Item, number, number> = {
  create: () => 0,
  add: (held, { h }) => (held + h) % idsEnd,
  merge: (left, right) => (left + right) % idsEnd,
  result: (held) => held,
};

const latestParts: Aggregate<Stat, Parts, Parts> = {
  create: () => ({}),
  add: (held, stat) => latest(held, partsOf(stat)),
  merge: latest,
  result: (held) => held,
};

/**
 * `stumble` is called by the code of single rows, and may throw; `lettersTo` is where rejected rows of
 * all steps go; `log` hears what fires.
 */
export const definitionOf = (
  topology: Topology,
  options: JobOptions,
  {
    stumble,
    lettersTo,
    log,
  }: {
    readonly stumble: () => void;
    readonly lettersTo: string;
    readonly log?: ((line: string) => void) | undefined;
  },
): JobDefinition =>
  defineJob(
    "world",
    (env) => {
      if (topology.timed !== undefined) {
        const tables = topology.tables.map((shape) => {
          const { parallelism } = shape;
          return { name: tableName(shape), uid: tableUid(shape), parallelism };
        });
        timedProgram(env, topology.timed, { stumble, log, tables });
        return;
      }
      const letters = lettersTopic(lettersTo);
      const streams = topology.sources.map(({ partitions, parallelism, steps }, at) =>
        stepped(
          env.from(topic<Item>(`topic-${at}`, { partitions }), { uid: sourceUid(at), parallelism }),
          steps,
          { place: behindSource(at), stumble, letters },
        ),
      );
      const [first, ...others] = streams.filter((_, at) => !topology.sources[at]!.isApart);
      let items = others.length === 0 ? first! : first!.union(...others);
      if (topology.rebalance) items = items.rebalance();
      items = stepped(items, topology.steps, { place: afterUnion, stumble, letters });
      const broadcast = rulesOf(env, topology);
      const at = topology.rules?.at;
      if (broadcast && typeof at === "object") {
        items = besideRules(items, broadcast, at.parallelism);
      }
      const [one, two] = topology.stages;
      const beside = at === "first stage" ? broadcast : undefined;
      const stats = one && firstStage(items, topology.key, one, { stumble, broadcast: beside });
      const grouped = stats && two && secondStage(stats, two);
      for (const shape of topology.tables) {
        const { of, parallelism } = shape;
        const to = { uid: tableUid(shape), parallelism };
        const name = tableName(shape);
        const byId = table(name, { key: (item: Item) => item.id });
        if (of === "items") items.to(byId, to);
        else if (of === "apart") streams.at(-1)!.to(byId, to);
        else if (of === "first") stats!.to(table(name), to);
        else grouped!.to(table(name), to);
      }
    },
    options,
  );

export const lettersTopic = (name: string): Topic<DeadLetter<Item>> =>
  topic<DeadLetter<Item>>(name, { partitions: 2 });

interface StepPlace {
  readonly place: string;
  readonly stumble: () => void;
  readonly letters: Topic<DeadLetter<Item>>;
}

function stepped(
  stream: DataStream<Item>,
  steps: readonly StepShape[],
  { place, stumble, letters }: StepPlace,
): DataStream<Item> {
  const careless =
    <T>(run: (item: Item) => T) =>
    (item: Item): T => {
      stumble();
      return run(item);
    };
  return steps.reduce((before, step) => {
    const { kind, parallelism, version = 0 } = step;
    const options = { uid: stepUid(place, step), parallelism };
    if (kind === "map") return before.map(careless(stepFunctions.map(version)), options);
    if (kind === "filter") return before.filter(careless(stepFunctions.filter), options);
    if (kind === "reject") {
      return before.map(stepFunctions.reject, { ...options, onError: deadLetter(letters) });
    }
    return before.flatMap(careless(stepFunctions.flatMap), options);
  }, stream);
}

function firstStage(
  items: DataStream<Item>,
  shape: KeyShape,
  { kind, parallelism }: StageShape,
  { stumble, broadcast }: { readonly stumble: () => void; readonly broadcast: Rules | undefined },
): DataStream<Stat> {
  const options = { uid: stageUid(1), parallelism };
  const keyOf = (item: Item): Key => {
    stumble();
    return keyOfItem(shape)(item);
  };
  switch (kind) {
    case "aggregate":
      if (shape === "field") {
        return items
          .keyBy("u")
          .aggregate({ n: count(), sum: sum("v"), top: max("v"), ids: sum("h") }, options);
      }
      return items
        .keyBy(keyOf)
        .aggregate({ n: count(), sum: sum((i) => i.v), top: max((i) => i.v), ids: idsOf }, options);
    case "reduce":
      return items
        .map((item) => statOf(keyOf(item), item), { uid: "to-stat" })
        .keyBy((stat) => stat.key)
        .reduce(joined, options);
    case "process": {
      const keyed = shape === "field" ? items.keyBy("u") : items.keyBy(keyOf);
      const fn = counting(stumble);
      if (broadcast === undefined) return keyed.process(fn, options);
      return keyed.connect(broadcast).process({ ...fn, processBroadcast: keepRule }, options);
    }
  }
}

const countingState = {
  total: valueState<Stat>(),
  seen: valueState<number[]>(),
  odd: valueState<number>(),
};

/** `odd` comes and goes: removed keys and tombstones are in every such world. */
const counting = (stumble: () => void): ProcessFunction<Item, Key, Stat, typeof countingState> => ({
  state: countingState,
  emits: rows<Stat>(),
  process(item, ctx) {
    stumble();
    const { total, seen, odd } = ctx.state;
    const one = statOf(ctx.key, item);
    const before = total.get();
    const stat = before === undefined ? one : joined(before, one);
    total.set(stat);
    seen.set([...(seen.get() ?? []), item.id]);
    if (stat.n % 2 === 1) odd.set(stat.n);
    else odd.clear();
    ctx.emit(stat);
  },
});

function secondStage(
  stats: DataStream<Stat>,
  { kind, parallelism }: StageShape,
): DataStream<Group> {
  const options = { uid: stageUid(2), parallelism };
  switch (kind) {
    case "aggregate":
      return stats
        .keyBy((stat) => groupOf(stat.key))
        .aggregate({ parts: latestParts, updates: count() }, options);
    case "reduce":
      return stats
        .map((stat): Group => ({ key: groupOf(stat.key), parts: partsOf(stat), updates: 1 }), {
          uid: "to-group",
        })
        .keyBy((group) => group.key)
        .reduce(
          (left, right) => ({
            key: left.key,
            parts: latest(left.parts, right.parts),
            updates: left.updates + right.updates,
          }),
          options,
        );
    case "process":
      return stats
        .keyBy((stat) => groupOf(stat.key))
        .process(
          {
            state: { group: valueState<Group>() },
            emits: rows<Group>(),
            process(stat, ctx) {
              const before = ctx.state.group.get();
              const group = {
                key: ctx.key,
                parts: latest(before?.parts ?? {}, partsOf(stat)),
                updates: (before?.updates ?? 0) + 1,
              };
              ctx.state.group.set(group);
              ctx.emit(group);
            },
          },
          options,
        );
  }
}
