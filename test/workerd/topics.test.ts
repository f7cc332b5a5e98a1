import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import { encodeRows } from "../../format/batch.ts";
import { objectName, offset } from "../../format/ids.ts";
import { readWait } from "../../format/limits.ts";
import type { TopicAppend, TopicPartitionApi } from "../../format/messages.ts";
import type { TopicPartition } from "../../topic/topic-partition.ts";

const namespace = (env as unknown as { TOPIC_PARTITION: DurableObjectNamespace<TopicPartition> })
  .TOPIC_PARTITION;

/** A partition of its own for each test, and its stub for what only tests do. */
function partitionNamed(topic: string, partition = 0) {
  const stub = namespace.getByName(objectName.topicPartition(topic, partition));
  return { stub, partition: stub as unknown as TopicPartitionApi };
}

const append = (...rows: unknown[]): TopicAppend => ({
  batches: [{ rows: rows.length, bytes: encodeRows(rows) }],
  digest: 0,
});

describe("a topic partition", () => {
  test("keeps what it took across an eviction, keys included", async () => {
    const { stub, partition } = partitionNamed("evicted", 3);
    const keyed = { ...append(1, 2), idempotencyKey: "a", digest: 7 };
    expect(await partition.append(keyed)).toEqual({ kind: "appended", first: 0, count: 2 });
    await evictDurableObject(stub);
    expect(await partition.append(keyed)).toEqual({ kind: "duplicate", first: 0, count: 2 });
    expect(await partition.append({ ...keyed, digest: 8 })).toEqual({ kind: "conflict" });
    expect(await partition.info()).toMatchObject({ partition: 3, first: 0, next: 2 });
  });

  test("gives a reader the bytes it was given, and where they end", async () => {
    const { partition } = partitionNamed("bytes");
    const request = append({ a: 1 }, { a: 2 });
    await partition.append(request);
    const reader = await partition.openReader();
    expect(await reader.read(offset(1), readWait)).toEqual([
      { first: 0, count: 2, bytes: request.batches[0]?.bytes, end: 2 },
    ]);
  });

  test("lets every reader that caught up wait for the next append", async () => {
    const { partition } = partitionNamed("waiting");
    const readers = await Promise.all([partition.openReader(), partition.openReader()]);
    const started = performance.now();
    const reads = readers.map((reader) => reader.read(offset(0), readWait));
    await partition.append(append("x"));
    for (const batches of await Promise.all(reads)) expect(batches).toMatchObject([{ count: 1 }]);
    expect(performance.now() - started).toBeLessThan(readWait);
  });

  test("answers a waiting reader with nothing after as long as it is to wait", async () => {
    const { partition } = partitionNamed("idle");
    const reader = await partition.openReader();
    const started = performance.now();
    expect(await reader.read(offset(0), 100)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(readWait);
  });

  test("refuses an offset it does not have", async () => {
    const { partition } = partitionNamed("beyond");
    const reader = await partition.openReader();
    const failure = await reader.read(offset(1), readWait).then(
      () => undefined,
      (error: Error) => error.message,
    );
    expect(failure).toMatch(/holds offsets \[0, 0\), and 1 was asked/);
  });
});
