// Streams that are spread as their program says: to a few of the next subtasks, or to one that it names.

import { describe, expect, test } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { inputChannels, outputChannels, tasksOf } from "../../format/plan.ts";
import { type DataStream, defineJob, type JobDefinition, table, topic } from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Row {
  readonly key: string;
  readonly n: number;
}

const input = topic<Row>("input", { partitions: 4 });

const spread = (
  from: number,
  to: number,
  way: (rows: DataStream<Row>) => DataStream<Row>,
): JobDefinition =>
  defineJob("spread", (env) => {
    way(env.from(input, { uid: "in", parallelism: from }))
      .map((row) => row, { uid: "next", parallelism: to, onError: "drop" })
      .to(table("t"), { uid: "out" });
  });

const filled = (count: number): World => {
  const world = new World();
  for (let n = 0; n < count; n++) world.append("input", n % 4, [{ key: `k${n}`, n }]);
  return world;
};

describe("rescale", () => {
  test.each([
    {
      from: 2,
      to: 4,
      receivers: [
        [0, 1],
        [2, 3],
      ],
    },
    { from: 4, to: 2, receivers: [[0], [0], [1], [1]] },
    { from: 2, to: 3, receivers: [[0, 1], [2]] },
    { from: 3, to: 2, receivers: [[0], [1], [1]] },
    { from: 2, to: 2, receivers: [[0], [1]] },
  ])("of $from to $to has few channels, and all rows come", ({ from, to, receivers }) => {
    const definition = spread(from, to, (rows) => rows.rescale());
    const plan = planOf(definition.graph);
    const edge = plan.edges.find(({ toUid }) => toUid === "next")!;
    const channels = tasksOf(plan).flatMap((task) => outputChannels(plan, task));
    const own = channels.filter((channel) => channel.edge === edge.id);
    expect(
      receivers.map((_, sender) =>
        own.filter((one) => one.from.index === sender).map((one) => one.to.index),
      ),
    ).toEqual(receivers);
    const arriving = tasksOf(plan).flatMap((task) => inputChannels(plan, task));
    expect(arriving).toHaveLength(channels.length);
    expect(arriving).toEqual(expect.arrayContaining(channels));
    const world = filled(40);
    const first = new Cluster(world, { definition, parallelism: 1 });
    const restore = first.run(30).checkpoint();
    const again = new Cluster(world, { definition, parallelism: 1, restore }).settle();
    expect(again.table("t")).toHaveLength(40);
    for (const task of again.subtasksOf("next"))
      expect(task.deployment.task.index).toBeLessThan(to);
  });
});

describe("partitionCustom", () => {
  test("sends rows where the program says, and leaves out those it sends nowhere", () => {
    const definition = spread(2, 3, (rows) =>
      rows.partitionCustom(
        ({ n }) => n,
        (n, subtasks) => {
          expect(subtasks).toBe(3);
          return n % 4;
        },
      ),
    );
    const cluster = new Cluster(filled(40), { definition, parallelism: 1 }).settle();
    expect(cluster.table("t")).toHaveLength(30);
    expect(cluster.subtasksOf("next").map((task) => task.metrics.recordsIn)).toEqual([10, 10, 10]);
  });

  test("says what was wrong where a row is not to be left out", () => {
    const definition = defineJob("job", (env) => {
      env
        .from(input, { uid: "in" })
        .partitionCustom(
          ({ n }) => n,
          (n) => n + 0.5,
        )
        .map((row) => row, { uid: "next", parallelism: 2 })
        .to(table("t"), { uid: "out" });
    });
    expect(() => new Cluster(filled(1), { definition, parallelism: 1 }).settle()).toThrow(
      'Operator "next" (partitionCustom) failed on row 0 of its batch: RangeError: The partition ' +
        "function gave 0.5. Allowed: a whole number from 0 to 1, one less than the subtasks it is told of.",
    );
  });
});
