// Temporal and regular joins and dedupe: against plain loops, whatever is lost, and what is left behind.

import { describe, expect, test } from "vitest";

import { createOperator } from "../../operators/create.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import { MemoryStateBackend } from "../../operators/state/memory.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import { type DataStream, type KeyedStream, outputTag, tumbling } from "tidemark";
import { operatorHarness } from "tidemark/testing";
import { type Build, ByHand, type Item } from "./by-hand.ts";
import { type Event, held, jobOf, madeBy, runThrough } from "./two-streams.ts";

interface Sided {
  readonly side: "left" | "right";
  readonly id: string;
}

const sidesOf = (stream: DataStream<Sided>) =>
  (["left", "right"] as const).map((of) =>
    stream.filter(({ side }) => side === of, { uid: of }).keyBy(() => "all"),
  );

const lines = (given: readonly unknown[]): string[] =>
  given.map((row) => JSON.stringify(row)).toSorted();

describe("a temporal join", () => {
  const versioned =
    (type: "inner" | "left") => (left: DataStream<Event>, right: DataStream<Event>) =>
      left.keyBy("key").temporalJoin(
        right.keyBy("key"),
        { type: type as "left" },
        // Versions of one time replace each other in the order in which they come, which is any.
        (row, version) => ({ key: `${row.id}`, version: version?.at ?? null }),
        { uid: "both" },
      );

  test.each([
    { type: "inner", unaligned: false },
    { type: "left", unaligned: false },
    { type: "left", unaligned: true },
  ] as const)(
    "is that of a plain loop, whatever is lost ($type, unaligned: $unaligned)",
    ({ type, unaligned }) => {
      const definition = jobOf(versioned(type), unaligned);
      for (let seed = 1; seed <= 10; seed++) {
        const { left, right, cluster } = runThrough(definition, { seed });
        const expected = left.flatMap(({ id, key, at }) => {
          const times = right.filter((one) => one.key === key && one.at <= at).map((one) => one.at);
          if (times.length === 0 && type === "inner") return [];
          return [{ key: `${id}`, version: times.length === 0 ? null : Math.max(...times) }];
        });
        expect(madeBy(cluster)).toEqual(lines(expected));
        // Of each key the version that is valid.
        expect(held(cluster)).toBe(new Set(right.map(({ key }) => key)).size);
      }
    },
  );

  test("waits for event time, puts late rows beside and lets nothing stay at the end of time", () => {
    const late = outputTag<Sided>("late");
    const harness = operatorHarness((stream: DataStream<Sided>) => {
      const [left, right] = sidesOf(stream);
      const joined = left!.temporalJoin(
        right!,
        { lateLeft: late },
        (row, version) => `${row.id} ${version.id}`,
        { uid: "both" },
      );
      return joined.union(joined.sideOutput(late).map(({ id }) => `late ${id}`, { uid: "late" }));
    });
    const row = (id: string, at: number) => harness.push({ side: "left", id }, at);
    const version = (id: string, at: number) => harness.push({ side: "right", id }, at);
    version("v10", 10);
    row("at 25", 25);
    row("at 5", 5);
    row("at 15", 15);
    expect(harness.take()).toEqual([]);
    version("v20", 20); // after the row that it is valid for
    harness.watermark(30);
    expect(harness.take()).toEqual(["at 15 v10", "at 25 v20"]);
    row("at 30", 30);
    expect(harness.take()).toEqual(["late at 30"]);
    // A version that is late counts from then on, but only if none is later.
    version("v28", 28);
    version("v19", 19);
    const again = harness.watermark(40).restore(harness.snapshot());
    again.push({ side: "left", id: "at 45" }, 45).watermark(50);
    expect(again.take()).toEqual(["at 45 v28"]);
  });
});

test("a temporal join holds nothing once event time has ended", () => {
  const { left, right } = { left: 30, right: 20 };
  const harness = operatorHarness((stream: DataStream<Sided>) => {
    const [rows, versions] = sidesOf(stream);
    return rows!.temporalJoin(versions!, (row, version) => row.id + version.id, { uid: "both" });
  });
  harness.push({ side: "right", id: "v" }, right).push({ side: "left", id: "r" }, left);
  harness.watermark(Infinity);
  expect(harness.take()).toEqual(["rv"]);
  const again = harness.restore(harness.snapshot());
  again.push({ side: "left", id: "later" }, left);
  expect(again.take()).toEqual([]);
});

describe("a regular join", () => {
  test.each([false, true])(
    "is that of a plain loop, whatever is lost (unaligned: %s)",
    (unaligned) => {
      const definition = jobOf(
        (left, right) =>
          left
            .keyBy("key")
            .regularJoin(right.keyBy("key"), {}, (l, r) => ({ key: `${l.id} ${r.id}` }), {
              uid: "both",
            }),
        unaligned,
      );
      for (let seed = 1; seed <= 3; seed++) {
        const { left, right, cluster } = runThrough(definition, { seed, step: 20 });
        const expected = left.flatMap((l) =>
          right.filter((r) => r.key === l.key).map((r) => ({ key: `${l.id} ${r.id}` })),
        );
        expect(madeBy(cluster)).toEqual(lines(expected));
      }
    },
  );

  test("changes an entry and a number for a row, however many rows its key has", () => {
    const backend = new MemoryStateBackend({ maxParallelism: 16, budget: Infinity });
    const key = (): string => "key";
    const fn = (l: number, r: number): number => l + r;
    const operator = createOperator(
      { uid: "op", spec: { kind: "regularJoin", join: { type: "inner", fn }, rightKey: key }, key },
      {
        uid: "op",
        state: backend.store("op"),
        operatorState: new OperatorStates([]).store("op"),
        subtask: { index: 0, parallelism: 1 },
        now: () => 0,
        watermark: () => -Infinity,
      },
    );
    const tables = backend.store("op").tables();
    const out = { emit: () => {} };
    operator.processBatch(new RowBatch(Array.from({ length: 1_000 }, (_, n) => n)), out, 0);
    for (const state of tables.values()) state.freeze("full");
    operator.processBatch(new RowBatch([1_000]), out, 0);
    const changed = Array.from(tables, ([name, state]) => [name, state.freeze("delta")] as const);
    expect(changed.flatMap(([name, entries]) => entries.map(() => name))).toEqual(["left", "next"]);
    expect(tables.get("left")!.size).toBe(1_001);
  });

  test("forgets rows whose ttl has passed", () => {
    const harness = operatorHarness((stream: DataStream<Sided>) => {
      const [left, right] = sidesOf(stream);
      return left!.regularJoin(right!, { ttl: "1 min" }, (l, r) => l.id + r.id, { uid: "both" });
    });
    harness.push({ side: "left", id: "a" });
    harness.wait("50s").push({ side: "left", id: "b" }).push({ side: "right", id: "1" });
    expect(harness.take()).toEqual(["a1", "b1"]);
    harness.wait("30s").push({ side: "right", id: "2" });
    expect(harness.take()).toEqual(["b2"]);
  });
});

describe("rows that come too late for a join", () => {
  const at = (time: number): Item => ({ k: "key", at: time, id: time });
  const lateLeft = outputTag<Item>("left");
  const lateRight = outputTag<Item>("right");
  const id = (l: Item): number => l.id;
  const keyed = (build: (left: Keyed, right: Keyed) => DataStream<number>): Build => {
    return (left, right) => build(left.keyBy("k"), right.keyBy("k"));
  };
  type Keyed = KeyedStream<Item, string>;
  const uid = { uid: "op" };

  test.each([
    {
      join: "interval",
      plain: keyed((left, right) => left.intervalJoin(right, { between: [-5, 5] }, id, uid)),
      beside: keyed((left, right) =>
        left.intervalJoin(right, { between: [-5, 5], lateLeft, lateRight }, id, uid),
      ),
      isLate: ["left", "right"],
    },
    {
      join: "window",
      plain: keyed((left, right) => left.windowJoin(right, { window: tumbling(10) }, id, uid)),
      beside: keyed((left, right) =>
        left.windowJoin(right, { window: tumbling(10), lateLeft, lateRight }, id, uid),
      ),
      isLate: ["left", "right"],
    },
    {
      join: "temporal",
      plain: keyed((left, right) => left.temporalJoin(right, id, uid)),
      beside: keyed((left, right) => left.temporalJoin(right, { lateLeft }, id, uid)),
      // A version that is late still is one.
      isLate: ["left"],
    },
  ])("are counted, or beside what it emits ($join)", ({ plain, beside, isLate }) => {
    const counting = new ByHand(plain).watermark(100).left(at(1)).right(at(2)).left(at(101));
    expect(counting.dropped).toBe(isLate.length);
    const putting = new ByHand(beside).watermark(100).left(at(1)).right(at(2)).left(at(101));
    expect(putting.dropped).toBe(0);
    expect(putting.aside).toEqual(isLate.map((side) => [side, at(side === "left" ? 1 : 2)]));
  });
});

describe("dedupe", () => {
  const deduping = (keep: "first" | "last", ttl?: "1 min") =>
    operatorHarness((stream: DataStream<{ key: string; n: number }>) =>
      stream.keyBy("key").dedupe({ keep, ...(ttl && { ttl }) }, { uid: "one" }),
    );

  test("keeps the first row of a key, across a restore, as long as it is remembered", () => {
    const harness = deduping("first", "1 min");
    harness.push({ key: "a", n: 1 }).push({ key: "a", n: 2 }).push({ key: "b", n: 3 });
    const again = harness.restore(harness.snapshot());
    expect(harness.take().map(({ n }) => n)).toEqual([1, 3]);
    again.push({ key: "a", n: 4 });
    expect(again.take()).toEqual([]);
    again.wait("61s").push({ key: "a", n: 5 }).push({ key: "a", n: 6 });
    expect(again.take().map(({ n }) => n)).toEqual([5]);
  });

  test("keeps the last row by event time, as updates", () => {
    const harness = deduping("last");
    harness.push({ key: "a", n: 1 }, 10).push({ key: "a", n: 2 }, 5).push({ key: "b", n: 3 }, 1);
    const again = harness.restore(harness.snapshot());
    expect(harness.take().map(({ n }) => n)).toEqual([1, 3]);
    again.push({ key: "a", n: 4 }, 9).push({ key: "a", n: 5 }, 10).push({ key: "a", n: 6 }, 12);
    expect(again.take().map(({ n }) => n)).toEqual([5, 6]);
  });

  test("keeps one row of each, whatever is lost", () => {
    const definition = jobOf((left, right) =>
      left
        .union(right)
        .keyBy((row) => Math.floor(row.at / 10))
        .dedupe({ keep: "last" }, { uid: "both" })
        .map((row) => ({ key: `${Math.floor(row.at / 10)}`, at: row.at }), { uid: "named" }),
    );
    for (let seed = 1; seed <= 5; seed++) {
      const { left, right, cluster } = runThrough(definition, { seed });
      const groups = Map.groupBy([...left, ...right], ({ at }) => Math.floor(at / 10));
      const expected = Array.from(groups, ([of, rows]) => {
        return { key: `${of}`, at: Math.max(...rows.map(({ at }) => at)) };
      });
      expect(madeBy(cluster)).toEqual(lines(expected));
      expect(held(cluster)).toBe(groups.size);
    }
  });
});
