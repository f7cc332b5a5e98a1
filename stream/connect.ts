// Two streams beside one another, for a function of both: co-processing. With keys both sides share
// the state and the timers of a key.
//   C1. Either both streams have keys, of one type, or neither has.

import {
  refuseKeyedClose,
  refuseKeyedState,
  refuseUnkeyedTimer,
  requireClose,
} from "./broadcast.ts";
import { GraphError, refusal } from "./errors.ts";
import { isAsync, shown } from "./names.ts";
import {
  checkedUnkeyed,
  type NoOperatorState,
  type OperatorStateDescriptors,
  type UnkeyedProcessContext,
} from "./operator-state.ts";
import type { ProcessContext, Rows, TimerContext } from "./process.ts";
import type { OperatorOptions } from "./recorder.ts";
import type { ProcessedStream } from "./side-output.ts";
import { isStateDescriptor, type StateDescriptors } from "./state.ts";

/**
 * A function of two keyed streams. `processLeft` is called for every row of the stream that `connect`
 * was called on, `processRight` for every row of the one it was given, each with the state and the
 * timers of the row's key, which are the same for both. Rows of one side come in the order of their
 * key; there is none between the sides. After a failure both run again for the rows since the last
 * checkpoint, with the state of that checkpoint.
 *
 * @example
 * orders.keyBy((order) => order.id)
 *   .connect(payments.keyBy((payment) => payment.orderId))
 *   .process({
 *     state: { order: valueState<Order>() },
 *     emits: rows<{ key: string; paid: number }>(),
 *     processLeft(order, ctx) {
 *       ctx.state.order.set(order);
 *       ctx.timers.registerEventTime(order.at + 3_600_000);
 *     },
 *     processRight(payment, ctx) {
 *       if (ctx.state.order.get() !== undefined) ctx.emit({ key: ctx.key, paid: payment.amount });
 *     },
 *     onTimer: (_, ctx) => ctx.state.order.clear(),
 *   }, { uid: "paid" });
 */
export interface CoProcessFunction<T, U, K, R, S extends StateDescriptors = StateDescriptors> {
  readonly state: S;
  readonly emits: Rows<R>;
  processLeft(row: T, ctx: ProcessContext<K, R, S>): void;
  processRight(row: U, ctx: ProcessContext<K, R, S>): void;
  /** As in `ProcessFunction`. */
  onTimer?(time: number, ctx: TimerContext<K, R, S>): void;
}

/**
 * As `CoProcessFunction`, for two streams without keys, with lists of the subtask in place of state by
 * key.
 *
 * @example
 * departures.connect(arrivals).process({
 *   emits: rows<{ flight: string; what: string }>(),
 *   processLeft: (row, ctx) => ctx.emit({ flight: row.flight, what: "departed" }),
 *   processRight: (row, ctx) => ctx.emit({ flight: row.flight, what: "arrived" }),
 * }, { uid: "movements" });
 */
export interface UnkeyedCoProcessFunction<
  T,
  U,
  R,
  O extends OperatorStateDescriptors = NoOperatorState,
> {
  readonly operatorState?: O;
  readonly emits: Rows<R>;
  processLeft(row: T, ctx: UnkeyedProcessContext<R, O>): void;
  processRight(row: U, ctx: UnkeyedProcessContext<R, O>): void;
  /** As in `UnkeyedProcessFunction`. */
  close?(ctx: UnkeyedProcessContext<R, O>): void;
}

/** Two streams without keys. */
export interface ConnectedStream<T, U> {
  /** Calls functions of yours for the rows of both. See `UnkeyedCoProcessFunction`. */
  process<R, O extends OperatorStateDescriptors = NoOperatorState>(
    fn: UnkeyedCoProcessFunction<T, U, R, O>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
}

/** Two streams by keys of one type. */
export interface KeyedConnectedStream<T, U, K> {
  /** Calls functions of yours for the rows of both. See `CoProcessFunction`. */
  process<R, S extends StateDescriptors>(
    fn: CoProcessFunction<T, U, K, R, S>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
}

/** Either function, as the graph holds it. */
export interface AnyCoProcessFunction {
  readonly state?: StateDescriptors;
  readonly operatorState?: OperatorStateDescriptors;
  processLeft(row: never, ctx: never): void;
  processRight(row: never, ctx: never): void;
  onTimer?(time: number, ctx: never): void;
  close?(ctx: never): void;
}

/** The two sides of a connection, before its operator is known. */
export class RecordedPair<Next> {
  readonly #isKeyed: boolean;
  readonly #add: (fn: AnyCoProcessFunction, options: OperatorOptions) => Next;

  constructor(isKeyed: boolean, add: (fn: AnyCoProcessFunction, options: OperatorOptions) => Next) {
    this.#isKeyed = isKeyed;
    this.#add = add;
  }

  process(fn: AnyCoProcessFunction, options: OperatorOptions): Next {
    requireCoProcess(fn, options, this.#isKeyed);
    return this.#add(fn, options);
  }
}

/** C1, for programs that were never compiled. */
export function refuseHalfKeyed(method: string, isKeyed: boolean, isOtherKeyed: boolean): void {
  if (isKeyed === isOtherKeyed) return;
  const [has, lacks] = isKeyed ? ["the stream itself", "the other"] : ["the other", "the stream"];
  throw new GraphError(
    "NOT_KEYED",
    `${method} was given two streams of which ${has} has a key and ${lacks} has none. Allowed: two ` +
      `keyed streams, or two without keys. Call .keyBy((row) => …) on both, so that rows of one key ` +
      `meet.`,
  );
}

function requireCoProcess(
  fn: AnyCoProcessFunction,
  options: OperatorOptions,
  isKeyed: boolean,
): void {
  const given = fn as Partial<AnyCoProcessFunction> | undefined;
  const refuse = (found: string, allowed: string): never => {
    throw refusal("BAD_ARGUMENT", "process", options, found, allowed);
  };
  for (const name of ["processLeft", "processRight"] as const) {
    const part: unknown = given?.[name];
    if (typeof part === "function" && !isAsync(part)) continue;
    refuse(
      `was given ${shown(part)} as ${name}`,
      "functions processLeft(row, ctx) and processRight(row, ctx) that return nothing",
    );
  }
  if (!isKeyed) {
    if (given?.state !== undefined) refuseKeyedState(options);
    if (given?.onTimer !== undefined) refuseUnkeyedTimer(options);
    requireClose(given?.close, options);
    return checkedUnkeyed(options.uid, "operatorState", given?.operatorState ?? {});
  }
  if (given?.close !== undefined) refuseKeyedClose(options);
  const { onTimer, state } = given ?? {};
  if (onTimer !== undefined && typeof onTimer !== "function") {
    refuse(`has ${shown(onTimer)} as onTimer`, "a function onTimer(time, ctx)");
  }
  const states = Object.entries(state ?? {});
  if (typeof state !== "object" || !states.every(([, one]) => isStateDescriptor(one))) {
    refuse(`has ${shown(state)} as state`, "{ state: { name: valueState() } }, or {} for none");
  }
  const taken = states.find(([name]) => name.startsWith("timers/"))?.[0];
  if (taken === undefined) return;
  refuse(
    `has a state named "${taken}"`,
    `names that do not begin with "timers/", where timers are kept`,
  );
}
