// What each operator holds once all is over: rows have come, event time has come to its end, and so has
// the clock to all that is due by it. Nothing, or what is meant to stay for ever: that is said here by state.
// An operator that keeps anything cannot be left out (test/repository/leaks.ts).

import { expect, test } from "vitest";

import { allKeyGroups } from "../../format/key-groups.ts";
import type { Manifest } from "../../format/manifest.ts";
import { readSegment } from "../../format/segment.ts";
import {
  aggregatingState,
  boundedOutOfOrderness,
  change,
  continuousEventTime,
  continuousProcessingTime,
  count,
  countEvictor,
  countTrigger,
  type DataStream,
  discard,
  files,
  globalWindow,
  listState,
  mapState,
  outputTag,
  purging,
  reducingState,
  rows,
  session,
  sliding,
  sum,
  table,
  tumbling,
  valueState,
} from "tidemark";
import { operatorHarness, type OperatorHarness } from "tidemark/testing";

interface Item {
  readonly side: "left" | "right";
  readonly k: string;
  readonly n: number;
}

type Stream = DataStream<Item>;

interface Case {
  /** The file of the operator. */
  readonly of: string;
  readonly what: string;
  /** Puts the operator, of the uid "op", behind the rows of both sides. */
  readonly build: (left: Stream, right: Stream) => DataStream<unknown>;
  /** Entries that are to stay, by state, and why. */
  readonly stays?: Readonly<Record<string, number>>;
  readonly why?: string;
}

const op = { uid: "op" };
const byKey = (stream: Stream) => stream.keyBy("k");
const pair = (left: Item | undefined, right: Item | undefined) => [left?.n, right?.n];
const rowsOf = { emits: rows<number>(), process: (_: unknown, all: readonly Item[]) => void all };
const pairOf = (left: Item | undefined, right: Item | undefined) => ({ of: pair(left, right) });
const late = outputTag<Item>("late");
const ttl = "1 min";

/** Each row of the left side comes and is deleted by the next one of its key. */
const comingAndGoing = (left: Stream) =>
  left.map(
    (row) => {
      // The rows of "a" have 0 and 2 of every round, those of "b" 1 of every round.
      if (row.n % (row.k === "a" ? 6 : 12) < 2) return change.insert(row);
      return change.delete({ ...row, n: row.n - (row.k === "a" ? 2 : 6) });
    },
    { uid: "changes" },
  );

/** Each state of a key is set by its rows and cleared by a timer. */
const everything = {
  state: {
    value: valueState<number>(),
    list: listState<number>(),
    map: mapState<string, number>(),
    reducing: reducingState<number>((a, b) => a + b),
    aggregating: aggregatingState(sum((item: Item) => item.n)),
  },
  emits: rows<number>(),
};

const cases: readonly Case[] = [
  {
    of: "process.ts",
    what: "states that timers clear",
    build: (left) =>
      byKey(left).process(
        {
          ...everything,
          process(row, { state, timers, timestamp = 0 }) {
            state.value.set(row.n);
            state.list.add(row.n, 2);
            state.map.set(`${row.n}`, 1);
            state.reducing.add(row.n);
            state.aggregating.add(row);
            timers.registerEventTime(timestamp + 1_000);
            timers.registerProcessingTime(timers.currentProcessingTime() + 500);
            timers.deleteEventTime(timestamp + 2_000);
          },
          onTimer(_, { state }) {
            for (const one of Object.values(state)) one.clear();
          },
        },
        op,
      ),
  },
  {
    of: "process.ts",
    what: "states that expire",
    build: (left) =>
      byKey(left).process(
        {
          state: { value: valueState<number>({ ttl }), list: listState<number>({ ttl }) },
          emits: rows<number>(),
          process({ n }, { state }) {
            state.value.set(n);
            state.list.add(n);
          },
        },
        op,
      ),
  },
  {
    of: "process.ts",
    what: "both sides of a connection",
    build: (left, right) =>
      byKey(left)
        .connect(byKey(right))
        .process(
          {
            state: { seen: valueState<number>() },
            emits: rows<number>(),
            processLeft: ({ n }, { state }) => state.seen.set(n),
            processRight: (_, { timers, timestamp = 0 }) => timers.registerEventTime(timestamp + 9),
            onTimer: (_, { state }) => state.seen.clear(),
          },
          op,
        ),
  },
  {
    of: "process.ts",
    what: "numbers that are drawn",
    build: (left) =>
      byKey(left).process(
        { state: {}, emits: rows<number>(), process: (_, ctx) => ctx.emit(ctx.random()) },
        op,
      ),
    stays: { "ctx/random": 1 },
    why: "the sequence goes on where it was",
  },
  {
    of: "unkeyed-process.ts",
    what: "a list that close empties",
    build: (left) =>
      left.process(
        {
          operatorState: { buffer: listState<number>() },
          emits: rows<number>(),
          process: ({ n }, { operatorState }) => operatorState.buffer.add(n),
          close: ({ operatorState }) => operatorState.buffer.clear(),
        },
        op,
      ),
    stays: { closed: 1 },
    why: "a function is closed once",
  },
  {
    of: "broadcast-process.ts",
    what: "rules that are taken back",
    build: (left, right) =>
      byKey(left)
        .connect(right.broadcast({ rules: mapState<string, number>() }))
        .process(
          {
            state: { seen: valueState<number>() },
            emits: rows<number>(),
            process(row, { state, timers, timestamp = 0 }) {
              state.seen.set(row.n);
              timers.registerEventTime(timestamp + 9);
            },
            processBroadcast(row, { broadcast: { rules } }) {
              if (rules.has(row.k)) rules.delete(row.k);
              else rules.set(row.k, row.n);
            },
            onTimer: (_, { state }) => state.seen.clear(),
          },
          op,
        ),
  },
  {
    of: "reduce.ts",
    what: "a fold",
    build: (left) => byKey(left).reduce((a, b) => (a.n > b.n ? a : b), op),
    stays: { reduced: 2 },
    why: "of all rows of a key, for ever",
  },
  {
    of: "aggregate.ts",
    what: "aggregates",
    build: (left) => byKey(left).aggregate({ n: count() }, op),
    stays: { accumulators: 2 },
    why: "of all rows of a key, for ever",
  },
  {
    of: "changelog.ts",
    what: "the last rows of keys",
    build: (left) => byKey(left).toChangelog(op),
    stays: { last: 2 },
    why: "the next row of the key takes it back",
  },
  {
    of: "changelog.ts",
    what: "the last rows of keys, until they are deleted",
    build: (left) => comingAndGoing(left).keyBy("k").toChangelog(op),
  },
  {
    of: "changelog.ts",
    what: "aggregates, until their last row is taken back",
    build: (left) =>
      comingAndGoing(left)
        .keyBy("k")
        .aggregateChanges({ n: count(), sum: sum("n") }, op),
  },
  {
    of: "files.ts",
    what: "rows on their way into files",
    build(left) {
      left.to(files("kept"), op);
      return left;
    },
    stays: { files: 1 },
    why: "how many times there were files, by which those of no checkpoint are told apart",
  },
  {
    of: "table.ts",
    what: "a table",
    build(left) {
      left.to(table("kept", { key: ({ k }) => k }), op);
      return left;
    },
    stays: { rows: 2 },
    why: "it is the result",
  },
  {
    of: "timestamps-assigner.ts",
    what: "event times",
    build: (left) =>
      left.assignTimestampsAndWatermarks(boundedOutOfOrderness(0, { timestamp: "n" }), op),
    stays: { watermarks: 1 },
    why: "how far its rows had come",
  },
  {
    of: "async-map.ts",
    what: "calls",
    build: (left) => left.asyncMap(async ({ n }) => Promise.resolve(n), op),
  },
  {
    of: "lookup-join.ts",
    what: "rows whose keys are looked up",
    build: (left) =>
      left.lookupJoin(
        { type: "left", key: "k", load: async (k) => Promise.resolve(k) },
        ({ n }, found) => [n, found],
        op,
      ),
  },
  ...(["first", "last"] as const).map((keep) => ({
    of: "dedupe.ts",
    what: `the ${keep} rows of keys, until they expire`,
    build: (left: Stream) => byKey(left).dedupe({ keep, ttl }, op),
  })),
  {
    of: "interval-join.ts",
    what: "rows of both sides",
    build: (left, right) =>
      byKey(left).intervalJoin(byKey(right), { between: [-500, 700], lateLeft: late }, pair, op),
  },
  {
    of: "temporal-join.ts",
    what: "rows and versions",
    build: (left, right) => byKey(left).temporalJoin(byKey(right), { type: "left" }, pair, op),
  },
  {
    of: "regular-join.ts",
    what: "rows of both sides, until they expire",
    build: (left, right) => byKey(left).regularJoin(byKey(right), { ttl }, pair, op),
  },
  {
    of: "regular-join.ts",
    what: "rows of both sides",
    build: (left, right) => byKey(left).regularJoin(byKey(right), {}, pair, op),
    stays: { left: 12, right: 12, next: 2 },
    why: "a row may meet any that is still to come",
  },
  {
    of: "outer-join.ts",
    what: "rows of both sides, until they expire",
    build: (left, right) =>
      byKey(left).regularJoin(byKey(right), { type: "full", ttl }, pairOf, op),
  },
  {
    of: "outer-join.ts",
    what: "rows of both sides",
    build: (left, right) => byKey(left).regularJoin(byKey(right), { type: "full" }, pairOf, op),
    stays: { left: 12, right: 12, next: 2 },
    why: "a row may meet any that is still to come",
  },
  ...(
    [
      ["tumbling", tumbling(300)],
      ["sliding", sliding(1_000, 200)],
      ["sliding, with gaps between them", sliding(100, 300)],
      ["late", tumbling(100)],
    ] as const
  ).map(([what, windows]) => ({
    of: "pane-window.ts",
    what: `windows by panes: ${what}`,
    build: (left: Stream) =>
      byKey(left)
        .window(windows)
        .allowedLateness(what === "late" ? 350 : 0)
        .aggregate({ n: count(), sum: sum("n") }, op),
  })),
  {
    of: "window.ts",
    what: "rows of tumbling windows, told again for late ones",
    build: (left) => byKey(left).window(tumbling(200)).allowedLateness(200).process(rowsOf, op),
  },
  {
    of: "window.ts",
    what: "sessions, with a trigger of its own timers, and an evictor",
    build: (left) =>
      byKey(left)
        .window(session(150))
        .trigger(continuousEventTime(70))
        .evictor(countEvictor(2, { after: true }))
        .allowedLateness(100)
        .reduce((a) => a, op),
  },
  {
    of: "window.ts",
    what: "sessions that are counted",
    build: (left) =>
      byKey(left).window(session(250)).trigger(countTrigger(2)).aggregate({ n: count() }, op),
  },
  {
    of: "window.ts",
    what: "windows by the clock",
    build: (left) =>
      byKey(left)
        .window(sliding("20s", "5s", { time: "processing" }))
        .trigger(continuousProcessingTime("2s"))
        .aggregate({ n: count() }, op),
  },
  {
    of: "window.ts",
    what: "sessions by the clock",
    build: (left) =>
      byKey(left)
        .window(session("3s", { time: "processing" }))
        .aggregate({ n: count() }, op),
  },
  {
    of: "window.ts",
    what: "global windows that are purged",
    build: (left) =>
      byKey(left)
        .window(globalWindow())
        // The keys have four and eight rows.
        .trigger(purging(countTrigger(4)))
        .reduce((a) => a, op),
  },
  {
    of: "window-join.ts",
    what: "a window join of sessions",
    build: (left, right) =>
      byKey(left).windowJoin(
        byKey(right),
        { window: session(120), type: "full", allowedLateness: 100, lateRight: late },
        pair,
        op,
      ),
  },
  {
    of: "window-join.ts",
    what: "a co-group by the clock",
    build: (left, right) =>
      byKey(left).coGroup(
        byKey(right),
        { window: tumbling("5s", { time: "processing" }), evictor: countEvictor(1) },
        { emits: rows<number>(), process: (_, { length }) => void length },
        op,
      ),
  },
];

/** Entries in a snapshot, by state; how far event time had come is no state of the operator's. */
function entriesOf(snapshot: unknown): Record<string, number> {
  const { manifest, files } = snapshot as {
    readonly manifest: Manifest;
    readonly files: ReadonlyMap<string, Uint8Array>;
  };
  const entries: Record<string, number> = {};
  for (const { state } of manifest.tasks) {
    for (const { uid, state: name, segments } of state.keyed) {
      if (uid !== "op") continue;
      for (const handle of segments) {
        const bytes =
          handle.kind === "inline"
            ? handle.bytes
            : files.get(handle.path)!.subarray(handle.offset, handle.offset + handle.length);
        const held = [...readSegment(bytes).entries(allKeyGroups(manifest.maxParallelism))];
        if (held.length > 0) entries[name] = (entries[name] ?? 0) + held.length;
      }
    }
    for (const { uid, state: name, elements } of state.operator) {
      if (uid === "op" && name !== "watermark") entries[name] = (entries[name] ?? 0) + elements;
    }
  }
  return entries;
}

const rounds = 4;

const harnessOf = ({ build }: Case): OperatorHarness<Item, unknown> =>
  operatorHarness((all: Stream) => {
    const [left, right] = (["left", "right"] as const).map((side) => {
      const stream = all.filter((row) => row.side === side, { uid: side });
      // Not every operator reads both.
      stream.to(discard(), { uid: `all-${side}` });
      return stream;
    }) as [Stream, Stream];
    return build(left, right);
  });

/** Rows of both sides, some of them late but in the first round. */
function pushRound(harness: OperatorHarness<Item, unknown>, round: number): void {
  let n = 6 * round;
  for (const side of ["left", "right"] as const) {
    for (const k of ["a", "b"]) harness.push({ side, k, n: n++ }, 400 * round + 13 * n);
    harness.push({ side, k: "a", n: n++ }, 400 * round - 90);
  }
}

test.each(cases)("$of: $what", async (of) => {
  const harness = harnessOf(of);
  for (let round = 0; round < rounds; round++) {
    pushRound(harness, round);
    harness.watermark(400 * (round + 1)).wait("1s");
  }
  harness.watermark(Infinity);
  // Answers of calls, and what is due by the clock.
  await harness.answered();
  harness.wait("1 h");
  expect(entriesOf(harness.snapshot())).toEqual(of.stays ?? {});

  const holding = harnessOf(of);
  pushRound(holding, 0);
  // Or else it would show nothing that there is nothing in the end.
  expect(entriesOf(holding.snapshot())).not.toEqual({});
});
