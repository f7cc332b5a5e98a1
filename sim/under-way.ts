// Rows in the channels of a cut, and what they make of its states: a cut with rows in its channels is
// what it will be once these have arrived.

import type { Key } from "../format/key.ts";
import { besideUid } from "./broadcast-side.ts";
import { applied } from "./steps.ts";
import {
  afterUnion,
  behindSource,
  groupOf,
  type Group,
  type Item,
  joined,
  keyOfItem,
  latest,
  type Parts,
  partsOf,
  type Stat,
  stageUid,
  statOf,
  stepUid,
  tableUid,
  type Topology,
} from "./topology.ts";
import {
  firstState,
  groupHeld,
  type Held,
  keyText,
  mapped,
  rowsOf,
  secondState,
  statHeld,
  type StateView,
  viewOf,
  viewsOf,
} from "./views.ts";

/** Rows in a channel, and the operator that they are on their way to. */
export interface UnderWay {
  readonly uid: string;
  readonly rows: readonly unknown[];
}

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
  for (const shape of topology.tables) {
    const { of } = shape;
    const state = rowsOf(shape);
    const rows = new Map<string, unknown>();
    for (const { key, value } of heldIn(state)) rows.set(keyText(key), value);
    for (const row of goingTo<Item | Stat | Group>(tableUid(shape))) {
      const key = keyText("id" in row ? row.id : row.key);
      const held = rows.get(key) as Item | Stat | Group | undefined;
      if (held === undefined || newness(row) > newness(held)) rows.set(key, row);
    }
    if (of === "items") for (const item of items) rows.set(keyText(item.id), item);
    if (of === "apart") for (const item of apart) rows.set(keyText(item.id), item);
    if (of === "first") for (const key of grown.keys()) rows.set(key, stats.get(key));
    if (of === "second") for (const key of grownGroups) rows.set(key, groups.get(key));
    all.set(state, mapped(rows, viewOf(topology, state)));
  }
  return all;
}

/** What becomes of items in front of a step: they go on through it and all behind it. */
export const itemsUnderWay = (topology: Topology, underWay: readonly UnderWay[]): Item[] => [
  ...topology.sources.flatMap((source, at) =>
    source.isApart ? [] : applied(topology.steps, fromSource(source, at, underWay)),
  ),
  ...topology.steps.flatMap((step, at) =>
    applied(topology.steps.slice(at), itemsTo(stepUid(afterUnion, step), underWay)),
  ),
  ...itemsTo(besideUid, underWay),
];

/** The same in the pipelines that share nothing with the others. */
const apartUnderWay = (topology: Topology, underWay: readonly UnderWay[]): Item[] =>
  topology.sources.flatMap((source, at) =>
    source.isApart ? fromSource(source, at, underWay) : [],
  );

const fromSource = (
  { steps }: Topology["sources"][number],
  source: number,
  underWay: readonly UnderWay[],
): Item[] =>
  steps.flatMap((step, at) =>
    applied(steps.slice(at), itemsTo(stepUid(behindSource(source), step), underWay)),
  );

const itemsTo = (uid: string, underWay: readonly UnderWay[]): Item[] =>
  underWay.flatMap((channel) => (channel.uid === uid ? (channel.rows as Item[]) : []));

/** Of two rows of one key in one table, the later one has more of this. */
const newness = (row: Item | Stat | Group): number =>
  "n" in row ? row.n : "updates" in row ? row.updates : 0;
