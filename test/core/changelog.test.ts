// Changes, from who makes them to the table: what a plain loop over all rows comes to at the end, whatever
// order they came in and whatever was lost; and nothing left of what was taken back.

import { describe, expect, test } from "vitest";
import { Prng } from "../../sim/prng.ts";
import { Cluster, World } from "../../testing/cluster.ts";
import { GraphError } from "../../stream/errors.ts";
import {
  avg,
  change,
  type Change,
  count,
  countIf,
  type DataStream,
  defineJob,
  max,
  rowOf,
  sum,
  table,
  topic,
} from "tidemark";
import { crash, operatorHarness, rescale, runJob } from "tidemark/testing";

interface Price {
  readonly id: number;
  readonly category: string;
  /** Less than 0: the item is gone. */
  readonly price: number;
}

const sorted = (rows: readonly unknown[]): string[] =>
  rows.map((row) => JSON.stringify(row)).toSorted();

const latestPrices = (prices: DataStream<Price>) =>
  prices
    .map((row) => (row.price < 0 ? change.delete(row) : change.insert(row)), { uid: "kinds" })
    .keyBy("id")
    .toChangelog({ uid: "changes" });

const averages = defineJob("averages", (env) => {
  latestPrices(env.from(topic<Price>("prices", { partitions: 1 }), { uid: "prices" }))
    .keyBy("category")
    .aggregateChanges(
      { mean: avg("price"), total: sum("price"), n: count(), dear: countIf((p) => p.price > 50) },
      { uid: "by-category" },
    )
    .to(table("averages"), { uid: "out" });
});

describe("a result that changes", () => {
  test.each([1, 2, 3, 4, 5, 6])(
    "is that of the rows that are there, of which some come, change and go (seed %i)",
    async (seed) => {
      const prng = new Prng(seed);
      const prices = Array.from({ length: 400 }, (): Price => ({
        id: prng.below(30),
        category: `c${prng.below(4)}`,
        price: prng.chance(0.3) ? -1 : prng.below(100),
      }));
      // Some categories lose all they had.
      const last = Array.from({ length: 30 }, (_, id): Price => {
        return { id, category: "c1", price: id % 2 ? -1 : id };
      });
      const all = [...prices, ...last];
      const there = new Map<number, Price>();
      for (const row of all) {
        if (row.price < 0) there.delete(row.id);
        else there.set(row.id, row);
      }
      const byCategory = Map.groupBy(there.values(), ({ category }) => category);
      const expected = [...byCategory].map(([key, own]) => {
        const total = own.reduce((so, { price }) => so + price, 0);
        const dear = own.filter(({ price }) => price > 50).length;
        return { key, mean: total / own.length, total, n: own.length, dear };
      });
      expect(expected.map(({ key }) => key)).toEqual(["c1"]);
      const steps = [...all.slice(0, 150), crash(), ...all.slice(150, 250), rescale(3)];
      const run = await runJob(
        averages,
        { prices: [...steps, ...all.slice(250), crash()] },
        { seed, parallelism: 1 + (seed % 4) },
      );
      expect(sorted(run.table("averages"))).toEqual(sorted(expected));
    },
  );

  test("says what it was and what it is", () => {
    const harness = operatorHarness((prices: DataStream<Price>) =>
      latestPrices(prices)
        .keyBy("category")
        .aggregateChanges({ total: sum("price") }, { uid: "totals" }),
    );
    harness.push({ id: 1, category: "a", price: 5 });
    expect(harness.take()).toEqual([{ key: "a", total: 5, $kind: "+I" }]);
    harness.push({ id: 1, category: "a", price: 5 });
    expect(harness.take()).toEqual([]);
    harness.push({ id: 2, category: "a", price: 7 });
    expect(harness.take()).toEqual([
      { key: "a", total: 5, $kind: "-U" },
      { key: "a", total: 12, $kind: "+U" },
    ]);
    const again = harness.restore(harness.snapshot());
    again.push({ id: 1, category: "b", price: 6 });
    expect(again.take()).toEqual([
      { key: "a", total: 12, $kind: "-U" },
      { key: "a", total: 7, $kind: "+U" },
      { key: "b", total: 6, $kind: "+I" },
    ]);
    again.push({ id: 1, category: "?", price: -1 }).push({ id: 2, category: "?", price: -1 });
    again.push({ id: 3, category: "?", price: -1 });
    expect(again.take()).toEqual([
      { key: "b", total: 6, $kind: "-D" },
      { key: "a", total: 7, $kind: "-D" },
    ]);
  });

  test.each(["memory", "sqlite"] as const)(
    "leaves nothing behind of what is gone (%s)",
    (backend) => {
      const world = new World();
      const state = { backend };
      const cluster = new Cluster(world, { definition: averages, parallelism: 2, state });
      const entries = (): number =>
        [...cluster.tasks.values()].reduce((sum, task) => {
          const answer = task.readState({ limit: 1 });
          const states = answer.kind === "states" ? answer.states : [];
          const keyed = states.filter(({ kind }) => kind === "keyed");
          return sum + keyed.reduce((so, state) => so + state.entries, 0);
        }, 0);
      const rows = Array.from({ length: 20 }, (_, id) => ({
        id,
        category: `c${id % 3}`,
        price: id,
      }));
      world.append("prices", 0, rows);
      cluster.settle();
      expect(entries()).toBe(20 + 3 + 3);
      const before = cluster.checkpoint();
      cluster.complete(before);
      world.append(
        "prices",
        0,
        rows.map((row) => ({ ...row, price: -1 })),
      );
      cluster.settle();
      expect(entries()).toBe(0);
      // Until a checkpoint holds it, who reads what is committed sees what there was.
      expect(cluster.table("averages")).toEqual([]);
      expect(cluster.table("averages", "committed")).toHaveLength(3);
      const after = cluster.checkpoint();
      cluster.complete(after);
      expect(cluster.table("averages", "committed")).toEqual([]);
      // And so it is from a delta on.
      const again = new Cluster(world, {
        definition: averages,
        parallelism: 3,
        state,
        restore: after,
      });
      expect(again.settle().table("averages")).toEqual([]);
    },
  );

  test("takes nothing from a key that has nothing", () => {
    const harness = operatorHarness((rows: DataStream<Change<Price>>) =>
      rows.keyBy("category").aggregateChanges({ total: sum("price") }, { uid: "totals" }),
    );
    harness.push(change.delete({ id: 1, category: "a", price: 5 }));
    harness.push(change.updateBefore({ id: 1, category: "a", price: 5 }));
    expect(harness.take()).toEqual([]);
  });

  test("refuses aggregates that cannot take a row back", () => {
    const build = (): unknown =>
      defineJob("refused", (env) => {
        env
          .from(topic<Price>("prices"), { uid: "prices" })
          .keyBy("category")
          .aggregateChanges({ n: count(), most: max("price") }, { uid: "most" })
          .to(table("most"), { uid: "out" });
      });
    expect(build).toThrow(GraphError);
    expect(build).toThrow(/"most" \(aggregateChanges\) has in its field "most" .*with retract/);
  });

  test("has rows that are what they were made of", () => {
    const row = { id: 1, category: "a", price: 5 };
    expect(change.updateAfter(row)).toEqual({ ...row, $kind: "+U" });
    expect(rowOf(change.delete(row))).toEqual(row);
    expect(rowOf(row)).toBe(row);
    expect(() => change.insert(null as never)).toThrow(
      /made of an object with fields, not of null/,
    );
  });
});

interface Side {
  readonly side: "l" | "r";
  readonly key: number;
  readonly n: number;
}

const joinOf = (type: "left" | "right" | "full") =>
  defineJob(`${type}-join`, (env) => {
    const left = env.from(topic<Side>("left", { partitions: 2 }), { uid: "left" });
    const right = env.from(topic<Side>("right", { partitions: 2 }), { uid: "right" });
    const settings = { type: type as "full" };
    left
      .keyBy("key")
      .regularJoin(
        right.keyBy("key"),
        settings,
        (l, r) => ({ key: `${l?.n ?? "-"} ${r?.n ?? "-"}` }),
        { uid: "join" },
      )
      .to(table("pairs"), { uid: "out" });
  });

/** All pairs, and those of an outer side that have none. */
function pairsOf(type: string, left: readonly Side[], right: readonly Side[]): string[] {
  const pairs = left.flatMap((l) =>
    right.flatMap((r) => (l.key === r.key ? [`${l.n} ${r.n}`] : [])),
  );
  const alone = (own: readonly Side[], others: readonly Side[]): Side[] =>
    own.filter(({ key }) => !others.some((other) => other.key === key));
  if (type !== "right") pairs.push(...alone(left, right).map(({ n }) => `${n} -`));
  if (type !== "left") pairs.push(...alone(right, left).map(({ n }) => `- ${n}`));
  return pairs;
}

describe("an outer join", () => {
  test.each(["left", "right", "full"] as const)(
    "%s: has every pair, and who has none alone, whatever was lost",
    async (type) => {
      for (let seed = 1; seed <= 4; seed++) {
        const prng = new Prng(seed);
        const sideOf = (side: "l" | "r", length: number): Side[] =>
          Array.from({ length }, (_, n) => ({ side, key: prng.below(60), n }));
        const [left, right] = [sideOf("l", 60), sideOf("r", 50)];
        const run = await runJob(
          joinOf(type),
          {
            left: [...left.slice(0, 30), crash(), ...left.slice(30)],
            right: [...right.slice(0, 35), rescale(2), ...right.slice(35), crash()],
          },
          { seed, parallelism: seed },
        );
        const keys = run.table<{ key: string }>("pairs").map(({ key }) => key);
        expect(keys.toSorted()).toEqual(pairsOf(type, left, right).toSorted());
        expect(keys.some((key) => key.includes("-"))).toBe(true);
      }
    },
  );
});
