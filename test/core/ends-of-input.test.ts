// Jobs of which the input ends, and jobs that are drained: event time comes to its end, what waited for
// it is let go, and the last checkpoint has all of it, whatever is lost before.

import { describe, expect, test } from "vitest";

import { millis } from "../../format/ids.ts";
import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  type DataStream,
  defineJob,
  fromIterable,
  generate,
  type JobDefinition,
  type JobEnvironment,
  rows,
  table,
  topic,
  valueState,
} from "tidemark";
import { Task } from "../../task/task.ts";
import { Cluster, type ClusterOptions, World } from "../../testing/cluster.ts";

interface Reading {
  readonly sensor: string;
  readonly at: number;
}

const hour = 100;

const readingAt = (index: number): Reading => ({
  sensor: `s${(index * 7) % 5}`,
  at: Math.max(0, index - ((index * 13) % 30)),
});

/** How many readings there were of each sensor and hour, told when the hour is over. */
const counting = (
  from: (env: JobEnvironment) => DataStream<Reading>,
  unaligned = false,
): JobDefinition =>
  defineJob(
    "counting",
    (env) => {
      from(env)
        .keyBy(({ sensor, at }) => `${sensor}/${Math.floor(at / hour)}`)
        .process(
          {
            state: { n: valueState({ default: 0 }), told: valueState({ default: 0 }) },
            emits: rows<{ key: string; n: number; told: number }>(),
            process({ at }, { state, timers, timestamp }) {
              if (timestamp !== undefined && timestamp !== at) throw new Error("What time is it?");
              state.n.set(state.n.get() + 1);
              timers.registerEventTime((Math.floor(at / hour) + 1) * hour - 1);
            },
            onTimer(_, { key, state, emit }) {
              state.told.set(state.told.get() + 1);
              emit({ key, n: state.n.get(), told: state.told.get() });
            },
          },
          { uid: "count" },
        )
        .to(table("hours"), { uid: "out" });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

const watermarks = boundedOutOfOrderness(30, { timestamp: "at" });

function expected(readings: readonly Reading[]): unknown[] {
  const counts = Map.groupBy(readings, ({ sensor, at }) => `${sensor}/${Math.floor(at / hour)}`);
  return sorted([...counts].map(([key, own]) => ({ key, n: own.length, told: 1 })));
}

const sorted = (given: readonly unknown[]): unknown[] =>
  given
    .map((row) => JSON.stringify(row))
    .toSorted()
    .map((text) => JSON.parse(text) as unknown);

const hasEnded = (cluster: Cluster): boolean => cluster.ended.size === cluster.tasks.size;

const all = Array.from({ length: 950 }, (_, index) => readingAt(index));

const sources: [string, (env: JobEnvironment) => DataStream<Reading>][] = [
  ["a generator", (env) => env.from(generate(readingAt, { rows: 950 }), { uid: "in", watermarks })],
  ["an iterable", (env) => env.from(fromIterable(all), { uid: "in", watermarks })],
  ["rows without event times", (env) => env.from(fromIterable(all), { uid: "in" })],
];

describe("a job of which the input ends", () => {
  test.each(sources)(
    "CheckpointAfterAllTasksFinishedITCase, StreamTaskFinalCheckpointsTest: lets go of all that waited, whatever is lost: %s",
    (_, from) => {
      for (let seed = 1; seed <= 12; seed++) {
        const prng = new Prng(seed);
        const world = new World();
        const unaligned = prng.chance(0.5);
        const definition = counting(from, unaligned);
        let restore: Manifest | undefined;
        const begin = (more: Partial<ClusterOptions> = {}): Cluster => {
          const of = {
            definition,
            seed: seed * 100 + world.attempts,
            parallelism: 1 + prng.below(4),
          };
          return new Cluster(world, { ...of, ...(restore && { restore }), ...more });
        };
        for (let round = prng.below(4); round > 0; round--) {
          const cluster = begin();
          cluster.run(prng.below(60));
          if (prng.chance(0.8)) restore = cluster.checkpoint();
        }
        const last = begin().settle();
        expect(hasEnded(last)).toBe(true);
        for (const { metrics } of last.tasks.values()) {
          expect(metrics).toMatchObject({ inputWatermark: 2 ** 63, outputWatermark: 2 ** 63 });
        }
        const final = last.checkpoint({ isFinal: true });
        last.complete(final);
        expect(sorted(last.table("hours", "committed"))).toEqual(expected(all));
        for (const task of last.tasks.values()) {
          expect(task.activity.stopped).toEqual({
            checkpoint: final.checkpoint,
            isCommitted: true,
          });
          expect(task.finishedWith).toBe(final.checkpoint);
        }
        // Who is lost before the job has ended comes to the same end.
        restore = final;
        const again = begin().settle();
        expect(hasEnded(again)).toBe(true);
        expect(sorted(again.table("hours"))).toEqual(expected(all));
      }
    },
  );

  test("is read from the images of its subtasks when it has finished", () => {
    const definition = counting(sources[1]![1]);
    const cluster = new Cluster(new World(), { definition, parallelism: 2 }).settle();
    const final = cluster.checkpoint({ isFinal: true });
    cluster.complete(final);
    const read = cluster.subtasksOf("out").flatMap((task) => {
      const image = task.image(final.checkpoint);
      const rebuilt = Task.fromImage(image, definition.graph, millis(0));
      expect(rebuilt.finishedWith).toBe(final.checkpoint);
      const rowsOf = rebuilt.table("hours")!.entries("committed");
      return Array.from(rowsOf, ([, row]) => row);
    });
    expect(sorted(read)).toEqual(expected(all));
  });

  test("ends also where a timer of processing time still waits", () => {
    const definition = defineJob("waiting", (env) => {
      env
        .from(fromIterable([1, 2, 3]), { uid: "in" })
        .keyBy((n) => n)
        .process(
          {
            state: {},
            emits: rows<{ key: number }>(),
            process: (_, { timers }) => {
              timers.registerProcessingTime(timers.currentProcessingTime() + 3_600_000);
            },
            onTimer: (_, { key, emit }) => emit({ key }),
          },
          { uid: "wait" },
        )
        .to(table("fired"), { uid: "out" });
    });
    const cluster = new Cluster(new World(), { definition, parallelism: 1 }).settle(10);
    expect(hasEnded(cluster)).toBe(true);
    cluster.complete(cluster.checkpoint({ isFinal: true }));
    expect(cluster.table("fired")).toEqual([]);
  });

  test("PartiallyFinishedSourcesITCase, FinishedSourcesWatermarkITCase: goes on where one source of two has none: who has ended holds nobody up", () => {
    const definition = counting((env) =>
      env
        .from(fromIterable(all.slice(0, 150)), { uid: "bounded", watermarks })
        .union(env.from(topic<Reading>("readings", { partitions: 1 }), { uid: "in", watermarks })),
    );
    const world = new World();
    for (const reading of all.slice(150)) world.append("readings", 0, [reading]);
    const cluster = new Cluster(world, { definition, parallelism: 2 }).settle();
    const seen = (): string[] =>
      sorted(cluster.table("hours")).map((row) => (row as { key: string }).key);
    expect(seen().some((key) => key.endsWith("/7"))).toBe(true);
    expect(seen().some((key) => key.endsWith("/9"))).toBe(false);
    expect(hasEnded(cluster)).toBe(false);
    const restore = cluster.checkpoint();
    const next = new Cluster(world, { definition, parallelism: 3, restore }).settle();
    expect(sorted(next.table("hours"))).toEqual(sorted(cluster.table("hours")));
  });
});

describe("a drain", () => {
  const drained = { folder: "savepoints/s/", stops: true, drains: true } as const;
  const fromTopic = (env: JobEnvironment): DataStream<Reading> =>
    env.from(topic<Reading>("readings", { partitions: 3 }), { uid: "in", watermarks });

  test("SavepointITCase.testStopSavepointWithDrain: fires all timers before the barrier", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const prng = new Prng(seed);
      const world = new World();
      all.forEach((reading, at) => world.append("readings", at % 3, [reading]));
      const definition = counting(fromTopic, prng.chance(0.5));
      const cluster = new Cluster(world, { definition, parallelism: 1 + prng.below(4), seed });
      cluster.settle();
      expect(sorted(cluster.table("hours"))).not.toEqual(expected(all));
      const savepoint = cluster.checkpoint({ savepoint: drained });
      cluster.complete(savepoint).settle();
      expect(sorted(cluster.table("hours", "committed"))).toEqual(expected(all));
      // A job that begins with it has time before it again, and rows that count.
      world.append("readings", 0, [{ sensor: "new", at: 2_000 }]);
      world.append("readings", 1, [{ sensor: "new", at: 2_001 }]);
      world.append("readings", 2, [{ sensor: "new", at: 3_000 }]);
      const restore = savepoint;
      const next = new Cluster(world, { definition, parallelism: 2, restore, seed }).settle();
      next.complete(next.checkpoint({ savepoint: { ...drained, folder: "savepoints/t/" } }));
      expect(next.table("hours")).toContainEqual({ key: "new/20", n: 2, told: 1 });
    }
  });

  test("takes no row behind it, and lets go of what is there once", () => {
    const world = new World();
    world.append("readings", 0, [readingAt(1)]);
    const definition = counting(fromTopic);
    const cluster = new Cluster(world, { definition, parallelism: 2 }).settle();
    cluster.checkpoint({ savepoint: drained });
    const before = cluster.table("hours");
    world.append("readings", 0, [readingAt(2)]);
    expect(cluster.settle().table("hours")).toEqual(before);
    expect(cluster.subtasksOf("count").every((task) => task.activity.hasEnded)).toBe(true);
  });
});
