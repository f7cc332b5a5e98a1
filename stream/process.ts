// Process functions: a user's own keyed operator, one row at a time, with state of the row's key.
//   R1. What cannot be inferred is declared where it is used: the type of a state by `valueState`,
//       the type of what is emitted by `rows`. Everything else follows.

declare const stateType: unique symbol;
declare const rowType: unique symbol;

/** One value per key. `Held` is what reading gives: with a default never undefined. */
export interface ValueStateDescriptor<V, Held extends V | undefined = V | undefined> {
  readonly kind: "value";
  readonly initial: Held;
  readonly [stateType]?: V;
}

/** The states of a process function by name. The names are part of what checkpoints hold. */
export type StateDescriptors = Readonly<Record<string, ValueStateDescriptor<unknown, unknown>>>;

/** The value of the current row's key. */
export interface ValueState<V, Held = V | undefined> {
  /** What was last set for this key, or the default. Do not change it in place: `set` a new one. */
  get(): Held;
  set(value: V): void;
  /** Forgets the value and leaves nothing behind. */
  clear(): void;
}

/** The type of the rows a process function emits; no value at run time. */
export interface Rows<out R> {
  readonly [rowType]?: R;
}

/** What a process function may touch. Valid during the call only: it is reused for the next row. */
export interface ProcessContext<K, R, S extends StateDescriptors> {
  readonly key: K;
  readonly state: {
    readonly [Name in keyof S]: S[Name] extends ValueStateDescriptor<infer V, infer Held>
      ? ValueState<V, Held>
      : never;
  };
  emit(row: R): void;
}

/**
 * A keyed operator written by hand. `process` is called for every row, in the order in which the
 * key's rows arrived, and must not wait: after a failure it runs again for the rows since the last
 * checkpoint, with the state of that checkpoint.
 *
 * @example
 * keyed.process({
 *   state: { last: valueState<number>() },
 *   emits: rows<{ key: string; change: number }>(),
 *   process(flight, ctx) {
 *     const last = ctx.state.last.get();
 *     if (last !== undefined) ctx.emit({ key: ctx.key, change: flight.delay - last });
 *     ctx.state.last.set(flight.delay);
 *   },
 * }, { uid: "changes" });
 */
export interface ProcessFunction<T, K, R, S extends StateDescriptors = StateDescriptors> {
  readonly state: S;
  readonly emits: Rows<R>;
  process(row: T, ctx: ProcessContext<K, R, S>): void;
}

/**
 * Declares a state that holds one value of type `V` per key.
 *
 * @example const state = { last: valueState<number>(), seen: valueState({ default: 0 }) };
 */
export function valueState<V>(): ValueStateDescriptor<V>;
export function valueState<V>(options: { readonly default: V }): ValueStateDescriptor<V, V>;
export function valueState(
  options: { readonly default?: unknown } = {},
): ValueStateDescriptor<unknown, unknown> {
  return { kind: "value", initial: options.default };
}

/**
 * Declares the type of the rows that a process function emits.
 *
 * @example const emits = rows<{ key: string; change: number }>();
 */
export const rows = <R>(): Rows<R> => ({});
