// The plain run that everything is compared with: the records in, every state and table out, with
// none of the engine's code but the functions of single rows.
//   R1. A view of a value says all that is to be equal in exactly-once worlds, and nothing that
//       depends on how rows were batched.
//   R2. The weight of a value is how many rows it stands for: with repetition it can only be more.
//   R3. What rows under way make of states is said here, too: a cut with rows in its channels is what
//       it will be once these have arrived.

import type { Key } from "../format/key.ts";
import { besideUid } from "./broadcast-side.ts";
import {
  groupOf,
  type Group,
  isRejected,
  type Item,
  joined,
  keyOfItem,
  latest,
  type Parts,
  partsOf,
  type Stat,
  stageUid,
  statOf,
  type StageShape,
  type StepShape,
  stepFunctions,
  tableName,
  type Topology,
} from "./topology.ts";

export interface View {
  readonly text: string;
  readonly weight: number;
}

/** By key, as `keyText` writes it. */
export type StateView = ReadonlyMap<string, View>;

/** An entry of a state as a snapshot holds it. */
export interface Held extends View {
  readonly key: Key;
  readonly value: unknown;
}

/** Rows in a channel, and the operator that they are on their way to. */
export interface UnderWay {
  readonly uid: string;
  readonly rows: readonly unknown[];
}

export interface Reference {
  /** The items behind all steps, by id. */
  readonly items: StateView;
  /** By `uid/state`; tables by the uid of their sink. */
  readonly states: ReadonlyMap<string, StateView>;
  readonly tables: ReadonlyMap<string, StateView>;
}

export const keyText = (key: Key): string => JSON.stringify(key);

const statView = ({ n, sum, top, ids }: Omit<Stat, "key">): View => ({
  text: `${n} rows, sum ${sum}, top ${top}, ids ${ids}`,
  weight: n,
});

const partsView = (parts: Parts, updates: number | undefined): View => {
  const entries = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  const weight = entries.reduce((total, [, [n]]) => total + n, 0);
  const counted = updates === undefined ? "" : ` after ${updates}`;
  return {
    text: entries.map(([key, part]) => `${key}: ${part.join(" ")}`).join(", ") + counted,
    weight,
  };
};

const oddView = (n: number): View => ({ text: String(n), weight: 0 });

const itemView = ({ id, k, v }: Item): View => ({ text: `${id} ${k} ${v}`, weight: 1 });

/** What an aggregate holds of a key, as the row it emits. */
function statHeld(key: Key, value: unknown): Stat {
  const [n, sum, top, ids] = value as [number, number, number, number];
  return { key, n, sum, top, ids };
}

function groupHeld(key: Key, value: unknown): Group {
  const [parts, updates] = value as [Parts, number];
  return { key, parts, updates };
}

/** Whether the first stage emits once per row; else how many rows the second gets is nobody's. */
const isCounted = ({ stages }: Topology): boolean => stages[0]?.kind !== "aggregate";

/** How to look at a value of that state or table. */
export function viewOf(topology: Topology, state: string): (value: unknown) => View {
  const counts = (updates: number): number | undefined =>
    isCounted(topology) ? updates : undefined;
  const [one, two] = topology.stages;
  const table = topology.tables.find((_, at) => state === `out-${at}/rows`);
  const ofStat = (value: unknown): View => statView(value as Stat);
  const ofGroup = (value: unknown): View => {
    const { parts, updates } = value as Group;
    return partsView(parts, counts(updates));
  };
  if (table?.of === "items" || table?.of === "apart") return (value) => itemView(value as Item);
  if (table?.of === "first") return ofStat;
  if (table?.of === "second") return ofGroup;
  switch (state) {
    case `${stageUid(1)}/accumulators`:
      return (value) => statView(statHeld(0, value));
    case `${stageUid(1)}/reduced`:
    case `${stageUid(1)}/total`:
      return ofStat;
    case `${stageUid(1)}/seen`:
      return (value) => {
        const ids = (value as number[]).toSorted((a, b) => a - b);
        return { text: ids.join(" "), weight: ids.length };
      };
    case `${stageUid(1)}/odd`:
      return (value) => oddView(value as number);
    case `${stageUid(2)}/accumulators`:
      return (value) => ofGroup(groupHeld(0, value));
    case `${stageUid(2)}/reduced`:
    case `${stageUid(2)}/group`:
      return ofGroup;
    default:
      throw new Error(`Nobody expects a state ${state} of ${one?.kind} and ${two?.kind}.`);
  }
}

/** An item behind all steps, with what is asked of it for every cut. */
interface Arrived {
  readonly item: Item;
  readonly id: string;
  readonly view: View;
  readonly key: string;
  readonly stat: Stat;
  /** Of the pipeline that shares nothing with the others. */
  readonly isApart: boolean;
}

/** The plain runs over the records of one world. */
export class References {
  readonly #topology: Topology;
  /** All records there are of a partition, in order. */
  readonly #records: (source: number, partition: number) => readonly Item[];
  /** What became of each record, by source, partition and offset. */
  readonly #arrived: readonly (readonly (readonly Arrived[])[][])[];
  #last: { readonly offsets: string; readonly reference: Reference } | undefined;

  constructor(topology: Topology, records: (source: number, partition: number) => readonly Item[]) {
    this.#topology = topology;
    this.#records = records;
    this.#arrived = topology.sources.map(({ partitions }) =>
      Array.from({ length: partitions }, () => []),
    );
  }

  /** What all states and tables are after exactly the records below these offsets. */
  below(offsets: readonly (readonly PartitionOffset[])[]): Reference {
    const text = offsets.map((own) => own.map((one) => `${one.partition}:${one.next}`)).join(";");
    if (this.#last?.offsets !== text) {
      this.#last = { offsets: text, reference: referenceOf(this.#topology, this.#below(offsets)) };
    }
    return this.#last.reference;
  }

  /** And after all records there are. */
  whole(): Reference {
    return this.below(
      this.#topology.sources.map(({ partitions }, source) =>
        Array.from({ length: partitions }, (_, partition) => {
          return { partition, next: this.#records(source, partition).length };
        }),
      ),
    );
  }

  *#below(offsets: readonly (readonly PartitionOffset[])[]): Generator<Arrived> {
    for (const [source, own] of offsets.entries()) {
      for (const { partition, next } of own) {
        const records = this.#records(source, partition);
        const arrived = this.#arrived[source]![partition]!;
        while (arrived.length < Math.min(next, records.length)) {
          const { steps, isApart = false } = this.#topology.sources[source]!;
          const own = applied(steps, [records[arrived.length]!]);
          const items = isApart ? own : behindSteps(this.#topology, own);
          arrived.push(items.map((item) => arrivedOf(this.#topology, item, isApart)));
        }
        for (let at = 0; at < next; at++) yield* arrived[at]!;
      }
    }
  }
}

interface PartitionOffset {
  readonly partition: number;
  readonly next: number;
}

const behindSteps = (topology: Topology, items: readonly Item[]): readonly Item[] =>
  applied(topology.steps, items);

function arrivedOf({ key: shape }: Topology, item: Item, isApart: boolean): Arrived {
  const key = keyOfItem(shape)(item);
  const stat = statOf(key, item);
  return { item, id: keyText(item.id), view: itemView(item), key: keyText(key), stat, isApart };
}

function referenceOf(topology: Topology, arrived: Iterable<Arrived>): Reference {
  const [one, two] = topology.stages;
  const items = new Map<string, View>();
  const apart = new Map<string, View>();
  const stats = new Map<string, Stat>();
  const seen = new Map<string, number[]>();
  for (const { item, id, view, key, stat, isApart } of arrived) {
    if (isApart) {
      apart.set(id, view);
      continue;
    }
    items.set(id, view);
    if (one === undefined) continue;
    const before = stats.get(key);
    stats.set(key, before === undefined ? stat : joined(before, stat));
    if (one.kind !== "process") continue;
    const ids = seen.get(key);
    if (ids === undefined) seen.set(key, [item.id]);
    else ids.push(item.id);
  }
  const groups = new Map<string, Group>();
  if (two !== undefined) {
    for (const stat of stats.values()) {
      const key = groupOf(stat.key);
      const { parts, updates } = groups.get(keyText(key)) ?? { parts: {}, updates: 0 };
      const after = { key, parts: latest(parts, partsOf(stat)), updates: updates + stat.n };
      groups.set(keyText(key), after);
    }
  }
  return viewsOf(topology, { items, apart, stats, seen, groups });
}

interface Results {
  readonly items: StateView;
  readonly apart: StateView;
  readonly stats: ReadonlyMap<string, Stat>;
  readonly seen: ReadonlyMap<string, readonly number[]>;
  readonly groups: ReadonlyMap<string, Group>;
}

function viewsOf(topology: Topology, { items, apart, stats, seen, groups }: Results): Reference {
  const [one, two] = topology.stages;
  const statViews = mapped(stats, statView);
  const groupViews = mapped(groups, ({ parts, updates }) =>
    partsView(parts, isCounted(topology) ? updates : undefined),
  );
  const states = new Map<string, StateView>();
  if (one !== undefined) states.set(firstState(one), statViews);
  if (one?.kind === "process") {
    states.set(`${stageUid(1)}/seen`, mapped(seen, viewOf(topology, `${stageUid(1)}/seen`)));
    states.set(
      `${stageUid(1)}/odd`,
      mapped(new Map([...stats].filter(([, { n }]) => n % 2 === 1)), ({ n }) => oddView(n)),
    );
  }
  if (two !== undefined) states.set(secondState(two), groupViews);
  const tables = new Map<string, StateView>();
  topology.tables.forEach(({ of }, at) => {
    const views = { items, apart, first: statViews, second: groupViews }[of];
    tables.set(tableName(at), views);
    states.set(`out-${at}/rows`, views);
  });
  return { items, states, tables };
}

const firstState = ({ kind }: StageShape): string => {
  const names = { aggregate: "accumulators", reduce: "reduced", process: "total" };
  return `${stageUid(1)}/${names[kind]}`;
};

const secondState = ({ kind }: StageShape): string => {
  const names = { aggregate: "accumulators", reduce: "reduced", process: "group" };
  return `${stageUid(2)}/${names[kind]}`;
};

/** What the states of a cut will be once the rows in its channels have arrived. */
export function arriving(
  topology: Topology,
  found: ReadonlyMap<string, ReadonlyMap<string, Held>>,
  underWay: readonly UnderWay[],
): ReadonlyMap<string, StateView> {
  const [one, two] = topology.stages;
  const goingTo = <T>(uid: string): T[] =>
    underWay.flatMap((channel) => (channel.uid === uid ? (channel.rows as readonly T[]) : []));
  const heldIn = (state: string): readonly Held[] => [...(found.get(state)?.values() ?? [])];

  const items = itemsUnderWay(topology, underWay);
  const apart = apartUnderWay(topology, underWay);

  const stats = new Map<string, Stat>();
  const seen = new Map<string, number[]>();
  const groups = new Map<string, Group>();
  /** Keys of the first stage that get further rows, and how many. */
  const grown = new Map<string, number>();
  if (one !== undefined) {
    for (const { key, value } of heldIn(firstState(one))) {
      const stat = one.kind === "aggregate" ? statHeld(key, value) : (value as Stat);
      stats.set(keyText(key), stat);
    }
    for (const { key, value } of heldIn(`${stageUid(1)}/seen`)) {
      seen.set(keyText(key), [...(value as readonly number[])]);
    }
    const before = [
      ...items,
      ...goingTo<Item>("to-stat"),
      ...(one.kind === "reduce" ? [] : goingTo<Item>(stageUid(1))),
    ].map((item) => ({ stat: statOf(keyOfItem(topology.key)(item), item), id: item.id }));
    const single = one.kind === "reduce" ? goingTo<Stat>(stageUid(1)) : [];
    for (const { stat, id } of [...before, ...single.map((stat) => ({ stat, id: 0 }))]) {
      const key = keyText(stat.key);
      const held = stats.get(key);
      stats.set(key, held === undefined ? stat : joined(held, stat));
      grown.set(key, (grown.get(key) ?? 0) + 1);
      if (one.kind === "process") seen.set(key, [...(seen.get(key) ?? []), id]);
    }
  }
  const results = [...grown].map(([key, rows]) => ({ stat: stats.get(key)!, rows }));

  const grownGroups = new Set<string>();
  if (two !== undefined) {
    for (const { key, value } of heldIn(secondState(two))) {
      const group = two.kind === "aggregate" ? groupHeld(key, value) : (value as Group);
      groups.set(keyText(key), group);
    }
    const add = (key: Key, parts: Parts, updates: number): void => {
      const text = keyText(key);
      const held = groups.get(text) ?? { parts: {}, updates: 0 };
      const both = { parts: latest(held.parts, parts), updates: held.updates + updates };
      groups.set(text, { key, ...both });
      grownGroups.add(text);
    };
    const isReduce = two.kind === "reduce";
    const coming = [...goingTo<Stat>("to-group"), ...(isReduce ? [] : goingTo<Stat>(stageUid(2)))];
    for (const stat of coming) add(groupOf(stat.key), partsOf(stat), 1);
    for (const group of isReduce ? goingTo<Group>(stageUid(2)) : []) {
      add(group.key, group.parts, group.updates);
    }
    for (const { stat, rows } of results) add(groupOf(stat.key), partsOf(stat), rows);
  }

  const { states } = viewsOf(topology, {
    items: new Map(),
    apart: new Map(),
    stats,
    seen,
    groups,
  });
  const all = new Map(states);
  // What a process keeps beside its total is as it was found, but where rows arrive.
  const odd = `${stageUid(1)}/odd`;
  if (one?.kind === "process") {
    const kept = [...(found.get(odd) ?? [])].filter(([key]) => !grown.has(key));
    const made = [...states.get(odd)!].filter(([key]) => grown.has(key));
    all.set(odd, new Map([...kept, ...made]));
  }
  topology.tables.forEach(({ of }, at) => {
    const state = `out-${at}/rows`;
    const rows = new Map<string, unknown>();
    for (const { key, value } of heldIn(state)) rows.set(keyText(key), value);
    for (const row of goingTo<Item | Stat | Group>(`out-${at}`)) {
      const key = keyText("id" in row ? row.id : row.key);
      const held = rows.get(key) as Item | Stat | Group | undefined;
      if (held === undefined || newness(row) > newness(held)) rows.set(key, row);
    }
    if (of === "items") for (const item of items) rows.set(keyText(item.id), item);
    if (of === "apart") for (const item of apart) rows.set(keyText(item.id), item);
    if (of === "first") for (const key of grown.keys()) rows.set(key, stats.get(key));
    if (of === "second") for (const key of grownGroups) rows.set(key, groups.get(key));
    all.set(state, mapped(rows, viewOf(topology, state)));
  });
  return all;
}

/** What becomes of items in front of a step: they go on through it and all behind it. */
export const itemsUnderWay = (topology: Topology, underWay: readonly UnderWay[]): Item[] => [
  ...topology.sources.flatMap((source, at) =>
    source.isApart ? [] : behindSteps(topology, behindSource(source, at, underWay)),
  ),
  ...topology.steps.flatMap((_, at) =>
    applied(topology.steps.slice(at), itemsTo(`after-${at}`, underWay)),
  ),
  ...itemsTo(besideUid, underWay),
];

/** The same in the pipelines that share nothing with the others. */
const apartUnderWay = (topology: Topology, underWay: readonly UnderWay[]): Item[] =>
  topology.sources.flatMap((source, at) =>
    source.isApart ? behindSource(source, at, underWay) : [],
  );

const behindSource = (
  { steps }: Topology["sources"][number],
  source: number,
  underWay: readonly UnderWay[],
): Item[] =>
  steps.flatMap((_, at) => applied(steps.slice(at), itemsTo(`before-${source}-${at}`, underWay)));

const itemsTo = (uid: string, underWay: readonly UnderWay[]): Item[] =>
  underWay.flatMap((channel) => (channel.uid === uid ? (channel.rows as Item[]) : []));

/** Of two rows of one key in one table, the later one has more of this. */
const newness = (row: Item | Stat | Group): number =>
  "n" in row ? row.n : "updates" in row ? row.updates : 0;

export const applied = (steps: readonly StepShape[], items: readonly Item[]): readonly Item[] =>
  steps.reduce<readonly Item[]>((before, { kind }) => {
    if (kind === "map") return before.map(stepFunctions.map);
    if (kind === "filter") return before.filter(stepFunctions.filter);
    if (kind === "reject") return before.filter((item) => !isRejected(item));
    return before.flatMap(stepFunctions.flatMap);
  }, items);

const mapped = <V>(values: ReadonlyMap<string, V>, view: (value: V) => View): StateView =>
  new Map([...values].map(([key, value]) => [key, view(value)]));

/**
 * The first difference, or undefined where there is none. `atLeast`: more than expected is allowed,
 * less is not.
 */
export function difference(
  found: StateView,
  expected: StateView,
  atLeast: boolean,
): string | undefined {
  for (const [key, { text, weight }] of expected) {
    const got = found.get(key);
    if (atLeast ? weight > 0 && (got?.weight ?? 0) < weight : got?.text !== text) {
      return `key ${key} has ${got === undefined ? "nothing" : got.text}, expected ${text}`;
    }
  }
  if (atLeast) return undefined;
  for (const [key, { text }] of found) {
    if (!expected.has(key)) return `key ${key} has ${text}, expected nothing`;
  }
  return undefined;
}
