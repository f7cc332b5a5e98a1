// Windows in whole jobs: rows out of order, whatever is lost and restored on the way, at any parallelism,
// aligned and unaligned, come to what a plain loop makes of them. Mirrors Flink's
// EventTimeWindowCheckpointingITCase, ProcessingTimeWindowCheckpointingITCase and SessionWindowITCase.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import { Cluster, World } from "../../testing/cluster.ts";
import {
  boundedOutOfOrderness,
  count,
  countTrigger,
  type DataStream,
  defineJob,
  globalWindow,
  type JobDefinition,
  type KeyedStream,
  max,
  purging,
  rows,
  session,
  sliding,
  sum,
  table,
  topic,
  tumbling,
} from "tidemark";

interface Reading {
  readonly sensor: string;
  readonly at: number;
  readonly value: number;
}

/** What each kind of windows is told as: `sensor start end n total`. */
type Row = readonly [sensor: string, start: number, end: number, n: number, total: number];

const partitions = 3;
const bound = 40;
const readings = topic<Reading>("readings", { partitions });
const folds = { n: count(), total: sum("value") } as const;

/** Windows of readings as rows of a table, by their sensor and start. */
type Kind = (readings: KeyedStream<Reading, string>) => DataStream<Row>;

const plain = ({
  key,
  windowStart,
  windowEnd,
  n,
  total,
}: {
  readonly key: string;
  readonly windowStart: number;
  readonly windowEnd: number;
  readonly n: number;
  readonly total: number;
}): Row => [key, windowStart, windowEnd, n, total];

/** The windows that a plain loop finds for the readings of one sensor. */
type Loop = (own: readonly Reading[]) => readonly (readonly [start: number, end: number])[];

const kinds: readonly { readonly kind: string; readonly of: Kind; readonly loop: Loop }[] = [
  {
    kind: "tumbling",
    of: (stream) =>
      stream
        .window(tumbling(100, { offset: 30 }))
        .aggregate(folds, { uid: "windows" })
        .map(plain, { uid: "plain" }),
    loop: (own) => starts(own, ({ at }) => [Math.floor((at - 30) / 100) * 100 + 30], 100),
  },
  {
    kind: "sliding",
    of: (stream) =>
      stream
        .window(sliding(150, 60))
        .aggregate(folds, { uid: "windows" })
        .map(plain, { uid: "plain" }),
    loop: (own) =>
      starts(
        own,
        ({ at }) => {
          const last = Math.floor(at / 60) * 60;
          return [last, last - 60, last - 120].filter((start) => at < start + 150);
        },
        150,
      ),
  },
  {
    kind: "sessions",
    of: (stream) =>
      stream.window(session(12)).aggregate(folds, { uid: "windows" }).map(plain, { uid: "plain" }),
    loop(own) {
      const found: [number, number][] = [];
      for (const { at } of own.toSorted((a, b) => a.at - b.at)) {
        const last = found.at(-1);
        if (last !== undefined && at <= last[1]) last[1] = Math.max(last[1], at + 12);
        else found.push([at, at + 12]);
      }
      return found;
    },
  },
  {
    kind: "all rows of windows",
    of: (stream) =>
      stream.window(tumbling(100)).process(
        {
          emits: rows<Row>(),
          process({ key, window: { start, end }, emit }, all) {
            emit([key, start, end, all.length, all.reduce((total, { value }) => total + value, 0)]);
          },
        },
        { uid: "windows" },
      ),
    loop: (own) => starts(own, ({ at }) => [Math.floor(at / 100) * 100], 100),
  },
];

function starts(
  own: readonly Reading[],
  of: (reading: Reading) => readonly number[],
  size: number,
): [number, number][] {
  const found = new Set(own.flatMap(of));
  return [...found].map((start) => [start, start + size]);
}

function expected(all: readonly Reading[], loop: Loop): Row[] {
  return [...Map.groupBy(all, ({ sensor }) => sensor)].flatMap(([sensor, own]) =>
    loop(own).map(([start, end]): Row => {
      const inside = own.filter(({ at }) => at >= start && at < end);
      return [sensor, start, end, inside.length, inside.reduce((sum, { value }) => sum + value, 0)];
    }),
  );
}

/** `told` counts how often each window was: a row for each window that adds up. */
const jobOf = (of: Kind, unaligned: boolean): JobDefinition =>
  defineJob(
    "windows",
    (env) => {
      const stream = env
        .from(readings, {
          uid: "readings",
          watermarks: boundedOutOfOrderness(bound, { timestamp: "at" }),
        })
        .keyBy("sensor");
      of(stream)
        .keyBy(([sensor, start]) => [sensor, start])
        .aggregate(
          {
            told: count(),
            end: max(([, , end]) => end),
            n: sum(([, , , n]) => n),
            total: sum(([, , , , total]) => total),
          },
          { uid: "told" },
        )
        .to(table("windows"), { uid: "out" });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

function append(world: World, prng: Prng, from: number, to: number): Reading[] {
  const all: Reading[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    for (let at = from; at < to;) {
      const some: Reading[] = [];
      for (let n = 1 + prng.below(4); n > 0 && at < to; n--, at += 5) {
        const time = Math.max(0, at - prng.below(bound));
        some.push({ sensor: `s${prng.below(4)}`, at: time, value: prng.below(100) });
      }
      world.append("readings", partition, some);
      all.push(...some);
    }
  }
  return all;
}

interface Told {
  readonly key: readonly [string, number];
  readonly told: number;
  readonly end: number;
  readonly n: number;
  readonly total: number;
}

const sorted = (given: readonly unknown[]): string[] =>
  given.map((row) => JSON.stringify(row)).toSorted();

describe.each(kinds)("$kind", ({ of, loop }) => {
  test.each([
    { unaligned: false, backend: "memory" },
    { unaligned: true, backend: "memory" },
    { unaligned: false, backend: "sqlite" },
  ] as const)(
    "are told once each, as a plain loop has them (unaligned: $unaligned, $backend)",
    ({ unaligned, backend }) => {
      const definition = jobOf(of, unaligned);
      for (let seed = 1; seed <= 5; seed++) {
        const prng = new Prng(seed);
        const world = new World();
        const all: Reading[] = [];
        let restore: Manifest | undefined;
        for (let round = 0; round < 5; round++) {
          all.push(...append(world, prng, round * 300, (round + 1) * 300));
          const cluster = new Cluster(world, {
            definition,
            parallelism: 1 + prng.below(4),
            seed: seed * 100 + round,
            state: { backend },
            ...(restore && { restore }),
          });
          cluster.run(prng.below(150));
          if (prng.chance(0.8)) restore = cluster.checkpoint({ ticks: prng.chance(0.5) });
          cluster.run(prng.below(100));
          if (round < 4) continue;
          cluster.settle();
          const told = cluster.table("windows") as Told[];
          expect(told.filter((row) => row.told !== 1)).toEqual([]);
          const upTo = Math.max(...told.map(({ end }) => end));
          expect(upTo).toBeGreaterThan(5 * 300 - 150 - 3 * bound);
          expect(
            sorted(
              told.map(({ key: [sensor, start], end, n, total }) => [sensor, start, end, n, total]),
            ),
          ).toEqual(sorted(expected(all, loop).filter(([, , end]) => end <= upTo)));
        }
      }
    },
  );
});

test("windows of a number of rows, and of the clock, have every row once", () => {
  const definition = defineJob(
    "counted",
    (env) => {
      const stream = env.from(readings, { uid: "readings" }).keyBy("sensor");
      const counted = stream
        .window(globalWindow())
        .trigger(purging(countTrigger(5)))
        .aggregate(folds, { uid: "by-five" });
      const clocked = stream
        .window(tumbling(20, { time: "processing" }))
        .aggregate(folds, { uid: "by-clock" });
      counted
        .keyBy("key")
        .aggregate({ windows: count(), n: sum("n"), total: sum("total") }, { uid: "a" })
        .to(table("counted"), { uid: "out-a" });
      clocked
        .keyBy("key")
        .aggregate({ n: sum("n"), total: sum("total") }, { uid: "b" })
        .to(table("clocked"), { uid: "out-b" });
    },
    { parallelism: 2, bufferTimeout: 5, checkpointing: { interval: 100 } },
  );
  for (let seed = 1; seed <= 5; seed++) {
    const prng = new Prng(seed);
    const world = new World();
    const all: Reading[] = [];
    let restore: Manifest | undefined;
    for (let round = 0; round < 4; round++) {
      all.push(...append(world, prng, round * 100, (round + 1) * 100));
      const cluster = new Cluster(world, {
        definition,
        parallelism: 1 + prng.below(4),
        seed: seed * 100 + round,
        ...(restore && { restore }),
      });
      cluster.run(prng.below(150));
      restore = cluster.checkpoint();
      cluster.run(prng.below(50));
      if (round < 3) continue;
      cluster.settle();
      const own = [...Map.groupBy(all, ({ sensor }) => sensor)];
      expect(sorted(cluster.table("clocked"))).toEqual(
        sorted(
          own.map(([key, has]) => ({
            key,
            n: has.length,
            total: has.reduce((total, { value }) => total + value, 0),
          })),
        ),
      );
      const counted = cluster.table("counted") as { key: string; windows: number; n: number }[];
      expect(sorted(counted.map(({ key, windows, n }) => [key, windows, n]))).toEqual(
        sorted(
          own.map(([key, has]) => [
            key,
            Math.floor(has.length / 5),
            5 * Math.floor(has.length / 5),
          ]),
        ),
      );
    }
  }
});
