// The plain run that everything is compared with: the records in, every state and table out, with
// none of the engine's code but the functions of single rows.
//   R1. A view of a value says all that is to be equal in exactly-once worlds, and nothing that
//       depends on how rows were batched.
//   R2. The weight of a value is how many rows it stands for: with repetition it can only be more.

import type { Key } from "../format/key.ts";
import {
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
export type StateView = Map<string, View>;

export interface Reference {
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

const itemView = ({ id, k, v }: Item): View => ({ text: `${id} ${k} ${v}`, weight: 1 });

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
  if (table?.of === "items") return (value) => itemView(value as Item);
  if (table?.of === "first") return ofStat;
  if (table?.of === "second") return ofGroup;
  switch (state) {
    case `${stageUid(1)}/accumulators`:
      return (value) => {
        const [n, sum, top, ids] = value as [number, number, number, number];
        return statView({ n, sum, top, ids });
      };
    case `${stageUid(1)}/reduced`:
    case `${stageUid(1)}/total`:
      return ofStat;
    case `${stageUid(1)}/seen`:
      return (value) => {
        const ids = (value as number[]).toSorted((a, b) => a - b);
        return { text: ids.join(" "), weight: ids.length };
      };
    case `${stageUid(1)}/odd`:
      return (value) => ({ text: String(value), weight: 0 });
    case `${stageUid(2)}/accumulators`:
      return (value) => {
        const [parts, updates] = value as [Parts, number];
        return partsView(parts, counts(updates));
      };
    case `${stageUid(2)}/reduced`:
    case `${stageUid(2)}/group`:
      return ofGroup;
    default:
      throw new Error(`Nobody expects a state ${state} of ${one?.kind} and ${two?.kind}.`);
  }
}

/** What all states and tables are after exactly these records, by source. */
export function referenceOf(topology: Topology, records: readonly (readonly Item[])[]): Reference {
  const items = records.flatMap((own, source) =>
    own.flatMap((item) =>
      applied(topology.sources[source]!.steps, [item]).flatMap((each) =>
        applied(topology.steps, [each]),
      ),
    ),
  );
  const [one, two] = topology.stages;
  const keyOf = keyOfItem(topology.key);
  const stats = new Map<string, Stat>();
  const seen = new Map<string, number[]>();
  if (one !== undefined) {
    for (const item of items) {
      const key = keyOf(item);
      const text = keyText(key);
      const before = stats.get(text);
      const own = statOf(key, item);
      stats.set(text, before === undefined ? own : joined(before, own));
      if (one.kind !== "process") continue;
      const ids = seen.get(text);
      if (ids === undefined) seen.set(text, [item.id]);
      else ids.push(item.id);
    }
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

  const statViews = mapped(stats, statView);
  const groupViews = mapped(groups, ({ parts, updates }) =>
    partsView(parts, isCounted(topology) ? updates : undefined),
  );
  const states = new Map<string, StateView>();
  if (one?.kind === "aggregate") states.set(`${stageUid(1)}/accumulators`, statViews);
  if (one?.kind === "reduce") states.set(`${stageUid(1)}/reduced`, statViews);
  if (one?.kind === "process") {
    states.set(`${stageUid(1)}/total`, statViews);
    const ids = viewOf(topology, `${stageUid(1)}/seen`);
    states.set(`${stageUid(1)}/seen`, mapped(seen, ids));
    const odd = new Map([...stats].filter(([, { n }]) => n % 2 === 1));
    states.set(
      `${stageUid(1)}/odd`,
      mapped(odd, ({ n }) => ({ text: String(n), weight: 0 })),
    );
  }
  const second = { aggregate: "accumulators", reduce: "reduced", process: "group" };
  if (two !== undefined) states.set(`${stageUid(2)}/${second[two.kind]}`, groupViews);

  const tables = new Map<string, StateView>();
  topology.tables.forEach(({ of }, at) => {
    const views =
      of === "first"
        ? statViews
        : of === "second"
          ? groupViews
          : new Map(items.map((item) => [keyText(item.id), itemView(item)]));
    tables.set(tableName(at), views);
    states.set(`out-${at}/rows`, views);
  });
  return { states, tables };
}

const applied = (steps: readonly StepShape[], items: readonly Item[]): readonly Item[] =>
  steps.reduce<readonly Item[]>((before, { kind }) => {
    if (kind === "map") return before.map(stepFunctions.map);
    if (kind === "filter") return before.filter(stepFunctions.filter);
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

/** The first key that stands for more rows than expected, or undefined where there is none. */
export function excess(found: StateView, expected: StateView): string | undefined {
  for (const [key, { text, weight }] of found) {
    const most = expected.get(key);
    if (weight > (most?.weight ?? 0)) {
      return `key ${key} has ${text}, expected at most ${most === undefined ? "nothing" : most.text}`;
    }
  }
  return undefined;
}
