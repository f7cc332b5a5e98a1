// Looking into the state of a running subtask: as it is now, between two batches, committed or not.
//   L1. Nothing is changed by it. What it finds leaves as bytes at once, as operators go on to change
//       values in place.

import { encodeRows } from "../format/batch.ts";
import type { Key } from "../format/key.ts";
import { stateAnswerBytesMax } from "../format/limits.ts";
import type { LiveState, StateAnswer, StateQuery } from "../format/messages.ts";
import { ValueNotSerialisableError } from "../format/value.ts";
import type { BackendTable, StateBackend } from "../operators/state/backend.ts";
import type { OperatorStates } from "./operator-state.ts";

export function answerStateQuery(
  backend: StateBackend,
  operatorStates: OperatorStates,
  query: StateQuery,
): StateAnswer {
  const { uid, state, key } = query;
  if (state === undefined)
    return { kind: "states", states: statesOf(backend, operatorStates, uid) };
  try {
    if (key === undefined) {
      const held = operatorStates.all().find((each) => each.uid === uid && each.name === state);
      if (held === undefined) return { kind: "none" };
      const { redistribution, schema } = held;
      const elements = held.elements();
      return {
        kind: "elements",
        redistribution,
        schema: schema.stored,
        count: elements.length,
        elements: encoded(elements.slice(0, query.limit)),
      };
    }
    const table = backend.stores().get(uid!)?.tables().get(state);
    if (table === undefined) return { kind: "none" };
    const entries = entriesOf(table, key as Key, query.mapKey as Key | undefined);
    return {
      kind: "entries",
      schema: table.schema,
      count: entries.length,
      entries: encoded(entries.slice(0, query.limit)),
    };
  } catch (error) {
    if (error instanceof ValueNotSerialisableError || error instanceof TooLarge) {
      return { kind: "unreadable", reason: error.message };
    }
    throw error;
  }
}

function statesOf(
  backend: StateBackend,
  operatorStates: OperatorStates,
  of: string | undefined,
): LiveState[] {
  const isAsked = ({ uid }: { readonly uid: string }): boolean => of === undefined || uid === of;
  const keyed = [...backend.stores()].flatMap(([uid, store]) =>
    Array.from(store.tables(), ([state, { schema, size }]): LiveState => {
      return { kind: "keyed", uid, state, schema, entries: size };
    }),
  );
  const others = operatorStates.all().map((held): LiveState => {
    const { uid, name: state, redistribution, schema } = held;
    const entries = held.elements().length;
    return { kind: "operator", uid, state, schema: schema.stored, redistribution, entries };
  });
  return [...keyed, ...others].filter((each) => isAsked(each) && !isOwnAndEmpty(each));
}

/** States of the engine's own, which no program names, are told where they hold anything. */
const isOwnAndEmpty = ({ state, entries }: LiveState): boolean =>
  state.includes("/") && entries === 0;

/** Each with its key: of a map, that of the map. */
function entriesOf(table: BackendTable, key: Key, mapKey: Key | undefined): [Key, unknown][] {
  if (table.schema.holds === "map" && mapKey === undefined) return table.under(key);
  const value = table.get(mapKey === undefined ? key : [key, mapKey]);
  return value === undefined ? [] : [[mapKey ?? key, value]];
}

class TooLarge extends Error {}

function encoded(rows: readonly unknown[]): Uint8Array {
  const bytes = encodeRows(rows);
  if (bytes.length <= stateAnswerBytesMax) return bytes;
  throw new TooLarge(
    `What it holds takes ${bytes.length} bytes, and an answer takes ${stateAnswerBytesMax} ` +
      `(stateAnswerBytesMax); ask for less with limit, or export a savepoint.`,
  );
}
