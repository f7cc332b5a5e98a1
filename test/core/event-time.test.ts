// Event time from the source to the last operator: timers by the times of the rows, whatever was lost
// and restored on the way, at any parallelism.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  count,
  type DataStream,
  defineJob,
  eventTimeTrigger,
  fromIterable,
  generate,
  monotonous,
  type JobDefinition,
  rows,
  table,
  topic,
  tumbling,
  valueState,
  watermarks,
} from "tidemark";
import { operatorHarness } from "tidemark/testing";
import { Cluster, World } from "../../testing/cluster.ts";

interface Reading {
  readonly sensor: string;
  readonly at: number;
}

const partitions = 3;
const bound = 40;
const hour = 100;
const readings = topic<Reading>("readings", { partitions });

/** Counts the readings of each sensor and hour; an hour is told once it is over. */
const hourly = (unaligned: boolean, idleness?: number): JobDefinition =>
  defineJob(
    "hourly",
    (env) => {
      env
        .from(readings, {
          uid: "readings",
          watermarks: boundedOutOfOrderness(bound, {
            timestamp: "at",
            ...(idleness !== undefined && { idleness }),
          }),
        })
        .map(({ sensor, at }) => ({ sensor, hour: Math.floor(at / hour), at }), { uid: "hours" })
        .keyBy(({ sensor, hour: of }) => [sensor, of])
        .process(
          {
            state: { count: valueState({ default: 0 }), told: valueState({ default: 0 }) },
            emits: rows<{ sensor: string; hour: number; n: number; told: number; late: number }>(),
            process(row, { key: [sensor, of], state, timers, timestamp, emit }) {
              if (timestamp !== row.at) throw new Error(`The row of ${row.at} has ${timestamp}.`);
              const end = (of + 1) * hour - 1;
              if (timers.currentWatermark() >= end) {
                return emit({ sensor, hour: of, n: state.count.get(), told: -1, late: 1 });
              }
              state.count.set(state.count.get() + 1);
              timers.registerEventTime(end);
            },
            onTimer(time, { key: [sensor, of], state, timers, timeDomain, timestamp, emit }) {
              // As far as the operator is being taken, as in Flink, and not as it was before.
              if (timers.currentWatermark() < time) throw new Error("It is too early.");
              if (timeDomain !== "event" || timestamp !== time) throw new Error("What time is it?");
              state.told.set(state.told.get() + 1);
              emit({ sensor, hour: of, n: state.count.get(), told: state.told.get(), late: 0 });
              state.count.clear();
            },
          },
          { uid: "count" },
        )
        .to(table("hours", { key: ({ sensor, hour: of, late }) => [sensor, of, late] }), {
          uid: "out",
        });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

/** Readings of a few sensors, out of order by less than the bound within a partition. */
function append(world: World, prng: Prng, from: number, to: number): Reading[] {
  const all: Reading[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    for (let at = from; at < to; at += 5) {
      const reading = { sensor: `s${prng.below(4)}`, at: Math.max(0, at - prng.below(bound)) };
      all.push(reading);
      world.append("readings", partition, [reading]);
    }
  }
  return all;
}

function expected(all: readonly Reading[], upTo: number): unknown[] {
  const counts = Map.groupBy(all, ({ sensor, at }) => `${sensor} ${Math.floor(at / hour)}`);
  return [...counts]
    .map(([key, own]) => {
      const [sensor, of] = key.split(" ") as [string, string];
      return { sensor, hour: Number(of), n: own.length, told: 1, late: 0 };
    })
    .filter((row) => (row.hour + 1) * hour - 1 <= upTo);
}

const sorted = (given: readonly unknown[]): string[] =>
  given.map((row) => JSON.stringify(row)).toSorted();

describe("event time", () => {
  test.each([false, true])(
    "fires each timer once, whatever is lost (unaligned: %s)",
    (unaligned) => {
      for (let seed = 1; seed <= 15; seed++) {
        const prng = new Prng(seed);
        const world = new World();
        const definition = hourly(unaligned);
        const all: Reading[] = [];
        let restore: Manifest | undefined;
        for (let round = 0; round < 5; round++) {
          all.push(...append(world, prng, round * 300, (round + 1) * 300));
          const cluster = new Cluster(world, {
            definition,
            parallelism: 1 + prng.below(4),
            seed: seed * 100 + round,
            ...(restore && { restore }),
          });
          cluster.run(prng.below(150));
          if (prng.chance(0.8)) restore = cluster.checkpoint();
          cluster.run(prng.below(100));
          if (round < 4) continue;
          cluster.settle();
          const rowsOf = cluster.table("hours");
          const upTo = Math.max(
            ...rowsOf.map((row) => ((row as { hour: number }).hour + 1) * hour - 1),
          );
          expect(upTo).toBeGreaterThan(5 * 300 - hour - 3 * bound);
          expect(sorted(rowsOf)).toEqual(sorted(expected(all, upTo)));
        }
      }
    },
  );

  test("comes to its end with a generator, and fires what is left", () => {
    const definition = defineJob("ending", (env) => {
      env
        .from(
          generate((n) => ({ at: n }), { rows: 10 }),
          { uid: "in", watermarks: boundedOutOfOrderness(bound, { timestamp: "at" }) },
        )
        .keyBy(() => "all")
        .process(
          {
            state: { seen: valueState({ default: 0 }) },
            emits: rows<{ key: string; seen: number }>(),
            process(_, { state, timers }) {
              state.seen.set(state.seen.get() + 1);
              timers.registerEventTime(1_000_000);
            },
            onTimer: (_, { key, state, emit }) => emit({ key, seen: state.seen.get() }),
          },
          { uid: "count" },
        )
        .to(table("seen"), { uid: "out" });
    });
    const cluster = new Cluster(new World(), { definition, parallelism: 2 }).settle();
    expect(cluster.table("seen")).toEqual([{ key: "all", seen: 10 }]);
  });

  test("a strategy is punctuated, or not", () => {
    const options = { timestamp: "at", punctuated: 1 } as never;
    const refusal = /was given 1 as punctuated\. Allowed: true or false/;
    expect(() => boundedOutOfOrderness(5, options)).toThrow(refusal);
    expect(() => monotonous(options)).toThrow(refusal);
  });

  test.each([false, true])(
    "is behind the batch, or behind the row that raised it: %s",
    (punctuated) => {
      const definition = defineJob("seeing", (env) => {
        env
          .from(topic<{ readonly at: number }>("rows", { partitions: 1 }), {
            uid: "in",
            watermarks: boundedOutOfOrderness(5, { timestamp: "at", punctuated }),
          })
          .process(
            {
              emits: rows<{ at: number; watermark: number }>(),
              process: ({ at }, { currentWatermark, emit }) =>
                emit({ at, watermark: currentWatermark() }),
            },
            { uid: "seen" },
          )
          .to(table("seen", { key: ({ at }) => at }), { uid: "out" });
      });
      const world = new World();
      world.append("rows", 0, [{ at: 10 }, { at: 200 }, { at: 30 }]);
      const cluster = new Cluster(world, { definition, parallelism: 1 }).settle();
      world.append("rows", 0, [{ at: 210 }]);
      const seen = cluster.settle().table("seen") as { at: number; watermark: number }[];
      const first = punctuated ? [-Infinity, 4, 194] : [-Infinity, -Infinity, -Infinity];
      expect(seen.map(({ at }) => at)).toEqual([10, 200, 30, 210]);
      expect(seen.map(({ watermark }) => watermark)).toEqual([...first, 194]);
    },
  );

  test("a generator at its end has none of its last batch behind that, where it is punctuated", () => {
    const definition = defineJob("ending", (env) => {
      env
        .from(fromIterable([10, 30, 20, 250, 240].map((at) => ({ at }))), {
          uid: "in",
          watermarks: watermarks<{ readonly at: number }, number>({
            timestamp: ({ at }) => at,
            create: () => -Infinity,
            onRow: (latest, at) => Math.max(latest, at),
            watermark: (latest) => latest - bound,
            punctuated: true,
          }),
        })
        .keyBy(() => "all")
        .window(tumbling(hour))
        .aggregate({ n: count() }, { uid: "count" })
        .to(table("windows", { key: ({ windowStart }) => windowStart }), { uid: "out" });
    });
    const cluster = new Cluster(new World(), { definition, parallelism: 1 }).settle();
    expect(cluster.table("windows")).toEqual([
      { key: "all", windowStart: 0, windowEnd: 100, n: 3 },
      { key: "all", windowStart: 200, windowEnd: 300, n: 2 },
    ]);
  });

  test("does not wait for a partition that is idle", () => {
    const world = new World();
    for (const at of [10, 150, 290]) world.append("readings", 0, [{ sensor: "a", at }]);
    const waiting = new Cluster(world, { definition: hourly(false), parallelism: 2 }).settle();
    expect(waiting.table("hours")).toEqual([]);
    const definition = hourly(false, 500);
    const cluster = new Cluster(world, { definition, parallelism: 2 }).settle();
    expect(sorted(cluster.table("hours"))).toEqual(
      sorted([
        { sensor: "a", hour: 0, n: 1, told: 1, late: 0 },
        { sensor: "a", hour: 1, n: 1, told: 1, late: 0 },
      ]),
    );
    // A row of a partition that was idle is late if time has passed it, and else counts as any other.
    world.append("readings", 1, [{ sensor: "b", at: 20 }]);
    world.append("readings", 2, [{ sensor: "b", at: 260 }]);
    world.append("readings", 0, [{ sensor: "a", at: 400 }]);
    cluster.settle();
    expect(cluster.table("hours")).toContainEqual({
      sensor: "b",
      hour: 0,
      n: 0,
      told: -1,
      late: 1,
    });
  });

  test("is what has come while timers and windows see to it", () => {
    const seen: number[] = [];
    const harness = operatorHarness((stream: DataStream<{ key: string }>) => {
      const timed = stream.keyBy("key").process(
        {
          state: {},
          emits: rows<number>(),
          process: (_, { timestamp = 0, timers }) => timers.registerEventTime(timestamp + 5),
          onTimer: (_, { timers, emit }) => emit(timers.currentWatermark()),
        },
        { uid: "timed" },
      );
      const whole = eventTimeTrigger();
      const windows = stream
        .keyBy("key")
        .window(tumbling(10))
        .trigger({
          ...whole,
          onEventTime(time, window, ctx) {
            seen.push(ctx.currentWatermark());
            return whole.onEventTime(time, window, ctx);
          },
        })
        .process(
          { emits: rows<number>(), process: (ctx) => ctx.emit(ctx.currentWatermark()) },
          { uid: "windows" },
        );
      return timed.union(windows);
    });
    harness.push({ key: "a" }, 3).watermark(25);
    expect(harness.take()).toEqual([25, 25]);
    expect(seen).toEqual([25]);
  });
});
