// Sources that keep in step: no split is read further than its drift ahead of the last of its group, what
// joins them holds no more than that, and nobody waits for what does not come. As Flink's
// WatermarkAlignmentITCase, SourceOperatorAlignmentTest, SourceOperatorSplitWatermarkAlignmentTest and
// SourceCoordinatorAlignmentTest.

import { describe, expect, test } from "vitest";
import type { Effect } from "../../coordinator/effects.ts";
import { planOf } from "../../coordinator/plan.ts";
import { WatermarkAlignment } from "../../coordinator/watermark-alignment.ts";
import { attempt as attemptOf, millis, type TaskId, taskKey } from "../../format/ids.ts";
import type { Manifest } from "../../format/manifest.ts";
import { sourceTasksOf } from "../../format/plan.ts";
import { Prng } from "../../sim/prng.ts";
import { Cluster, World } from "../../testing/cluster.ts";
import { runJob } from "tidemark/testing";
import {
  boundedOutOfOrderness,
  defineJob,
  generate,
  type JobDefinition,
  max,
  monotonous,
  table,
  type TimeSpan,
  topic,
} from "tidemark";

interface Row {
  readonly id: number;
  readonly at: number;
}

const maxDrift = 1_000;
const step = 100;
const perBatch = 3;

/** Pairs the rows of both topics that are no further apart than a step. */
const joined = (isAligned: boolean): JobDefinition =>
  defineJob(
    "joined",
    (env) => {
      const watermarks = boundedOutOfOrderness<Row>(0, {
        timestamp: (row) => row.at,
        ...(isAligned && { alignment: { group: "both", maxDrift, updateInterval: 20 } }),
      });
      const [left, right] = ["left", "right"].map((name) =>
        env.from(topic<Row>(name, { partitions: 2 }), { uid: name, watermarks }),
      );
      left!
        .keyBy((row) => row.at % 4)
        .intervalJoin(
          right!.keyBy((row) => row.at % 4),
          { between: [-step, step] },
          (l, r) => ({ key: [l.id, r.id] as const }),
          { uid: "join" },
        )
        .to(table("pairs"), { uid: "out" });
    },
    { parallelism: 2, bufferTimeout: 5, checkpointing: { interval: 100 } },
  );

/** Rows of a topic, a few per batch, at times from `from` to `to`. */
function append(world: World, name: string, from: number, to: number): void {
  for (let at = from; at < to; at += step * perBatch) {
    const rows = Array.from({ length: perBatch }, (_, i) => at + i * step).filter((t) => t < to);
    for (const partition of [0, 1]) {
      const own = rows.map((t) => ({ id: t * 2 + partition, at: t }));
      world.append(name, partition, own);
    }
  }
}

function entriesOf(cluster: Cluster): number {
  let entries = 0;
  for (const task of cluster.subtasksOf("join")) {
    const answer = task.readState({ uid: "join", limit: 1 });
    if (answer.kind !== "states") throw new Error(answer.kind);
    for (const state of answer.states) entries += state.kind === "keyed" ? state.entries : 0;
  }
  return entries;
}

const day = 60_000;

describe("sources that keep in step", () => {
  test("hold back the one that is ahead, and what joins them stays small", () => {
    /** The most that the join has held, and its pairs at the end. */
    const run = (isAligned: boolean, parallelism: number, seed: number): [number, string[]] => {
      const definition = joined(isAligned);
      const prng = new Prng(seed);
      const world = new World();
      append(world, "right", 0, day);
      let restore: Manifest | undefined;
      let most = 0;
      for (let round = 0; round < 5; round++) {
        const cluster: Cluster = new Cluster(world, {
          definition,
          parallelism: restore === undefined ? parallelism : 1 + prng.below(4),
          seed: seed * 10 + round,
          ...(restore && { restore }),
        });
        for (const portion of [0, 1]) {
          const from = (round * 2 + portion) * (day / 10);
          if (prng.chance(0.5)) most = Math.max(most, entriesOf(cluster.settle(100)));
          append(world, "left", from, from + day / 10);
          most = Math.max(most, entriesOf(cluster.run(300)));
        }
        if (round < 4) restore = cluster.checkpoint();
        else return [most, cluster.unaligned().settle(100).table("pairs").map(String).toSorted()];
      }
      throw new Error("It never ends.");
    };
    for (let seed = 1; seed <= 4; seed++) {
      const [held, pairs] = run(true, seed, seed);
      const [heldWithout, pairsWithout] = run(false, seed, seed);
      expect(pairs).toEqual(pairsWithout);
      expect(heldWithout).toBeGreaterThan(400);
      // Both sides and partitions, each with rows of the drift, of a batch that goes beyond, and of the bounds.
      expect(held).toBeLessThan(4 * (maxDrift / step + 2 * perBatch + 4) + 40);
    }
  });

  /** The latest time that was read of each split of one topic. */
  const latest = (idleness?: TimeSpan): JobDefinition =>
    defineJob("latest", (env) => {
      env
        .from(topic<Row>("rows", { partitions: 3 }), {
          uid: "rows",
          watermarks: monotonous({
            timestamp: "at",
            alignment: { group: "rows", maxDrift, updateInterval: 20 },
            ...(idleness !== undefined && { idleness }),
          }),
        })
        .keyBy((row) => row.id)
        .aggregate({ at: max("at") }, { uid: "latest" })
        .to(table("latest"), { uid: "out" });
    });

  const timesOf = (cluster: Cluster): number[] => {
    const found = cluster.table("latest") as { key: number; at: number }[];
    return [0, 1, 2].map((key) => found.find((row) => row.key === key)?.at ?? -1);
  };

  test.each([1, 2, 3])("hold back single splits (parallelism %i)", (parallelism) => {
    const world = new World();
    for (let at = 0; at < day; at += step) {
      world.append("rows", 0, [{ id: 0, at }]);
      world.append("rows", 1, [{ id: 1, at: at / 2 }]);
    }
    const cluster = new Cluster(world, { definition: latest(), parallelism }).settle();
    // Partition 2 has not begun.
    expect(timesOf(cluster)).toEqual([0, 0, -1]);
    world.append("rows", 2, [{ id: 2, at: 0 }]);
    // The row that goes beyond the drift is read, and nothing behind it.
    expect(timesOf(cluster.settle())).toEqual([maxDrift + step, maxDrift + step / 2, 0]);
    for (const task of cluster.subtasksOf("rows")) {
      // To whom waits for rows or for others nothing is left to do.
      if (task.ends.length > 0) task.sourceBatches(2, [], millis(world.now));
      expect(task.ends.map(({ partition }) => partition)).toEqual(task.ends.length > 0 ? [2] : []);
      expect(task.activity.isIdle).toBe(true);
    }
    const drifts = cluster.subtasksOf("rows").map((task) => task.metrics.watermarkAlignmentDrift);
    expect(drifts.toSorted((one, other) => one! - other!)).toEqual(
      [[0], [0, 1_050], [0, 1_050, 1_100]][parallelism - 1],
    );

    world.append("rows", 2, [{ id: 2, at: 10_000 }]);
    expect(timesOf(cluster.settle())).toEqual([11_100, 11_050, 10_000]);

    const restore = cluster.checkpoint();
    const again = new Cluster(world, {
      definition: latest(),
      parallelism: 4 - parallelism,
      restore,
    });
    expect(timesOf(again.settle())).toEqual([11_100, 11_050, 10_000]);
    world.append("rows", 2, [{ id: 2, at: day }]);
    // The second has no more, and nobody may go on before it.
    expect(timesOf(again.settle())).toEqual([31_000, 29_950, day]);
  });

  test("do not wait for who is idle, and who is held back is not", () => {
    const world = new World();
    for (let at = 0; at < day; at += step) world.append("rows", 0, [{ id: 0, at }]);
    world.append("rows", 1, [{ id: 1, at: 0 }]);
    world.append("rows", 2, [{ id: 2, at: 30_000 }]);
    const definition = latest("5s");
    const cluster = new Cluster(world, { definition, parallelism: 2 }).pass(4_900);
    expect(timesOf(cluster)).toEqual([1_100, 0, 30_000]);
    // The second is idle; the third may not go on, and is waited for. Only then is it idle, too.
    expect(timesOf(cluster.pass(1_000))).toEqual([31_100, 0, 30_000]);
    expect(timesOf(cluster.pass(7_000))).toEqual([day - step, 0, 30_000]);
    // It comes back, far behind. Who had gone on without it hears of that with its next report, and waits.
    world.append("rows", 1, [{ id: 1, at: 31_000 }]);
    cluster.pass(100);
    for (const at of [day, day + step]) {
      world.append("rows", 0, [{ id: 0, at }]);
      expect(timesOf(cluster.pass(1_000))).toEqual([day, 31_000, 30_000]);
    }
  });

  test("wait for no generator that has ended", async () => {
    const definition = defineJob("bounded", (env) => {
      const of = (name: string, rows: number, every: number): void => {
        env
          .from(
            generate((at) => ({ key: name, at: at * every }), { rows }),
            {
              uid: name,
              watermarks: monotonous({
                timestamp: "at",
                alignment: { group: "all", maxDrift, updateInterval: 20 },
              }),
            },
          )
          .keyBy("key")
          .aggregate({ at: max("at") }, { uid: `latest-${name}` })
          .to(table(name), { uid: `out-${name}` });
      };
      of("short", 100, 1);
      of("long", 20_000, 10);
    });
    const run = await runJob(definition, {}, { parallelism: 2 });
    expect(run.table("short")).toEqual([{ key: "short", at: 99 }]);
    expect(run.table("long")).toEqual([{ key: "long", at: 199_990 }]);
  });

  test("let barriers and the end through while they are held back", () => {
    const world = new World();
    for (let at = 0; at < day; at += step) world.append("rows", 0, [{ id: 0, at }]);
    const cluster = new Cluster(world, { definition: latest(), parallelism: 2 }).settle();
    expect(timesOf(cluster)).toEqual([0, -1, -1]);
    cluster.complete(cluster.checkpoint());
    const savepoint = { folder: "end", stops: true, drains: true } as const;
    cluster.complete(cluster.checkpoint({ savepoint }));
    expect([...cluster.tasks.values()].every((task) => task.finishedWith === 2)).toBe(true);
  });
});

describe("what a coordinator makes of it", () => {
  const plan = planOf(joined(true).graph);
  const [a, b, c, d] = sourceTasksOf(plan) as [TaskId, TaskId, TaskId, TaskId];

  /** The core, and what it has said since it was asked last. */
  function core(phase: string) {
    let attempt = attemptOf(1);
    const said: string[] = [];
    const alignment = new WatermarkAlignment({
      record: { plan },
      regionOf: () => ({ attempt, phase }),
      tell: (tasks, effectOf) => {
        const effect = effectOf(attempt, tasks) as Extract<Effect, { kind: "align" }>;
        for (const task of effect.tasks) said.push(`${taskKey(task)} ${effect.least}`);
      },
    });
    return {
      alignment,
      report: (task: TaskId, watermark: number | null, waitsFor?: number) =>
        alignment.reported({
          attempt,
          task,
          watermark,
          ...(waitsFor !== undefined && { waitsFor }),
        }),
      said: () => said.splice(0),
      restart: () => (attempt = attemptOf(2)),
    };
  }
  const told = (task: TaskId, least: number | undefined): string => `${taskKey(task)} ${least}`;

  test("knows nothing before all have told, in every attempt", () => {
    const { report, restart, said } = core("deploying");
    expect([a, b, c].map((task) => report(task, 5))).toEqual([undefined, undefined, undefined]);
    expect(report(d, 3)).toBe(3);
    restart();
    expect([a, b, c, d].map((task) => report(task, 9))).toEqual([
      undefined,
      undefined,
      undefined,
      9,
    ]);
    expect(said()).toEqual([]);
  });

  test("tells those who wait, until they have heard", () => {
    const { report, said, alignment } = core("deploying");
    report(a, 50, 20);
    report(b, 40, 10);
    report(c, null);
    expect(report(d, 5)).toBe(5);
    expect(said()).toEqual([]);
    expect(report(d, 12)).toBe(12);
    expect(said()).toEqual([told(b, 12)]);
    alignment.remind();
    expect(said()).toEqual([]);
    alignment.unheard(b);
    alignment.remind();
    expect(said()).toEqual([told(b, 12)]);
    expect(report(d, null)).toBe(40);
    expect(said()).toEqual([told(a, 40)]);
    expect(report(b, null)).toBe(50);
    expect(report(a, null)).toBe(Infinity);
  });

  test("asks those that ran before it lost its memory", () => {
    const { report, said, alignment } = core("running");
    expect(report(a, 5)).toBeUndefined();
    expect(said()).toEqual([b, c, d].map((task) => told(task, undefined)));
    alignment.unheard(c);
    report(b, 5);
    expect(said()).toEqual([told(c, undefined)]);
    report(c, 1, -2);
    expect(report(d, 4)).toBe(1);
    expect(said()).toEqual([told(c, 1)]);
  });
});

describe("what is refused", () => {
  const refused = (alignment: object): (() => unknown) => {
    return () => monotonous({ timestamp: "at", alignment: alignment as never });
  };

  test("an alignment that is none", () => {
    expect(refused({ group: "a b", maxDrift: 5 })).toThrow(/"a b" as alignment.group/);
    expect(refused({ maxDrift: 1 })).toThrow(
      /monotonous was given undefined as alignment.group. Allowed: 1 to 64 letters/,
    );
    expect(refused({ group: "g" })).toThrow(/monotonous was given undefined as alignment.maxDrift/);
    expect(refused({ group: "g", maxDrift: 0 })).toThrow(/0 as alignment.maxDrift.*1 ms or more/);
    expect(refused({ group: "g", maxDrift: 1, updateInterval: "soon" })).toThrow(/"soon"/);
    expect(refused("g" as never)).toThrow(/"g" as alignment/);
  });

  test("one in the middle of a program", () => {
    const build = (): JobDefinition =>
      defineJob("middle", (env) => {
        env
          .from(topic<Row>("rows"), { uid: "rows" })
          .assignTimestampsAndWatermarks(
            monotonous({ timestamp: "at", alignment: { group: "g", maxDrift: 5 } }),
            { uid: "times" },
          )
          .to(table("out", { key: (row) => row.id }), { uid: "out" });
      });
    expect(build).toThrow(/cannot hold back what it reads.*env\.from/s);
  });
});
