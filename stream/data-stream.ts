// Streams: what a build function chains calls on. `DataStream` and `KeyedStream` are two views of
// one recorded stream, so a call on the wrong view is refused by the compiler and, for programs
// that were never compiled, by an error that names the operator.

import type { Key } from "../format/key.ts";
import type { Partitioning } from "../format/plan.ts";
import { type AggregateRow, type Aggregates, checkedAggregates } from "./aggregates.ts";
import { asyncMapOf, type AsyncContext, type AsyncOptions } from "./async.ts";
import { type Change, type ChangeOf, checkedRetractable } from "./changelog.ts";
import { GraphError, type GraphErrorCode, refusal } from "./errors.ts";
import type { DiscardSink } from "./discard.ts";
import type { FilesSink } from "./files.ts";
import type { AnyProcessFunction, CustomPartitioning, KeySelector, OperatorSpec } from "./graph.ts";
import { fieldSelector, type FieldTuple, type KeyField, tupleSelector } from "./fields.ts";
import {
  type DedupeOptions,
  dedupeOf,
  type IntervalJoinOptions,
  intervalJoinOf,
  type RegularJoinOptions,
  regularJoinOf,
  type TemporalJoinOptions,
  temporalJoinOf,
} from "./joins.ts";
import { lookupJoinOf, type LookupOptions } from "./lookup.ts";
import { isAsync, shown } from "./names.ts";
import {
  type BroadcastConnectedStream,
  type BroadcastDescriptors,
  type BroadcastStream,
  type KeyedBroadcastConnectedStream,
  RecordedBroadcast,
  RecordedConnection,
  refuseKeyedClose,
  refuseKeyedState,
  refuseUnkeyedTimer,
  requireClose,
} from "./broadcast.ts";
import {
  type ConnectedStream,
  type KeyedConnectedStream,
  RecordedPair,
  refuseHalfKeyed,
} from "./connect.ts";
import {
  checkedUnkeyed,
  type NoOperatorState,
  type OperatorStateDescriptors,
  type UnkeyedProcessFunction,
} from "./operator-state.ts";
import type { ProcessFunction } from "./process.ts";
import {
  type GraphRecorder,
  type OperatorOptions,
  repartitioned,
  type Upstream,
} from "./recorder.ts";
import {
  sideOutputsOf,
  isOutputTag,
  type AnyOutputTag,
  type ProcessedStream,
} from "./side-output.ts";
import { isStateDescriptor, type StateDescriptors } from "./state.ts";
import type { TableSink } from "./table.ts";
import { checkedStrategy, type WatermarkStrategy } from "./watermarks.ts";
import {
  type CoGroupFunction,
  type CoGroupOptions,
  coGroupOf,
  type WindowJoinOptions,
  windowJoinOf,
} from "./window-joins.ts";
import { RecordedWindows, type WindowedStream } from "./windowed-stream.ts";
import type { TimeWindow, WindowAssigner } from "./windows.ts";

/** What a stream has for functions that answer later. */
export interface AsyncStream<T> {
  /**
   * One row for each row, which a function gives later: it asks a service, a database or a file. As many rows
   * wait for their answers as `capacity` says; they are in snapshots, and after a failure they are asked for
   * again. So each row has one result, and its call may be made more than once. What the function throws, and
   * a row whose time is over, is subject to `onError` once it is not tried again any more.
   *
   * @example
   * clicks.asyncMap(
   *   async ({ user }, { signal }) => {
   *     const answer = await fetch(`https://users.example/${user}`, { signal });
   *     return { user, name: await answer.text() };
   *   },
   *   { uid: "names", capacity: 50, timeout: "10s", retry: { attempts: 3, delay: "1s", backoff: 2 } },
   * )
   */
  asyncMap<R, F = never>(
    fn: (row: T, ctx: AsyncContext) => R | PromiseLike<R>,
    options: AsyncOptions<T, NoInfer<R>, F>,
  ): DataStream<R | F>;
  /**
   * Rows with what a store outside of the job has under their keys: a database, a service, KV. Rows that ask
   * for one key at one time share a call, and with a `cache` later ones do without. What is found is what the
   * store has at the time of the call, so after a failure it may be something else; for rows that must not
   * depend on that there is `temporalJoin`. Calls are made and kept as those of `asyncMap`.
   *
   * @example
   * flights.lookupJoin(
   *   { key: "origin", load: (airport) => findCity(airport), cache: { size: 10_000, ttl: "1 h" } },
   *   (flight, city) => ({ ...flight, city }),
   *   { uid: "cities" },
   * )
   */
  lookupJoin<F extends KeyField<T>, V, R>(
    settings: LookupOptions<F, T[F], V> & { readonly type: "left" },
    fn: (left: T, right: NonNullable<V> | undefined) => R,
    options: OperatorOptions,
  ): DataStream<R>;
  lookupJoin<F extends KeyField<T>, V, R>(
    settings: LookupOptions<F, T[F], V> & { readonly type?: "inner" },
    fn: (left: T, right: NonNullable<V>) => R,
    options: OperatorOptions,
  ): DataStream<R>;
  lookupJoin<const K extends Key, V, R>(
    settings: LookupOptions<(row: T) => K, K, V> & { readonly type: "left" },
    fn: (left: T, right: NonNullable<V> | undefined) => R,
    options: OperatorOptions,
  ): DataStream<R>;
  lookupJoin<const K extends Key, V, R>(
    settings: LookupOptions<(row: T) => K, K, V> & { readonly type?: "inner" },
    fn: (left: T, right: NonNullable<V>) => R,
    options: OperatorOptions,
  ): DataStream<R>;
}

/**
 * Rows of type `T`, in no order beyond that of the subtask they come from. The functions given to
 * its operators must be deterministic and must not change the rows they are given: after a failure
 * they run again, and a row may be on its way to several operators.
 */
export interface DataStream<T> extends AsyncStream<T> {
  /**
   * One row for each row.
   *
   * @example flights.map((flight) => flight.delay / 60, { uid: "hours" })
   */
  map<R>(fn: (row: T) => R, options: OperatorOptions): DataStream<R>;
  /**
   * Any number of rows for each row, in the order of the iterable.
   *
   * @example lines.flatMap((line) => line.split(" "), { uid: "words" })
   */
  flatMap<R>(fn: (row: T) => Iterable<R>, options: OperatorOptions): DataStream<R>;
  /**
   * The rows for which the predicate holds, narrowed where it is a type guard.
   *
   * @example flights.filter((flight) => flight.delay > 15, { uid: "delayed" })
   */
  filter<R extends T>(fn: (row: T) => row is R, options: OperatorOptions): DataStream<R>;
  filter(fn: (row: T) => boolean, options: OperatorOptions): DataStream<T>;
  /**
   * Brings the rows of one key to one subtask, in order, for the operator that follows. The key is a
   * field, a tuple of several, or what a function makes of each row. By its name a field is read
   * without making rows, where they come in columns.
   *
   * @example flights.keyBy("origin")
   * @example flights.keyBy("origin", "destination")
   * @example flights.keyBy((flight) => [flight.origin, flight.destination])
   */
  keyBy<F extends KeyField<T>>(field: F): KeyedStream<T, T[F]>;
  keyBy<const F extends readonly [KeyField<T>, KeyField<T>, ...KeyField<T>[]]>(
    ...fields: F
  ): KeyedStream<T, FieldTuple<T, F>>;
  keyBy<const K extends Key>(key: (row: T) => K): KeyedStream<T, K>;
  /**
   * The rows of this stream and of the others, interleaved.
   *
   * @example departures.union(arrivals, diversions)
   */
  union(...others: readonly DataStream<T>[]): DataStream<T>;
  /**
   * Spreads the rows evenly over the subtasks of the operator that follows.
   *
   * @example flights.rebalance().map(slow, { uid: "slow", parallelism: 8 })
   */
  rebalance(): DataStream<T>;
  /**
   * Gives the rows event times in the middle of a program, where a source cannot: of a stream whose times
   * are made on the way. Each subtask goes by its own rows, whatever partition they come from, so the
   * bound has to cover how partitions are apart; where a source knows the times, give them to `env.from`.
   * What was known of event time before counts for nothing any more. What a generator knows is in
   * snapshots. A row without event time fails the attempt.
   *
   * @example
   * lines.map(parse, { uid: "parse" }).assignTimestampsAndWatermarks(
   *   boundedOutOfOrderness("10s", { timestamp: (row: Reading) => row.at }),
   *   { uid: "times" },
   * )
   */
  assignTimestampsAndWatermarks(
    strategy: WatermarkStrategy<T>,
    options: Omit<OperatorOptions, "onError">,
  ): DataStream<T>;
  /**
   * As `rebalance`, but each subtask sends to a few of the next only, so that there are fewer channels:
   * with twice as many receivers to two of them, with half as many to one.
   *
   * @example flights.rescale().map(slow, { uid: "slow", parallelism: 8 })
   */
  rescale(): DataStream<T>;
  /**
   * Sends each row to the subtask of the next operator that `partition` names, from 0, of the key that is
   * made of the row and of how many there are. Its stream has no key. Rows of a key change subtasks with
   * the parallelism.
   *
   * @example flights.partitionCustom((f) => f.delay, (delay, subtasks) => Math.abs(delay) % subtasks)
   */
  partitionCustom<const K extends Key>(
    key: (row: T) => K,
    partition: (key: NoInfer<K>, subtasks: number) => number,
  ): DataStream<T>;
  /**
   * Calls a function of yours for every row, with state of the subtask. See `UnkeyedProcessFunction`.
   */
  process<R, O extends OperatorStateDescriptors = NoOperatorState>(
    fn: UnkeyedProcessFunction<T, R, O>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Sends every row to every subtask of the operator that follows a `connect`, which keeps what it
   * learns from them in these maps.
   *
   * @example rules.broadcast({ rules: mapState<string, Rule>() })
   */
  broadcast<B extends BroadcastDescriptors>(states: B): BroadcastStream<T, B>;
  /**
   * Puts a broadcast stream beside this one, for a function of both.
   *
   * @example flights.connect(airports.broadcast({ names: mapState<string, string>() }))
   */
  connect<U, B extends BroadcastDescriptors>(
    other: BroadcastStream<U, B>,
  ): BroadcastConnectedStream<T, U, B>;
  /**
   * Puts a stream without keys beside this one, for functions of both. See `UnkeyedCoProcessFunction`.
   *
   * @example departures.connect(arrivals)
   */
  connect<U>(other: DataStream<U>): ConnectedStream<T, U>;
  /**
   * Writes the rows to a table or to files, or forgets them.
   *
   * @example worst.to(table("worst-delays"), { uid: "out" })
   */
  to(sink: TableSink<T> | FilesSink<T> | DiscardSink, options: OperatorOptions): void;
}

/**
 * Rows of type `T` by their key. Its operators keep state per key, which survives failures. Calls for the rows
 * of a key (`asyncMap`, `lookupJoin`) are made by the subtask that the key belongs to; what comes of them is a
 * stream without keys.
 */
export interface KeyedStream<T, K> extends AsyncStream<T> {
  /**
   * Folds the rows of each key into one, and emits the fold so far for every row, the key's first
   * row included. `fn` returns a row of its own and changes neither argument.
   *
   * @example byOrigin.reduce((a, b) => (a.delay >= b.delay ? a : b), { uid: "worst-so-far" })
   */
  reduce(fn: (left: T, right: T) => T, options: OperatorOptions): DataStream<T>;
  /**
   * Keeps aggregates of all rows of each key, and emits `{ key, ...aggregates }` for every key that
   * a batch touched, once per batch. The result is an updating one: a later row of a key replaces
   * the earlier, and how many there are depends on how rows were batched. Write it to a table by
   * its `key`; do not count its rows.
   *
   * @example
   * flights.keyBy((flight) => flight.origin)
   *   .aggregate({ flights: count(), worst: max("delay") }, { uid: "by-origin" })
   */
  aggregate<G extends Aggregates<T>>(
    aggregates: G,
    options: OperatorOptions,
  ): DataStream<AggregateRow<K, G>>;
  /**
   * Calls a function of yours for every row, with state of the row's key. See `ProcessFunction`.
   */
  process<R, S extends StateDescriptors>(
    fn: ProcessFunction<T, K, R, S>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Divides the rows of each key into windows, for what follows to be told window by window.
   *
   * @example
   * flights.keyBy("origin").window(sliding("6h", "1h"))
   *   .aggregate({ flights: count(), delay: sum("delay") }, { uid: "by-window" })
   */
  window<W extends TimeWindow>(assigner: WindowAssigner<T, W>): WindowedStream<T, K, W>;
  /**
   * Puts a broadcast stream beside this one, for a function of both.
   *
   * @example byAccount.connect(rules.broadcast({ rules: mapState<string, Rule>() }))
   */
  connect<U, B extends BroadcastDescriptors>(
    other: BroadcastStream<U, B>,
  ): KeyedBroadcastConnectedStream<T, K, U, B>;
  /**
   * Puts a stream with keys of the same type beside this one, for functions of both that share the
   * state of a key. See `CoProcessFunction`.
   *
   * @example orders.keyBy((order) => order.id).connect(payments.keyBy((payment) => payment.orderId))
   */
  connect<U>(other: KeyedStream<U, K>): KeyedConnectedStream<T, U, K>;
  /**
   * Pairs the rows of one key whose event times are no further apart than `between` says: the right row
   * at least `lower` and at most `upper` after the left one. A pair has the later event time of both.
   * Rows are kept, by checkpoints too, until event time has passed all that they could meet; rows that
   * come after event time meet nothing.
   *
   * @example
   * orders.keyBy("id").intervalJoin(
   *   payments.keyBy("orderId"),
   *   { between: ["-5 min", "1 h"] },
   *   (order, payment) => ({ key: order.id, paid: payment.amount }),
   *   { uid: "paid" },
   * );
   */
  intervalJoin<U, R>(
    other: KeyedStream<U, K>,
    settings: IntervalJoinOptions<T, U>,
    fn: (left: T, right: U) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Joins each row with the version of the other stream that was valid at its event time: the latest of
   * its key that is not later. A row waits until event time has come to it. Of the versions the one that
   * is valid stays, for ever, and older ones go. Of versions at one time the one that comes last counts.
   *
   * @example
   * orders.keyBy("currency").temporalJoin(
   *   rates.keyBy("currency"),
   *   (order, rate) => ({ key: order.id, amount: order.amount * rate.factor }),
   *   { uid: "converted" },
   * );
   */
  temporalJoin<U, R>(
    other: KeyedStream<U, K>,
    fn: (left: T, version: U) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  temporalJoin<U, R>(
    other: KeyedStream<U, K>,
    settings: TemporalJoinOptions<T> & { readonly type: "left" },
    fn: (left: T, version: U | undefined) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  temporalJoin<U, R>(
    other: KeyedStream<U, K>,
    settings: TemporalJoinOptions<T> & { readonly type?: "inner" },
    fn: (left: T, version: U) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Pairs the rows of one key that are in one window, when that is told; `type` says what becomes of rows
   * that met none. A pair has the last instant of its window as its event time. Windows are those of
   * `window`, with their triggers, evictors and lateness, and so is what is kept of them by checkpoints:
   * all rows, until the window is over. One that is told again gives all its pairs again.
   *
   * @example
   * sellers.keyBy("id").windowJoin(
   *   auctions.keyBy("seller"),
   *   { window: tumbling("10s") },
   *   (seller, auction) => ({ key: auction.id, seller: seller.name }),
   *   { uid: "new-sellers" },
   * );
   */
  windowJoin<U, R, W extends TimeWindow>(
    other: KeyedStream<U, K>,
    settings: WindowJoinOptions<T, U, W> & { readonly type?: "inner" },
    fn: (left: T, right: U) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  windowJoin<U, R, W extends TimeWindow>(
    other: KeyedStream<U, K>,
    settings: WindowJoinOptions<T, U, W> & { readonly type: "left" },
    fn: (left: T, right: U | undefined) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  windowJoin<U, R, W extends TimeWindow>(
    other: KeyedStream<U, K>,
    settings: WindowJoinOptions<T, U, W> & { readonly type: "right" },
    fn: (left: T | undefined, right: U) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  windowJoin<U, R, W extends TimeWindow>(
    other: KeyedStream<U, K>,
    settings: WindowJoinOptions<T, U, W> & { readonly type: "full" },
    fn: (left: T | undefined, right: U | undefined) => R,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Calls a function of yours with all rows of a key and window, by sides, when the window is told: a
   * `windowJoin` that decides itself what meets what. See `CoGroupFunction`.
   */
  coGroup<U, R, W extends TimeWindow>(
    other: KeyedStream<U, K>,
    settings: CoGroupOptions<T, U, W>,
    fn: CoGroupFunction<T, U, K, W, R>,
    options: OperatorOptions,
  ): ProcessedStream<R>;
  /**
   * Pairs all rows of one key, however far apart they come. Both sides are kept for ever, or for the
   * `ttl`, so their state grows with what comes. A pair has the event time of the row that came second.
   *
   * @example
   * auctions.keyBy("id").regularJoin(
   *   bids.keyBy("auction"),
   *   { ttl: "7 d" },
   *   (auction, bid) => ({ key: bid.id, item: auction.item, price: bid.price }),
   *   { uid: "bids-with-items" },
   * );
   */
  regularJoin<U, R>(
    other: KeyedStream<U, K>,
    settings: RegularJoinOptions & { readonly type?: "inner" },
    fn: (left: T, right: U) => R,
    options: OperatorOptions,
  ): DataStream<R>;
  /**
   * The outer ones emit changes: a row without a partner comes with undefined in the other's place, and is
   * taken back when a partner comes.
   *
   * @example
   * orders.keyBy("id").regularJoin(
   *   payments.keyBy("orderId"),
   *   { type: "left" },
   *   (order, payment) => ({ key: order.id, isPaid: payment !== undefined }),
   *   { uid: "orders-with-payments" },
   * );
   */
  regularJoin<U, R extends object>(
    other: KeyedStream<U, K>,
    settings: RegularJoinOptions & { readonly type: "left" },
    fn: (left: T, right: U | undefined) => R,
    options: OperatorOptions,
  ): DataStream<Change<R>>;
  regularJoin<U, R extends object>(
    other: KeyedStream<U, K>,
    settings: RegularJoinOptions & { readonly type: "right" },
    fn: (left: T | undefined, right: U) => R,
    options: OperatorOptions,
  ): DataStream<Change<R>>;
  regularJoin<U, R extends object>(
    other: KeyedStream<U, K>,
    settings: RegularJoinOptions & { readonly type: "full" },
    fn: (left: T | undefined, right: U | undefined) => R,
    options: OperatorOptions,
  ): DataStream<Change<R>>;
  /**
   * Keeps one row of each key: the first that comes, or the last by event time, which is emitted anew
   * with every later row of the key. Keys are remembered for ever, or for the `ttl`.
   *
   * @example payments.keyBy("id").dedupe({ keep: "first", ttl: "1 d" }, { uid: "once" })
   */
  dedupe(settings: DedupeOptions, options: OperatorOptions): DataStream<T>;
  /**
   * Makes changes of rows that replace one another by their key, as `aggregate` and `reduce` emit them: of
   * the first an insertion, of the following ones what is taken back and what takes its place. A change
   * with `$kind` `"-D"` deletes. The last row of each key is kept until it is deleted.
   *
   * @example
   * finalPrices.keyBy("id").toChangelog({ uid: "changes" })
   *   .keyBy("category").aggregateChanges({ mean: avg("price") }, { uid: "by-category" })
   */
  toChangelog(options: OperatorOptions): DataStream<ChangeOf<T>>;
  /**
   * Keeps aggregates of the rows of each key that are there: what is inserted is added, and what is taken
   * back is taken from them. Emits changes of `{ key, ...aggregates }`, and deletes the row of a key that
   * has none left. Only aggregates that can take rows back: `count`, `countIf`, `sum`, `avg`, and your
   * own with `retract`. A row taken from a key that has none is left out.
   *
   * @example
   * changes.keyBy("category").aggregateChanges({ mean: avg("price"), n: count() }, { uid: "by-category" })
   */
  aggregateChanges<G extends Aggregates<T>>(
    aggregates: G,
    options: OperatorOptions,
  ): DataStream<Change<AggregateRow<K, G>>>;
}

/**
 * What a call on a recorded stream gives: a recorded stream, of rows that only the caller knows. The compiler
 * need not compare it with a stream of any rows, which takes minutes where there are this many methods.
 */
export type Recorded = never;

/** The one implementation. Knows no row types: they were checked where the user wrote them. */
export class RecordedStream implements ProcessedStream<never>, KeyedStream<never, never> {
  readonly #recorder: GraphRecorder;
  readonly #upstreams: readonly Upstream[];
  readonly #key: KeySelector | undefined;

  constructor(recorder: GraphRecorder, upstreams: readonly Upstream[], key?: KeySelector) {
    this.#recorder = recorder;
    this.#upstreams = upstreams;
    this.#key = key;
  }

  map(fn: (row: never) => unknown, options: OperatorOptions): Recorded {
    requireFunction("map", fn, options);
    return this.#then({ kind: "map", fn }, options);
  }

  flatMap(fn: (row: never) => Iterable<unknown>, options: OperatorOptions): Recorded {
    requireFunction("flatMap", fn, options);
    return this.#then({ kind: "flatMap", fn }, options);
  }

  filter(fn: (row: never) => boolean, options: OperatorOptions): Recorded {
    requireFunction("filter", fn, options);
    return this.#then({ kind: "filter", fn }, options);
  }

  asyncMap(fn: unknown, options: AsyncOptions<never, never, unknown>): Recorded {
    return this.#then({ kind: "asyncMap", ...asyncMapOf(fn, options) }, options);
  }

  lookupJoin(settings: unknown, fn: unknown, options: OperatorOptions): Recorded {
    return this.#then({ kind: "lookupJoin", ...lookupJoinOf(settings, fn, options) }, options);
  }

  keyBy(key: KeySelector | string, ...more: readonly string[]): Recorded {
    if (typeof key === "string") {
      for (const name of more) requireName(name);
      const names = [key, ...more];
      return this.#partitioned(
        "hash",
        more.length === 0 ? fieldSelector(key) : tupleSelector(names),
      );
    }
    requireFunction("keyBy", key, undefined, "the names of one or more fields, or ");
    if (more.length > 0) requireName(key);
    return this.#partitioned("hash", key);
  }

  assignTimestampsAndWatermarks(
    watermarks: WatermarkStrategy<never>,
    options: OperatorOptions,
  ): Recorded {
    checkedStrategy("assignTimestampsAndWatermarks", watermarks, options);
    if (watermarks.alignment !== undefined) {
      const found = `aligns group "${watermarks.alignment.group}", and cannot hold back what it reads`;
      const allowed = "alignment in the watermarks of a source, as env.from takes them";
      throw refusal("BAD_ARGUMENT", "assignTimestampsAndWatermarks", options, found, allowed);
    }
    return this.#then({ kind: "timestamps", watermarks }, options);
  }

  rebalance(): Recorded {
    return this.#partitioned("rebalance");
  }

  rescale(): Recorded {
    return this.#partitioned("rescale");
  }

  partitionCustom(key: KeySelector, partition: CustomPartitioning["partition"]): Recorded {
    requireFunction("partitionCustom", partition);
    requireFunction("partitionCustom", key);
    const custom = { key, partition };
    const upstreams = this.#upstreams.map((one) => repartitioned(one, "custom", { custom }));
    return new RecordedStream(this.#recorder, upstreams) as never;
  }

  union(...others: readonly DataStream<never>[]): Recorded {
    const upstreams = [...this.#upstreams];
    for (const other of others) {
      if (!(other instanceof RecordedStream)) {
        throw refusal("BAD_ARGUMENT", "union", undefined, `was given ${shown(other)}`, "streams");
      }
      if ((this.#key ?? other.#key) !== undefined) {
        const allowed = "streams without keys: call .keyBy(…) on what union gives";
        throw refusal("BAD_ARGUMENT", "union", undefined, "is of a keyed stream", allowed);
      }
      this.#refuseForeign("union", other.#recorder);
      upstreams.push(...other.#upstreams);
    }
    return new RecordedStream(this.#recorder, upstreams) as never;
  }

  to(sink: TableSink<never> | FilesSink<never> | DiscardSink, options: OperatorOptions): void {
    switch ((sink as Partial<typeof sink> | undefined)?.kind) {
      case "table": {
        const table = sink as TableSink<never>;
        this.#recorder.add({ kind: "sink", table }, options, this.#upstreams, table.key);
        return;
      }
      case "files":
        this.#recorder.add(
          { kind: "files", files: sink as FilesSink<never> },
          options,
          this.#upstreams,
        );
        return;
      case "discard":
        this.#recorder.add({ kind: "discard" }, options, this.#upstreams);
        return;
      default: {
        const allowed = "table(…), files(…) or discard()";
        throw refusal("BAD_ARGUMENT", "to", options, `was given ${shown(sink)}`, allowed);
      }
    }
  }

  reduce(fn: (left: never, right: never) => unknown, options: OperatorOptions): Recorded {
    requireFunction("reduce", fn, options);
    return this.#keyed({ kind: "reduce", fn }, options);
  }

  aggregate<G extends Aggregates<never>>(aggregates: G, options: OperatorOptions): Recorded {
    checkedAggregates(aggregates, options);
    return this.#keyed({ kind: "aggregate", aggregates }, options);
  }

  process(fn: AnyProcessFunction, options: OperatorOptions): Recorded {
    if (this.#key === undefined) requireUnkeyedProcess(fn, options);
    else requireProcess(fn, options);
    return this.#then({ kind: "process", fn }, options, this.#key);
  }

  sideOutput(tag: AnyOutputTag): Recorded {
    const refuse = (code: GraphErrorCode, found: string, allowed: string): GraphError =>
      refusal(code, "sideOutput", undefined, found, allowed);
    if (!isOutputTag(tag)) {
      throw refuse(
        "BAD_ARGUMENT",
        `was given ${shown(tag)}`,
        `a tag, as outputTag("late") gives one`,
      );
    }
    const allowed =
      "right behind process, of which it gives the rows of ctx.output, or behind a join, of which it " +
      "gives the rows that come too late";
    const called = `"${tag.name}" was asked of`;
    const [upstream, ...others] = this.#upstreams;
    if (upstream === undefined || others.length > 0) {
      throw refuse("NO_SIDE_OUTPUT", `${called} a union`, allowed);
    }
    const { node, partitioning } = upstream;
    if (partitioning !== "forward" || this.#key !== undefined) {
      const found = `${called} "${node.uid}" by another way than forward`;
      throw refuse("NO_SIDE_OUTPUT", found, `${allowed}; repartition what it gives`);
    }
    if (upstream.tag !== undefined) {
      throw refuse("NO_SIDE_OUTPUT", `${called} a side output of "${node.uid}"`, allowed);
    }
    const outputs = sideOutputsOf(node.spec);
    if (outputs !== "any" && !outputs.includes(tag.name)) {
      const which = outputs.length === 0 ? "no side outputs" : `only ${outputs.join(", ")}`;
      const found = `${called} "${node.uid}", ${described(node.spec)}, which has ${which}`;
      throw refuse("NO_SIDE_OUTPUT", found, allowed);
    }
    return new RecordedStream(this.#recorder, [{ node, partitioning, tag: tag.name }]) as never;
  }

  window(assigner: WindowAssigner<never>): RecordedWindows {
    return new RecordedWindows(assigner, (spec, options) => this.#keyed(spec, options));
  }

  broadcast<B extends BroadcastDescriptors>(states: B): BroadcastStream<never, B> {
    return new RecordedBroadcast(this.#recorder, this.#upstreams, states);
  }

  connect(other: unknown): RecordedConnection<never> & RecordedPair<never> {
    if (other instanceof RecordedStream) return this.#paired(other) as never;
    if (!(other instanceof RecordedBroadcast)) {
      const allowed = "a stream, or a broadcast one: rules.broadcast({ rules: mapState() })";
      throw refusal("BAD_ARGUMENT", "connect", undefined, `was given ${shown(other)}`, allowed);
    }
    this.#refuseForeign("connect", other.recorder);
    return new RecordedConnection(this.#upstreams, other, (spec, options, upstreams) => {
      const node = this.#recorder.add(spec, options, upstreams, this.#key);
      return new RecordedStream(this.#recorder, [{ node, partitioning: "forward" }]) as never;
    }) as never;
  }

  intervalJoin(other: unknown, settings: unknown, fn: unknown, options: OperatorOptions): Recorded {
    const join = intervalJoinOf(settings, fn, options);
    return this.#joined("intervalJoin", other, options, (rightKey) => {
      return { kind: "intervalJoin", join, rightKey };
    });
  }

  temporalJoin(other: unknown, ...given: readonly unknown[]): Recorded {
    const [settings, fn, named] = typeof given[0] === "function" ? [{}, ...given] : given;
    const options = named as OperatorOptions;
    const join = temporalJoinOf(settings, fn, options);
    return this.#joined("temporalJoin", other, options, (rightKey) => {
      return { kind: "temporalJoin", join, rightKey };
    });
  }

  regularJoin(other: unknown, settings: unknown, fn: unknown, options: OperatorOptions): Recorded {
    const join = regularJoinOf(settings, fn, options);
    return this.#joined("regularJoin", other, options, (rightKey) => {
      return { kind: "regularJoin", join, rightKey };
    });
  }

  windowJoin(other: unknown, settings: unknown, fn: unknown, options: OperatorOptions): Recorded {
    const join = windowJoinOf(settings, fn, options);
    return this.#joined("windowJoin", other, options, (rightKey) => {
      return { kind: "windowJoin", join, rightKey };
    });
  }

  coGroup(other: unknown, settings: unknown, fn: unknown, options: OperatorOptions): Recorded {
    const join = coGroupOf(settings, fn, options);
    return this.#joined("coGroup", other, options, (rightKey) => {
      return { kind: "coGroup", join, rightKey };
    });
  }

  dedupe(settings: DedupeOptions, options: OperatorOptions): Recorded {
    return this.#keyed({ kind: "dedupe", dedupe: dedupeOf(settings, options) }, options);
  }

  toChangelog(options: OperatorOptions): RecordedStream {
    return this.#keyed({ kind: "toChangelog" }, options);
  }

  aggregateChanges<G extends Aggregates<never>>(
    aggregates: G,
    options: OperatorOptions,
  ): RecordedStream {
    checkedAggregates(aggregates, options);
    checkedRetractable(aggregates, options);
    return this.#keyed({ kind: "aggregateChanges", aggregates }, options);
  }

  #joined(
    method: string,
    other: unknown,
    options: OperatorOptions,
    specOf: (rightKey: KeySelector) => OperatorSpec,
  ): Recorded {
    if (!(other instanceof RecordedStream)) {
      throw refusal("BAD_ARGUMENT", method, options, `was given ${shown(other)}`, "a keyed stream");
    }
    this.#refuseForeign(method, other.#recorder);
    if (this.#key === undefined || other.#key === undefined) {
      const side = this.#key === undefined ? "the left stream" : "the right stream";
      const allowed = `two keyed streams: call .keyBy((row) => …) on both`;
      throw refusal("NOT_KEYED", method, options, `needs keys, and ${side} has none`, allowed);
    }
    return this.#thenBoth(other, specOf(other.#key), options);
  }

  #paired(other: RecordedStream): RecordedPair<Recorded> {
    this.#refuseForeign("connect", other.#recorder);
    refuseHalfKeyed("connect", this.#key !== undefined, other.#key !== undefined);
    const keys = other.#key && { rightKey: other.#key };
    return new RecordedPair(keys !== undefined, (fn, options) =>
      this.#thenBoth(other, { kind: "coProcess", fn, ...keys }, options),
    );
  }

  /** Behind this stream, as input 0, and another one. */
  #thenBoth(other: RecordedStream, spec: OperatorSpec, options: OperatorOptions): Recorded {
    const right = other.#upstreams.map((upstream) => ({ ...upstream, input: 1 }));
    const node = this.#recorder.add(spec, options, [...this.#upstreams, ...right], this.#key);
    return new RecordedStream(this.#recorder, [{ node, partitioning: "forward" }]) as never;
  }

  #refuseForeign(method: string, other: GraphRecorder): void {
    if (other === this.#recorder) return;
    throw new GraphError(
      "FOREIGN_STREAM",
      `${method} in job "${this.#recorder.job}" was given a stream of job "${other.job}". A graph ` +
        `has streams of one job only; to use another job's rows, let both read the same topic.`,
    );
  }

  #keyed(spec: OperatorSpec, options: OperatorOptions): Recorded {
    if (this.#key !== undefined) return this.#then(spec, options, this.#key);
    const inputs = this.#upstreams.map((upstream) => `"${upstream.node.uid}"`).join(", ");
    throw refusal(
      "NOT_KEYED",
      spec.kind,
      options,
      `needs a key, and its input ${inputs} has none`,
      "reduce, aggregate and window on a keyed stream: call .keyBy((row) => …) right before",
    );
  }

  #then(spec: OperatorSpec, options: OperatorOptions, key?: KeySelector): Recorded {
    const node = this.#recorder.add(spec, options, this.#upstreams, key);
    return new RecordedStream(this.#recorder, [{ node, partitioning: "forward" }]) as never;
  }

  #partitioned(partitioning: Partitioning, key?: KeySelector): Recorded {
    const of = key === undefined ? {} : { key };
    const upstreams = this.#upstreams.map((one) => repartitioned(one, partitioning, of));
    return new RecordedStream(this.#recorder, upstreams, key) as never;
  }
}

const described = ({ kind }: OperatorSpec): string =>
  `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`;

function requireFunction(
  method: string,
  fn: unknown,
  options?: OperatorOptions,
  orElse = "",
): void {
  if (typeof fn === "function" && !isAsync(fn)) return;
  const allowed = `${orElse}a function that returns its result, not a promise`;
  throw refusal("BAD_ARGUMENT", method, options, `was given ${shown(fn)}`, allowed);
}

function requireName(name: unknown): asserts name is string {
  if (typeof name === "string") return;
  const allowed =
    "the names of fields; one function for all of the key: (row) => [row.a, f(row.b)]";
  const found = `was given ${shown(name)} among several parts of a key`;
  throw refusal("BAD_ARGUMENT", "keyBy", undefined, found, allowed);
}

function requireProcess(fn: unknown, options: OperatorOptions): void {
  const given = fn as Partial<ProcessFunction<never, never, unknown>> | undefined;
  const taken = Object.keys(given?.state ?? {}).find((name) => name.startsWith("timers/"));
  if (taken !== undefined) {
    const found = `has a state named "${taken}"`;
    const allowed = `names that do not begin with "timers/", where timers are kept`;
    throw refusal("BAD_ARGUMENT", "process", options, found, allowed);
  }
  if (given !== undefined && given !== null && "close" in given) refuseKeyedClose(options);
  const states: unknown[] = Object.values(given?.state ?? {});
  const whole = typeof given?.process === "function" && typeof given.state === "object";
  const isTimed = given?.onTimer === undefined || typeof given.onTimer === "function";
  if (whole && isTimed && states.every(isStateDescriptor)) return;
  throw refusal(
    "BAD_ARGUMENT",
    "process",
    options,
    `was given ${shown(fn)} that is no process function`,
    "{ state: { name: valueState() }, emits: rows(), process(row, ctx) { … } }",
  );
}

function requireUnkeyedProcess(fn: AnyProcessFunction, options: OperatorOptions): void {
  const given = fn as {
    readonly [Part in "process" | "state" | "operatorState" | "onTimer" | "close"]?: unknown;
  };
  if (typeof given?.process !== "function" || isAsync(given.process)) {
    throw refusal(
      "BAD_ARGUMENT",
      "process",
      options,
      `was given ${shown(fn)} that is no process function`,
      "{ operatorState: { name: listState() }, emits: rows(), process(row, ctx) { … } }",
    );
  }
  if (given.state !== undefined) refuseKeyedState(options);
  if (given.onTimer !== undefined) refuseUnkeyedTimer(options);
  requireClose(given.close, options);
  checkedUnkeyed(options.uid, "operatorState", given.operatorState ?? {});
}
