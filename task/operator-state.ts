// What the operators of a subtask hold that no key owns, in its snapshots and out of them again.
//   Q1. A snapshot holds the elements of every state as they were at the barrier, in order. A state
//       without elements leaves nothing behind.
//   Q2. Split: every element that was stored is restored by exactly one subtask. Where the parallelism
//       is what it was each takes its own; else the elements of all, in the order of the subtasks, are
//       cut into runs of equal length, up to one.
//   Q3. Union: every subtask restores all elements, in the order of the subtasks that stored them.
//   Q4. Broadcast: every subtask restores one copy, whole: that of the subtask with its own index
//       modulo how many there were. Where that one held nothing, neither does this one.
//   Q5. What no operator registers is carried on as it was stored: a union by the first subtask alone,
//       or it would grow with every restore.
//   Q6. It is in memory, on either backend, and counts against the budget.

import { decodeElements, encodeElements } from "../format/operator-state.ts";
import { sizeText } from "../format/size-text.ts";
import type { TaskDeployment } from "../format/messages.ts";
import { vertexOf } from "../format/plan.ts";
import type { OperatorStateHandle } from "../format/state-handle.ts";
import type { OperatorState, OperatorStateStore } from "../operators/state/operator-state.ts";
import { mustUpgrade, schemaOf } from "../operators/state/schema.ts";
import { approximateBytes } from "../operators/state/size.ts";
import { StateError, UserCodeError } from "../stream/errors.ts";

/** The elements of a stored state that one subtask takes over: from `first` up to `end`. */
export interface OperatorStateShare {
  readonly handle: OperatorStateHandle;
  readonly first: number;
  readonly end: number;
}

/** A share with the bytes of its handle at hand. */
export interface RestoredOperatorState extends OperatorStateShare {
  readonly bytes: Uint8Array;
}

/** A state at a barrier, not placed yet. */
export interface FrozenOperatorState {
  readonly handle: Omit<OperatorStateHandle, "bytes">;
  readonly bytes: Uint8Array;
}

/** A state that its own subtask goes on with. */
export const restoredWhole = ({ handle, bytes }: FrozenOperatorState): RestoredOperatorState => ({
  ...whole({ ...handle, bytes: { kind: "inline", bytes } }),
  bytes,
});

/** What the subtask takes over of the checkpoint it starts from: the handles whose bytes it needs. */
export function sharesOf({ restore, plan, task }: TaskDeployment): OperatorStateShare[] {
  if (restore === undefined) return [];
  const { states, former } = restore;
  const { parallelism } = vertexOf(plan, task.vertex);
  const sizeOf = ({ uid }: OperatorStateHandle): number => former?.sizes[uid] ?? states.length;
  const stored = states.flatMap(({ operator }, from) =>
    operator.map((handle) => ({ handle, from })),
  );
  const is = (redistribution: OperatorStateHandle["redistribution"]) =>
    stored.filter(({ handle }) => handle.redistribution === redistribution);
  const isDealt = ({ handle }: (typeof stored)[number]): boolean => sizeOf(handle) !== parallelism;
  const split = is("split");
  return [
    ...is("broadcast").filter(({ handle, from }) => from === task.index % sizeOf(handle)),
    ...is("union"),
    ...split.filter((one) => !isDealt(one) && one.from === task.index),
  ]
    .map(({ handle }) => whole(handle))
    .concat(
      dealt(
        split.filter(isDealt).map(({ handle }) => whole(handle)),
        task.index,
        parallelism,
      ),
    );
}

const whole = (handle: OperatorStateHandle): OperatorStateShare => ({
  handle,
  first: 0,
  end: handle.elements,
});

/** Q2: the run of each state that is `index`'s, out of `parallelism`. */
function dealt(
  all: readonly OperatorStateShare[],
  index: number,
  parallelism: number,
): OperatorStateShare[] {
  return [...Map.groupBy(all, ({ handle }) => stateKey(handle)).values()].flatMap((same) => {
    const total = same.reduce((sum, { end }) => sum + end, 0);
    const [from, to] = [index, index + 1].map((at) => Math.ceil((at * total) / parallelism));
    let before = 0;
    return same.flatMap(({ handle, end: count }) => {
      const first = Math.max(0, from! - before);
      const end = Math.min(count, to! - before);
      before += count;
      return first < end ? [{ handle, first, end }] : [];
    });
  });
}

/** A state under its name, and the operator that it is of. */
export interface Registered extends OperatorState {
  readonly uid: string;
  readonly name: string;
}

/** All state of one subtask that no key owns. */
export class OperatorStates {
  readonly #index: number;
  readonly #restored: Map<string, RestoredOperatorState[]>;
  readonly #states = new Map<string, Registered>();

  /** @param index of the subtask. */
  constructor(restored: readonly RestoredOperatorState[], index = 0) {
    this.#index = index;
    this.#restored = Map.groupBy(restored, ({ handle }) => stateKey(handle));
  }

  /** Bytes of memory, about. */
  get bytes(): number {
    let bytes = 0;
    for (const state of this.#states.values()) bytes += state.bytes();
    return bytes;
  }

  store(uid: string): OperatorStateStore {
    return { register: (name, state) => this.#register(uid, name, state) };
  }

  /** The operators are built: what none of them registered is carried on (Q5). */
  restored(): void {
    for (const [first] of this.#restored.values()) {
      const { uid, state: name, redistribution, schema } = first!.handle;
      if (redistribution === "union" && this.#index > 0) continue;
      const carried = { redistribution, schema: schemaOf(schema), bytes: () => bytes };
      const elements = this.#register(uid, name, { ...carried, elements: () => elements });
      const bytes = approximateBytes(elements);
    }
  }

  /** Every state there is, carried on or registered. */
  all(): readonly Registered[] {
    return [...this.#states.values()];
  }

  freeze(): FrozenOperatorState[] {
    return [...this.#states.values()].flatMap((state) => {
      const elements = state.elements();
      if (elements.length === 0) return [];
      const { uid, name, redistribution, schema } = state;
      const of = { uid, state: name, redistribution, schema: schema.stored };
      return { handle: { ...of, elements: elements.length }, bytes: encoded(state, elements) };
    });
  }

  /** @throws StateError when there is more than `available` bytes of it */
  check(available: number): void {
    const { bytes } = this;
    if (bytes <= available) return;
    const [first, ...others] = this.#states.values();
    const largest = others.reduce((a, b) => (b.bytes() > a.bytes() ? b : a), first!);
    throw new StateError(
      "STATE_OVER_BUDGET",
      `The state of this subtask that no key owns takes about ${sizeText(bytes)}, and of its ` +
        `budget (state.memoryBudget) ${sizeText(Math.max(0, available))} are left for it. State ` +
        `"${largest.name}" of operator "${largest.uid}" holds ${sizeText(largest.bytes())} of it. ` +
        `Such state is in memory on every backend, and broadcast state is so in every subtask. ` +
        `Keep less of it, raise the budget, or keep it by key.`,
      largest.uid,
    );
  }

  #register(uid: string, name: string, state: OperatorState): readonly unknown[] {
    const key = stateKey({ uid, state: name });
    if (this.#states.has(key)) throw new Error(`Operator "${uid}" has two states "${name}".`);
    this.#states.set(key, {
      uid,
      name,
      redistribution: state.redistribution,
      schema: state.schema,
      elements: () => state.elements(),
      bytes: () => state.bytes(),
    });
    const shares = this.#restored.get(key) ?? [];
    this.#restored.delete(key);
    return shares.flatMap((share) => elementsOf(share, state));
  }
}

function elementsOf(
  { handle, first, end, bytes }: RestoredOperatorState,
  { redistribution, schema }: OperatorState,
): unknown[] {
  const { uid, state } = handle;
  if (handle.redistribution !== redistribution) {
    throw new StateError(
      "STATE_KIND",
      `State "${state}" of operator "${uid}" is stored as ${handle.redistribution} state, and the ` +
        `program declares it as ${redistribution} state. Declare it as it was, or give the new state ` +
        `another name.`,
      uid,
    );
  }
  const elements = decodeElements(bytes).slice(first, end);
  if (!mustUpgrade({ uid, state }, handle.schema, schema)) return elements;
  return elements
    .map((element) => schema.upgrade(element, handle.schema))
    .filter((element) => element !== undefined);
}

function encoded({ uid, name }: Registered, elements: readonly unknown[]): Uint8Array {
  try {
    return encodeElements(elements);
  } catch (error) {
    throw new UserCodeError(uid, `state "${name}"`, undefined, error);
  }
}

const stateKey = ({ uid, state }: { readonly uid: string; readonly state: string }): string =>
  `${uid}\n${state}`;
