// Windows by panes against the same windows one by one: whatever is asked of them, whatever rows come in
// which order, whatever snapshots lie in between, by rows and by columns, results are the same.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ColumnBatch } from "../../operators/column-batch.ts";
import { Panes } from "../../operators/panes.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import {
  avg,
  count,
  countIf,
  eventTimeTrigger,
  max,
  min,
  outputTag,
  sliding,
  sum,
  type TimeSpan,
} from "tidemark";
import type { Derived } from "../../operators/state/keyed-state.ts";
import { MemoryStateBackend } from "../../operators/state/memory.ts";
import { type OpenOptions, stateBackends } from "./state-backends.ts";
import { type Item, type Items, item, WindowHarness, type Windows } from "./window-harness.ts";

interface Asked {
  readonly size: TimeSpan;
  readonly slide: TimeSpan;
  readonly offset: number;
  readonly lateness: number;
  readonly fold: "fields" | "functions" | "reduce";
}

type Step =
  | { readonly kind: "rows"; readonly rows: readonly Item[]; readonly asColumns: boolean }
  | { readonly kind: "watermark"; readonly by: number }
  | { readonly kind: "restore" };

const late = outputTag<Item>("late");

const windows =
  ({ size, slide, offset, lateness, fold }: Asked, oneByOne: boolean): Windows =>
  (items: Items) => {
    const plain = items.window(sliding(size, slide, { offset })).allowedLateness(lateness);
    const asked = plain.lateOutput(late);
    // A trigger that is given, be it the default, is called for each window.
    const stream = oneByOne ? asked.trigger(eventTimeTrigger()) : asked;
    switch (fold) {
      case "fields":
        return stream.aggregate(
          { n: count(), sum: sum("v"), min: min("v"), max: max("at"), mean: avg("v") },
          { uid: "op" },
        );
      case "functions":
        return stream.aggregate(
          { n: countIf<Item>(({ v }) => v > 3), sum: sum(({ v }: Item) => v) },
          { uid: "op" },
        );
      case "reduce":
        return stream.reduce((a, b) => ({ k: a.k, v: a.v + b.v, at: Math.max(a.at, b.at) }), {
          uid: "op",
        });
    }
  };

const columns = (rows: readonly Item[]): ColumnBatch =>
  new ColumnBatch(
    rows.length,
    ["k", "v", "at"],
    [
      { kind: "string", values: rows.map(({ k }) => k), dictionary: undefined },
      { kind: "float64", values: Float64Array.from(rows, ({ v }) => v) },
      { kind: "float64", values: Float64Array.from(rows, ({ at }) => at) },
    ],
    Float64Array.from(rows, ({ at }) => at),
  );

const sorted = (given: readonly unknown[]): string[] =>
  given.map((one) => JSON.stringify(one)).toSorted();

const asked = fc.record({
  size: fc.integer({ min: 1, max: 30 }),
  slide: fc.integer({ min: 1, max: 12 }),
  share: fc.integer({ min: 0, max: 11 }),
  lateness: fc.constantFrom(0, 0, 3, 20),
  fold: fc.constantFrom("fields", "functions", "reduce"),
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("rows" as const),
        rows: fc.array(
          fc.record({
            k: fc.constantFrom("a", "b", "c"),
            v: fc.integer({ min: 0, max: 9 }),
            at: fc.integer({ min: -20, max: 60 }),
          }),
          { minLength: 1, maxLength: 8 },
        ),
        asColumns: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("watermark" as const),
        by: fc.integer({ min: 1, max: 15 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("restore" as const) }) },
  ),
  { maxLength: 25 },
);

/** What is told after each step, and aside, and how much is left at the end. */
function run(
  backend: (typeof stateBackends)[number],
  of: Windows,
  all: readonly Step[],
): unknown[] {
  let watermark = -30;
  let one = new WindowHarness(of, { backend, watermark });
  const told = all.map((step) => {
    switch (step.kind) {
      case "rows": {
        const { rows, asColumns } = step;
        const times = Float64Array.from(rows, ({ at }) => at);
        one.batch(asColumns ? columns(rows) : new RowBatch(rows, undefined, times));
        break;
      }
      case "watermark":
        watermark += step.by;
        one.watermark(watermark);
        break;
      case "restore":
        one = new WindowHarness(of, { backend, from: one.snapshot(), watermark });
    }
    return [sorted(one.told()), sorted(one.aside())];
  });
  const rest = sorted(one.watermark(Infinity).told());
  return [...told, rest, one.entries];
}

describe.each(stateBackends)("windows by panes on $name", (backend) => {
  test("are the windows one by one", () => {
    fc.assert(
      fc.property(asked, steps, ({ share, ...given }, all) => {
        const of = { ...given, offset: share % given.slide } as Asked;
        const expected = run(backend, windows(of, true), all as Step[]);
        expect(expected.at(-1)).toBe(0);
        expect(run(backend, windows(of, false), all as Step[])).toEqual(expected);
      }),
      { numRuns: 80 },
    );
  });
});

test("panes are as long as size and slide allow, and windows are runs of them", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 39 }),
      fc.integer({ min: -100, max: 100 }),
      fc.integer({ min: -150, max: 150 }),
      (size, slide, share, time, after) => {
        const offset = share % slide;
        const panes = new Panes({ size, slide, offset }, 0);
        const assigner = sliding(size, slide, { offset });
        const start = panes.of(time);
        expect(start <= time && time < start + panes.length).toBe(true);
        const ends = assigner
          .assign(undefined, time)
          .map(({ end }) => end)
          .toSorted((a, b) => a - b);
        for (let other = start; other < start + panes.length; other++) {
          expect(assigner.assign(undefined, other)).toHaveLength(ends.length);
        }
        expect(panes.isCovered(start)).toBe(ends.length > 0);
        expect(panes.firstEnd(start, after)).toBe(ends.find((end) => end - 1 > after));
        expect(panes.isPartlyOver(start, after)).toBe((ends[0] ?? Infinity) - 1 <= after);
        for (const end of ends) {
          expect(panes.isEnd(end)).toBe(true);
          expect(panes.isEnd(end + 1)).toBe(slide === 1);
          expect(panes.startOf(end) <= start && start + panes.length <= end).toBe(true);
        }
        if (ends.length > 0) expect(panes.overAt(start)).toBe(ends.at(-1)! - 1);
      },
    ),
    { numRuns: 500 },
  );
});

test("a row is folded once, and columns without rows being made", () => {
  let made = 0;
  const rows = Array.from({ length: 100 }, (_, n) => item(`k${n % 7}`, n, n));
  const batch = columns(rows);
  const counted = {
    length: batch.length,
    fields: batch.fields,
    timestamps: batch.timestamps,
    column: (field: string) => batch.column(field),
    rows: () => {
      made++;
      return batch.rows();
    },
  };
  const given = { size: 600, slide: 10, offset: 0, lateness: 0, fold: "fields" } as const;
  const one = new WindowHarness(windows(given, false)).batch(counted);
  expect(made).toBe(0);
  // A pane for each of ten stretches of time, and each of seven keys in it.
  expect(one.entries).toBe(70);
  expect(one.watermark(Infinity).told()).toHaveLength(7 * 69);
  expect(one.entries).toBe(0);
});

describe.each(stateBackends)("what runs of panes come to, on $name", (backend) => {
  const given = { size: 600, slide: 10, offset: 0, lateness: 0, fold: "fields" } as const;
  /** Of the operator that has no other state. */
  const derivedBy = (harness: WindowHarness): Derived => {
    const { derived } = harness.backend.store("op") as unknown as { derived: readonly Derived[] };
    expect(derived).toHaveLength(1);
    return derived[0]!;
  };
  const steps = Array.from({ length: 150 }, (_, n) => ({
    row: item(`k${n % 3}`, 10 * n, n),
    watermark: 10 * n - 40,
  }));

  test("counts against the memory budget, and goes with the panes", () => {
    const harness = new WindowHarness(windows(given, false), { backend });
    const derived = derivedBy(harness);
    expect(derived.bytes).toBe(0);
    for (const { row, watermark } of steps) harness.push(row).watermark(watermark);
    // Three keys, each with up to sixty runs of panes.
    expect(derived.bytes).toBeGreaterThan(3 * 1_000);
    expect(derived.bytes).toBeLessThan(3 * 20_000);
    harness.watermark(Infinity);
    expect(derived.bytes).toBe(0);
  });

  test("is made again where there was no room for it", () => {
    const usual = new WindowHarness(windows(given, false), { backend });
    const budget = 2 ** 20;
    const open = ({ maxParallelism }: OpenOptions) =>
      new MemoryStateBackend({ maxParallelism, budget });
    const of = backend.name === "memory" ? { name: "memory", open } : backend;
    const tight = new WindowHarness(windows(given, false), { backend: of });
    const derived = derivedBy(tight);
    for (const { row, watermark } of steps) {
      for (const harness of [usual, tight]) {
        harness.push(row).watermark(watermark);
      }
      if (backend.name === "memory") tight.backend.check(budget);
      else derived.drop();
      expect(derived.bytes).toBe(0);
    }
    const all = usual.watermark(Infinity).told();
    expect(all.length).toBeGreaterThan(200);
    expect(tight.watermark(Infinity).told()).toEqual(all);
  });
});

test("folds of windows leave as columns", () => {
  const fold = { size: 40, slide: 10, offset: 0, lateness: 0, fold: "fields" } as const;
  const harness = new WindowHarness(windows(fold, false));
  harness.push(item("a", 5, 2), item("b", 17, 3)).watermark(Infinity);
  const [batch] = harness.batches;
  expect(batch!.fields?.slice(0, 3)).toEqual(["key", "windowStart", "windowEnd"]);
  expect(batch!.column!("key")).toMatchObject({ kind: "string" });
  expect(batch!.column!("windowEnd")).toMatchObject({ kind: "float64" });
  expect(batch!.timestamps).toEqual(
    (batch!.column!("windowEnd").values as Float64Array).map((end) => end - 1),
  );
});
