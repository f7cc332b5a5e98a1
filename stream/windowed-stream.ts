// What can be asked of the windows of a keyed stream, and what is recorded of it.
//   W1. A window that is told twice, for a late row or by its trigger, gives two results; the later one
//       replaces the earlier.
//   W2. What a window holds goes when it is over: when the watermark has come to its last instant and
//       the allowed lateness, or the clock where it goes by that.

import {
  type Aggregate,
  type AggregateResults,
  type Aggregates,
  checkedAggregates,
} from "./aggregates.ts";
import type { Recorded } from "./data-stream.ts";
import { type TimeSpan, timeSpanOf } from "./duration.ts";
import { refusal } from "./errors.ts";
import { type AnyEvictor, checkedEvictor, type Evictor } from "./evictors.ts";
import { isAsync, shown } from "./names.ts";
import type { Rows } from "./process.ts";
import type { OperatorOptions } from "./recorder.ts";
import {
  type AnyOutputTag,
  isOutputTag,
  type OutputTagFor,
  type ProcessedStream,
  type SideOutputs,
} from "./side-output.ts";
import { type AnyTrigger, checkedTrigger, type Trigger } from "./triggers.ts";
import { refuseUnmeant } from "./window-refusals.ts";
import type { GlobalWindow, KnownAssigner, TimeWindow, WindowAssigner } from "./windows.ts";

/** What a row that `aggregate` emits says of its window: nothing of a global one. */
export type WindowFields<W> = W extends GlobalWindow
  ? unknown
  : { readonly windowStart: number; readonly windowEnd: number };

/** The row that `aggregate` emits for a key and a window. */
export type WindowRow<K, W, G> = { readonly key: K } & WindowFields<W> & AggregateResults<G>;

/** Aggregates of windows: these names are taken. */
export type WindowAggregates<T> = Aggregates<T> & {
  readonly windowStart?: never;
  readonly windowEnd?: never;
};

/** What a function of windows may touch. Valid during the call only. */
export interface WindowContext<K, W extends TimeWindow, R> extends SideOutputs {
  readonly key: K;
  readonly window: W;
  /** What is emitted has the last instant of the window as its event time; of a global one none. */
  readonly emit: (row: R) => void;
  currentWatermark(this: void): number;
  currentProcessingTime(this: void): number;
}

/**
 * A function of a window's result, for results of more than a few fields or of any number.
 *
 * @example
 * windowed.aggregate({ n: count() }, {
 *   emits: rows<{ sensor: string; from: Date; n: number }>(),
 *   process({ key, window, emit }, { n }) {
 *     emit({ sensor: key, from: new Date(window.start), n });
 *   },
 * }, { uid: "hourly" });
 */
export interface WindowFunction<I, K, W extends TimeWindow, R> {
  readonly emits: Rows<R>;
  /** Must be deterministic and must not wait: after a failure it runs again. */
  process(ctx: WindowContext<K, W, R>, input: I): void;
}

/**
 * The rows of a keyed stream by windows: what is asked of these, and then what is made of each. Windows are
 * keyed state: a checkpoint holds them with their timers, and none is told twice or forgotten after a failure.
 */
export interface WindowedStream<T, K, W extends TimeWindow> {
  /**
   * When windows are told. Without it: at their end, by event time or by the clock. A global window, which
   * has none, is refused without it.
   *
   * @example windowed.trigger(countTrigger(100))
   */
  trigger<S>(trigger: Trigger<T, S>): WindowedStream<T, K, W>;
  /**
   * Which rows of a window are left out when it is told. With one, windows keep all their rows, also
   * where they are folded.
   *
   * @example windowed.evictor(countEvictor(10))
   */
  evictor(evictor: Evictor<T>): WindowedStream<T, K, W>;
  /**
   * For how long windows of event time are kept after their end. A row that comes later than the end,
   * but within that time, has its windows told once more. Windows by the clock have no late rows, and are
   * refused with it.
   *
   * @example windowed.allowedLateness("1 min")
   */
  allowedLateness(span: TimeSpan): WindowedStream<T, K, W>;
  /**
   * Where rows go that are too late for all of their windows; without it they are dropped. The side output
   * is one of the operator that follows, and its rows have the event times that they had. Windows by the
   * clock have no late rows, and are refused with it.
   *
   * @example
   * const late = outputTag<Flight>("late");
   * const hourly = windowed.lateOutput(late).aggregate({ n: count() }, { uid: "hourly" });
   * hourly.sideOutput(late).to(table("late", { key: (flight) => flight.id }), { uid: "late" });
   */
  lateOutput(tag: OutputTagFor<T>): WindowedStream<T, K, W>;
  /**
   * Folds the rows of each key and window into aggregates, and emits
   * `{ key, windowStart, windowEnd, ...aggregates }` when the window is told. A window holds the fold only.
   * Where folds are merged, of panes of sliding windows and of sessions, an aggregate that goes by the order of
   * rows has them pane by pane, or session by session, and in the order of arrival within each.
   *
   * @example
   * flights.keyBy("origin").window(tumbling("1h"))
   *   .aggregate({ flights: count(), worst: max("delay") }, { uid: "hourly" })
   */
  aggregate<G extends WindowAggregates<T>>(
    aggregates: G,
    options: OperatorOptions,
  ): ProcessedStream<WindowRow<K, W, G>>;
  /** The same, with what is emitted made by a function of the fold and its window. */
  aggregate<G extends WindowAggregates<T>, R>(
    aggregates: G,
    fn: WindowFunction<AggregateResults<G>, K, W, R>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Folds the rows of each key and window into one, which is emitted when the window is told. `fn`
   * returns a row of its own and changes neither argument. In sliding windows and in sessions it is also called
   * with rows that it has made of others, pane by pane or session by session: what it comes to must depend
   * neither on how rows are grouped nor on their order across panes and sessions.
   *
   * @example windowed.reduce((a, b) => (a.delay >= b.delay ? a : b), { uid: "worst-of-hour" })
   */
  reduce(fn: (left: T, right: T) => T, options: OperatorOptions): ProcessedStream<T>;
  /** The same, with what is emitted made by a function of the fold and its window. */
  reduce<R>(
    fn: (left: T, right: T) => T,
    then: WindowFunction<T, K, W, R>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Calls a function of yours with all rows of a window when it is told, in the order in which they arrived;
   * in sessions that were merged session by session, each in that order. Windows keep their rows for that: where
   * a fold does, ask for one.
   *
   * @example
   * windowed.process({
   *   emits: rows<{ key: string; median: number }>(),
   *   process({ key, emit }, flights) {
   *     const delays = flights.map(({ delay }) => delay).toSorted((a, b) => a - b);
   *     emit({ key, median: delays[delays.length >> 1]! });
   *   },
   * }, { uid: "median" });
   */
  process<R>(
    fn: WindowFunction<readonly T[], K, W, R>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
}

/** How the rows of a window become its result. */
export type WindowFold =
  | { readonly kind: "aggregate"; readonly aggregates: Readonly<Record<string, Aggregate>> }
  | { readonly kind: "reduce"; readonly fn: (left: never, right: never) => unknown }
  | { readonly kind: "rows" };

export interface AnyWindowFunction {
  process(ctx: never, input: never): void;
}

/** Windows of a keyed stream, and all that is asked of them. */
export interface WindowSpec {
  readonly kind: "window";
  readonly assigner: WindowAssigner<never> &
    Partial<Pick<KnownAssigner<never, TimeWindow>, "name" | "sliding" | "isEndless">>;
  /** Absent: what the assigner's windows have where nothing is said. */
  readonly trigger?: AnyTrigger;
  readonly evictor?: AnyEvictor;
  /** Milliseconds. */
  readonly allowedLateness: number;
  /** The side output of rows that are too late. */
  readonly lateOutput?: AnyOutputTag;
  readonly fold: WindowFold;
  /** Makes what is emitted. */
  readonly fn?: AnyWindowFunction;
}

/** Whether its windows are folded stretch by stretch, and each row once. */
export function foldsByPanes({ assigner, trigger, evictor, fold }: WindowSpec): boolean {
  const isPlain = assigner.sliding !== undefined && assigner.time === "event";
  return isPlain && trigger === undefined && evictor === undefined && fold.kind !== "rows";
}

type Asked = Pick<
  WindowSpec,
  "assigner" | "trigger" | "evictor" | "allowedLateness" | "lateOutput"
>;

/** The one implementation. Knows no row types: they were checked where the user wrote them. */
export class RecordedWindows implements WindowedStream<never, never, never> {
  readonly #asked: Asked;
  readonly #add: (spec: WindowSpec, options: OperatorOptions) => Recorded;

  constructor(
    assigner: unknown,
    add: (spec: WindowSpec, options: OperatorOptions) => Recorded,
    asked: Partial<Asked> = {},
  ) {
    this.#asked = { allowedLateness: 0, ...asked, assigner: checkedAssigner("window", assigner) };
    this.#add = add;
  }

  trigger(trigger: AnyTrigger): RecordedWindows {
    return this.#with({ trigger: checkedTrigger("trigger", trigger) });
  }

  evictor(evictor: unknown): RecordedWindows {
    return this.#with({ evictor: checkedEvictor(evictor) });
  }

  allowedLateness(span: TimeSpan): RecordedWindows {
    const millis = timeSpanOf(span);
    if (millis !== undefined) return this.#with({ allowedLateness: millis });
    const allowed = `milliseconds, or a text such as "10s", "5 min" or "12h"`;
    throw refusal(
      "BAD_ARGUMENT",
      "allowedLateness",
      undefined,
      `was given ${shown(span)}`,
      allowed,
    );
  }

  lateOutput(tag: AnyOutputTag): RecordedWindows {
    if (isOutputTag(tag)) return this.#with({ lateOutput: tag });
    const allowed = 'a tag, as outputTag("late") gives one';
    throw refusal("BAD_ARGUMENT", "lateOutput", undefined, `was given ${shown(tag)}`, allowed);
  }

  aggregate(
    aggregates: Readonly<Record<string, Aggregate>>,
    ...more: [OperatorOptions] | [AnyWindowFunction, OperatorOptions]
  ): Recorded {
    const { fn, options } = split("aggregate", more);
    checkedAggregates(aggregates, options, ["key", "windowStart", "windowEnd"]);
    return this.#record({ fold: { kind: "aggregate", aggregates }, ...fn }, options);
  }

  reduce(
    fn: (left: never, right: never) => unknown,
    ...more: [OperatorOptions] | [AnyWindowFunction, OperatorOptions]
  ): Recorded {
    const { fn: then, options } = split("reduce", more);
    if (typeof fn !== "function" || isAsync(fn)) {
      const allowed = "a function that returns its result, not a promise";
      throw refusal("BAD_ARGUMENT", "reduce", options, `was given ${shown(fn)}`, allowed);
    }
    return this.#record({ fold: { kind: "reduce", fn }, ...then }, options);
  }

  process(fn: AnyWindowFunction, options: OperatorOptions): Recorded {
    return this.#record(
      { fold: { kind: "rows" }, fn: checkedFunction("process", fn, options) },
      options,
    );
  }

  #with(more: Partial<Asked>): RecordedWindows {
    return new RecordedWindows(this.#asked.assigner, this.#add, { ...this.#asked, ...more });
  }

  #record(of: Pick<WindowSpec, "fold" | "fn">, options: OperatorOptions): Recorded {
    refuseUnmeant("window", this.#asked, options);
    return this.#add({ kind: "window", ...this.#asked, ...of }, options);
  }
}

function split(
  method: string,
  more: [OperatorOptions] | [AnyWindowFunction, OperatorOptions],
): { readonly fn: { readonly fn?: AnyWindowFunction }; readonly options: OperatorOptions } {
  if (more.length < 2) return { fn: {}, options: more[0] as OperatorOptions };
  const [fn, options] = more as [AnyWindowFunction, OperatorOptions];
  return { fn: { fn: checkedFunction(method, fn, options) }, options };
}

export function checkedFunction(
  method: string,
  fn: unknown,
  options: OperatorOptions,
  allowed = "{ emits: rows(), process(ctx, input) { … } }",
): AnyWindowFunction {
  const process: unknown = (fn as { readonly process?: unknown } | null | undefined)?.process;
  if (typeof process === "function" && !isAsync(process)) return fn as AnyWindowFunction;
  throw refusal(
    "BAD_ARGUMENT",
    method,
    options,
    `was given ${shown(fn)} that is no function of windows`,
    allowed,
  );
}

export function checkedAssigner(
  method: string,
  given: unknown,
  options?: OperatorOptions,
): Asked["assigner"] {
  const assigner = given as Partial<WindowAssigner> | null | undefined;
  const { time = "event" } = assigner ?? {};
  if (typeof assigner?.assign === "function" && (time === "event" || time === "processing")) {
    return { ...assigner, assign: assigner.assign.bind(assigner), time } as Asked["assigner"];
  }
  throw refusal(
    "BAD_ARGUMENT",
    method,
    options,
    method === "window" ? `was given ${shown(given)}` : `has ${shown(given)} as window`,
    'tumbling("1h"), sliding("1h", "5 min"), session("30 min"), globalWindow(), or an object with ' +
      'assign(row, timestamp) and, if need be, merging and time ("event" or "processing")',
  );
}
