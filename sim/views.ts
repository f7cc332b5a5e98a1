// How what is found is compared with what must be: views of values, by state and key.
//   R1. A view of a value says all that is to be equal in exactly-once worlds, and nothing that
//       depends on how rows were batched.
//   R2. The weight of a value is how many rows it stands for: with repetition it can only be more.

import type { Key } from "../format/key.ts";
import { timedView } from "./event-time-checks.ts";
import {
  type Group,
  idsEnd,
  type Item,
  type Parts,
  type Stat,
  stageUid,
  type StageShape,
  tableName,
  type TableShape,
  tableUid,
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

export interface Views {
  /** By `uid/state`; tables by the uid of their sink. */
  readonly states: ReadonlyMap<string, StateView>;
  readonly tables: ReadonlyMap<string, StateView>;
}

export const keyText = (key: Key): string => JSON.stringify(key);

const statView = ({ n, sum, top, ids }: Omit<Stat, "key">): View => ({
  text: `${n} rows, sum ${sum}, top ${top}, ids ${ids % idsEnd}`,
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

const nothing: View = { text: "", weight: 0 };

const oddView = (n: number): View => ({ text: String(n), weight: 0 });

export const itemView = ({ id, k, v }: Item): View => ({ text: `${id} ${k} ${v}`, weight: 1 });

/** What an aggregate holds of a key, as the row it emits. */
export function statHeld(key: Key, value: unknown): Stat {
  const [n, sum, top, ids] = value as [number, number, number, number];
  return { key, n, sum, top, ids };
}

export function groupHeld(key: Key, value: unknown): Group {
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
  const table = topology.tables.find((shape) => state === rowsOf(shape));
  const ofStat = (value: unknown): View => statView(value as Stat);
  const ofGroup = (value: unknown): View => {
    const { parts, updates } = value as Group;
    return partsView(parts, counts(updates));
  };
  if (table?.of === "told" || table?.of === "late") return timedView;
  // What is in the states of such a program shows in what it tells.
  if (topology.timed !== undefined) return () => nothing;
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

/** What is held by key, after whichever rows. */
export interface Results {
  readonly items: StateView;
  readonly apart: StateView;
  readonly stats: ReadonlyMap<string, Stat>;
  readonly seen: ReadonlyMap<string, readonly number[]>;
  readonly groups: ReadonlyMap<string, Group>;
}

/** Every state and table that these make. */
export function viewsOf(topology: Topology, { items, apart, stats, seen, groups }: Results): Views {
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
  for (const shape of topology.tables) {
    if (shape.of === "told" || shape.of === "late") continue;
    const views = { items, apart, first: statViews, second: groupViews }[shape.of];
    tables.set(tableName(shape), views);
    states.set(rowsOf(shape), views);
  }
  return { states, tables };
}

/** The state of a table. */
export const rowsOf = (shape: TableShape): string => `${tableUid(shape)}/rows`;

export const firstState = ({ kind }: StageShape): string => {
  const names = { aggregate: "accumulators", reduce: "reduced", process: "total" };
  return `${stageUid(1)}/${names[kind]}`;
};

export const secondState = ({ kind }: StageShape): string => {
  const names = { aggregate: "accumulators", reduce: "reduced", process: "group" };
  return `${stageUid(2)}/${names[kind]}`;
};

export const mapped = <V>(values: ReadonlyMap<string, V>, view: (value: V) => View): StateView =>
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
