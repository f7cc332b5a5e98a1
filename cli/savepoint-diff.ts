// In what two savepoints differ, told by merging their exports: both come in one order, so each is read
// once and neither is ever in memory whole.
//   D1. A key is the same where its value, its expiry and the schema of its state are. The order of an
//       object's fields, and of a map's or set's entries, does not count.
//   D2. Keys are told apart whatever subtask they are on. What no key owns is told by subtask and place.
//   D3. Counts are of everything; of each state at most `limit` differences are kept.

import { isDeepStrictEqual } from "node:util";

import { exactJson, keyJson } from "../format/exact-json.ts";
import type { Key } from "../format/key.ts";
import { type ShownValue, shown } from "../snapshot/stored-value.ts";
import { compareEntries, type Entry, type Export } from "./exports.ts";
import { Problem } from "./problem.ts";

export interface DiffValue {
  readonly value: unknown;
  readonly expires?: unknown;
}

export interface Difference {
  readonly kind: "added" | "removed" | "changed";
  readonly key?: unknown;
  readonly mapKey?: unknown;
  readonly subtask?: number;
  readonly element?: number;
  readonly before?: DiffValue;
  readonly after?: DiffValue;
}

export interface StateDiff {
  readonly operator: string;
  readonly state: string;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly equal: number;
  /** Where it is another one in B: both. */
  readonly schema?: { readonly before: object; readonly after: object };
  /** The first of them. */
  readonly differences: readonly Difference[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Of each state that either has, in order. @throws Problem where they cannot be compared */
export async function diffOf(a: Export, b: Export, limit: number): Promise<StateDiff[]> {
  const groups = [a, b].map(({ header }) => header.about.maxParallelism);
  if (groups[0] !== groups[1]) {
    throw new Problem(
      `${a.name} has ${groups[0]} key groups and ${b.name} has ${groups[1]}: their entries are in ` +
        `different orders and cannot be compared.`,
    );
  }
  const states = new Map<string, Writable<StateDiff> & { differences: Difference[] }>();
  for await (const [before, after] of merged(a.entries, b.entries)) {
    const { place } = (before ?? after)!;
    const name = JSON.stringify([place.operator, place.state, place.kind]);
    const state = states.get(name) ?? {
      operator: place.operator,
      state: place.state,
      added: 0,
      removed: 0,
      changed: 0,
      equal: 0,
      differences: [],
    };
    states.set(name, state);
    const kind = kindOf(before, after);
    state[kind]++;
    if (before !== undefined && after !== undefined) {
      const schema = { before: schemaOf(before), after: schemaOf(after) };
      if (!isDeepStrictEqual(schema.before, schema.after)) state.schema = schema;
    }
    if (kind === "equal" || state.differences.length >= limit) continue;
    state.differences.push({
      kind,
      ...identityOf((before ?? after)!),
      ...(before && { before: shownOf(before) }),
      ...(after && { after: shownOf(after) }),
    });
  }
  return [...states.values()];
}

export const isSame = (states: readonly StateDiff[]): boolean =>
  states.every(({ added, removed, changed }) => added + removed + changed === 0);

/** Entries of both, those at the same place together. */
async function* merged(
  a: AsyncGenerator<Entry>,
  b: AsyncGenerator<Entry>,
): AsyncGenerator<readonly [Entry | undefined, Entry | undefined]> {
  try {
    let [left, right] = await Promise.all([a.next(), b.next()]);
    while (left.done !== true || right.done !== true) {
      const by =
        left.done === true ? 1 : right.done === true ? -1 : compareEntries(left.value, right.value);
      yield [
        by <= 0 ? (left.value as Entry) : undefined,
        by >= 0 ? (right.value as Entry) : undefined,
      ];
      if (by <= 0) left = await a.next();
      if (by >= 0) right = await b.next();
    }
  } finally {
    // One that is no good ends the other too, which else would go on being sent.
    await Promise.allSettled([a.return(undefined), b.return(undefined)]);
  }
}

function kindOf(before: Entry | undefined, after: Entry | undefined): Difference["kind"] | "equal" {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  const isEqual =
    isDeepStrictEqual(before.line.value, after.line.value) &&
    isDeepStrictEqual(schemaOf(before), schemaOf(after));
  return isEqual ? "equal" : "changed";
}

const schemaOf = ({ line }: Entry): object =>
  line.kind === "keyed" ? line.schema : { ...line.schema, redistribution: line.redistribution };

function identityOf({
  line,
  element,
}: Entry): Pick<Difference, "key" | "mapKey" | "subtask" | "element"> {
  if (line.kind === "operator") return { subtask: line.subtask, element };
  if (line.schema.holds !== "map") return { key: keyJson(line.key) };
  const [key, mapKey] = line.key as readonly [Key, Key];
  return { key: keyJson(key), mapKey: keyJson(mapKey) };
}

function shownOf({ line }: Entry): DiffValue {
  const seen: ShownValue = line.kind === "keyed" ? shown(line.schema, line.value) : line;
  const { value, expires } = seen;
  return { value: exactJson(value), ...(expires !== undefined && { expires }) };
}
