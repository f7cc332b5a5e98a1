import { DatabaseSync } from "node:sqlite";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { offset } from "../../format/ids.ts";
import { frameBytesMax } from "../../format/limits.ts";
import type { StoredBatch, TopicAppend } from "../../format/messages.ts";
import { readBatchesMax, TopicLog, type LogStorage, type SqlValue } from "../../topic/log.ts";

function storage(): LogStorage {
  const db = new DatabaseSync(":memory:");
  return {
    exec: (query, ...bindings) =>
      db.prepare(query).all(...(bindings as (string | number | null | Uint8Array)[])) as Record<
        string,
        SqlValue
      >[],
    transaction(work) {
      db.exec("BEGIN");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
  };
}

const batch = (rows: number, fill: number, size = rows) => ({
  rows,
  bytes: new Uint8Array(size).fill(fill),
});
const append = (...batches: TopicAppend["batches"][number][]): TopicAppend => ({
  batches,
  digest: 0,
});
const keyed = (key: string, digest: number, ...batches: TopicAppend["batches"][number][]) => ({
  batches,
  digest,
  idempotencyKey: key,
});

describe("append", () => {
  test("gives dense offsets across batches and appends (T1)", () => {
    const log = new TopicLog(storage());
    expect(log.append(append(batch(2, 1), batch(3, 2)))).toEqual({
      kind: "appended",
      first: 0,
      count: 5,
    });
    expect(log.append(append(batch(1, 3)))).toEqual({ kind: "appended", first: 5, count: 1 });
    expect(log.info(7)).toEqual({ partition: 7, first: 0, next: 6, bytes: 6 });
  });

  test("answers a repeated key with the first offsets, whatever came between (T3)", () => {
    const log = new TopicLog(storage());
    log.append(keyed("a", 17, batch(4, 1)));
    log.append(append(batch(9, 2)));
    expect(log.append(keyed("a", 17, batch(4, 1)))).toEqual({
      kind: "duplicate",
      first: 0,
      count: 4,
    });
    expect(log.append(keyed("a", 18, batch(4, 1)))).toEqual({ kind: "conflict" });
    expect(log.info(0).next).toBe(13);
  });

  test("a key can be taken without a batch", () => {
    const log = new TopicLog(storage());
    log.append(append(batch(3, 1)));
    expect(log.append(keyed("a", 1))).toEqual({ kind: "appended", first: 3, count: 0 });
    expect(log.append(keyed("a", 1))).toEqual({ kind: "duplicate", first: 3, count: 0 });
    expect(log.append(keyed("a", 2))).toEqual({ kind: "conflict" });
  });

  test("keeps nothing of an append it refuses (T2)", () => {
    const log = new TopicLog(storage());
    expect(() => log.append(append())).toThrow(/needs a batch/);
    expect(() => log.append(append(batch(1, 1), batch(0, 1)))).toThrow(/at least one row/);
    expect(() => log.append(append(batch(1, 1), batch(1, 1, frameBytesMax + 1)))).toThrow(
      /frameBytesMax/,
    );
    expect(log.info(0)).toEqual({ partition: 0, first: 0, next: 0, bytes: 0 });
  });

  test("keeps nothing when storage fails half-way (T2)", () => {
    const inner = storage();
    let failAt = Infinity;
    const log = new TopicLog({
      ...inner,
      exec: (query, ...bindings) => {
        if (query.startsWith("INSERT INTO batches") && --failAt === 0) throw new Error("disk full");
        return inner.exec(query, ...bindings);
      },
    });
    failAt = 2;
    expect(() => log.append(keyed("k", 1, batch(1, 1), batch(1, 2)))).toThrow("disk full");
    failAt = Infinity;
    expect(log.info(0).next).toBe(0);
    expect(log.append(keyed("k", 1, batch(1, 1), batch(1, 2))).kind).toBe("appended");
  });

  test("survives a new object over the same storage", () => {
    const kept = storage();
    new TopicLog(kept).append(keyed("a", 1, batch(2, 1)));
    const log = new TopicLog(kept);
    expect(log.append(keyed("a", 1, batch(2, 1))).kind).toBe("duplicate");
    expect(log.append(append(batch(1, 2)))).toMatchObject({ first: 2 });
  });
});

describe("read", () => {
  test("begins with the batch that holds the offset", () => {
    const log = new TopicLog(storage());
    log.append(append(batch(3, 1), batch(3, 2)));
    expect(log.read(offset(0), 100).map((b) => b.first)).toEqual([0, 3]);
    expect(log.read(offset(2), 100).map((b) => b.first)).toEqual([0, 3]);
    expect(log.read(offset(3), 100).map((b) => b.first)).toEqual([3]);
    expect(log.read(offset(6), 100)).toEqual([]);
  });

  test("gives one batch at least, and no more than the limit else", () => {
    const log = new TopicLog(storage());
    log.append(append(batch(1, 1, 50), batch(1, 2, 50), batch(1, 3, 50)));
    expect(log.read(offset(0), 10)).toHaveLength(1);
    expect(log.read(offset(0), 100)).toHaveLength(2);
    expect(log.read(offset(0), 150)).toHaveLength(3);
  });

  test("limits the number of small batches", () => {
    const log = new TopicLog(storage());
    for (let i = 0; i < readBatchesMax + 1; i++) log.append(append(batch(1, 1)));
    expect(log.read(offset(0), 1e9)).toHaveLength(readBatchesMax);
  });

  test("refuses offsets it does not have, with the range it has", () => {
    const log = new TopicLog(storage());
    expect(log.read(offset(0), 100)).toEqual([]);
    log.append(append(batch(2, 1)));
    expect(() => log.read(offset(3), 100)).toThrow(/\[0, 2\), and 3 was asked/);
  });

  test("returns exactly what was appended, from any offset, under any limit (T1, T4)", () => {
    const batches = fc.array(
      fc.record({ rows: fc.integer({ min: 1, max: 5 }), bytes: fc.uint8Array({ maxLength: 20 }) }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(fc.array(batches, { maxLength: 8 }), fc.nat(60), (appends, bytesMax) => {
        const log = new TopicLog(storage());
        for (const request of appends) log.append(append(...request));
        const all = appends.flat();
        const total = all.reduce((sum, { rows }) => sum + rows, 0);
        const seen: StoredBatch[] = [];
        for (let at = offset(0); at < total;) {
          const read = log.read(at, bytesMax);
          seen.push(...read);
          const last = read.at(-1)!;
          at = offset(last.first + last.count);
        }
        expect(seen.map((b) => ({ rows: b.count, bytes: b.bytes }))).toEqual(all);
        expect(log.info(0).bytes).toBe(all.reduce((sum, { bytes }) => sum + bytes.length, 0));
      }),
    );
  });
});
