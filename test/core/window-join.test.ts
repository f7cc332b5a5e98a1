// Window joins and co-groups: which rows meet, when, what becomes of those that meet none or come too
// late, and that it is as if nothing had been lost.

import { describe, expect, test } from "vitest";

import {
  countEvictor,
  countTrigger,
  type DataStream,
  outputTag,
  purging,
  rows,
  session,
  type SideRow,
  sliding,
  type TimeWindow,
  tumbling,
  type WindowAssigner,
  type WindowJoinType,
} from "tidemark";
import { operatorHarness, type OperatorHarness } from "tidemark/testing";
import { type Event, held, jobOf, madeBy, runThrough } from "./two-streams.ts";

interface Sided {
  readonly side: "left" | "right";
  readonly id: string;
}

const sidesOf = (stream: DataStream<Sided>) =>
  (["left", "right"] as const).map((of) =>
    stream.filter(({ side }) => side === of, { uid: of }).keyBy(() => "all"),
  ) as [ReturnType<DataStream<Sided>["keyBy"]>, ReturnType<DataStream<Sided>["keyBy"]>];

type Harness = OperatorHarness<Sided, string>;

const left = (harness: Harness, id: string, at: number): Harness =>
  harness.push({ side: "left", id }, at);
const right = (harness: Harness, id: string, at: number): Harness =>
  harness.push({ side: "right", id }, at);

const pairOf = (l: Sided | undefined, r: Sided | undefined): string =>
  `${l?.id ?? "-"} ${r?.id ?? "-"}`;

describe("a window join", () => {
  const joining = (type: WindowJoinType): Harness =>
    operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      return lefts.windowJoin(rights, { window: tumbling(10), type: type as "full" }, pairOf, {
        uid: "both",
      });
    });

  test.each([
    { type: "inner", told: ["a 1", "a 2", "b 1", "b 2"] },
    { type: "left", told: ["a 1", "a 2", "b 1", "b 2", "c -"] },
    { type: "right", told: ["a 1", "a 2", "b 1", "b 2", "- 3"] },
    { type: "full", told: ["a 1", "a 2", "b 1", "b 2", "c -", "- 3"] },
  ] as const)("emits the pairs of a window when it is over ($type)", ({ type, told }) => {
    const harness = joining(type);
    left(harness, "a", 1);
    right(harness, "1", 2);
    left(harness, "b", 9);
    left(harness, "c", 10);
    right(harness, "2", 0);
    right(harness, "3", 20);
    expect(harness.watermark(8).take()).toEqual([]);
    const again = harness.restore(harness.snapshot());
    expect(again.watermark(9).take()).toEqual(["a 1", "a 2", "b 1", "b 2"]);
    again.watermark(100);
    expect(again.take()).toEqual(told.slice(4));
  });

  test("gives a pair the last instant of its window as its event time", () => {
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      return lefts
        .windowJoin(rights, { window: tumbling(10) }, pairOf, { uid: "both" })
        .keyBy((row) => row)
        .process(
          {
            state: {},
            emits: rows<string>(),
            process: (row, ctx) => ctx.emit(`${row} at ${ctx.timestamp}`),
          },
          { uid: "timed" },
        );
    });
    right(left(harness, "a", 11), "1", 12);
    expect(harness.watermark(19).take()).toEqual(["a 1 at 19"]);
  });

  test("tells a window again for a late row that is allowed, and puts others beside by their sides", () => {
    const lateLeft = outputTag<Sided>("late-left");
    const lateRight = outputTag<Sided>("late-right");
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      const joined = lefts.windowJoin(
        rights,
        { window: tumbling(10), allowedLateness: 5, lateLeft, lateRight },
        pairOf,
        { uid: "both" },
      );
      const named = (tag: typeof lateLeft, name: string) =>
        joined.sideOutput(tag).map(({ side, id }) => `${name} ${side} ${id}`, { uid: name });
      return joined.union(named(lateLeft, "of-left"), named(lateRight, "of-right"));
    });
    left(harness, "a", 1).watermark(9);
    expect(right(harness, "1", 2).take()).toEqual(["a 1"]);
    harness.watermark(13);
    expect(left(harness, "b", 3).take()).toEqual(["a 1", "b 1"]);
    harness.watermark(14);
    left(harness, "c", 4);
    right(harness, "2", 4);
    expect(harness.take()).toEqual(["of-left left c", "of-right right 2"]);
  });

  test("pairs what one session makes of both sides", () => {
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      const window = session((row: SideRow<Sided, Sided>) => (row.left === undefined ? 20 : 10));
      return lefts.windowJoin(rights, { window }, pairOf, { uid: "both" });
    });
    left(harness, "a", 0);
    left(harness, "b", 25);
    // Two sessions until this row: it makes them one, that ends at 35.
    right(harness, "1", 10);
    left(harness, "c", 60);
    expect(harness.watermark(40).take()).toEqual(["a 1", "b 1"]);
    expect(harness.watermark(100).take()).toEqual([]);
  });

  test("is told by its trigger, of rows of either side, less those that its evictor leaves out", () => {
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      return lefts.windowJoin(
        rights,
        { window: tumbling(100), trigger: countTrigger(3), evictor: countEvictor(2), type: "full" },
        pairOf,
        { uid: "both" },
      );
    });
    left(harness, "a", 0);
    left(harness, "b", 1);
    expect(right(harness, "1", 2).take()).toEqual(["b 1"]);
    right(harness, "2", 3);
    right(harness, "3", 4);
    expect(right(harness, "4", 5).take()).toEqual(["- 3", "- 4"]);
  });

  test("goes by the clock where its windows do", () => {
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      return lefts.windowJoin(
        rights,
        { window: tumbling("1 min", { time: "processing" }) },
        pairOf,
        { uid: "both" },
      );
    });
    right(left(harness, "a", 5), "1", 5_000_000);
    expect(harness.take()).toEqual([]);
    expect(harness.wait("1 min").take()).toEqual(["a 1"]);
  });
});

describe("a co-group", () => {
  test("is called with both sides of a window, also where one is empty", () => {
    const few = outputTag<string>("few");
    const harness: Harness = operatorHarness((stream: DataStream<Sided>) => {
      const [lefts, rights] = sidesOf(stream);
      const grouped = lefts.coGroup(
        rights,
        { window: tumbling(10), trigger: purging(countTrigger(4)) },
        {
          emits: rows<string>(),
          process({ key, window, emit, output }, these, those) {
            const ids = (of: readonly Sided[]): string => of.map(({ id }) => id).join("");
            if (those.length === 0) output(few, `only ${ids(these)}`);
            else emit(`${String(key)} ${window.start} ${ids(these)} ${ids(those)}`);
          },
        },
        { uid: "both" },
      );
      return grouped.union(grouped.sideOutput(few));
    });
    for (const id of ["a", "b", "c"]) left(harness, id, 1);
    expect(right(harness, "1", 2).take()).toEqual(["all 0 abc 1"]);
    for (const id of ["d", "e", "f", "g"]) left(harness, id, 11);
    expect(harness.take()).toEqual(["only defg"]);
  });
});

describe("a window join of whole streams", () => {
  const pair = (l: Event | undefined, r: Event | undefined): string => `${l?.id} ${r?.id}`;

  /** Of a plain loop: the pairs of windows that rows of both sides are in. */
  const pairs = (
    of: readonly Event[],
    others: readonly Event[],
    windows: (event: Event) => readonly TimeWindow[],
    type: WindowJoinType,
  ): string[] => {
    const byWindow = (events: readonly Event[]): Map<string, Event[]> =>
      Map.groupBy(
        events.flatMap((event) => windows(event).map((window) => ({ event, window }))),
        ({ event, window }) => `${event.key} ${window.start} ${window.end}`,
      ) as never;
    const [lefts, rights] = [byWindow(of), byWindow(others)] as unknown as Map<
      string,
      { readonly event: Event }[]
    >[];
    const none = [{ event: undefined }];
    const made: string[] = [];
    for (const window of new Set([...lefts!.keys(), ...rights!.keys()])) {
      const [here, there] = [lefts!.get(window), rights!.get(window)];
      if (here === undefined && !["right", "full"].includes(type)) continue;
      if (there === undefined && !["left", "full"].includes(type)) continue;
      for (const l of here ?? none) {
        for (const r of there ?? none) made.push(`${window} ${pair(l.event, r.event)}`);
      }
    }
    return made;
  };

  /** The sessions of a key are known when all its rows are. */
  const sessionsOf =
    (all: readonly Event[], gap: number) =>
    (event: Event): TimeWindow[] => {
      const times = all.flatMap(({ key, at }) => (key === event.key ? [at] : []));
      const sorted = times.sort((a, b) => a - b);
      let start = sorted[0]!;
      let last = start;
      for (const at of sorted) {
        if (at > last + gap) {
          if (event.at <= last) break;
          start = at;
        }
        last = at;
      }
      return [{ start, end: last + gap }];
    };

  const kinds: readonly {
    readonly name: string;
    readonly window: WindowAssigner<unknown>;
    readonly windows?: (event: Event) => readonly TimeWindow[];
    readonly type: WindowJoinType;
    readonly unaligned: boolean;
  }[] = [
    { name: "tumbling", window: tumbling(50), type: "inner", unaligned: false },
    { name: "tumbling", window: tumbling(20, { offset: 7 }), type: "full", unaligned: true },
    { name: "sliding", window: sliding(60, 20), type: "left", unaligned: true },
    { name: "session", window: session(8), type: "full", unaligned: false },
    { name: "session", window: session(8), type: "right", unaligned: true },
  ];

  test.each(kinds)(
    "is that of a plain loop, whatever is lost ($name, $type, unaligned: $unaligned)",
    ({ name, window, type, unaligned }) => {
      const definition = jobOf(
        (lefts, rights) =>
          lefts
            .keyBy("key")
            .windowJoin(
              rights.keyBy("key"),
              { window, type: type as "full" },
              (l, r) => ({ key: pair(l, r), of: l?.key ?? r!.key }),
              { uid: "both" },
            )
            .keyBy("key")
            .process(
              {
                state: {},
                emits: rows<{ key: string }>(),
                process: ({ key, of }, ctx) => ctx.emit({ key: `${of} ${ctx.timestamp} ${key}` }),
              },
              { uid: "named" },
            ),
        unaligned,
      );
      for (let seed = 1; seed <= 6; seed++) {
        const { left: lefts, right: rights, cluster } = runThrough(definition, { seed });
        const windows =
          name === "session"
            ? sessionsOf([...lefts, ...rights], 8)
            : (event: Event) => window.assign(event, event.at);
        const expected = pairs(lefts, rights, windows, type).map((made) => {
          const [key, , end, l, r] = made.split(" ");
          return JSON.stringify({ key: `${key} ${Number(end) - 1} ${l} ${r}` });
        });
        expect(expected.length).toBeGreaterThan(50);
        expect(madeBy(cluster)).toEqual(expected.toSorted());
        expect(held(cluster)).toBe(0);
      }
    },
  );
});
