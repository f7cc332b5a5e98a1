// What a snapshot holds, by operator and state, whichever subtasks wrote it.
//   C1. States come ordered by the uid of their operator, then by their name. Of one state, what the
//       subtasks hold comes in the order of their key groups, or of their indices.

import { parseTaskKey } from "../format/ids.ts";
import type { Manifest } from "../format/manifest.ts";
import type { KeyedStateHandle, OperatorStateHandle } from "../format/state-handle.ts";

/** A state that is kept by key. */
export interface KeyedState {
  readonly kind: "keyed";
  readonly uid: string;
  readonly state: string;
  /** One per subtask that has any of it; no key group is in two of them. */
  readonly handles: readonly KeyedStateHandle[];
}

/** A state that no key owns: lists, broadcast maps, offsets. */
export interface OperatorState {
  readonly kind: "operator";
  readonly uid: string;
  readonly state: string;
  readonly parts: readonly { readonly subtask: number; readonly handle: OperatorStateHandle }[];
}

export type SnapshotState = KeyedState | OperatorState;

/** All states of a snapshot (C1). */
export function statesIn({ tasks }: Manifest): SnapshotState[] {
  const keyed = Map.groupBy(
    tasks.flatMap(({ state }) => state.keyed),
    nameOf,
  );
  const operator = Map.groupBy(
    tasks.flatMap(({ task, state }) =>
      state.operator.map((handle) => ({ subtask: parseTaskKey(task).index, handle })),
    ),
    ({ handle }) => nameOf(handle),
  );
  const states: SnapshotState[] = [
    ...Array.from(keyed.values(), (handles): KeyedState => {
      const { uid, state } = handles[0]!;
      const ordered = handles.toSorted((a, b) => a.range.first - b.range.first);
      return { kind: "keyed", uid, state, handles: ordered };
    }),
    ...Array.from(operator.values(), (parts): OperatorState => {
      const { uid, state } = parts[0]!.handle;
      const ordered = parts.toSorted((a, b) => a.subtask - b.subtask);
      return { kind: "operator", uid, state, parts: ordered };
    }),
  ];
  return states.sort(
    (a, b) => order(a.uid, b.uid) || order(a.state, b.state) || order(a.kind, b.kind),
  );
}

/** By UTF-16 units, whatever the language of whoever looks. */
export const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const nameOf = ({ uid, state }: Pick<KeyedStateHandle, "uid" | "state">): string =>
  `${uid}\n${state}`;
