// How many records of its topic a source has not taken yet.

import { describe, expect, test } from "vitest";

import { TopicSource } from "../../connectors/topic-source.ts";
import { offset } from "../../format/ids.ts";
import { defineJob, table, topic } from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

const batch = (first: number, count: number, end?: number) => ({
  first: offset(first),
  count,
  bytes: new Uint8Array(),
  ...(end !== undefined && { end: offset(end) }),
});

describe("pending records of a source", () => {
  const open = (): TopicSource =>
    new TopicSource({
      partitions: 2,
      index: 0,
      parallelism: 1,
      restored: [{ partition: 0, next: offset(4) }],
    });

  test("are what is behind the last that was handed out, in all partitions", () => {
    const source = open();
    source.wanted();
    expect(source.pending).toBeUndefined();
    source.received(0, [batch(2, 4, 20), batch(6, 1, 20)]);
    expect(source.pending).toBeUndefined();
    source.received(1, []);
    expect(source.pending).toBe(16);
    source.take();
    expect(source.pending).toBe(14);
    source.take();
    expect(source.pending).toBe(13);
    source.received(0, [batch(7, 13, 30)]);
    expect(source.pending).toBe(23);
    source.take();
    source.received(0, []);
    expect(source.pending).toBe(0);
  });

  test("are not known where a partition does not tell where it ends", () => {
    const source = open();
    source.wanted();
    source.received(0, []);
    source.received(1, [batch(0, 3)]);
    expect(source.pending).toBeUndefined();
  });
});

test("a job whose outputs have no room shows how far it is behind", () => {
  const definition = defineJob(
    "behind",
    (env) => {
      env
        .from(topic<{ n: number }>("numbers", { partitions: 1 }), { uid: "numbers" })
        .rebalance()
        .asyncMap((row) => new Promise<{ n: number }>(() => void row), {
          uid: "asked",
          capacity: 10,
          timeout: "1 d",
        })
        .to(table("rows", { key: ({ n }) => n }), { uid: "out" });
    },
    { bufferTimeout: 0 },
  );
  const world = new World();
  for (let n = 0; n < 1_000; n++) world.append("numbers", 0, [{ n }]);
  const cluster = new Cluster(world, { definition, parallelism: 1 }).settle();
  const [source] = cluster.subtasksOf("numbers");
  const { recordsIn, pendingRecords } = source!.metrics;
  expect(pendingRecords).toBeGreaterThan(900);
  expect(recordsIn + pendingRecords!).toBe(1_000);
});
