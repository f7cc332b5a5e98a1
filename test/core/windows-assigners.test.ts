// Which windows rows are assigned to, how windows merge, and what triggers say by themselves. Mirrors
// Flink's TumblingEventTimeWindowsTest, SlidingEventTimeWindowsTest, TumblingProcessingTimeWindowsTest,
// SlidingProcessingTimeWindowsTest, EventTimeSessionWindowsTest, DynamicEventTimeSessionWindowsTest,
// GlobalWindowsTest, TimeWindowTest, MergingWindowSetTest, EventTimeTriggerTest, ProcessingTimeTriggerTest,
// CountTriggerTest, ContinuousEventTimeTriggerTest, ContinuousProcessingTimeTriggerTest and
// PurgingTriggerTest.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { shapeOf } from "../../stream/fingerprint.ts";
import { type Merge, MergingWindows } from "../../operators/merging-windows.ts";
import {
  continuousEventTime,
  continuousProcessingTime,
  count,
  countEvictor,
  countTrigger,
  defineJob,
  deltaEvictor,
  eventTimeTrigger,
  globalWindow,
  GraphError,
  never,
  outputTag,
  processingTimeTrigger,
  purging,
  rows,
  session,
  sliding,
  table,
  timeEvictor,
  topic,
  type Trigger,
  tumbling,
  type WindowAssigner,
} from "tidemark";
import { crash, runJob } from "tidemark/testing";
import {
  graphOf,
  type Item,
  item,
  type Items,
  WindowHarness,
  type Windows,
} from "./window-harness.ts";

const windowsOf = (assigner: WindowAssigner<unknown>, timestamp: number): number[][] =>
  assigner.assign(undefined, timestamp).map(({ start, end }) => [start, end]);

describe("windows", () => {
  test("that tumble (TumblingEventTimeWindowsTest, TumblingProcessingTimeWindowsTest)", () => {
    for (const time of ["event", "processing"] as const) {
      expect(windowsOf(tumbling(5_000, { time }), 0)).toEqual([[0, 5_000]]);
      expect(windowsOf(tumbling("5s", { time }), 4_999)).toEqual([[0, 5_000]]);
      expect(windowsOf(tumbling("5s", { time }), 5_000)).toEqual([[5_000, 10_000]]);
      expect(windowsOf(tumbling("5s", { time, offset: 100 }), 5_099)).toEqual([[100, 5_100]]);
      expect(windowsOf(tumbling("5s", { time, offset: "100 ms" }), 5_300)).toEqual([
        [5_100, 10_100],
      ]);
      expect(windowsOf(tumbling("5s", { time, offset: "-100 ms" }), 0)).toEqual([[-100, 4_900]]);
      expect(windowsOf(tumbling("5s", { time, offset: -100 }), 4_900)).toEqual([[4_900, 9_900]]);
      expect(windowsOf(tumbling("5s", { time }), -1)).toEqual([[-5_000, 0]]);
    }
  });

  test("that slide (SlidingEventTimeWindowsTest, SlidingProcessingTimeWindowsTest)", () => {
    expect(windowsOf(sliding(5_000, 1_000), 0)).toEqual([
      [0, 5_000],
      [-1_000, 4_000],
      [-2_000, 3_000],
      [-3_000, 2_000],
      [-4_000, 1_000],
    ]);
    expect(windowsOf(sliding("5s", "1s", { offset: 100 }), 100)[0]).toEqual([100, 5_100]);
    expect(windowsOf(sliding("5s", "2s", { time: "processing" }), 3_999)).toEqual([
      [2_000, 7_000],
      [0, 5_000],
    ]);
  });

  test("hold every time in size / slide of them (TimeWindowTest)", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        fc.integer({ min: -1e12, max: 2e12 }),
        (slide, times, share, at) => {
          const found = windowsOf(sliding(slide * times, slide, { offset: share % slide }), at);
          expect(found).toHaveLength(times);
          for (const [start, end] of found) {
            expect(end! - start!).toBe(slide * times);
            expect(start! <= at && at < end!).toBe(true);
            expect(Math.abs((start! - (share % slide)) % slide)).toBe(0);
          }
        },
      ),
    );
  });

  test("that are sessions, or one (EventTimeSessionWindowsTest, GlobalWindowsTest)", () => {
    expect(windowsOf(session("5s"), 4_999)).toEqual([[4_999, 9_999]]);
    const own = session((row: { gap: number }) => row.gap);
    expect(own.assign({ gap: 7 }, 3)).toEqual([{ start: 3, end: 10 }]);
    expect(windowsOf(globalWindow(), 5)).toEqual([[-Infinity, Infinity]]);
  });

  const wrong: readonly (readonly [string, () => unknown, string])[] = [
    ["a size of nothing", () => tumbling(0), "tumbling was given 0 as size"],
    ["a size that is none", () => tumbling("soon" as "1s"), 'tumbling was given "soon" as size'],
    ["a slide of nothing", () => sliding("1s", 0), "sliding was given 0 as slide"],
    ["a gap below zero", () => session(-1), "session was given -1 as gap"],
    ["an offset as long as the size", () => tumbling("1s", { offset: "1s" }), '"1s" as offset'],
    [
      "an offset beyond the slide",
      () => sliding("9s", "1s", { offset: -1_500 }),
      "-1500 as offset",
    ],
    ["another time", () => tumbling("1s", { time: "wall" as "event" }), '"wall" as time'],
    ["a count of nothing", () => countTrigger(0), "countTrigger was given 0"],
    ["a span of nothing", () => continuousEventTime(0), "continuousEventTime was given 0 as span"],
    ["a trigger that is none", () => purging({} as never), "purging was given an object"],
    ["an evictor of half a row", () => countEvictor(0.5), "countEvictor was given 0.5"],
    ["an evictor of no time", () => timeEvictor(0), "timeEvictor was given 0 as span"],
    [
      "an evictor without a function",
      () => deltaEvictor(1, 2 as never),
      "deltaEvictor was given 1",
    ],
  ];
  test.each(wrong)("are refused with %s", (_, make, message) => {
    expect(make).toThrow(GraphError);
    expect(make).toThrow(message);
  });

  const n = { n: count() };
  const asked: readonly (readonly [string, Windows, string])[] = [
    [
      "no assigner",
      (items) => items.window({} as never).aggregate(n, { uid: "op" }),
      "window was given an object. Allowed: tumbling",
    ],
    [
      "no trigger",
      (items) =>
        items
          .window(tumbling(1))
          .trigger({} as never)
          .aggregate(n, { uid: "op" }),
      "trigger was given an object that is no trigger",
    ],
    [
      "no evictor",
      (items) => items.window(tumbling(1)).evictor({}).aggregate(n, { uid: "op" }),
      "evictor was given an object that is no evictor",
    ],
    [
      "no lateness",
      (items) => items.window(tumbling(1)).allowedLateness(-1).aggregate(n, { uid: "op" }),
      "allowedLateness was given -1",
    ],
    [
      "no tag",
      (items) =>
        items
          .window(tumbling(1))
          .lateOutput("late" as never)
          .aggregate(n, { uid: "op" }),
      'lateOutput was given "late"',
    ],
    [
      "no function",
      (items) => items.window(tumbling(1)).process({ emits: rows<1>() } as never, { uid: "op" }),
      'Operator "op" (process) was given an object that is no function of windows',
    ],
    [
      "no fold",
      (items) => items.window(tumbling(1)).reduce(1 as never, { uid: "op" }),
      'Operator "op" (reduce) was given 1',
    ],
    [
      "a field of the window's",
      (items) =>
        items.window(tumbling(1)).aggregate({ windowEnd: count() } as never, { uid: "op" }),
      'has a field "windowEnd". Allowed: any other name; "windowEnd" holds that of the window',
    ],
    [
      "a trigger that cannot merge",
      (items) => {
        const { onMerge: _, ...trigger } = eventTimeTrigger() as Required<Trigger<unknown>>;
        return items.window(session(1)).trigger(trigger).aggregate(n, { uid: "op" });
      },
      'Operator "op" (window) has windows that merge, and a trigger without onMerge',
    ],
    [
      "a global window that is never told",
      (items) => items.window(globalWindow()).aggregate(n, { uid: "op" }),
      'Operator "op" (window) has a global window and no trigger: it would keep all rows and never be ' +
        "told. Allowed: a trigger such as countTrigger(100)",
    ],
    [
      "lateness by the clock",
      (items) =>
        items
          .window(tumbling(1, { time: "processing" }))
          .allowedLateness(1)
          .aggregate(n, { uid: "op" }),
      'Operator "op" (window) has allowedLateness, and windows by the clock: no row is ever late for it. ' +
        "Allowed: that with windows by event time",
    ],
    [
      "late rows by the clock",
      (items) =>
        items
          .window(session(1, { time: "processing" }))
          .lateOutput(outputTag<Item>("late"))
          .aggregate(n, { uid: "op" }),
      'Operator "op" (window) has an output for late rows, and windows by the clock: no row is ever late',
    ],
    [
      "lateness without an end",
      (items) =>
        items
          .window(globalWindow())
          .trigger(countTrigger(2))
          .allowedLateness(1)
          .aggregate(n, { uid: "op" }),
      'Operator "op" (window) has allowedLateness, and a global window: no row is ever late',
    ],
    [
      "late rows of a join by the clock",
      (items) =>
        items.coGroup(
          items,
          { window: tumbling(1, { time: "processing" }), lateRight: outputTag<Item>("late") },
          { emits: rows<1>(), process() {} },
          { uid: "op" },
        ),
      'Operator "op" (coGroup) has an output for late rows, and windows by the clock: no row is ever late',
    ],
  ];
  test.each(asked)("are refused with %s", (_, windows, message) => {
    expect(() => graphOf(windows)).toThrow(message);
  });

  test("tell what their state depends on, so that other windows do not take it over", () => {
    const shape = (windows: Windows): string | undefined =>
      shapeOf(graphOf(windows).nodes.find(({ spec }) => spec.kind === "window")!);
    const hourly: Windows = (items) => items.window(tumbling("1h")).aggregate(n, { uid: "op" });
    expect(shape(hourly)).toBe("tumbling windows of 3600000 ms: aggregate of n, by panes");
    expect(
      shape((items) =>
        items
          .window(sliding(9, 3, { offset: 1 }))
          .trigger(countTrigger(2))
          .reduce((a) => a, { uid: "op" }),
      ),
    ).toBe("sliding windows of 9 ms every 3 ms from 1 ms on: reduce");
    const own = { assign: () => [], merging: true };
    expect(shape((items) => items.window(own).aggregate(n, { uid: "op" }))).toBe(
      "windows that merge: aggregate of n",
    );
  });
});

describe("merging windows (MergingWindowSetTest)", () => {
  const merges: Merge[] = [];
  const merged = (merge: Merge): void => void merges.push(merge);
  const window = (start: number, end: number) => ({ start, end });

  test("grow, join and are retired", () => {
    merges.length = 0;
    const set = new MergingWindows([]);
    expect(set.add(window(0, 4), merged)).toEqual(window(0, 4));
    expect(set.add(window(10, 14), merged)).toEqual(window(10, 14));
    expect(merges).toEqual([]);
    // One that is part of another is no merge.
    expect(set.add(window(1, 3), merged)).toEqual(window(0, 4));
    expect(merges).toEqual([]);
    expect(set.add(window(3, 6), merged)).toEqual(window(0, 6));
    expect(merges.splice(0)).toEqual([
      {
        window: window(0, 6),
        merged: [window(0, 4)],
        stateWindow: window(0, 4),
        mergedStateWindows: [],
      },
    ]);
    expect(set.stateWindowOf(window(0, 6))).toEqual(window(0, 4));
    expect(set.stateWindowOf(window(0, 4))).toBeUndefined();
    expect(set.add(window(6, 10), merged)).toEqual(window(0, 14));
    const [joined] = merges.splice(0);
    expect(joined!.window).toEqual(window(0, 14));
    expect(new Set(joined!.merged.map(({ start }) => start))).toEqual(new Set([0, 10]));
    expect(joined!.mergedStateWindows).toHaveLength(1);
    const restored = new MergingWindows(set.stored);
    expect(restored.stateWindowOf(window(0, 14))).toEqual(joined!.stateWindow);
    restored.retire(window(0, 14));
    expect(restored.stored).toEqual([]);
  });

  test("never touch, and hold each window's contents under one of it", () => {
    const spans = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 1, max: 12 })),
      { maxLength: 25 },
    );
    fc.assert(
      fc.property(spans, (given) => {
        const set = new MergingWindows([]);
        for (const [start, length] of given) {
          const own = set.add(window(start, start + length), () => {});
          expect(own.start <= start && own.end >= start + length).toBe(true);
        }
        const stored = set.stored.toSorted(([a], [b]) => a - b);
        stored.forEach(([start, end, stateStart, stateEnd], at) => {
          expect(start <= stateStart && stateEnd <= end).toBe(true);
          if (at > 0) expect(stored[at - 1]![1] < start).toBe(true);
        });
      }),
    );
  });
});

const told = (one: WindowHarness): unknown[] =>
  one.told().map(({ row }) => (row as { n: number }).n);

const triggered =
  (
    trigger: Trigger<unknown, unknown>,
    size: number,
    time: "event" | "processing" = "event",
  ): Windows =>
  (items: Items) =>
    items
      .window(tumbling(size, { time }))
      .trigger(trigger)
      .aggregate({ n: count() }, { uid: "op" });

describe("triggers", () => {
  test("by event time, also once it has passed (EventTimeTriggerTest)", () => {
    const one = new WindowHarness((items) =>
      items
        .window(tumbling(10))
        .trigger(eventTimeTrigger())
        .allowedLateness(10)
        .aggregate({ n: count() }, { uid: "op" }),
    );
    expect(told(one.push(item("a", 1)).watermark(8))).toEqual([]);
    expect(told(one.watermark(9))).toEqual([1]);
    expect(told(one.push(item("a", 2)))).toEqual([2]);
    expect(told(one.watermark(19))).toEqual([]);
    expect(one.entries).toBe(0);
  });

  test("by the clock (ProcessingTimeTriggerTest)", () => {
    const one = new WindowHarness(triggered(processingTimeTrigger(), 10, "processing"));
    expect(told(one.push(item("a", 1), item("a", 1)).clock(8))).toEqual([]);
    expect(told(one.clock(9))).toEqual([2]);
    expect(one.entries).toBe(0);
  });

  test("by the clock, of sessions that merge (ProcessingTimeTriggerTest)", () => {
    const one = new WindowHarness((items) =>
      items.window(session(10, { time: "processing" })).aggregate({ n: count() }, { uid: "op" }),
    );
    one.push(item("a", NaN)).clock(5).push(item("a", NaN));
    expect(told(one.clock(13))).toEqual([]);
    expect(told(one.clock(14))).toEqual([2]);
    expect(one.entries).toBe(0);
  });

  test("by number, of windows that are cleaned up in between (CountTriggerTest)", () => {
    const one = new WindowHarness(triggered(countTrigger(2) as never, 10));
    expect(told(one.push(item("a", 1), item("b", 1), item("a", 2), item("a", 3)))).toEqual([2]);
    expect(told(one.push(item("a", 4)))).toEqual([4]);
    expect(told(one.push(item("a", 11)).watermark(19))).toEqual([]);
    expect(one.entries).toBe(0);
  });

  test("every so often by event time, of sessions that merge (ContinuousEventTimeTriggerTest)", () => {
    const one = new WindowHarness((items) =>
      items
        .window(session(25))
        .trigger(continuousEventTime(10))
        .aggregate({ n: count() }, { uid: "op" }),
    );
    one.push(item("a", 3), item("a", 40), item("a", 20));
    // From 3 to 65: at 10 and every 10 after that, and at its end.
    expect(told(one.watermark(10))).toEqual([3]);
    expect(told(one.watermark(39))).toEqual([3, 3]);
    expect(told(one.watermark(64))).toEqual([3, 3, 3, 3]);
    expect(one.entries).toBe(0);
  });

  test("every so often by the clock (ContinuousProcessingTimeTriggerTest)", () => {
    const windows = triggered(continuousProcessingTime(10) as never, 25, "processing");
    const one = new WindowHarness(windows, { now: 3 }).push(item("a", 1));
    expect(told(one.clock(10))).toEqual([1]);
    expect(told(one.push(item("a", 1)).clock(20))).toEqual([2]);
    expect(told(one.clock(24))).toEqual([2]);
    expect(one.entries).toBe(0);
    const two = new WindowHarness((items) =>
      items
        .window(session(15, { time: "processing" }))
        .trigger(continuousProcessingTime(10))
        .aggregate({ n: count() }, { uid: "op" }),
    );
    two.push(item("a", 1)).clock(9).push(item("a", 1));
    expect(told(two.clock(10))).toEqual([2]);
    expect(told(two.clock(30))).toEqual([2, 2]);
    expect(two.entries).toBe(0);
  });

  test("every so often by the clock, of event time that is long past for it", () => {
    const windows = triggered(continuousProcessingTime(10) as never, 20);
    const one = new WindowHarness(windows, { now: 86_400_003 }).push(item("a", 1));
    expect(told(one.clock(86_400_009))).toEqual([]);
    expect(told(one.clock(86_400_010))).toEqual([1]);
    one.push(item("a", 2), item("a", 3));
    expect(told(one.clock(86_400_031))).toEqual([3, 3]);
    // No turn of the clock comes between the last row and the end by event time, which tells nothing.
    expect(told(one.push(item("a", 4)).watermark(19))).toEqual([]);
    expect(one.entries).toBe(0);
    expect(one.operator.nextTimerAt).toBeUndefined();
  });

  test("every so often by the clock, of event time that is close to it", () => {
    // The clock comes to 24, the last instant of the window, between two turns.
    const windows = triggered(continuousProcessingTime(10) as never, 25);
    const one = new WindowHarness(windows, { now: 13 }).push(item("a", 1));
    expect(told(one.clock(20))).toEqual([1]);
    expect(told(one.push(item("a", 2)).clock(29))).toEqual([]);
    expect(told(one.clock(40))).toEqual([2, 2]);
    expect(one.watermark(24).entries).toBe(0);
  });

  test("every so often by event time, by the same turns where a session grows", () => {
    const one = new WindowHarness((items) =>
      items
        .window(session(15))
        .trigger(continuousEventTime(10))
        .aggregate({ n: count() }, { uid: "op" }),
    );
    const at = (watermark: number): number[] =>
      one
        .watermark(watermark)
        .told()
        .map(() => watermark);
    // It would end at 18, between two turns, and ends at 32.
    one.push(item("a", 3)).watermark(11).told();
    one.push(item("a", 17));
    expect(Array.from({ length: 40 }, (_, n) => at(n)).flat()).toEqual([20, 30, 31]);
    expect(one.entries).toBe(0);
  });

  test("every so often by event time, of the window of all rows, up to the end of time", () => {
    const one = new WindowHarness((items) =>
      items
        .window(globalWindow())
        .trigger(continuousEventTime(10))
        .aggregate({ n: count() }, { uid: "op" }),
    );
    expect(told(one.push(item("a", 3)).watermark(25))).toEqual([1, 1]);
    expect(told(one.push(item("a", 26)).watermark(Infinity))).toEqual([2]);
  });

  test("by event time, of the window of all rows: when all input has ended, whatever it is", async () => {
    const job = defineJob("all", (env) => {
      env
        .from(topic<Item>("items"), { uid: "items" })
        .keyBy("k")
        .window(globalWindow())
        .trigger(eventTimeTrigger())
        .aggregate({ n: count() }, { uid: "op" })
        .to(table("all"), { uid: "out" });
    });
    const run = await runJob(job, { items: [item("a", 1), item("b", 2), crash(), item("a", 3)] });
    expect(run.table("all")).toEqual([
      { key: "a", n: 2 },
      { key: "b", n: 1 },
    ]);
  });

  test("that purge, whatever they wrap (PurgingTriggerTest)", () => {
    const one = new WindowHarness(triggered(purging(continuousEventTime(10)) as never, 100));
    expect(told(one.push(item("a", 1), item("a", 2)).watermark(10))).toEqual([2]);
    expect(told(one.push(item("a", 11)).watermark(20))).toEqual([1]);
    expect(told(one.watermark(99))).toEqual([]);
    expect(one.entries).toBe(0);
    const clock = new WindowHarness(triggered(purging(processingTimeTrigger()), 10, "processing"));
    expect(told(clock.push(item("a", 1)).clock(9))).toEqual([1]);
    const merging = new WindowHarness((items) =>
      items
        .window(session(10))
        .trigger(purging(eventTimeTrigger()))
        .aggregate({ n: count() }, { uid: "op" }),
    );
    expect(told(merging.push(item("a", 1), item("a", 5)).watermark(14))).toEqual([2]);
    const silent = new WindowHarness(triggered(never(), 10));
    expect(told(silent.push(item("a", 1)).watermark(9))).toEqual([]);
    expect([clock.entries, merging.entries, silent.entries]).toEqual([0, 0, 0]);
  });
});
