// Jobs that make calls: one result for each row, whatever is lost, at any parallelism, however late and in
// whatever order the answers come.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  type AsyncOrder,
  boundedOutOfOrderness,
  count,
  defineJob,
  type JobDefinition,
  sum,
  table,
  topic,
  tumbling,
} from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Reading {
  readonly sensor: string;
  readonly at: number;
  readonly n: number;
}

const hour = 100;
const readings = topic<Reading>("readings", { partitions: 2 });
const watermarks = boundedOutOfOrderness(40, { timestamp: ({ at }: Reading) => at });

/** Answers after a while that is drawn, and fails now and then before it does. */
function flaky(prng: Prng): (reading: Reading) => Promise<Reading> {
  return async (reading) => {
    for (let turns = prng.below(4); turns > 0; turns--) await new Promise(setImmediate);
    if (prng.chance(0.1)) throw new Error("The service is not there.");
    return { ...reading, n: reading.n * 2 };
  };
}

/** Sums by sensor and hour of what a service answers. */
const hourly = (
  ask: (reading: Reading) => Promise<Reading>,
  { order, unaligned, capacity }: { order: AsyncOrder; unaligned: boolean; capacity: number },
): JobDefinition =>
  defineJob(
    "asked-hourly",
    (env) => {
      env
        .from(readings, { uid: "readings", watermarks })
        .asyncMap(ask, {
          uid: "asked",
          capacity,
          order,
          retry: { attempts: 50, delay: 5, backoff: 1.5, maxDelay: 40 },
        })
        .keyBy("sensor")
        .window(tumbling(hour))
        .aggregate({ rows: count(), sum: sum("n") }, { uid: "hours" })
        .to(table("hours", { key: ({ key, windowStart }) => `${key} ${windowStart}` }), {
          uid: "out",
        });
    },
    {
      parallelism: 1,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

const worlds = (["ordered", "unordered"] as const).flatMap((order) =>
  [false, true].map((unaligned) => ({ order, unaligned })),
);

describe.each(worlds)("$order, unaligned: $unaligned", ({ order, unaligned }) => {
  test("each row counts once, in its hour", async () => {
    let kept = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const prng = new Prng(seed);
      const world = new World();
      const definition = hourly(flaky(prng), { order, unaligned, capacity: 1 + prng.below(12) });
      const all: Reading[] = [];
      let restore: Manifest | undefined;
      for (let round = 0; round < 4; round++) {
        for (let at = round * 300; at < (round + 1) * 300; at += 7) {
          const time = Math.max(0, at - prng.below(40));
          const reading = { sensor: `s${prng.below(3)}`, at: time, n: all.length };
          all.push(reading);
          world.append("readings", prng.below(2), [reading]);
        }
        const parallelism = unaligned ? 2 : 1 + prng.below(3);
        const cluster = new Cluster(world, {
          definition,
          parallelism,
          seed: seed * 10 + round,
          ...(restore && { restore }),
        });
        await cluster.ran(prng.below(120));
        if (prng.chance(0.8)) {
          restore = await cluster.checkpointed();
          kept += inFlight(restore);
        }
        if (round < 3) {
          cluster.stop();
          continue;
        }
        await cluster.settled();
        const savepoint = { folder: "savepoints/s/", stops: true, drains: true } as const;
        const end = await cluster.checkpointed({ savepoint });
        expect(inFlight(end)).toBe(0);
        const hours = Map.groupBy(all, ({ sensor, at }) => `${sensor} ${Math.floor(at / hour)}`);
        const expected = Array.from(hours, ([, own]) => ({
          key: own[0]!.sensor,
          windowStart: Math.floor(own[0]!.at / hour) * hour,
          windowEnd: Math.floor(own[0]!.at / hour) * hour + hour,
          rows: own.length,
          sum: own.reduce((total, { n }) => total + 2 * n, 0),
        }));
        expect(sorted(cluster.table("hours") as object[])).toEqual(sorted(expected));
      }
    }
    expect(kept).toBeGreaterThan(0);
  });
});

/** Rows on their way through operators that make calls, in a checkpoint. */
const inFlight = ({ tasks }: Manifest): number =>
  tasks
    .flatMap(({ state: { operator } }) => operator)
    .filter(({ state }) => state === "in-flight")
    .reduce((sum_, { elements }) => sum_ + elements, 0);

const sorted = (rows: readonly object[]): string[] =>
  rows.map((row) => JSON.stringify(row)).toSorted();
