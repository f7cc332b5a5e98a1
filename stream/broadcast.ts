// Broadcast state: every subtask of an operator is given every row of one stream and keeps what it
// learns from them, to look at while it processes the rows of another.
//   B1. Only rows that all subtasks are given may change broadcast state, or the copies would drift
//       apart: `process` sees it read-only, in its type and at run time.
// Its rules are Flink's: https://nightlies.apache.org/flink/flink-docs-stable/docs/dev/datastream/fault-tolerance/broadcast_state/

import type { Key } from "../format/key.ts";
import { refusal } from "./errors.ts";
import type { OperatorSpec } from "./graph.ts";
import { isAsync, shown } from "./names.ts";
import {
  checkedUnkeyed,
  type NoOperatorState,
  type OperatorStateDescriptors,
  type UnkeyedProcessContext,
} from "./operator-state.ts";
import type { ProcessContext, Rows, TimerContext } from "./process.ts";
import {
  type GraphRecorder,
  type OperatorOptions,
  repartitioned,
  type Upstream,
} from "./recorder.ts";
import type { ProcessedStream, SideOutputs } from "./side-output.ts";
import { isStateDescriptor, type MapState, type MapStateDescriptor } from "./state.ts";
import type { StateDescriptors } from "./state.ts";

/** The states that a broadcast stream fills, by name; checkpoints hold the names. Maps only. */
export type BroadcastDescriptors = Readonly<Record<string, MapStateDescriptor<Key, unknown>>>;

/** A map of broadcast state, as the side that is not broadcast sees it. */
export type ReadOnlyMapState<K extends Key, V> = Pick<
  MapState<K, V>,
  "get" | "has" | "entries" | "isEmpty"
>;

/** The broadcast states as `process` sees them. */
export type ReadOnlyBroadcast<B extends BroadcastDescriptors> = {
  readonly [Name in keyof B]: B[Name] extends MapStateDescriptor<infer K, infer V>
    ? ReadOnlyMapState<K, V>
    : never;
};

/** What `processBroadcast` may touch. Valid during the call only. */
export interface BroadcastContext<R, B extends BroadcastDescriptors> extends SideOutputs {
  /** This subtask's copy. */
  readonly broadcast: {
    readonly [Name in keyof B]: B[Name] extends MapStateDescriptor<infer K, infer V>
      ? MapState<K, V>
      : never;
  };
  readonly emit: (row: R) => void;
}

interface WithBroadcast<U, R, B extends BroadcastDescriptors> {
  readonly emits: Rows<R>;
  /**
   * Called for every row of the broadcast stream, in every subtask. All subtasks must make the same
   * changes from the same rows, whatever else they have seen. Rows of one sender come in order; those
   * of several may come in another order to each subtask.
   */
  processBroadcast(row: U, ctx: BroadcastContext<R, B>): void;
}

/**
 * A function of a keyed stream and a broadcast stream. `process` is called for every row of the keyed
 * stream, with the state of its key, and may read what the broadcast rows left; `processBroadcast` is
 * called for every row of the broadcast stream, in every subtask.
 *
 * @example
 * payments.keyBy((payment) => payment.account)
 *   .connect(rules.broadcast({ rules: mapState<string, Rule>() }))
 *   .process({
 *     state: { total: valueState({ default: 0 }) },
 *     emits: rows<{ key: string; total: number }>(),
 *     process(payment, ctx) {
 *       const total = ctx.state.total.get() + payment.amount;
 *       ctx.state.total.set(total);
 *       const limit = ctx.broadcast.rules.get(payment.currency)?.limit ?? Infinity;
 *       if (total > limit) ctx.emit({ key: ctx.key, total });
 *     },
 *     processBroadcast(rule, ctx) {
 *       ctx.broadcast.rules.set(rule.currency, rule);
 *     },
 *   }, { uid: "over-limit" });
 */
export interface KeyedBroadcastProcessFunction<
  T,
  U,
  K,
  R,
  B extends BroadcastDescriptors,
  S extends StateDescriptors = StateDescriptors,
> extends WithBroadcast<U, R, B> {
  readonly state: S;
  process(
    row: T,
    ctx: ProcessContext<K, R, S> & { readonly broadcast: ReadOnlyBroadcast<B> },
  ): void;
  /** As in `ProcessFunction`. */
  onTimer?(
    time: number,
    ctx: TimerContext<K, R, S> & { readonly broadcast: ReadOnlyBroadcast<B> },
  ): void;
}

/**
 * As `KeyedBroadcastProcessFunction`, for a stream without keys.
 *
 * @example
 * flights.connect(airports.broadcast({ names: mapState<string, string>() })).process({
 *   emits: rows<{ origin: string }>(),
 *   process: (flight, ctx) =>
 *     ctx.emit({ origin: ctx.broadcast.names.get(flight.origin) ?? flight.origin }),
 *   processBroadcast: (airport, ctx) => ctx.broadcast.names.set(airport.code, airport.name),
 * }, { uid: "with-names" });
 */
export interface BroadcastProcessFunction<
  T,
  U,
  R,
  B extends BroadcastDescriptors,
  O extends OperatorStateDescriptors = NoOperatorState,
> extends WithBroadcast<U, R, B> {
  readonly operatorState?: O;
  process(
    row: T,
    ctx: UnkeyedProcessContext<R, O> & { readonly broadcast: ReadOnlyBroadcast<B> },
  ): void;
  /** As in `UnkeyedProcessFunction`. */
  close?(ctx: UnkeyedProcessContext<R, O> & { readonly broadcast: ReadOnlyBroadcast<B> }): void;
}

declare const broadcastRow: unique symbol;

/** A stream whose rows go to every subtask of the operator it is connected to. */
export interface BroadcastStream<out U, out B extends BroadcastDescriptors> {
  readonly kind: "broadcast";
  readonly states: B;
  readonly [broadcastRow]?: U;
}

/** A stream without keys, and a broadcast stream. */
export interface BroadcastConnectedStream<T, U, B extends BroadcastDescriptors> {
  /** Calls a function of yours for every row of either. See `BroadcastProcessFunction`. */
  process<R, O extends OperatorStateDescriptors = NoOperatorState>(
    fn: BroadcastProcessFunction<T, U, R, B, O>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
}

/** A keyed stream, and a broadcast stream. */
export interface KeyedBroadcastConnectedStream<T, K, U, B extends BroadcastDescriptors> {
  /** Calls a function of yours for every row of either. See `KeyedBroadcastProcessFunction`. */
  process<R, S extends StateDescriptors>(
    fn: KeyedBroadcastProcessFunction<T, U, K, R, B, S>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
}

/** Either function, as the graph holds it. */
export interface AnyBroadcastFunction {
  readonly state?: StateDescriptors;
  readonly operatorState?: OperatorStateDescriptors;
  process(row: never, ctx: never): void;
  processBroadcast(row: never, ctx: never): void;
  onTimer?(time: number, ctx: never): void;
  close?(ctx: never): void;
}

/** A recorded stream that is to be broadcast. */
export class RecordedBroadcast<
  B extends BroadcastDescriptors = BroadcastDescriptors,
> implements BroadcastStream<never, B> {
  readonly kind = "broadcast";
  readonly states: B;
  readonly recorder: GraphRecorder;
  readonly upstreams: readonly Upstream[];

  constructor(recorder: GraphRecorder, upstreams: readonly Upstream[], states: B) {
    checkedUnkeyed(undefined, "broadcast", states);
    this.recorder = recorder;
    this.states = states;
    this.upstreams = upstreams.map((upstream) =>
      repartitioned(upstream, "broadcast", { input: 1 }),
    );
  }
}

/** Records the operator over the connected streams. */
type Adds<Next> = (
  spec: OperatorSpec,
  options: OperatorOptions,
  upstreams: readonly Upstream[],
) => Next;

/** Both kinds of connected streams; the operator is keyed where the rows are. */
export class RecordedConnection<Next> {
  readonly #rows: readonly Upstream[];
  readonly #broadcast: RecordedBroadcast;
  readonly #add: Adds<Next>;

  constructor(rows: readonly Upstream[], broadcast: RecordedBroadcast, add: Adds<Next>) {
    this.#rows = rows;
    this.#broadcast = broadcast;
    this.#add = add;
  }

  process(fn: AnyBroadcastFunction, options: OperatorOptions): Next {
    const isKeyed = this.#rows.some((upstream) => upstream.key !== undefined);
    requireBroadcastFunction(fn, this.#broadcast.states, options, isKeyed);
    const spec = { kind: "processBroadcast", fn, broadcast: this.#broadcast.states } as const;
    return this.#add(spec, options, [...this.#rows, ...this.#broadcast.upstreams]);
  }
}

function requireBroadcastFunction(
  fn: AnyBroadcastFunction,
  broadcast: BroadcastDescriptors,
  options: OperatorOptions,
  isKeyed: boolean,
): void {
  const given = fn as Partial<AnyBroadcastFunction> | undefined;
  const refuse = (found: string, allowed: string): never => {
    throw refusal("BAD_ARGUMENT", "process", options, found, allowed);
  };
  for (const name of ["process", "processBroadcast"] as const) {
    const part: unknown = given?.[name];
    if (typeof part === "function" && !isAsync(part)) continue;
    refuse(
      `was given ${shown(part)} as ${name}`,
      "functions process(row, ctx) and processBroadcast(row, ctx) that return nothing",
    );
  }
  if (isKeyed) {
    const states: unknown[] = Object.values(given?.state ?? {});
    const isTimed = given?.onTimer === undefined || typeof given.onTimer === "function";
    if (given?.close !== undefined) refuseKeyedClose(options);
    if (!isTimed)
      refuse(`has ${shown(given?.onTimer)} as onTimer`, "a function onTimer(time, ctx)");
    if (typeof given?.state === "object" && states.every(isStateDescriptor)) return;
    refuse(
      `has ${shown(given?.state)} as state`,
      "{ state: { name: valueState() } }, or {} for none",
    );
  }
  if (given?.state !== undefined) refuseKeyedState(options);
  if (given?.onTimer !== undefined) refuseUnkeyedTimer(options);
  requireClose(given?.close, options);
  const { operatorState = {} } = given ?? {};
  checkedUnkeyed(options.uid, "operatorState", operatorState);
  const both = Object.keys(operatorState).find((name) => Object.hasOwn(broadcast, name));
  if (both === undefined) return;
  refuse(`has operator state and broadcast state called "${both}"`, "another name for each state");
}

/** A timer is one of a key's. */
export function refuseUnkeyedTimer(options: OperatorOptions): never {
  throw refusal(
    "NOT_KEYED",
    "process",
    options,
    "has onTimer, and its input has no key",
    "timers on a keyed stream: call .keyBy((row) => …) right before",
  );
}

export function requireClose(close: unknown, options: OperatorOptions): void {
  if (close === undefined || (typeof close === "function" && !isAsync(close))) return;
  const allowed = "a function close(ctx) that returns nothing";
  throw refusal("BAD_ARGUMENT", "process", options, `has ${shown(close)} as close`, allowed);
}

/** At the end of all input there is no row whose key it could be. */
export function refuseKeyedClose(options: OperatorOptions): never {
  throw refusal(
    "BAD_ARGUMENT",
    "process",
    options,
    "has close, and its input has a key",
    "onTimer with a timer of event time: all of them fire once the input has ended",
  );
}

/** What is declared as state of a key needs one. */
export function refuseKeyedState(options: OperatorOptions): never {
  throw refusal(
    "NOT_KEYED",
    "process",
    options,
    "has state of a key, and its input has no key",
    "state on a keyed stream: call .keyBy((row) => …) right before; or operatorState without a key",
  );
}
