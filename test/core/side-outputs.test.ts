// Side outputs from the function that emits to them to the operators that read them, whatever was lost
// and restored on the way, at any parallelism: SideOutputITCase in Flink.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  defineJob,
  type JobDefinition,
  outputTag,
  rows,
  table,
  topic,
  UserCodeError,
  valueState,
} from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Item {
  readonly id: number;
  readonly key: string;
  readonly at: number;
}

const partitions = 2;
const items = topic<Item>("items", { partitions });
const third = outputTag<Item>("third");
const fifth = outputTag<number>("fifth");

/** Every item is numbered within its key; some go beside as well, and some are left out for good. */
const sorting = (unaligned: boolean): JobDefinition =>
  defineJob(
    "sorting",
    (env) => {
      const sorted = env
        .from(items, {
          uid: "items",
          watermarks: boundedOutOfOrderness(10, { timestamp: "at" }),
        })
        .process(
          {
            emits: rows<Item>(),
            process(item, { emit, output }) {
              if (item.id % 3 === 0) output(third, item);
              if (item.id % 5 === 0) output(fifth, item.id);
              emit(item);
              if (item.id % 7 === 0) throw new Error("It is left out, with all it has emitted.");
            },
          },
          { uid: "sorted", onError: "drop" },
        );
      // Of one operator by two edges to one input, and by one in its chain.
      const thirds = sorted.sideOutput(third);
      sorted
        .union(
          thirds.map((item) => ({ ...item, key: "thirds" }), { uid: "renamed" }),
          thirds,
        )
        .keyBy("key")
        .process(
          {
            state: { n: valueState({ default: 0 }) },
            emits: rows<{ id: number; key: string; n: number }>(),
            process({ id, at }, { key, state, timestamp, emit, output }) {
              if (timestamp !== at) throw new Error(`The row of ${at} has ${timestamp}.`);
              state.n.set(state.n.get() + 1);
              emit({ id, key, n: state.n.get() });
              output(fifth, 0);
            },
          },
          { uid: "numbered" },
        )
        .to(table("numbered", { key: ({ key, n }) => [key, n] }), { uid: "out" });
      sorted
        .sideOutput(fifth)
        .keyBy((id) => id)
        .reduce((a) => a, { uid: "once" })
        .to(table("fifths", { key: (id) => id }), { uid: "fifths" });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

const byId = (given: readonly { readonly id: number; readonly key: string }[]): string[] =>
  given.map(({ id, key }) => `${key} ${id}`).toSorted();

describe("side outputs", () => {
  test.each([false, true])("carry each row once, whatever is lost (unaligned: %s)", (unaligned) => {
    for (let seed = 1; seed <= 12; seed++) {
      const prng = new Prng(seed);
      const world = new World();
      const definition = sorting(unaligned);
      const all: Item[] = [];
      let restore: Manifest | undefined;
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 60; i++) {
          const id = all.length;
          all.push({ id, key: `k${prng.below(5)}`, at: id });
          world.append("items", id % partitions, [all[id]]);
        }
        const cluster = new Cluster(world, {
          definition,
          parallelism: 1 + prng.below(4),
          seed: seed * 100 + round,
          ...(restore && { restore }),
        });
        cluster.run(prng.below(120));
        if (prng.chance(0.8)) restore = cluster.checkpoint();
        cluster.run(prng.below(80));
        if (round < 3) continue;
        cluster.settle();
        const kept = all.filter(({ id }) => id % 7 !== 0);
        const thirds = kept.filter(({ id }) => id % 3 === 0);
        expect(byId(cluster.table("numbered") as Item[])).toEqual(
          byId([...kept, ...thirds, ...thirds.map((item) => ({ ...item, key: "thirds" }))]),
        );
        const fifths = kept.map(({ id }) => id).filter((id) => id % 5 === 0);
        expect(new Set(cluster.table("fifths"))).toEqual(new Set(fifths));
      }
    }
  });

  test("are refused to what is no tag, when the row comes", () => {
    const definition = defineJob("job", (env) => {
      env
        .from(items, { uid: "items" })
        .process(
          {
            emits: rows<Item>(),
            process: (item, ctx) => ctx.output("late" as never, item as never),
          },
          { uid: "sorted" },
        )
        .to(table("t", { key: ({ id }) => id }), { uid: "out" });
    });
    const world = new World();
    world.append("items", 0, [{ id: 1, key: "a", at: 1 }]);
    expect(() => new Cluster(world, { definition, parallelism: 1 }).settle()).toThrow(
      `${UserCodeError.name}: Operator "sorted" (process) failed on row 0 of its batch: TypeError: ` +
        `ctx.output was given "late" as its tag.`,
    );
  });
});
