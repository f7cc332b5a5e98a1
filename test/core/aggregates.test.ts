// Aggregates beyond sums: each against what a plain program makes of the same rows, whole and merged.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  type Aggregate,
  approxCountDistinct,
  collect,
  count,
  countDistinct,
  type DataStream,
  defineJob,
  eventTimeTrigger,
  first,
  type KeyedStream,
  last,
  percentiles,
  rows,
  session,
  sliding,
  table,
  topic,
  topN,
  tumbling,
} from "tidemark";
import { crash, operatorHarness, rescale, runJob } from "tidemark/testing";

interface Bid {
  readonly auction: string;
  readonly bidder: number | null;
  readonly price: number;
}

const bids = fc.array(
  fc.record({
    auction: fc.constantFrom("a", "b"),
    bidder: fc.option(fc.integer({ min: 0, max: 20 })),
    price: fc.integer({ min: -1_000, max: 1_000_000 }),
  }),
  { minLength: 1, maxLength: 80 },
);

/** Folded at once, and folded in parts that are merged. */
function results<A, R>(aggregate: Aggregate<Bid, A, R>, rows: readonly Bid[], cuts: number[]): R[] {
  const folded = (part: readonly Bid[]): A =>
    part.reduce((held, row) => aggregate.add(held, row), aggregate.create());
  const ends = [...cuts.map((cut) => cut % rows.length).sort((a, b) => a - b), rows.length];
  const parts = ends.map((end, at) => rows.slice(at === 0 ? 0 : ends[at - 1], end));
  const merged = parts.map(folded).reduce((left, right) => aggregate.merge(left, right));
  return [aggregate.result(folded(rows)), aggregate.result(merged)];
}

const holds = (check: (rows: readonly Bid[], cuts: number[]) => void): void =>
  fc.assert(
    fc.property(bids, fc.array(fc.nat(), { maxLength: 3 }), (rows, cuts) => check(rows, cuts)),
    { numRuns: 200 },
  );

describe("aggregates", () => {
  test("countDistinct counts each value once, and neither null nor undefined", () => {
    holds((rows, cuts) => {
      const known = new Set(rows.flatMap(({ bidder }) => bidder ?? []));
      expect(results(countDistinct("bidder"), rows, cuts)).toEqual([known.size, known.size]);
      const dear = new Set(rows.filter(({ price }) => price > 500).map(({ auction }) => auction));
      const aggregate = countDistinct(({ price, auction }: Bid) =>
        price > 500 ? auction : undefined,
      );
      expect(results(aggregate, rows, cuts)).toEqual([dear.size, dear.size]);
    });
  });

  test("first and last go by the order of arrival, collect keeps it", () => {
    holds((rows, cuts) => {
      expect(results(first("price"), rows, cuts)).toEqual(Array(2).fill(rows[0]!.price));
      expect(
        results(
          last((row: Bid) => row),
          rows,
          cuts,
        ),
      ).toEqual(Array(2).fill(rows.at(-1)));
      const prices = rows.map(({ price }) => price);
      expect(results(collect("price"), rows, cuts)).toEqual([prices, prices]);
    });
  });

  test("topN keeps the greatest, or the least, and the earlier of equal ones first", () => {
    holds((rows, cuts) => {
      for (const order of ["greatest", "least"] as const) {
        const sorted = rows.toSorted((a, b) => (order === "least" ? 1 : -1) * (a.price - b.price));
        const top = sorted.slice(0, 3);
        expect(
          results(
            topN(3, (bid: Bid) => bid.price, { order }),
            rows,
            cuts,
          ),
        ).toEqual([top, top]);
      }
    });
  });

  test("percentiles are within the relative error of the true ones, however rows were divided", () => {
    holds((rows, cuts) => {
      const shares = [0, 0.25, 0.5, 0.99, 1];
      const sorted = rows.map(({ price }) => price).toSorted((a, b) => a - b);
      const [whole, merged] = results(percentiles(shares, "price"), rows, cuts);
      expect(merged).toEqual(whole);
      for (const [at, share] of shares.entries()) {
        const truly = sorted[Math.floor(share * (sorted.length - 1))]!;
        expect(Math.abs(whole![at]! - truly)).toBeLessThanOrEqual(0.01 * Math.abs(truly) + 1e-9);
      }
    });
  });

  test.each([Number.MAX_VALUE, 1.7e308, 1e-300, -1.7e308, 0])(
    "a percentile of %d is near it",
    (n) => {
      for (const relativeError of [0.001, 0.01, 0.5]) {
        const aggregate = percentiles([0.5], (value: number) => value, { relativeError });
        const [near] = aggregate.result(aggregate.add(aggregate.create(), n));
        expect(Number.isFinite(near)).toBe(true);
        expect(Math.abs(near! / 2 - n / 2)).toBeLessThanOrEqual(
          relativeError * Math.abs(n) * 0.501,
        );
      }
    },
  );

  test.each([10, 1_000, 30_000, 300_000])("approxCountDistinct is near %i", (distinct) => {
    const aggregate = approxCountDistinct((n: number) => n);
    let registers = aggregate.create();
    for (let n = 0; n < distinct; n++) registers = aggregate.add(registers, n);
    for (let n = 0; n < distinct; n += 7) registers = aggregate.add(registers, n);
    // Four times the standard error.
    expect(Math.abs(aggregate.result(registers) / distinct - 1)).toBeLessThan(4 * 0.0163);
    const halves = [0, 1].map((odd) => {
      let half = aggregate.create();
      for (let n = odd; n < distinct; n += 2) half = aggregate.add(half, n);
      return half;
    });
    expect(aggregate.merge(halves[0]!, halves[1]!)).toEqual(registers);
  });

  test("refuse what they cannot count", () => {
    const text = { auction: "a", bidder: 1, price: "12" } as never;
    expect(() => percentiles([0.5], "price").add({} as never, text)).toThrow(
      "needs a finite number",
    );
    expect(() => topN(1, "price").add([], text)).toThrow("topN needs a number");
    expect(() => countDistinct("bidder").add(new Set(), { bidder: {} } as never)).toThrow(
      "got object",
    );
    const allowed = "Allowed: a list of numbers from 0 to 1, such as [0.5, 0.99].";
    for (const [given, found] of [
      [[], "an empty list"],
      [[0.5, 50], "50 in its list"],
      [[NaN], "NaN in its list"],
      [["0.5"], '"0.5" in its list'],
      [0.5, "0.5"],
    ] as const) {
      expect(() => percentiles(given as never, "price")).toThrow(
        `percentiles was given ${found}. ${allowed}`,
      );
    }
    expect(() => topN(0, "price")).toThrow("Allowed: a whole number from 1 to 10000");
    expect(() => approxCountDistinct("x", { precision: 3 })).toThrow("from 4 to 16");
    expect(() => collect(7 as never)).toThrow(
      "Allowed: the name of a field, or a function of a row",
    );
  });

  test("take a row that lacks the field for one with undefined in it, also after a crash", async () => {
    interface Click {
      readonly user: string;
      readonly page?: string;
    }
    const job = defineJob("clicks", (env) => {
      env
        .from(topic<Click>("clicks", { partitions: 1 }), { uid: "clicks" })
        .keyBy("user")
        .aggregate(
          {
            opened: first("page"),
            left: last("page"),
            pages: collect("page"),
            different: countDistinct("page"),
            about: approxCountDistinct("page"),
          },
          { uid: "pages" },
        )
        .to(table("pages"), { uid: "out" });
    });
    const none = (user: string): Click => ({ user });
    const clicks = [none("a"), { user: "b", page: "/1" }, crash(), { user: "a", page: "/1" }];
    const run = await runJob(job, { clicks: [...clicks, crash(), none("b"), none("b")] });
    const found = run.table<{ key: string }>("pages").toSorted((x, y) => (x.key < y.key ? -1 : 1));
    const one = { different: 1, about: 1 };
    expect(found).toEqual([
      { key: "a", opened: undefined, left: "/1", pages: [undefined, "/1"], ...one },
      { key: "b", opened: "/1", left: undefined, pages: ["/1", undefined, undefined], ...one },
    ]);
  });

  test("are state like any other: they survive a crash and a change of parallelism", async () => {
    const job = defineJob("bids", (env) => {
      env
        .from(topic<Bid>("bids"), { uid: "bids" })
        .keyBy("auction")
        .aggregate(
          {
            n: count(),
            bidders: countDistinct("bidder"),
            about: approxCountDistinct("bidder", { precision: 6 }),
            best: topN(2, "price"),
            middle: percentiles([0.5], "price"),
            prices: collect("price"),
          },
          { uid: "stats" },
        )
        .to(table("stats"), { uid: "out" });
    });
    const rows = Array.from({ length: 300 }, (_, n): Bid => ({
      auction: n % 3 === 0 ? "a" : "b",
      bidder: n % 17,
      price: (n * 7919) % 1_000,
    }));
    const third = rows.length / 3;
    const input = [
      rows.slice(0, third),
      crash(),
      rows.slice(third, 2 * third),
      rescale(3),
      crash(),
    ];
    for (let seed = 1; seed <= 5; seed++) {
      const run = await runJob(
        job,
        { bids: [...input.flat(), ...rows.slice(2 * third)] },
        { seed },
      );
      for (const auction of ["a", "b"]) {
        const own = rows.filter((bid) => bid.auction === auction);
        const found = run
          .table<{ key: string; prices: number[] }>("stats")
          .find((row) => row.key === auction)!;
        expect(found.prices.toSorted(ascending)).toEqual(
          own.map(({ price }) => price).toSorted(ascending),
        );
        expect(found).toMatchObject({
          n: own.length,
          bidders: 17,
          about: expect.any(Number) as number,
        });
      }
    }
  });
});

describe("the order of rows in windows", () => {
  interface Click {
    readonly id: number;
    readonly user: string;
  }
  type Clicks = KeyedStream<Click, string>;
  const all = {
    ids: collect((click: Click) => click.id),
    first: first((click: Click) => click.id),
    last: last((click: Click) => click.id),
    top: topN(2, ({ user }: Click) => user.length),
  };

  const idsOf = {
    emits: rows<number[]>(),
    process: ({ emit }: { readonly emit: (ids: number[]) => void }, held: readonly Click[]) =>
      emit(held.map(({ id }) => id)),
  };

  /** What is made of the window that begins at 0, of clicks that are numbered as they arrive. */
  function windowAt0<R>(make: (clicks: Clicks) => DataStream<R>, times: readonly number[]): R {
    const harness = operatorHarness((clicks: DataStream<Click>) => make(clicks.keyBy("user")));
    for (const [at, time] of times.entries()) harness.push({ id: at + 1, user: "a" }, time);
    return harness.watermark(1_999).take().at(-1)!;
  }

  test("is that of arrival in tumbling windows", () => {
    const made = windowAt0(
      (clicks) => clicks.window(tumbling("2s")).aggregate(all, { uid: "op" }),
      [1_500, 500, 1_600],
    );
    expect(made).toMatchObject({ ids: [1, 2, 3], first: 1, last: 3, top: [{ id: 1 }, { id: 2 }] });
  });

  test("is that of the panes in sliding windows that are folded, and of arrival within a pane", () => {
    const times = [1_500, 500, 1_600, 400];
    const made = windowAt0(
      (clicks) => clicks.window(sliding("2s", "1s")).aggregate(all, { uid: "op" }),
      times,
    );
    expect(made).toMatchObject({
      windowStart: 0,
      ids: [2, 4, 1, 3],
      first: 2,
      last: 3,
      top: [{ id: 2 }, { id: 4 }],
    });
    const reduced = windowAt0(
      (clicks) => clicks.window(sliding("2s", "1s")).reduce((_, later) => later, { uid: "op" }),
      times,
    );
    expect(reduced.id).toBe(3);
    // Of many panes, what runs of them come to is kept.
    const long = windowAt0(
      (clicks) => clicks.window(sliding("2s", 100)).aggregate(all, { uid: "op" }),
      [1_950, 1_500, 60, 1_550, 50, 900],
    );
    expect(long).toMatchObject({ windowStart: 0, ids: [3, 5, 6, 2, 4, 1], first: 3, last: 1 });
  });

  test("is that of arrival in sliding windows with a trigger, an evictor or all their rows", () => {
    const times = [1_500, 500, 1_600, 400];
    const made = { windowStart: 0, ids: [1, 2, 3, 4], first: 1, last: 4 };
    const triggered = windowAt0(
      (clicks) =>
        clicks
          .window(sliding("2s", "1s"))
          .trigger(eventTimeTrigger())
          .aggregate(all, { uid: "op" }),
      times,
    );
    expect(triggered).toMatchObject(made);
    const evicted = windowAt0(
      (clicks) =>
        clicks
          .window(sliding("2s", "1s"))
          .evictor({ before: (held) => held })
          .aggregate(all, { uid: "op" }),
      times,
    );
    expect(evicted).toMatchObject(made);
    const processed = windowAt0(
      (clicks) => clicks.window(sliding("2s", "1s")).process(idsOf, { uid: "op" }),
      times,
    );
    expect(processed).toEqual([1, 2, 3, 4]);
  });

  test("is that of arrival in each of the sessions that were merged, one behind the other", () => {
    const times = [30, 12, 31, 13, 21];
    const processed = windowAt0(
      (clicks) => clicks.window(session(10)).process(idsOf, { uid: "op" }),
      times,
    );
    const made = windowAt0(
      (clicks) => clicks.window(session(10)).aggregate(all, { uid: "op" }),
      times,
    );
    expect(made.ids).toEqual(processed);
    // 21 made them one.
    const whole = new Set([JSON.stringify([1, 3, 2, 4, 5]), JSON.stringify([2, 4, 1, 3, 5])]);
    expect(whole).toContain(JSON.stringify(processed));
  });
});

const ascending = (left: number, right: number): number => left - right;
