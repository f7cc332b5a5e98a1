// Event times that are given in the middle of a program, and generators of watermarks of one's own.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  defineJob,
  fromIterable,
  type JobDefinition,
  rows,
  table,
  topic,
  valueState,
  watermarks,
} from "tidemark";
import { runJob } from "tidemark/testing";
import { Cluster, World } from "../../testing/cluster.ts";

interface Line {
  readonly sensor: string;
  readonly time: number;
  readonly marks?: true;
}

interface Reading {
  readonly sensor: string;
  readonly at: number;
  readonly marks: boolean;
}

const hour = 100;
const lines = topic<Line>("lines", { partitions: 2 });

const byMarker = watermarks<Reading, number>({
  timestamp: ({ at }) => at,
  create: () => -Infinity,
  onRow: (known, at, { marks }) => (marks ? Math.max(known, at) : known),
  watermark: (known) => known,
  punctuated: true,
});

/** Counts by sensor and hour, told when the hour is over; rows that are too late are told at once. */
const hourly = (
  strategy: Parameters<ReturnType<typeof counted>>[0],
  from = lines as Parameters<ReturnType<typeof counted>>[1],
): JobDefinition => counted()(strategy, from);

const counted =
  () =>
  (
    strategy: ReturnType<typeof watermarks<Reading, number>>,
    from: typeof lines | ReturnType<typeof fromIterable<Line>>,
  ): JobDefinition =>
    defineJob(
      "hourly",
      (env) => {
        env
          .from(from as typeof lines, { uid: "lines" })
          .map(({ sensor, time, marks = false }): Reading => ({ sensor, at: time, marks }), {
            uid: "parse",
          })
          .assignTimestampsAndWatermarks(strategy, { uid: "times" })
          .keyBy(({ sensor, at }) => [sensor, Math.floor(at / hour)])
          .process(
            {
              state: { n: valueState({ default: 0 }) },
              emits: rows<{ key: string; n: number }>(),
              process({ at }, { key: [sensor, of], state, timers, timestamp, emit }) {
                if (timestamp !== at) throw new Error(`The row of ${at} has ${timestamp}.`);
                const end = (of + 1) * hour - 1;
                if (timers.currentWatermark() >= end)
                  return emit({ key: `late ${sensor} ${at}`, n: 1 });
                state.n.set(state.n.get() + 1);
                timers.registerEventTime(end);
              },
              onTimer(_, { key: [sensor, of], state, emit }) {
                emit({ key: `${sensor} ${of}`, n: state.n.get() });
                state.n.clear();
              },
            },
            { uid: "count" },
          )
          .to(table("hours"), { uid: "out" });
      },
      {
        parallelism: 1,
        bufferTimeout: 5,
        checkpointing: { interval: 100, inlineThreshold: 1_000 },
      },
    );

const sorted = (given: readonly unknown[]): string[] =>
  given.map((row) => JSON.stringify(row)).toSorted();

describe("assignTimestampsAndWatermarks", () => {
  test("rows count in their hours, whatever is lost", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const prng = new Prng(seed);
      const world = new World();
      const definition = hourly(boundedOutOfOrderness(2_000, { timestamp: ({ at }) => at }));
      const all: Line[] = [];
      let restore: Manifest | undefined;
      for (let round = 0; round < 4; round++) {
        for (let at = round * 300; at < (round + 1) * 300; at += 7) {
          const line = { sensor: `s${prng.below(3)}`, time: Math.max(0, at - prng.below(40)) };
          all.push(line);
          world.append("lines", prng.below(2), [line]);
        }
        const cluster = new Cluster(world, {
          definition,
          parallelism: 1 + prng.below(3),
          seed: seed * 10 + round,
          ...(restore && { restore }),
        });
        cluster.run(prng.below(120));
        if (prng.chance(0.8)) restore = cluster.checkpoint();
        if (round < 3) continue;
        cluster.settle();
        const savepoint = { folder: "savepoints/s/", stops: true, drains: true } as const;
        cluster.checkpoint({ savepoint });
        const counts = Map.groupBy(
          all,
          ({ sensor, time }) => `${sensor} ${Math.floor(time / hour)}`,
        );
        const expected = [...counts].map(([key, own]) => ({ key, n: own.length }));
        expect(sorted(cluster.table("hours"))).toEqual(sorted(expected));
      }
    }
  });

  test("a punctuated watermark stands right behind the row that raised it", () => {
    const line = (time: number, marks?: true): Line => ({
      sensor: "a",
      time,
      ...(marks && { marks }),
    });
    const given = [
      line(10),
      line(120),
      line(210, true),
      line(30),
      line(130),
      line(220),
      line(400, true),
    ];
    const cluster = new Cluster(new World(), {
      definition: hourly(byMarker, fromIterable(given)),
      parallelism: 1,
    }).settle();
    const told = [
      { key: "a 0", n: 1 },
      { key: "a 1", n: 1 },
      { key: "a 2", n: 2 },
      { key: "a 4", n: 1 },
      { key: "late a 130", n: 1 },
      { key: "late a 30", n: 1 },
    ];
    expect(sorted(cluster.table("hours"))).toEqual(sorted(told));
  });

  test("what a generator knows is in snapshots", () => {
    const world = new World();
    world.append("lines", 0, [{ sensor: "a", time: 250, marks: true }]);
    const definition = hourly(byMarker);
    const first = new Cluster(world, { definition, parallelism: 1 }).settle();
    const restore = first.checkpoint();
    world.append("lines", 0, [{ sensor: "a", time: 40 }]);
    expect(first.subtasksOf("times").map(({ metrics }) => metrics.outputWatermark)).toEqual([250]);
    expect(first.subtasksOf("times").map(({ metrics }) => metrics.inputWatermark)).toEqual([
      undefined,
    ]);
    expect(first.subtasksOf("count").map(({ metrics }) => metrics.inputWatermark)).toEqual([250]);
    const second = new Cluster(world, { definition, parallelism: 1, restore }).settle();
    expect(second.table("hours")).toEqual([{ key: "late a 40", n: 1 }]);
  });

  test("a subtask without rows is waited for no longer than its idleness", () => {
    const world = new World();
    for (const time of [10, 150, 290]) world.append("lines", 0, [{ sensor: "a", time }]);
    const at = ({ at: time }: Reading): number => time;
    const waiting = hourly(boundedOutOfOrderness(10, { timestamp: at }));
    expect(
      new Cluster(world, { definition: waiting, parallelism: 2 }).settle().table("hours"),
    ).toEqual([]);
    const definition = hourly(boundedOutOfOrderness(10, { timestamp: at, idleness: 500 }));
    const cluster = new Cluster(world, { definition, parallelism: 2 }).settle();
    expect(sorted(cluster.table("hours"))).toEqual(
      sorted([
        { key: "a 0", n: 1 },
        { key: "a 1", n: 1 },
      ]),
    );
    world.append("lines", 1, [{ sensor: "b", time: 20 }]);
    expect(sorted(cluster.settle().table("hours"))).toContain(
      JSON.stringify({ key: "late b 20", n: 1 }),
    );
  });

  test("a row without event time fails, and is shown", () => {
    const broken = boundedOutOfOrderness<Reading>(10, { timestamp: () => NaN });
    const world = new World();
    world.append("lines", 0, [{ sensor: "a", time: 1 }]);
    const cluster = new Cluster(world, { definition: hourly(broken), parallelism: 1 });
    expect(() => cluster.settle()).toThrow(/"times".*gives no event time for \{"sensor":"a"/su);
  });

  test.each([
    [NaN, "NaN"],
    ["soon", '"soon"'],
  ])("a generator that returns %s fails, wherever it is", async (returned, told) => {
    for (const punctuated of [true, false]) {
      const strategy = watermarks<Reading, number>({
        timestamp: ({ at }) => at,
        create: () => 0,
        onRow: (known) => known,
        watermark: () => returned as number,
        punctuated,
      });
      for (const isSource of [true, false]) {
        const job = defineJob("wrong", (env) => {
          const from = topic<Reading>("readings");
          const readings = isSource
            ? env.from(from, { uid: "times", watermarks: strategy })
            : env
                .from(from, { uid: "readings" })
                .assignTimestampsAndWatermarks(strategy, { uid: "times" });
          readings.to(table("out", { key: ({ at }) => at }), { uid: "out" });
        });
        const readings = [{ sensor: "a", at: 1, marks: false }];
        await expect(runJob(job, { readings })).rejects.toThrow(
          `Operator "times" (watermarks) failed on row 0 of its batch: TypeError: watermark returned ${told}`,
        );
      }
    }
  });

  test("takes no onError, and nothing that is no strategy", () => {
    const build = (given: unknown, options: object) => () =>
      defineJob("refused", (env) => {
        env
          .from(lines, { uid: "lines" })
          .assignTimestampsAndWatermarks(given as never, { uid: "times", ...options })
          .to(table("out", { key: ({ sensor }) => sensor }), { uid: "out" });
      });
    expect(build("10s", {})).toThrow(/"times".*has "10s" as watermarks/su);
    const strategy = boundedOutOfOrderness<Line>(1, { timestamp: ({ time }) => time });
    expect(build(strategy, { onError: "drop" })).toThrow(/"times".*has onError/su);
  });
});
