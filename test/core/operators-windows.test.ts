// Windows as one operator has them: assignment, lateness, triggers, evictors, merging, and that nothing is
// left when the last one is over. Mirrors Flink's WindowOperatorTest, WindowOperatorContractTest and
// EvictingWindowOperatorTest; assigners, triggers and merging have files of their own.

import { describe, expect, test } from "vitest";

import {
  continuousEventTime,
  count,
  countEvictor,
  countTrigger,
  deltaEvictor,
  type Evictor,
  globalWindow,
  max,
  never,
  outputTag,
  processingTimeTrigger,
  purging,
  rows,
  session,
  sliding,
  sum,
  timeEvictor,
  type Trigger,
  tumbling,
} from "tidemark";
import { stateBackends } from "./state-backends.ts";
import { type Item, type Items, item, WindowHarness, type Windows } from "./window-harness.ts";

/** `[key, start, end, n]` of a counted window, and its event time. */
const short = (told: ReturnType<WindowHarness["told"]>): unknown[] =>
  told
    .map(({ row, at }) => {
      const { key, windowStart, windowEnd, n } = row as Record<string, unknown>;
      return [key, windowStart, windowEnd, n, at];
    })
    .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

/** The rows of the keys that Flink's tests have. */
const flinks = [
  item("key2", 3_999),
  item("key2", 3_000),
  item("key1", 20),
  item("key1", 0),
  item("key1", 999),
  item("key2", 1_998),
  item("key2", 1_999),
  item("key2", 1_000),
];

/** All that a window is, in a way that does not go by panes. */
const byRows =
  (assigner: ReturnType<typeof tumbling>): Windows =>
  (items) =>
    items.window(assigner).process(
      {
        emits: rows<{ key: string; windowStart: number; windowEnd: number; n: number }>(),
        process({ key, window, emit }, all) {
          emit({ key, windowStart: window.start, windowEnd: window.end, n: all.length });
        },
      },
      { uid: "op" },
    );

const byFold =
  (assigner: ReturnType<typeof tumbling>): Windows =>
  (items) =>
    items.window(assigner).aggregate({ n: count() }, { uid: "op" });

/** The same windows, of which something more is asked. */
const withAsked =
  (
    windows: (assigner: ReturnType<typeof tumbling>) => Windows,
    ask: (stream: ReturnType<Items["window"]>) => ReturnType<Items["window"]>,
  ) =>
  (assigner: ReturnType<typeof tumbling>): Windows =>
  (items) => {
    const asked = { window: (given: never) => ask(items.window(given) as never) };
    return windows(assigner)(asked as unknown as Items);
  };

const ways = [
  { way: "rows", of: byRows },
  { way: "folds", of: byFold },
];

describe.each(stateBackends)("windows on $name", (backend) => {
  const harness = (windows: Windows, more: object = {}): WindowHarness =>
    new WindowHarness(windows, { backend, ...more });

  describe.each(ways)("by $way (WindowOperatorTest)", ({ of }) => {
    test("tumbling", () => {
      const one = harness(of(tumbling("3s"))).push(...flinks);
      expect(one.watermark(1_999).told()).toEqual([]);
      expect(short(one.watermark(2_999).told())).toEqual([
        ["key1", 0, 3_000, 3, 2_999],
        ["key2", 0, 3_000, 3, 2_999],
      ]);
      const two = harness(of(tumbling("3s")), { from: one.snapshot(), watermark: 2_999 });
      expect(two.watermark(4_999).told()).toEqual([]);
      expect(short(two.watermark(5_999).told())).toEqual([["key2", 3_000, 6_000, 2, 5_999]]);
      expect(two.watermark(7_999).told()).toEqual([]);
      expect(two.entries).toBe(0);
    });

    test("sliding", () => {
      const one = harness(of(sliding("3s", "1s"))).push(...flinks);
      expect(short(one.watermark(999).told())).toEqual([["key1", -2_000, 1_000, 3, 999]]);
      expect(short(one.watermark(1_999).told())).toEqual([
        ["key1", -1_000, 2_000, 3, 1_999],
        ["key2", -1_000, 2_000, 3, 1_999],
      ]);
      expect(short(one.watermark(2_999).told())).toEqual([
        ["key1", 0, 3_000, 3, 2_999],
        ["key2", 0, 3_000, 3, 2_999],
      ]);
      const two = harness(of(sliding("3s", "1s")), { from: one.snapshot(), watermark: 2_999 });
      expect(short(two.watermark(3_999).told())).toEqual([["key2", 1_000, 4_000, 5, 3_999]]);
      expect(short(two.watermark(4_999).told())).toEqual([["key2", 2_000, 5_000, 2, 4_999]]);
      expect(short(two.watermark(5_999).told())).toEqual([["key2", 3_000, 6_000, 2, 5_999]]);
      expect(two.watermark(7_999).told()).toEqual([]);
      expect(two.entries).toBe(0);
    });

    test("of slides that do not divide the size, and that leave gaps", () => {
      const one = harness(of(sliding(7, 3))).push(item("a", 10));
      expect(short(one.watermark(Infinity).told())).toEqual([
        ["a", 6, 13, 1, 12],
        ["a", 9, 16, 1, 15],
      ]);
      const two = harness(of(sliding(2, 5))).push(item("a", 10), item("a", 13), item("b", 13));
      expect(short(two.watermark(Infinity).told())).toEqual([["a", 10, 12, 1, 11]]);
      expect([one.entries, two.entries]).toEqual([0, 0]);
    });

    test("drop rows that are late, and no others (testDropDueToLatenessTumbling, …Sliding)", () => {
      const one = harness(of(tumbling(10))).watermark(9);
      one.push(item("a", 9), item("a", 10), item("a", 3));
      expect(short(one.watermark(19).told())).toEqual([["a", 10, 20, 1, 19]]);
      // Of the windows of a row only those that are over are.
      const two = harness(of(sliding(10, 5))).watermark(9);
      two.push(item("a", 7), item("a", 4));
      expect(short(two.watermark(100).told())).toEqual([["a", 5, 15, 1, 14]]);
      expect([one.entries, two.entries]).toEqual([0, 0]);
    });

    test("send rows that are too late aside (testSideOutputDueToLatenessTumbling)", () => {
      const late = outputTag<Item>("late");
      const windows = withAsked(of, (stream) => stream.allowedLateness(5).lateOutput(late));
      const one = harness(windows(sliding(10, 5))).watermark(9);
      one.push(item("a", 9), item("a", 0), item("b", 4), item("b", 5));
      expect(one.aside()).toEqual([]);
      one.watermark(14).push(item("b", 4), item("b", 5), item("c", 9), item("c", 0), item("c", 10));
      expect(one.aside()).toEqual([
        { tag: "late", row: item("b", 4), at: 4 },
        { tag: "late", row: item("c", 0), at: 0 },
      ]);
      expect(one.watermark(Infinity).entries).toBe(0);
    });

    test("that are late do not come back with a snapshot", () => {
      const one = harness(of(sliding(10, 5)))
        .watermark(9)
        .push(item("a", 7));
      const two = harness(of(sliding(10, 5)), { from: one.snapshot(), watermark: 9 });
      expect(short(two.watermark(100).told())).toEqual([["a", 5, 15, 1, 14]]);
      expect(two.entries).toBe(0);
    });

    test("are told in the order of their ends, a good deal at once", () => {
      const one = harness(of(tumbling(10)));
      for (let n = 0; n < 3_000; n++) one.push(item(`k${n % 700}`, 2_990 - n));
      const told = one.watermark(Infinity).told();
      expect(told.length).toBe(3_000);
      const ends = told.map(({ at }) => at);
      expect(ends).toEqual(ends.toSorted((a, b) => a - b));
      expect(Math.max(...one.batches.map(({ length }) => length))).toBeLessThanOrEqual(1_000);
      expect(one.entries).toBe(0);
    });

    test("are told once more for each row that is late and allowed (testLateness)", () => {
      const windows = withAsked(of, (stream) => stream.allowedLateness(500))(tumbling("2s"));
      const one = harness(windows).push(item("key2", 500));
      expect(one.watermark(1_500).push(item("key2", 1_300)).told()).toEqual([]);
      expect(short(one.watermark(2_300).told())).toEqual([["key2", 0, 2_000, 2, 1_999]]);
      const two = harness(windows, { from: one.snapshot(), watermark: 2_300 });
      expect(short(two.push(item("key2", 1_997)).told())).toEqual([["key2", 0, 2_000, 3, 1_999]]);
      expect(short(two.push(item("key2", 0), item("key2", 1)).told()).map((t) => t)).toEqual([
        ["key2", 0, 2_000, 4, 1_999],
        ["key2", 0, 2_000, 5, 1_999],
      ]);
      expect(two.watermark(2_498).entries).toBeGreaterThan(0);
      expect(two.watermark(2_499).entries).toBe(0);
      expect(two.push(item("key2", 1_998)).watermark(7_000).told()).toEqual([]);
      expect(two.entries).toBe(0);
    });

    test("of a row without an event time are refused", () => {
      const one = harness(of(tumbling(10)));
      expect(() => one.push({ k: "a", v: 1, at: NaN })).toThrow(
        /^Operator "op" \(window\) failed on row 0 of its batch: TypeError: the row has no event time, .* give every source of the operator watermarks/,
      );
    });
  });

  test("of the clock (testProcessingTimeTumblingWindows, …Sliding…)", () => {
    const one = harness(byFold(tumbling("3s", { time: "processing" })), { now: 3 });
    one.push(item("key2", NaN), item("key2", NaN), item("key1", NaN));
    expect(one.operator.nextTimerAt).toBe(2_999);
    const two = harness(byFold(tumbling("3s", { time: "processing" })), {
      from: one.snapshot(),
      now: 4_000,
    });
    two.push(item("key1", NaN));
    expect(short(two.clock(4_000).told())).toEqual([
      ["key1", 0, 3_000, 1, 2_999],
      ["key2", 0, 3_000, 2, 2_999],
    ]);
    expect(short(two.clock(10_000).told())).toEqual([["key1", 3_000, 6_000, 1, 5_999]]);
    const three = harness(byRows(sliding("3s", "1s", { time: "processing" })), { now: 3 });
    three.push(item("a", NaN)).clock(1_000).push(item("a", NaN)).clock(9_000);
    expect(short(three.told())).toEqual([
      ["a", -1_000, 2_000, 2, 1_999],
      ["a", -2_000, 1_000, 1, 999],
      ["a", 0, 3_000, 2, 2_999],
      ["a", 1_000, 4_000, 1, 3_999],
    ]);
    expect([two.entries, three.entries]).toEqual([0, 0]);
  });

  test("that are sessions (testSessionWindows, testReduceSessionWindows)", () => {
    const sums: Windows = (items) =>
      items.window(session("3s")).aggregate({ n: sum("v") }, { uid: "op" });
    const one = harness(sums);
    one.push(item("key2", 0, 1), item("key2", 1_000, 2), item("key2", 2_500, 3));
    one.push(item("key1", 10, 1), item("key1", 1_000, 2));
    const two = harness(sums, { from: one.snapshot() }).push(item("key1", 2_500, 3));
    two.push(item("key2", 5_501, 4), item("key2", 6_000, 5), item("key2", 6_000, 5));
    two.push(item("key2", 6_050, 6));
    expect(short(two.watermark(12_000).told())).toEqual([
      ["key1", 10, 5_500, 6, 5_499],
      ["key2", 0, 5_500, 6, 5_499],
      ["key2", 5_501, 9_050, 20, 9_049],
    ]);
    two.push(item("key2", 15_000, 10), item("key2", 15_000, 20));
    expect(short(two.watermark(17_999).told())).toEqual([["key2", 15_000, 18_000, 30, 17_999]]);
    expect(two.entries).toBe(0);
  });

  test("that turn out to be one session have all of its rows, and one result", () => {
    const one = harness(byRows(session(10) as never));
    one.push(item("a", 0), item("a", 30), item("a", 15), item("b", 15), item("a", 22));
    // 0 to 10, and 15 to 40 of three.
    one.push(item("a", 9));
    expect(short(one.watermark(18).told())).toEqual([]);
    expect(short(one.watermark(Infinity).told())).toEqual([
      ["a", 0, 40, 5, 39],
      ["b", 15, 25, 1, 24],
    ]);
    expect(one.entries).toBe(0);
  });

  test("that are sessions and late, but joined by one that is not (testDropDueToLatenessSession…)", () => {
    const one = harness(byFold(session(10) as never)).push(item("a", 20));
    one.watermark(25).push(item("a", 12), item("a", 1));
    expect(short(one.watermark(29).told())).toEqual([["a", 12, 30, 2, 29]]);
    expect(one.entries).toBe(0);
    const late: Windows = (items) =>
      items.window(session(10)).allowedLateness(10).aggregate({ n: count() }, { uid: "op" });
    const two = harness(late).push(item("a", 20)).watermark(29);
    expect(short(two.told())).toEqual([["a", 20, 30, 1, 29]]);
    expect(short(two.push(item("a", 18)).told())).toEqual([["a", 18, 30, 2, 29]]);
    expect(short(two.push(item("a", 29)).told())).toEqual([]);
    expect(short(two.watermark(38).told())).toEqual([["a", 18, 39, 3, 38]]);
    expect(two.watermark(48).entries).toBe(0);
  });

  test("with gaps of their rows (testDynamicEventTimeSessionWindows)", () => {
    const windows: Windows = (items) =>
      items.window(session(({ v }) => v)).aggregate({ n: count() }, { uid: "op" });
    const one = harness(windows).push(item("a", 0, 5), item("a", 5, 100), item("a", 110, 1));
    expect(short(one.watermark(Infinity).told())).toEqual([
      ["a", 0, 105, 2, 104],
      ["a", 110, 111, 1, 110],
    ]);
    expect(() => harness(windows).push(item("a", 0, 0))).toThrow(/the gap of a session was 0/);
  });

  test("that merge, with a trigger that counts (testSessionWindowsWithCountTrigger)", () => {
    const windows: Windows = (items) =>
      items
        .window(session("3s"))
        .trigger(purging(countTrigger(4)))
        .aggregate({ n: sum("v") }, { uid: "op" });
    const one = harness(windows);
    one.push(item("key2", 0, 1), item("key2", 1_000, 2), item("key2", 2_500, 3));
    one.push(item("key2", 3_500, 4), item("key1", 10, 1), item("key1", 1_000, 2));
    expect(short(one.told())).toEqual([["key2", 0, 6_500, 10, 6_499]]);
    const two = harness(windows, { from: one.snapshot() }).push(item("key1", 2_500, 3));
    two.push(item("key1", 6_000, 4), item("key1", 6_500, 5), item("key1", 7_000, 6));
    expect(two.told()).toEqual([]);
    // The row that makes them one session is the seventh of it, the count begins anew from six.
    two.push(item("key1", 4_500, 10));
    expect(short(two.told())).toEqual([["key1", 10, 10_000, 31, 9_999]]);
    expect(two.watermark(Infinity).told()).toEqual([]);
    expect(two.entries).toBe(0);
  });

  test("of one for all rows, with triggers that count (testCountTrigger)", () => {
    const windows =
      (purges: boolean): Windows =>
      (items) => {
        const trigger = countTrigger(3);
        return items
          .window(globalWindow())
          .trigger(purges ? purging(trigger) : trigger)
          .aggregate({ n: sum("v") }, { uid: "op" });
      };
    const all = Array.from({ length: 7 }, (_, n) => item("a", NaN, n));
    expect(
      harness(windows(false))
        .push(...all)
        .told(),
    ).toEqual([
      { row: { key: "a", n: 3 }, at: NaN },
      { row: { key: "a", n: 15 }, at: NaN },
    ]);
    const one = harness(windows(true)).push(...all);
    expect(one.told().map(({ row }) => row)).toEqual([
      { key: "a", n: 3 },
      { key: "a", n: 12 },
    ]);
    const two = harness(windows(true), { from: one.snapshot() });
    expect(
      two
        .push(item("a", NaN, 7), item("a", NaN, 8))
        .told()
        .map(({ row }) => row),
    ).toEqual([{ key: "a", n: 21 }]);
    expect(two.entries).toBe(0);
    const untold: Windows = (items) =>
      items.window(globalWindow()).trigger(never()).aggregate({ n: count() }, { uid: "op" });
    expect(
      harness(untold)
        .push(...all)
        .watermark(Infinity)
        .told(),
    ).toEqual([]);
  });

  test("told every so often before their end (testContinuousWatermarkTrigger)", () => {
    const windows: Windows = (items) =>
      items
        .window(tumbling(100))
        .trigger(continuousEventTime(30))
        .aggregate({ n: count() }, { uid: "op" });
    const one = harness(windows).push(item("a", 10), item("a", 50));
    expect(short(one.watermark(29).told())).toEqual([]);
    expect(short(one.watermark(30).told())).toEqual([["a", 0, 100, 2, 99]]);
    const two = harness(windows, { from: one.snapshot(), watermark: 30 }).push(item("a", 70));
    expect(short(two.watermark(98).told())).toEqual([
      ["a", 0, 100, 3, 99],
      ["a", 0, 100, 3, 99],
    ]);
    expect(short(two.watermark(99).told())).toEqual([["a", 0, 100, 3, 99]]);
    expect(two.entries).toBe(0);
  });

  test("do as their trigger says (WindowOperatorContractTest)", () => {
    const calls: string[] = [];
    const said: Trigger<Item, number> = {
      onElement(row, timestamp, { start, end }, ctx) {
        calls.push(`${row.v} at ${timestamp} in ${start}-${end}, after ${ctx.state.get()}`);
        ctx.state.set((ctx.state.get() ?? 0) + 1);
        ctx.registerEventTime(timestamp + 1);
        return (["CONTINUE", "FIRE", "PURGE", "FIRE_AND_PURGE"] as const)[row.v]!;
      },
      onEventTime: (time, { start }, ctx) => {
        calls.push(`timer ${time} of ${start}, state ${ctx.state.get()}`);
        return time === 8 ? "FIRE" : "CONTINUE";
      },
      onProcessingTime: () => "CONTINUE",
      clear: ({ start }, ctx) => void calls.push(`clear ${start}, state ${ctx.state.get()}`),
    };
    const windows: Windows = (items) =>
      items.window(tumbling(10)).trigger(said).aggregate({ n: count() }, { uid: "op" });
    const one = harness(windows);
    one.push(item("a", 1, 0), item("a", 2, 1), item("a", 3, 2), item("a", 4, 1), item("a", 5, 3));
    expect(short(one.told())).toEqual([
      ["a", 0, 10, 1, 9],
      ["a", 0, 10, 2, 9],
      ["a", 0, 10, 2, 9],
    ]);
    one.push(item("a", 7, 0), item("a", 7, 0));
    expect(short(one.watermark(8).told())).toEqual([["a", 0, 10, 2, 9]]);
    // The trigger does not fire at the end: what is left goes without having been told.
    expect(one.watermark(9).told()).toEqual([]);
    expect(one.entries).toBe(0);
    expect(calls).toEqual([
      "0 at 1 in 0-10, after undefined",
      "1 at 2 in 0-10, after 1",
      "2 at 3 in 0-10, after 2",
      "1 at 4 in 0-10, after 3",
      "3 at 5 in 0-10, after 4",
      "0 at 7 in 0-10, after 5",
      "0 at 7 in 0-10, after 6",
      ...[2, 3, 4, 5, 6, 8].map((time) => `timer ${time} of 0, state 7`),
      "timer 9 of 0, state 7",
      "clear 0, state 7",
    ]);
    const wrong: Windows = (items) =>
      items
        .window(tumbling(10))
        .trigger({ ...said, onElement: () => "fire" as "FIRE" })
        .aggregate({ n: count() }, { uid: "op" });
    expect(() => harness(wrong).push(item("a", 1))).toThrow(/returned fire. Allowed: CONTINUE/);
  });

  test("with timers that their trigger deletes, in both times", () => {
    const trigger: Trigger<Item, number> = {
      onElement({ v }, timestamp, _, ctx) {
        if (v === 1) ctx.registerProcessingTime(100);
        if (v === 2) ctx.deleteProcessingTime(100);
        if (v === 3) ctx.deleteEventTime(timestamp);
        return "CONTINUE";
      },
      onEventTime: () => "CONTINUE",
      onProcessingTime: () => "FIRE",
      clear: (_, ctx) => ctx.deleteProcessingTime(100),
    };
    const windows: Windows = (items) =>
      items.window(tumbling(1_000)).trigger(trigger).aggregate({ n: count() }, { uid: "op" });
    const one = harness(windows).push(item("a", 1, 1), item("b", 1, 1), item("b", 1, 2));
    one.push(item("b", 1, 3));
    expect(short(one.clock(100).told())).toEqual([["a", 0, 1_000, 1, 999]]);
    one.push(item("a", 1, 1));
    expect(one.watermark(999).entries).toBe(0);
    expect(one.operator.nextTimerAt).toBeUndefined();
  });

  test("of event time that are told by the clock", () => {
    const windows: Windows = (items) =>
      items
        .window(globalWindow())
        .trigger(processingTimeTrigger())
        .aggregate({ n: count() }, { uid: "op" });
    const one = harness(windows).push(item("a", NaN));
    expect(one.operator.nextTimerAt).toBeUndefined();
  });

  test("of which only the last rows are told (testCountEvictorEvictBefore, …After)", () => {
    const evicting =
      (after: boolean): Windows =>
      (items) =>
        items
          .window(globalWindow())
          .trigger(countTrigger(2))
          .evictor(countEvictor(4, { after }))
          .reduce((a, b) => ({ ...b, v: a.v + b.v }), { uid: "op" });
    const push = (after: boolean): number[] => {
      const one = harness(evicting(after)).push(...Array.from({ length: 4 }, () => item("a", 1)));
      const two = harness(evicting(after), { from: one.snapshot() });
      two.push(...Array.from({ length: 4 }, () => item("a", 1)));
      return [...one.told(), ...two.told()].map(({ row }) => (row as Item).v);
    };
    expect(push(false)).toEqual([2, 4, 4, 4]);
    expect(push(true)).toEqual([2, 4, 6, 6]);
  });

  test("of which rows are left out by their times, or by what is in them", () => {
    const evicting =
      (evictor: Evictor<Item>, n: number): Windows =>
      (items) =>
        items
          .window(globalWindow())
          .trigger(countTrigger(n))
          .evictor(evictor)
          .process(
            {
              emits: rows<number[]>(),
              process: ({ emit }, all) => emit(all.map(({ at }) => at)),
            },
            { uid: "op" },
          );
    const told = (windows: Windows, ...items: Item[]): unknown[] =>
      harness(windows)
        .push(...items)
        .told()
        .map(({ row }) => row);
    const times = [item("a", 10), item("a", 25), item("a", 16), item("a", 15)];
    expect(told(evicting(timeEvictor(10), 4), ...times)).toEqual([[25, 16]]);
    const speeds = [item("a", 1, 5), item("a", 2, 50), item("a", 3, 9)];
    const delta = deltaEvictor<Item>(10, (row, last) => Math.abs(row.v - last.v));
    expect(told(evicting(delta, 3), ...speeds)).toEqual([[1, 3]]);
    const none: Evictor<Item> = { before: () => [] };
    expect(told(evicting(none, 3), ...speeds)).toEqual([[]]);
    const one = harness(evicting(none, 3)).push(...speeds);
    expect(one.entries).toBe(0);
    for (const part of ["before", "after"] as const) {
      const nothing = { [part]: () => undefined } as unknown as Evictor<Item>;
      expect(() => told(evicting(nothing, 3), ...speeds)).toThrow(
        `${part} of the evictor returned undefined. Allowed: a list of those that stay`,
      );
    }
    const folded: Windows = (items) =>
      items.window(tumbling(10)).evictor(none).aggregate({ n: count() }, { uid: "op" });
    expect(
      harness(folded)
        .push(...speeds)
        .watermark(Infinity)
        .told(),
    ).toEqual([]);
  });

  test("folded, and then given to a function with their window", () => {
    const both: Windows = (items) =>
      items.window(tumbling(10)).aggregate(
        { n: count(), most: max("v") },
        {
          emits: rows<string>(),
          process({ key, window, emit, currentWatermark }, { n, most }) {
            emit(`${key} ${window.start} ${n} ${most} ${currentWatermark()}`);
            emit("and more");
          },
        },
        { uid: "op" },
      );
    const one = harness(both)
      .push(item("a", 1, 5), item("a", 2, 7))
      .watermark(5)
      .watermark(9);
    expect(one.told()).toEqual([
      { row: "a 0 2 7 9", at: 9 },
      { row: "and more", at: 9 },
    ]);
    const reduced: Windows = (items) =>
      items
        .window(tumbling(10))
        .reduce(
          (a, b) => (a.v > b.v ? a : b),
          { emits: rows<number>(), process: ({ emit }, { v }) => emit(v) },
          { uid: "op" },
        );
    const two = harness(reduced)
      .push(item("a", 1, 5), item("a", 2, 7))
      .watermark(9);
    expect(two.told()).toEqual([{ row: 7, at: 9 }]);
    const plain: Windows = (items) =>
      items.window(tumbling(10)).reduce((a, b) => (a.v > b.v ? a : b), { uid: "op" });
    expect(
      harness(plain)
        .push(item("a", 1, 5), item("a", 2, 7))
        .watermark(9)
        .told(),
    ).toEqual([{ row: item("a", 2, 7), at: 9 }]);
    expect([one.entries, two.entries]).toEqual([0, 0]);
  });

  test("of an assigner of one's own, that merge or not", () => {
    const days = {
      assign: (_: Item, at: number) => [{ start: at, end: Math.ceil((at + 1) / 10) * 10 }],
    };
    const n = { n: count() };
    const apart = harness((items) => items.window(days).aggregate(n, { uid: "op" }));
    apart.push(item("a", 3), item("a", 7), item("a", 3));
    expect(short(apart.watermark(Infinity).told())).toEqual([
      ["a", 3, 10, 2, 9],
      ["a", 7, 10, 1, 9],
    ]);
    const merging = { ...days, merging: true };
    const one = harness((items) => items.window(merging).aggregate(n, { uid: "op" }));
    one.push(item("a", 13), item("a", 7), item("a", 3));
    // Windows that meet are one.
    one.push(item("a", 10));
    expect(short(one.watermark(Infinity).told())).toEqual([["a", 3, 20, 4, 19]]);
    const wrong = { assign: () => [{ start: 5, end: 5 }] };
    expect(() =>
      harness((items) => items.window(wrong).aggregate(n, { uid: "op" })).push(item("a", 1)),
    ).toThrow(/a row was assigned the window from 5 to 5/);
    const nothing = { assign: () => undefined } as never;
    expect(() =>
      harness((items) => items.window(nothing).aggregate(n, { uid: "op" })).push(item("a", 1)),
    ).toThrow(
      /failed on row 0 .* assign of the assigner returned undefined. Allowed: a list of win/,
    );
    const empty = { assign: () => [undefined] } as never;
    expect(() =>
      harness((items) => items.window(empty).aggregate(n, { uid: "op" })).push(item("a", 1)),
    ).toThrow(/a row was assigned the window from undefined to undefined/);
    const none = harness((items) => items.window({ assign: () => [] }).aggregate(n, { uid: "op" }));
    expect(none.push(item("a", 1)).watermark(Infinity).told()).toEqual([]);
    expect([apart.entries, one.entries, none.entries]).toEqual([0, 0, 0]);
  });

  const throwing =
    (assigner: ReturnType<typeof tumbling>): Windows =>
    (items) =>
      items.window(assigner).aggregate(
        {
          n: count(),
          sum: {
            create: () => [0],
            add(held: number[], { v }: Item) {
              held[0]! += v;
              if (v < 0) throw new Error("negative");
              return held;
            },
            merge: ([a], [b]) => [a! + b!],
            result: ([total]) => total,
          },
        },
        { uid: "op" },
      );

  test.each([
    { name: "tumbling", assigner: tumbling(10) },
    { name: "sliding", assigner: sliding(10, 5) },
    { name: "session", assigner: session(10) as ReturnType<typeof tumbling> },
  ])("are as they were after a row that throws: $name", ({ assigner }) => {
    const rejected: unknown[] = [];
    const reject = (one: { readonly value: unknown }): void => void rejected.push(one.value);
    const bad = [item("a", 4, -1), item("b", 4, -1), item("a", 8, -2)];
    const one = harness(throwing(assigner), { reject });
    one.push(item("a", 2, 3), bad[0]!, bad[1]!, item("a", 7, 4), bad[2]!, item("a", 20, 1));
    const good = harness(throwing(assigner));
    good.push(item("a", 2, 3), item("a", 7, 4), item("a", 20, 1));
    expect(rejected).toEqual(bad);
    expect(one.entries).toBe(good.entries);
    expect(one.watermark(Infinity).told()).toEqual(good.watermark(Infinity).told());
    expect(one.entries).toBe(0);
    expect(() => harness(throwing(assigner)).push(...bad)).toThrow(
      /^Operator "op" \(window\) failed on row 0 of its batch: Error: negative/,
    );
  });

  test("of which one throws when it is told are left out, and the others are told", () => {
    const rejected: unknown[] = [];
    const windows: Windows = (items) =>
      items.window(tumbling(10)).aggregate(
        { n: count() },
        {
          emits: rows<string>(),
          process({ key, emit }) {
            emit(key);
            if (key === "b") throw new Error("b");
          },
        },
        { uid: "op" },
      );
    const items = ["a", "b", "c"].map((k) => item(k, 1));
    const one = harness(windows, { reject: (it: { timer: unknown }) => rejected.push(it.timer) });
    expect(
      one
        .push(...items)
        .watermark(9)
        .told()
        .map(({ row }) => row),
    ).toEqual(["a", "c"]);
    expect(rejected).toEqual([{ key: "b", time: 9 }]);
    expect(() =>
      harness(windows)
        .push(...items)
        .watermark(9),
    ).toThrow(/^Operator "op" \(timer of 9\) failed: Error: b/);
  });
});
