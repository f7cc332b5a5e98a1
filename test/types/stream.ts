// Compile-time checks of what the stream API infers and refuses. Never run: tsc is the test.

import {
  aggregatingState,
  approxCountDistinct,
  avg,
  change,
  type Change,
  count,
  collect,
  countDistinct,
  countIf,
  type DeadLetter,
  deadLetter,
  defineJob,
  files,
  generate,
  first,
  last,
  generateColumns,
  listState,
  mapState,
  max,
  min,
  outputTag,
  percentiles,
  reducingState,
  rowOf,
  type RowKind,
  rows,
  sum,
  table,
  topic,
  topN,
  unionListState,
  valueState,
  type Aggregate,
  type BroadcastStream,
  type DataStream,
  type JobEnvironment,
  type KeyedStream,
  type MapStateDescriptor,
  type ProcessedStream,
  type SideRow,
  countEvictor,
  countTrigger,
  deltaEvictor,
  globalWindow,
  monotonous,
  never,
  purging,
  session,
  sliding,
  tumbling,
  type TimeWindow,
  type Trigger,
} from "tidemark";

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const expectType = <T>() => ({ of: <G>(_value: G, _same: Same<T, G>): void => {} });

interface Flight {
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
}

interface Cancelled extends Flight {
  readonly reason: string;
}

declare const env: JobEnvironment;
const flights = env.from(topic<Flight>("flights"), { uid: "flights" });
const byOrigin = flights.keyBy((f) => f.origin);

// Arguments have the types they are read as; what has a default, or is required, is always there.
expectType<string | undefined>().of(env.parameters.get("airport"), true);
expectType<string>().of(env.parameters.get("airport", "SFO"), true);
expectType<string>().of(env.parameters.getRequired("airport"), true);
expectType<number>().of(env.parameters.getInt("worst"), true);
expectType<number>().of(env.parameters.getDouble("share", 0.5), true);
expectType<boolean>().of(env.parameters.getBoolean("late"), true);
// @ts-expect-error A number has no default that is a text.
env.parameters.getInt("worst", "10");
// @ts-expect-error They are given by whoever starts the job.
delete env.parameters;

// A stream's type follows from its functions.
expectType<DataStream<Flight>>().of(flights, true);
expectType<DataStream<number>>().of(
  flights.map((f) => f.delay, { uid: "m" }),
  true,
);
expectType<DataStream<string>>().of(
  flights.flatMap((f) => [f.origin, f.destination], { uid: "fm" }),
  true,
);
expectType<DataStream<Flight>>().of(
  flights.filter((f) => f.delay > 0, { uid: "f" }),
  true,
);
expectType<DataStream<Cancelled>>().of(
  flights.filter((f): f is Cancelled => "reason" in f, { uid: "f" }),
  true,
);
expectType<DataStream<Flight>>().of(flights.union(flights, flights).rebalance(), true);
expectType<DataStream<Flight>>().of(
  byOrigin.reduce((a, b) => (a.delay > b.delay ? a : b), { uid: "r" }),
  true,
);

// Generated rows are what their function returns, or what their columns hold.
expectType<DataStream<{ n: number }>>().of(
  env.from(
    generate((index) => ({ n: index })),
    { uid: "g" },
  ),
  true,
);
expectType<
  DataStream<{ readonly user: "ann" | "bob"; readonly n: number; readonly at: number }>
>().of(
  env.from(
    generateColumns({ user: ["ann", "bob"], n: "float64", at: "int32" }, ({ user, n, at }) => {
      expectType<Uint16Array>().of(user, true);
      expectType<Float64Array>().of(n, true);
      expectType<Int32Array>().of(at, true);
    }),
    { uid: "gc" },
  ),
  true,
);
// @ts-expect-error no type of a column
generateColumns({ n: "int64" }, () => {});

// Keys: a field, a tuple; nothing that is no key.
expectType<KeyedStream<Flight, string>>().of(byOrigin, true);
expectType<KeyedStream<Flight, readonly [string, string]>>().of(
  flights.keyBy((f) => [f.origin, f.destination]),
  true,
);
expectType<KeyedStream<Flight, string>>().of(flights.keyBy("origin"), true);
expectType<KeyedStream<Flight, readonly [string, string]>>().of(
  flights.keyBy("origin", "destination"),
  true,
);
expectType<KeyedStream<Flight, readonly [string, number, string]>>().of(
  flights.keyBy("origin", "delay", "destination"),
  true,
);
// @ts-expect-error one of them is no field of the row
flights.keyBy("origin", "carrier");
// @ts-expect-error a function makes all of a key
flights.keyBy("origin", (f) => f.delay);
// @ts-expect-error no field of the row
flights.keyBy("carrier");
declare const half: DataStream<{ readonly id?: string; readonly of: object; readonly n: 1 | 2 }>;
expectType<
  KeyedStream<{ readonly id?: string; readonly of: object; readonly n: 1 | 2 }, 1 | 2>
>().of(half.keyBy("n"), true);
// @ts-expect-error a field that may be missing
half.keyBy("id");
// @ts-expect-error a field that holds an object
half.keyBy("of");
// @ts-expect-error one of them may be missing
half.keyBy("n", "id");

// Aggregates of a field: those of numbers, by the names that the rows have.
const byName = flights.keyBy("origin").aggregate(
  {
    n: count(),
    late: countIf((f) => f.delay > 15),
    total: sum("delay"),
    mean: avg("delay"),
    least: min("delay"),
    worst: max((f) => f.delay * 2),
  },
  { uid: "by-name" },
);
byName.map(
  ({ key, ...numbers }) => {
    expectType<string>().of(key, true);
    for (const number of Object.values(numbers)) expectType<number>().of(number, true);
    return numbers.n + numbers.late + numbers.total + numbers.mean + numbers.least + numbers.worst;
  },
  { uid: "numbers" },
);
// @ts-expect-error a field of texts
flights.keyBy("origin").aggregate({ total: sum("destination") }, { uid: "x" });
// @ts-expect-error no field of the row
flights.keyBy("origin").aggregate({ worst: max("weight") }, { uid: "x" });
// @ts-expect-error a field that may be missing
half.keyBy("n").aggregate({ total: sum("id") }, { uid: "x" });

// @ts-expect-error an object is no key
flights.keyBy((f) => ({ origin: f.origin }));
// @ts-expect-error undefined is no key
flights.keyBy((f) => (f.delay > 0 ? f.origin : undefined));
// @ts-expect-error no such field
flights.keyBy((f) => f.airport);

// Aggregates get the row's type from the stream, and give the result row its fields.
const delays = byOrigin.aggregate(
  {
    flights: count(),
    delayed: countIf((f) => f.delay > 15),
    total: sum((f) => f.delay),
    meanDelay: avg((f) => f.delay),
    best: min((f) => f.delay),
    worst: max((f) => f.delay),
  },
  { uid: "by-origin" },
);
delays.map(
  (row) => {
    expectType<string>().of(row.key, true);
    expectType<number>().of(row.meanDelay, true);
    // @ts-expect-error no such aggregate
    return row.median;
  },
  { uid: "m" },
);
byOrigin.aggregate(
  {
    // @ts-expect-error no such field
    wrong: sum((f) => f.distance),
    // @ts-expect-error not a number
    text: max((f) => f.origin),
  },
  { uid: "a" },
);
// @ts-expect-error `key` holds the stream's key
byOrigin.aggregate({ key: count() }, { uid: "a" });

const longest: Aggregate<{ readonly origin: string }, { held: string }, string> = {
  create: () => ({ held: "" }),
  add: (a, row) => (row.origin.length > a.held.length ? { held: row.origin } : a),
  merge: (a, b) => (b.held.length > a.held.length ? b : a),
  result: (a) => a.held,
};
byOrigin.aggregate({ longest, flights: count() }, { uid: "a" }).map(
  (row) => {
    expectType<string>().of(row.longest, true);
    return row;
  },
  { uid: "m" },
);
declare const ofOtherRows: Aggregate<{ readonly temperature: number }, number, number>;
// @ts-expect-error its rows are not flights
byOrigin.aggregate({ ofOtherRows }, { uid: "a" });

// A process function: only what has no value to be inferred from is declared.
const changes = byOrigin.process(
  {
    state: { last: valueState<number>(), seen: valueState({ default: 0 }) },
    emits: rows<{ readonly key: string; readonly change: number }>(),
    process(flight, ctx) {
      expectType<Flight>().of(flight, true);
      expectType<string>().of(ctx.key, true);
      expectType<number | undefined>().of(ctx.state.last.get(), true);
      expectType<number>().of(ctx.state.seen.get(), true);
      ctx.state.last.set(flight.delay);
      ctx.state.seen.clear();
      ctx.emit({ key: ctx.key, change: 1 });
      // @ts-expect-error not the state's type
      ctx.state.last.set("late");
      // @ts-expect-error no such state
      ctx.state.first.get();
      // @ts-expect-error not the emitted row
      ctx.emit({ key: ctx.key });
    },
  },
  { uid: "changes" },
);
expectType<ProcessedStream<{ readonly key: string; readonly change: number }>>().of(changes, true);

// Tables: a `key` field, or a function that says what the key is.
delays.to(table("delays"), { uid: "out" });
changes.to(table("changes"), { uid: "out" });
flights.to(table("last", { key: (f) => [f.origin, f.destination] }), { uid: "out" });
// @ts-expect-error flights have no field `key`
flights.to(table("last"), { uid: "out" });
// @ts-expect-error an object is no key
flights.to(table("last", { key: (f) => f }), { uid: "out" });

// Files: a partition of the row, if any.
flights.to(files("all"), { uid: "out" });
flights.to(files("by-origin", { partition: (f) => [["origin", f.origin]] }), { uid: "out" });
flights.to(files("by-origin", { partition: (f) => `origin=${f.origin}` }), { uid: "out" });
// @ts-expect-error flights have no such field
flights.to(files("by-gate", { partition: (f) => [["gate", f.gate]] }), { uid: "out" });
// @ts-expect-error an object is no partition
flights.to(files("by-origin", { partition: (f) => f }), { uid: "out" });
// @ts-expect-error these are files of other rows
flights.to(files("others", { partition: (n: number) => `n=${n}` }), { uid: "out" });

topic<Flight>("flights", { partitions: 4, key: (f) => f.origin });
topic<Flight>("flights", { partitions: 4, key: "origin" });
// @ts-expect-error flights have no such field
topic<Flight>("flights", { partitions: 4, key: "no-such-field" });

// State needs a key, and an operator a uid.
// @ts-expect-error not keyed
flights.aggregate({ flights: count() }, { uid: "a" });
// @ts-expect-error not keyed
flights.reduce((a) => a, { uid: "r" });
// @ts-expect-error no uid
flights.map((f) => f);
// @ts-expect-error no uid
flights.map((f) => f, { parallelism: 2 });
// @ts-expect-error a predicate, not a promise
flights.filter(async (f) => f.delay > 0, { uid: "f" });
// @ts-expect-error streams of different rows
flights.union(flights.map((f) => f.delay, { uid: "m" }));

// Options: durations are numbers or texts with a unit.
defineJob("a", () => {}, { checkpointing: { interval: "500 ms", timeout: "10min", minPause: 5 } });
// @ts-expect-error no such unit
defineJob("a", () => {}, { checkpointing: { interval: "2 weeks" } });
// @ts-expect-error no such option
defineJob("a", () => {}, { checkpointing: { every: "1s" } });
// @ts-expect-error one of two modes
defineJob("a", () => {}, { checkpointing: { mode: "AT_MOST_ONCE" } });

// States of process functions: each kind gives what it holds.
byOrigin.process(
  {
    state: {
      list: listState<number>({ ttl: "1 h" }),
      map: mapState<[string, number], Flight>(),
      worst: reducingState((a: number, b: number) => Math.max(a, b)),
      mean: aggregatingState(avg((f: Flight) => f.delay)),
      plain: valueState<string>({ version: 2, migrate: (old) => String(old) }),
    },
    emits: rows<number>(),
    process(f, { state }) {
      expectType<readonly number[]>().of(state.list.get(), true);
      expectType<Flight | undefined>().of(state.map.get(["a", 1]), true);
      expectType<number | undefined>().of(state.worst.get(), true);
      expectType<number | undefined>().of(state.mean.get(), true);
      expectType<string | undefined>().of(state.plain.get(), true);
      state.mean.add(f);
      // @ts-expect-error the aggregate takes flights
      state.mean.add(f.delay);
      // @ts-expect-error no such element
      state.list.add("late");
      // @ts-expect-error the map has pairs as keys
      state.map.set("a", f);
      // @ts-expect-error a list has no value to set
      state.list.set(1);
    },
  },
  { uid: "kinds" },
);

// Broadcast state: written by one side, read by both.
interface Rule {
  readonly carrier: string;
  readonly most: number;
}
const rules = env.from(topic<Rule>("rules"), { uid: "rules" });
const limits = rules.broadcast({ limits: mapState<string, Rule>() });
expectType<BroadcastStream<Rule, { limits: MapStateDescriptor<string, Rule> }>>().of(limits, true);
const over = byOrigin.connect(limits).process(
  {
    state: { total: valueState({ default: 0 }) },
    emits: rows<{ key: string; total: number }>(),
    process(f, ctx) {
      expectType<Flight>().of(f, true);
      expectType<string>().of(ctx.key, true);
      expectType<Rule | undefined>().of(ctx.broadcast.limits.get(f.origin), true);
      expectType<number>().of(ctx.state.total.get(), true);
      ctx.emit({ key: ctx.key, total: f.delay });
      // @ts-expect-error the copies would drift apart
      ctx.broadcast.limits.set(f.origin, { carrier: "", most: 1 });
      // @ts-expect-error no such state
      ctx.broadcast.others.get(f.origin);
    },
    processBroadcast(rule, ctx) {
      expectType<Rule>().of(rule, true);
      ctx.broadcast.limits.set(rule.carrier, rule);
      ctx.broadcast.limits.delete(rule.carrier);
      ctx.emit({ key: rule.carrier, total: rule.most });
      // @ts-expect-error the values are rules
      ctx.broadcast.limits.set(rule.carrier, rule.most);
      // @ts-expect-error a broadcast row has no key, and so no state of one
      ctx.state.total.set(1);
    },
    onTimer(time, ctx) {
      ctx.timers.registerProcessingTime(time + ctx.state.total.get());
      expectType<Rule | undefined>().of(ctx.broadcast.limits.get(ctx.key), true);
      // @ts-expect-error a timer reaches one subtask alone
      ctx.broadcast.limits.clear();
    },
  },
  { uid: "over" },
);
expectType<ProcessedStream<{ key: string; total: number }>>().of(over, true);
const beside = flights.connect(limits).process(
  {
    emits: rows<string>(),
    process(f, ctx) {
      expectType<Flight>().of(f, true);
      for (const [carrier, rule] of ctx.broadcast.limits.entries()) {
        expectType<string>().of(carrier, true);
        expectType<Rule>().of(rule, true);
      }
      // @ts-expect-error without a key
      ctx.state.total.get();
    },
    processBroadcast: (rule, ctx) => ctx.broadcast.limits.set(rule.carrier, rule),
  },
  { uid: "beside" },
);
expectType<ProcessedStream<string>>().of(beside, true);
// @ts-expect-error broadcast state is maps
rules.broadcast({ limits: listState<Rule>() });

// Two streams: keys of one type, or none.
const paired = byOrigin.connect(rules.keyBy((rule) => rule.carrier)).process(
  {
    state: { most: valueState<number>() },
    emits: rows<{ key: string; most: number }>(),
    processLeft(f, ctx) {
      expectType<Flight>().of(f, true);
      expectType<string>().of(ctx.key, true);
      ctx.state.most.set(f.delay);
    },
    processRight(rule, ctx) {
      expectType<Rule>().of(rule, true);
      expectType<number | undefined>().of(ctx.state.most.get(), true);
      ctx.emit({ key: ctx.key, most: rule.most });
      // @ts-expect-error not the emitted row
      ctx.emit(rule);
    },
    onTimer: (time, ctx) => ctx.state.most.set(time),
  },
  { uid: "paired" },
);
expectType<ProcessedStream<{ key: string; most: number }>>().of(paired, true);
flights.connect(rules).process(
  {
    emits: rows<number>(),
    processLeft: (f, ctx) => ctx.emit(f.delay),
    processRight: (rule, ctx) => ctx.emit(rule.most + ctx.now() + ctx.random()),
    close: (ctx) => ctx.emit(0),
  },
  { uid: "unpaired" },
);
// @ts-expect-error keys of two types
byOrigin.connect(rules.keyBy((rule) => rule.most));
// @ts-expect-error a key on one side only
byOrigin.connect(rules);
// @ts-expect-error a key on one side only
flights.connect(rules.keyBy((rule) => rule.carrier));

// Side outputs: rows of the type of their tag.
const diverted = outputTag<Flight>("diverted");
const sorted = flights.process(
  {
    emits: rows<number>(),
    process(f, { emit, output }) {
      emit(f.delay);
      output(diverted, f);
      // @ts-expect-error the tag's rows are flights
      output(diverted, f.delay);
      // @ts-expect-error a name is no tag
      output("diverted", f);
    },
  },
  { uid: "sorted" },
);
expectType<DataStream<Flight>>().of(sorted.sideOutput(diverted), true);
// @ts-expect-error a tag of less is no tag of more
const _cancelled: DataStream<Cancelled> = sorted.sideOutput(diverted);
// @ts-expect-error a map has no side outputs
flights.map((f) => f, { uid: "m" }).sideOutput(diverted);
// @ts-expect-error no rows in two places
sorted.rebalance().sideOutput(diverted);

// Partitions of one's own: the function is given the key that the selector makes.
const partitioned = flights.partitionCustom(
  (f) => [f.origin, f.delay] as const,
  ([origin, delay], subtasks) => {
    expectType<string>().of(origin, true);
    expectType<number>().of(delay, true);
    expectType<number>().of(subtasks, true);
    return (origin.length + delay) % subtasks;
  },
);
expectType<DataStream<Flight>>().of(partitioned, true);
flights.partitionCustom(
  (f) => f.delay,
  // @ts-expect-error the key is a number
  (key: string) => key.length,
);
flights.partitionCustom(
  // @ts-expect-error an object is no key
  (f) => f,
  () => 0,
);
flights.partitionCustom(
  (f) => f.origin,
  // @ts-expect-error a subtask is known by its number
  (origin) => origin,
);
// @ts-expect-error its rows have no key
partitioned.reduce((a) => a, { uid: "reduced" });

// Joins: of keys of one type, with functions of both rows.
const byCarrier = rules.keyBy((rule) => rule.carrier);
const lateFlights = outputTag<Flight>("late-flights");
const near = byOrigin.intervalJoin(
  byCarrier,
  { between: ["-5 min", 3_600_000], lateLeft: lateFlights },
  (f, rule) => {
    expectType<Flight>().of(f, true);
    expectType<Rule>().of(rule, true);
    return { key: f.origin, most: rule.most };
  },
  { uid: "near" },
);
expectType<ProcessedStream<{ key: string; most: number }>>().of(near, true);
byOrigin.intervalJoin(
  // @ts-expect-error the tag has other rows
  byCarrier,
  { between: [0, 1], lateRight: lateFlights },
  () => 0,
  { uid: "near" },
);
byOrigin.intervalJoin(
  byCarrier,
  // @ts-expect-error no such unit
  { between: [0, "1 week"] },
  () => 0,
  { uid: "near" },
);
// @ts-expect-error keys of two types
byOrigin.intervalJoin(rules.keyBy("most"), { between: [0, 1] }, () => 0, { uid: "near" });
// @ts-expect-error no key
byOrigin.intervalJoin(rules, { between: [0, 1] }, () => 0, { uid: "near" });
const valid = byOrigin.temporalJoin(
  byCarrier,
  (f, rule) => {
    expectType<Rule>().of(rule, true);
    return f.delay > rule.most;
  },
  { uid: "valid" },
);
expectType<ProcessedStream<boolean>>().of(valid, true);
byOrigin.temporalJoin(
  byCarrier,
  { type: "left" },
  (f, rule) => {
    expectType<Rule | undefined>().of(rule, true);
    // @ts-expect-error there may be none
    return f.delay > rule.most;
  },
  { uid: "valid" },
);
expectType<DataStream<string>>().of(
  byOrigin.regularJoin(byCarrier, { ttl: "1 d" }, (f, rule) => f.origin + rule.carrier, {
    uid: "all",
  }),
  true,
);
const joinedByHour = byOrigin.windowJoin(
  byCarrier,
  { window: tumbling("1h"), allowedLateness: "1 min", lateLeft: lateFlights },
  (f, rule) => {
    expectType<Flight>().of(f, true);
    expectType<Rule>().of(rule, true);
    return f.delay > rule.most;
  },
  { uid: "by-hour" },
);
expectType<ProcessedStream<boolean>>().of(joinedByHour, true);
byOrigin.windowJoin(
  byCarrier,
  { window: tumbling("1h"), type: "left" },
  // @ts-expect-error there may be none
  (f, rule) => f.delay > rule.most,
  { uid: "by-hour" },
);
byOrigin.windowJoin(
  byCarrier,
  { window: tumbling("1h"), type: "full", trigger: countTrigger(2), evictor: countEvictor(1) },
  (f, rule) => {
    expectType<Flight | undefined>().of(f, true);
    expectType<Rule | undefined>().of(rule, true);
    return 0;
  },
  { uid: "by-hour" },
);
byOrigin.windowJoin(
  // @ts-expect-error the tag has other rows
  byCarrier,
  { window: tumbling("1h"), lateRight: lateFlights },
  () => 0,
  { uid: "by-hour" },
);
// @ts-expect-error no windows
byOrigin.windowJoin(byCarrier, {}, () => 0, { uid: "by-hour" });
const grouped = byOrigin.coGroup(
  byCarrier,
  {
    window: {
      assign: (row, timestamp) => {
        expectType<SideRow<Flight, Rule>>().of(row, true);
        return [
          {
            start: timestamp,
            end: timestamp + (row.left === undefined ? row.right.most : row.left.delay),
          },
        ];
      },
    },
  },
  {
    emits: rows<number>(),
    process({ key, window, emit }, lefts, rights) {
      expectType<string>().of(key, true);
      expectType<readonly Flight[]>().of(lefts, true);
      expectType<readonly Rule[]>().of(rights, true);
      emit(window.end);
      // @ts-expect-error it says that it emits numbers
      emit(lefts);
    },
  },
  { uid: "grouped" },
);
expectType<ProcessedStream<number>>().of(grouped, true);
expectType<DataStream<Change<{ o: string; most: number | undefined }>>>().of(
  byOrigin.regularJoin(
    byCarrier,
    { type: "left" },
    (f, rule) => ({ o: f.origin, most: rule?.most }),
    { uid: "left" },
  ),
  true,
);
byOrigin.regularJoin(
  byCarrier,
  { type: "full" },
  // @ts-expect-error either may be missing
  (f, rule) => ({ o: f.origin, most: rule?.most }),
  { uid: "full" },
);
const priceChanges = byOrigin.toChangelog({ uid: "changes" });
expectType<DataStream<Change<Flight>>>().of(priceChanges, true);
const perOrigin = priceChanges
  .keyBy("origin")
  .aggregateChanges({ mean: avg("delay"), n: count() }, { uid: "mean" });
expectType<
  DataStream<Change<{ readonly key: string } & { readonly mean: number; readonly n: number }>>
>().of(perOrigin, true);
perOrigin.to(table("means"), { uid: "means" });
expectType<DataStream<RowKind>>().of(
  priceChanges.map(({ $kind }) => $kind, { uid: "kinds" }),
  true,
);
expectType<DataStream<Omit<Change<Flight>, "$kind">>>().of(
  priceChanges.map((row) => rowOf(row), { uid: "rows" }),
  true,
);
// @ts-expect-error a change is made of an object
change.insert("row");
expectType<DataStream<Flight>>().of(byOrigin.dedupe({ keep: "first" }, { uid: "once" }), true);
// @ts-expect-error first or last
byOrigin.dedupe({ keep: "best" }, { uid: "once" });

// Operator state: lists, on streams without keys.
const batched = flights.process(
  {
    operatorState: { buffer: listState<Flight>(), done: unionListState<number>() },
    emits: rows<readonly Flight[]>(),
    process(f, { operatorState: { buffer, done }, emit }) {
      buffer.add(f);
      expectType<readonly Flight[]>().of(buffer.get(), true);
      expectType<readonly number[]>().of(done.get(), true);
      emit(buffer.get());
      // @ts-expect-error no such element
      done.add(f);
    },
  },
  { uid: "batched" },
);
expectType<ProcessedStream<readonly Flight[]>>().of(batched, true);
flights.process(
  { emits: rows<number>(), process: (f, ctx) => ctx.emit(f.delay) },
  { uid: "plain" },
);
flights.process(
  // @ts-expect-error a value needs a key
  { operatorState: { last: valueState<number>() }, emits: rows<number>(), process: () => {} },
  { uid: "wrong" },
);
byOrigin.process(
  // @ts-expect-error a union list has no key
  { state: { all: unionListState<number>() }, emits: rows<number>(), process: () => {} },
  { uid: "wrong" },
);

// @ts-expect-error no unit of time
valueState<number>({ ttl: "1 fortnight" });
// @ts-expect-error the values are numbers
valueState<number>({ version: 2, migrate: (old) => String(old) });

// What becomes of rows that code throws on: the letter's topic needs no type, and may have one.
flights.map((f) => f.delay, { uid: "m", onError: "drop" });
flights.map((f) => f.delay, { uid: "m", onError: deadLetter(topic("dead")) });
const dead = topic<DeadLetter<Flight>>("dead", { partitions: 1 });
flights.map((f) => f.delay, { uid: "m", onError: deadLetter(dead) });
defineJob("dead", () => {}, { onError: deadLetter(dead) });
expectType<DataStream<Flight>>().of(
  env.from(dead, { uid: "letters" }).map((letter) => letter.value, { uid: "values" }),
  true,
);
// @ts-expect-error no such policy
flights.map((f) => f.delay, { uid: "m", onError: "ignore" });
// @ts-expect-error a topic is no policy
flights.map((f) => f.delay, { uid: "m", onError: dead });
// @ts-expect-error the rows of that topic are not dead letters
flights.map((f) => f.delay, { uid: "m", onError: deadLetter(topic<Flight>("flights")) });
// @ts-expect-error a source runs no code of the user's
env.from(topic<Flight>("flights"), { uid: "in", onError: "drop" });

// Timers have the key's type and its states.
byOrigin.process(
  {
    state: { last: valueState<Flight>() },
    emits: rows<{ origin: string; quietSince: number }>(),
    process(flight, ctx) {
      ctx.state.last.set(flight);
      ctx.timers.registerProcessingTime(ctx.timers.currentProcessingTime() + 60_000);
    },
    onTimer(time, ctx) {
      expectType<Flight | undefined>().of(ctx.state.last.get(), true);
      ctx.emit({ origin: ctx.key, quietSince: time });
      // @ts-expect-error no row of that type
      ctx.emit({ origin: 1 });
    },
  },
  { uid: "quiet" },
);

// Aggregates that keep values have their types.
const kept = flights.keyBy("origin").aggregate(
  {
    to: countDistinct("destination"),
    firstDelay: first("delay"),
    opened: first((f) => f),
    worst: topN(3, "delay"),
    early: topN(1, (f) => -f.delay, { order: "least" }),
    all: collect((f) => f.destination),
    tail: percentiles([0.99], "delay"),
  },
  { uid: "kept" },
);
kept.map(
  ({ key, to, firstDelay, opened, worst, early, all, tail }) => {
    expectType<string>().of(key, true);
    expectType<number>().of(to, true);
    expectType<number>().of(firstDelay, true);
    expectType<Flight>().of(opened, true);
    expectType<readonly Flight[]>().of(worst, true);
    expectType<readonly Flight[]>().of(early, true);
    expectType<readonly string[]>().of(all, true);
    expectType<readonly number[]>().of(tail, true);
    return key;
  },
  { uid: "kept-key" },
);
// @ts-expect-error: rows have no such field.
flights.keyBy("origin").aggregate({ n: countDistinct("nothing") }, { uid: "x" });
// @ts-expect-error: a percentile is of numbers.
flights.keyBy("origin").aggregate({ n: percentiles([0.5], "origin") }, { uid: "x" });

// Windows have the rows of the stream, its key, and of their own kind only what they have.
const timed = env
  .from(topic<Flight & { readonly at: number }>("timed"), {
    uid: "timed",
    watermarks: monotonous({ timestamp: "at" }),
  })
  .keyBy("origin");
type Timed = Flight & { readonly at: number };
const windowed = timed.window(sliding("6h", "1h", { offset: "-30 min" }));
windowed.aggregate({ n: count(), delay: sum("delay") }, { uid: "w" }).map(
  ({ key, windowStart, windowEnd, n, delay }) => {
    expectType<string>().of(key, true);
    expectType<number>().of(windowStart, true);
    expectType<number>().of(windowEnd, true);
    expectType<number>().of(n, true);
    expectType<number>().of(delay, true);
    return key;
  },
  { uid: "wm" },
);
expectType<ProcessedStream<Timed>>().of(
  windowed.reduce((a, b) => (a.delay > b.delay ? a : b), { uid: "wr" }),
  true,
);
expectType<ProcessedStream<number>>().of(
  windowed.trigger(purging(countTrigger(10))).process(
    {
      emits: rows<number>(),
      process({ key, window, emit }, all) {
        expectType<string>().of(key, true);
        expectType<TimeWindow>().of(window, true);
        expectType<readonly Timed[]>().of(all, true);
        emit(window.end - window.start);
        // @ts-expect-error no row of that type
        emit(key);
      },
    },
    { uid: "wp" },
  ),
  true,
);
expectType<ProcessedStream<string>>().of(
  windowed.aggregate(
    { n: count() },
    {
      emits: rows<string>(),
      process({ key, emit }, { n }) {
        expectType<number>().of(n, true);
        emit(key.repeat(n));
      },
    },
    { uid: "wap" },
  ),
  true,
);
const counted = timed.window(globalWindow()).trigger(countTrigger(3));
counted.aggregate({ n: count() }, { uid: "g" }).map(
  (row) => {
    expectType<number>().of(row.n, true);
    // @ts-expect-error a global window begins and ends nowhere
    return row.windowStart;
  },
  { uid: "gm" },
);
timed.window(session((flight) => flight.delay * 1_000)).aggregate({ n: count() }, { uid: "s" });
windowed.evictor(deltaEvictor(5, (a: Timed, b) => a.delay - b.delay));
windowed.evictor({ before: (held) => held.filter(({ row, timestamp }) => row.delay > timestamp) });
windowed.trigger({
  onElement: ({ delay }) => (delay > 60 ? "FIRE" : "CONTINUE"),
  onEventTime: () => "CONTINUE",
  onProcessingTime: () => "CONTINUE",
  clear() {},
});
windowed.lateOutput(outputTag<Timed>("late"));
windowed.lateOutput(outputTag<Flight>("late"));
// @ts-expect-error rows are no such rows
windowed.lateOutput(outputTag<number>("late"));
// @ts-expect-error the window's end has that name
windowed.aggregate({ windowEnd: count() }, { uid: "w" });
// @ts-expect-error no number is there
windowed.aggregate({ n: sum("origin") }, { uid: "w" });
// @ts-expect-error without a key there are no windows
flights.window(tumbling("1h"));
// @ts-expect-error no result of a trigger
windowed.trigger({ ...never(), onElement: () => "STOP" });

// ---- Functions that answer later

declare const flightsToAsk: DataStream<Flight>;

const asked = flightsToAsk.asyncMap(
  async ({ origin, delay }, { signal }) => ({ origin, hours: delay / 60, signal: signal.aborted }),
  {
    uid: "asked",
    order: "unordered",
    timeout: "5s",
    retry: {
      attempts: 3,
      delay: "1s",
      when: (error) => error instanceof TypeError,
      whenResult: ({ hours }) => hours < 0,
    },
  },
);
expectType<DataStream<{ origin: string; hours: number; signal: boolean }>>().of(asked, true);
expectType<DataStream<number>>().of(
  flightsToAsk.asyncMap(({ delay }) => delay, { uid: "at-once" }),
  true,
);
expectType<DataStream<number | null>>().of(
  flightsToAsk.asyncMap(async ({ delay }) => delay, { uid: "in-time", onTimeout: () => null }),
  true,
);
// @ts-expect-error: there is no such order
flightsToAsk.asyncMap(async (flight) => flight, { uid: "some", order: "random" });

declare function cityOf(airport: string): Promise<{ readonly city: string } | null>;

expectType<DataStream<{ city: string; delay: number }>>().of(
  flightsToAsk.lookupJoin(
    { key: "origin", load: (airport) => cityOf(airport), cache: { size: 10, ttl: "1 min" } },
    ({ delay }, { city }) => ({ city, delay }),
    { uid: "cities" },
  ),
  true,
);
expectType<DataStream<string | undefined>>().of(
  flightsToAsk.lookupJoin(
    {
      type: "left",
      key: ({ origin, destination }) => [origin, destination],
      loadMany: async (routes) =>
        routes.map(([from, to]) => (from < to ? `${from}-${to}` : undefined)),
    },
    (_, route) => route,
    { uid: "routes" },
  ),
  true,
);
flightsToAsk.lookupJoin(
  // @ts-expect-error: keys are texts
  { key: "origin", load: (airport: number) => airport },
  (_, found) => found,
  { uid: "numbers" },
);
// @ts-expect-error: one way to look it up
flightsToAsk.lookupJoin({ key: "origin" }, (_, found) => found, { uid: "nothing" });

// Aggregates of fields that a row may lack, or that are not there.
interface Click {
  readonly user: string;
  readonly ms: number;
  readonly page?: string;
  readonly tags?: readonly string[];
}
const clicks = env.from(topic<Click>("clicks"), { uid: "clicks" }).keyBy("user");
clicks
  .aggregate(
    {
      first: first("page"),
      last: last("page"),
      all: collect("page"),
      pages: countDistinct("page"),
      about: approxCountDistinct("page"),
      who: first("user"),
      times: collect("ms"),
    },
    { uid: "pages" },
  )
  .map(
    (row) => {
      expectType<string | undefined>().of(row.first, true);
      expectType<string | undefined>().of(row.last, true);
      expectType<readonly (string | undefined)[]>().of(row.all, true);
      expectType<number>().of(row.pages, true);
      expectType<number>().of(row.about, true);
      expectType<string>().of(row.who, true);
      expectType<readonly number[]>().of(row.times, true);
      return row;
    },
    { uid: "paged" },
  );
// @ts-expect-error rows have no such field
clicks.aggregate({ n: first("pages") }, { uid: "no-first" });
// @ts-expect-error rows have no such field
clicks.aggregate({ n: last("pages") }, { uid: "no-last" });
// @ts-expect-error rows have no such field
clicks.aggregate({ n: collect("pages") }, { uid: "no-collect" });
// @ts-expect-error rows have no such field
clicks.aggregate({ n: countDistinct("pages") }, { uid: "no-distinct" });
// @ts-expect-error a list cannot be told from another
clicks.aggregate({ n: countDistinct("tags") }, { uid: "no-tags" });
// @ts-expect-error of a row that has no number there is no sum
clicks.aggregate({ n: sum("page") }, { uid: "no-sum" });

// The state of a trigger has the type that is written of it, and none of its own.
const byDelay: Trigger<Timed, number> = {
  onElement({ delay }, _timestamp, _window, ctx) {
    expectType<number | undefined>().of(ctx.state.get(), true);
    ctx.state.set(delay);
    // @ts-expect-error it is a number
    ctx.state.set("late");
    return "CONTINUE";
  },
  onEventTime: () => "FIRE",
  onProcessingTime: () => "CONTINUE",
  onMerge(_window, ctx) {
    expectType<readonly number[]>().of(ctx.merged, true);
  },
  clear() {},
};
windowed.trigger(byDelay).aggregate({ n: count() }, { uid: "by-delay" });
windowed.trigger(purging(byDelay)).aggregate({ n: count() }, { uid: "by-delay-purged" });
windowed.trigger({
  onElement(_row, _at, _window, ctx) {
    expectType<unknown>().of(ctx.state.get(), true);
    return "CONTINUE";
  },
  onEventTime: () => "CONTINUE",
  onProcessingTime: () => "CONTINUE",
  clear() {},
});
// @ts-expect-error a trigger of rows that these are not
windowed.trigger({} as Trigger<{ readonly weight: number }, number>);
