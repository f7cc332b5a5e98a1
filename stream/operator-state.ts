// State that no key owns, for process functions on streams without keys: lists, whose elements are
// dealt out among the subtasks when a job starts from a checkpoint.

import { GraphError } from "./errors.ts";
import { shown } from "./names.ts";
import type { FunctionContext, Rows } from "./process.ts";
import {
  listState,
  type ListState,
  type ListStateDescriptor,
  type StateDescriptor,
  type StateOptions,
  type StateTraits,
} from "./state.ts";

declare const elementType: unique symbol;

/** A list of which every subtask takes over the elements of all. */
export interface UnionListStateDescriptor<V> extends StateTraits<V> {
  readonly kind: "unionList";
  readonly [elementType]?: V;
}

/** What a process function without keys may declare as state. */
export type OperatorStateDescriptor =
  ListStateDescriptor<unknown> | UnionListStateDescriptor<unknown>;

/** The states of a process function without keys, by name; checkpoints hold the names. */
export type OperatorStateDescriptors = Readonly<Record<string, OperatorStateDescriptor>>;

/** What a process function gets for a descriptor of operator state. */
export type OperatorStateOf<D> =
  D extends ListStateDescriptor<infer V>
    ? ListState<V>
    : D extends UnionListStateDescriptor<infer V>
      ? ListState<V>
      : never;

/** What a process function without keys may touch. Valid during the call only. */
export interface UnkeyedProcessContext<
  R,
  O extends OperatorStateDescriptors,
> extends FunctionContext<R> {
  /** Event time of the row, in milliseconds; what is emitted has the same. Absent where it has none. */
  readonly timestamp: number | undefined;
  /**
   * Event time here, in milliseconds: no row is to come that is not later, but late ones. After a failure
   * it is no less than it was at the checkpoint; `-Infinity` at first, and where rows have no event times.
   */
  readonly currentWatermark: () => number;
  /** The lists of this subtask. */
  readonly operatorState: { readonly [Name in keyof O]: OperatorStateOf<O[Name]> };
}

/** No operator state at all. */
export type NoOperatorState = Readonly<Record<never, never>>;

/**
 * An operator written by hand for a stream without keys. `process` is called for every row of the
 * subtask, in order, and must not wait: after a failure it runs again for the rows since the last
 * checkpoint, with the state of that checkpoint.
 *
 * `operatorState` belongs to the subtask, not to a key. Of `listState` every element is taken over by
 * one subtask when the job starts from a checkpoint: its own where the parallelism is what it was, else
 * an equal share. Of `unionListState` every subtask takes over all elements.
 *
 * @example
 * readings.process({
 *   operatorState: { buffer: listState<Reading>() },
 *   emits: rows<readonly Reading[]>(),
 *   process(reading, { operatorState: { buffer }, emit }) {
 *     buffer.add(reading);
 *     if (buffer.get().length < 100) return;
 *     emit(buffer.get());
 *     buffer.clear();
 *   },
 * }, { uid: "hundreds" });
 */
export interface UnkeyedProcessFunction<
  T,
  R,
  O extends OperatorStateDescriptors = NoOperatorState,
> {
  readonly operatorState?: O;
  readonly emits: Rows<R>;
  process(row: T, ctx: UnkeyedProcessContext<R, O>): void;
  /**
   * Called once all input has ended, of a bounded job or by a stop that drains it, after the last row:
   * the last chance to emit what is left. What it emits has no event time.
   */
  close?(ctx: UnkeyedProcessContext<R, O>): void;
}

/**
 * Declares a list of which every subtask takes over the elements of all subtasks when the job starts
 * from a checkpoint. Each then keeps what is its own; what all keep is there once per subtask the next
 * time. Flink's `getUnionListState`.
 *
 * @example const operatorState = { progress: unionListState<{ part: number; done: number }>() };
 */
export function unionListState<V>(options: StateOptions<V> = {}): UnionListStateDescriptor<V> {
  const { ttl, version, migrate } = listState(options);
  return { kind: "unionList", ttl, version, ...(migrate !== undefined && { migrate }) };
}

/** The states as they are, or a `GraphError` where they cannot be kept without a key. */
export function checkedUnkeyed(
  uid: string | undefined,
  part: "operatorState" | "broadcast",
  given: unknown,
): void {
  const [kinds, allowed] =
    part === "broadcast"
      ? [["map"], "mapState()"]
      : [["list", "unionList"], "listState() and unionListState()"];
  const refuse = (found: string, what: string): GraphError => {
    const who = uid === undefined ? part : `Operator "${uid}" (${part})`;
    return new GraphError("BAD_ARGUMENT", `${who} ${found}. Allowed: ${what}.`, uid);
  };
  if (typeof given !== "object" || given === null) {
    throw refuse(`was given ${shown(given)}`, `an object of states by name, each ${allowed}`);
  }
  for (const [name, state] of Object.entries(
    given as Record<string, StateDescriptor | undefined>,
  )) {
    if (name.startsWith("ctx/")) {
      throw refuse(`has a state named "${name}"`, `names that do not begin with "ctx/"`);
    }
    if (!kinds.includes(state?.kind as string)) {
      throw refuse(`has ${described(state)} as "${name}"`, allowed);
    }
    if (state?.ttl === undefined) continue;
    throw refuse(
      `has a ttl on "${name}"`,
      "state without ttl; what is to expire is kept by key, behind keyBy",
    );
  }
}

const described = (state: { readonly kind?: unknown } | undefined): string =>
  typeof state?.kind === "string" ? `${state.kind} state` : shown(state);
