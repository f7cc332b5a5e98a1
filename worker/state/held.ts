// What a state holds: of a key, or of each subtask.

import { decodeRows } from "../../format/batch.ts";
import { exactJson, keyJson } from "../../format/exact-json.ts";
import type { Key } from "../../format/key.ts";
import { keyGroupOf, ownerOfGroup } from "../../format/key-groups.ts";
import type { StoredSchema } from "../../format/segment.ts";
import { alive, shown, type ShownValue } from "../../snapshot/stored-value.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { readable } from "../snapshots.ts";
import type { Source } from "./source.ts";
import { ask, everywhere } from "./subtasks.ts";

/** Entries of one key, as they are stored; of a map, by the map's keys. */
interface Held {
  readonly schema: StoredSchema;
  readonly count: number;
  readonly entries: readonly (readonly [Key, unknown])[];
}

interface Wanted {
  readonly uid: string;
  readonly state: string;
  readonly key: Key;
  readonly mapKey: Key | undefined;
  readonly limit: number;
}

/** Undefined where the key, or the state, is not there. */
export async function heldBy(env: Env, source: Source, wanted: Wanted): Promise<Held | undefined> {
  const { uid, state, key, mapKey, limit: most } = wanted;
  if (source.kind === "snapshot") {
    const { snapshot } = source;
    const found = snapshot.states.find(
      (each) => each.kind === "keyed" && each.uid === uid && each.state === state,
    );
    if (found?.kind !== "keyed") return undefined;
    const held = await readable(() => snapshot.lookUp(found, key, mapKey));
    if (held === undefined) return undefined;
    const isMap = held.schema.holds === "map";
    refuseMapKey(held.schema, wanted);
    const entries = held.entries.map(({ key: of, value }): [Key, unknown] => [
      isMap ? (of as readonly Key[])[1]! : of,
      value,
    ]);
    return { schema: held.schema, count: entries.length, entries: entries.slice(0, most) };
  }
  const { details } = source;
  const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid));
  if (vertex === undefined) return undefined;
  const { maxParallelism } = details.plan;
  const owner = ownerOfGroup(keyGroupOf(key, maxParallelism), vertex.parallelism, maxParallelism);
  const query = { uid, state, key, ...(mapKey !== undefined && { mapKey }), limit: most };
  const answer = await ask(env, details, vertex, owner, query);
  if (answer.kind !== "entries") return undefined;
  refuseMapKey(answer.schema, wanted);
  const { schema, count } = answer;
  if (count === 0) return undefined;
  return { schema, count, entries: decodeRows(answer.entries) as [Key, unknown][] };
}

function refuseMapKey({ holds }: StoredSchema, { uid, state, mapKey }: Wanted): void {
  if (mapKey === undefined || holds === "map") return;
  throw new HttpError(
    400,
    `mapKey: state "${state}" of operator "${uid}" holds a ${holds} per key, no map. Leave it out.`,
  );
}

/** What lives of it at that time; undefined where nothing does (Q3). */
export function shownHeld(
  { schema, count, entries }: Held,
  mapKey: Key | undefined,
  time: number,
): object | undefined {
  const living = entries.flatMap(([key, stored]) => {
    const value = alive(schema, shown(schema, stored), time);
    return value === undefined ? [] : [{ key, value }];
  });
  if (living.length === 0) return undefined;
  if (schema.holds !== "map" || mapKey !== undefined) return jsonOf(living[0]!.value);
  return {
    count: count - (entries.length - living.length),
    entries: living.map(({ key, value }) => ({ key: keyJson(key), ...jsonOf(value) })),
  };
}

const jsonOf = ({ value, expires: at }: ShownValue) => ({
  value: exactJson(value),
  ...(at !== undefined && { expires: typeof at === "number" ? at : [...at] }),
});

export async function elementsOf(
  env: Env,
  source: Source,
  {
    uid,
    state,
    limit: most,
  }: { readonly uid: string; readonly state: string; readonly limit: number },
): Promise<{ subtask: number; count: number; elements: unknown[] }[]> {
  const json = (elements: readonly unknown[]): unknown[] => elements.slice(0, most).map(exactJson);
  if (source.kind === "snapshot") {
    const { snapshot } = source;
    const found = snapshot.states.find(
      (each) => each.kind === "operator" && each.uid === uid && each.state === state,
    );
    if (found?.kind !== "operator") return [];
    return readable(() =>
      Promise.all(
        found.parts.map(async ({ subtask: index, handle }) => {
          const elements = await snapshot.elements(handle);
          return { subtask: index, count: elements.length, elements: json(elements) };
        }),
      ),
    );
  }
  const { details } = source;
  const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid))!;
  const answers = await everywhere(env, details, vertex, { uid, state, limit: most });
  return answers.flatMap(({ index, answer }) => {
    if (answer.kind !== "elements") return [];
    const elements = json(decodeRows(answer.elements));
    return [{ subtask: index, count: answer.count, elements }];
  });
}
