import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Millis, millis, offset } from "../../format/ids.ts";
import { frameBytesMax, idempotencyKeyAgeMax, idempotencyKeysMax } from "../../format/limits.ts";
import type { AppendOutcome, StoredBatch, TopicAppend } from "../../format/messages.ts";
import { memoryDatabase } from "../../testing/database.ts";
import { readBatchesMax, TopicLog, type LogStorage } from "../../topic/log.ts";

const storage = (): LogStorage => memoryDatabase();

/** Where the time of an append does not matter, it is always the same. */
class Log extends TopicLog {
  override append(request: TopicAppend, now: Millis = millis(0)): AppendOutcome {
    return super.append(request, now);
  }
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
    const log = new Log(storage());
    expect(log.append(append(batch(2, 1), batch(3, 2)))).toEqual({
      kind: "appended",
      first: 0,
      count: 5,
    });
    expect(log.append(append(batch(1, 3)))).toEqual({ kind: "appended", first: 5, count: 1 });
    expect(log.info(7)).toEqual({ partition: 7, first: 0, next: 6, bytes: 6 });
  });

  test("answers a repeated key with the first offsets, whatever came between (T3)", () => {
    const log = new Log(storage());
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
    const log = new Log(storage());
    log.append(append(batch(3, 1)));
    expect(log.append(keyed("a", 1))).toEqual({ kind: "appended", first: 3, count: 0 });
    expect(log.append(keyed("a", 1))).toEqual({ kind: "duplicate", first: 3, count: 0 });
    expect(log.append(keyed("a", 2))).toEqual({ kind: "conflict" });
  });

  test("keeps nothing of an append it refuses (T2)", () => {
    const log = new Log(storage());
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
    const log = new Log({
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
    new Log(kept).append(keyed("a", 1, batch(2, 1)));
    const log = new Log(kept);
    expect(log.append(keyed("a", 1, batch(2, 1))).kind).toBe("duplicate");
    expect(log.append(append(batch(1, 2)))).toMatchObject({ first: 2 });
  });
});

describe("keys are forgotten (T3)", () => {
  const again = (log: Log, key: string, now: number): string =>
    log.append(keyed(key, 1, batch(1, 1)), millis(now)).kind;

  test("when they are old, with those that come, and no sooner", () => {
    const log = new Log(storage());
    for (let n = 0; n < 10; n++) again(log, `k${n}`, n);
    expect(again(log, "k0", idempotencyKeyAgeMax - 1)).toBe("duplicate");
    expect(again(log, "new", idempotencyKeyAgeMax - 1)).toBe("appended");
    expect(again(log, "k0", idempotencyKeyAgeMax)).toBe("duplicate");
    // Four at a time, and of these only the first two are old enough.
    expect(again(log, "newer", idempotencyKeyAgeMax + 1)).toBe("appended");
    expect(again(log, "k2", idempotencyKeyAgeMax + 1)).toBe("duplicate");
    expect(again(log, "k1", idempotencyKeyAgeMax + 1)).toBe("appended");
    expect(again(log, "k0", idempotencyKeyAgeMax + 1)).toBe("appended");
  });

  test("however many are old, until none is", () => {
    const kept = storage();
    const log = new Log(kept);
    for (let n = 0; n < 40; n++) again(log, `k${n}`, 0);
    for (let n = 0; n < 20; n++) again(log, `l${n}`, idempotencyKeyAgeMax);
    const held = kept.exec("SELECT key FROM appends").map(({ key }) => key);
    expect(new Set(held)).toEqual(new Set(Array.from({ length: 20 }, (_, n) => `l${n}`)));
    expect(kept.exec("SELECT count(*) AS n FROM key_order")).toEqual([{ n: 20 }]);
  });

  test("where there are too many", () => {
    const kept = storage();
    const log = new Log(kept);
    again(log, "first", 0);
    again(log, "second", 0);
    // As if the others between them and the next had come.
    kept.exec(
      "INSERT INTO key_order (nth, key, at) VALUES (?, ?, ?)",
      idempotencyKeysMax - 1,
      "x",
      1,
    );
    again(log, "last", 1);
    expect(again(log, "first", 1)).toBe("duplicate");
    again(log, "one too many", 1);
    expect(again(log, "second", 1)).toBe("duplicate");
    expect(again(log, "first", 1)).toBe("appended");
  });
});

describe("read", () => {
  test("begins with the batch that holds the offset", () => {
    const log = new Log(storage());
    log.append(append(batch(3, 1), batch(3, 2)));
    expect(log.read(offset(0), 100).map((b) => b.first)).toEqual([0, 3]);
    expect(log.read(offset(2), 100).map((b) => b.first)).toEqual([0, 3]);
    expect(log.read(offset(3), 100).map((b) => b.first)).toEqual([3]);
    expect(log.read(offset(6), 100)).toEqual([]);
  });

  test("gives one batch at least, and no more than the limit else", () => {
    const log = new Log(storage());
    log.append(append(batch(1, 1, 50), batch(1, 2, 50), batch(1, 3, 50)));
    expect(log.read(offset(0), 10)).toHaveLength(1);
    expect(log.read(offset(0), 100)).toHaveLength(2);
    expect(log.read(offset(0), 150)).toHaveLength(3);
  });

  test("limits the number of small batches", () => {
    const log = new Log(storage());
    for (let i = 0; i < readBatchesMax + 1; i++) log.append(append(batch(1, 1)));
    expect(log.read(offset(0), 1e9)).toHaveLength(readBatchesMax);
  });

  test("refuses offsets it does not have, with the range it has", () => {
    const log = new Log(storage());
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
        const log = new Log(storage());
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
