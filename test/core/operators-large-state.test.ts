// State far over the cache of the `sqlite` backend. Two million keys, which is what the design
// promises, take some 80 seconds on two busy cores, so CI runs a twentieth. All of them:
//   TIDEMARK_KEYS=2000000 npx vitest run --project core test/core/operators-large-state.test.ts

import { expect, test } from "vitest";

import { checkpointId } from "../../format/ids.ts";
import { allKeyGroups } from "../../format/key-groups.ts";
import { KiB, MiB } from "../../format/limits.ts";
import { readSegment, writeOrderedSegment } from "../../format/segment.ts";
import { SqliteStateBackend } from "../../operators/state/sqlite.ts";
import { StateRows } from "../../operators/state/sqlite-rows.ts";
import { testDatabase } from "./state-backends.ts";

const keys = Number(process.env["TIDEMARK_KEYS"] ?? 100_000);
const isWhole = keys >= 2_000_000;
// The same proportion of state to cache for fewer keys.
const budget = isWhole ? 16 * MiB : Math.ceil((16 * MiB * keys) / 2_000_000);
const maxParallelism = 128;
const owner = { range: allKeyGroups(maxParallelism), maxParallelism };
const header = { uid: "op", state: "t", kind: "delta", maxParallelism } as const;

test(`${keys} keys under a cache of ${Math.round(budget / KiB)} KiB`, { timeout: 300_000 }, () => {
  const database = testDatabase();
  const options = { database, ...owner, budget };
  const backend = new SqliteStateBackend({ ...options, checkpoint: 0, isHeld: false });
  const table = backend.store("op").table<number>("t");
  const figures: Record<string, string> = {};
  const timed = <T>(what: string, operations: number, work: () => T): T => {
    const start = performance.now();
    const result = work();
    const ms = performance.now() - start;
    figures[what] = `${Math.round(operations / ms)} k/s, ${Math.round(ms)} ms`;
    return result;
  };
  const keyOf = (n: number): string => `customer-${n}`;
  let mostCached = 0;
  // Reads and writes in an order that no cache can follow, as records come.
  const fold = (records: number, seed: number, add: number): void => {
    let at = seed;
    for (let i = 0; i < records; i++) {
      at = (at * 48_271) % 2_147_483_647;
      const key = keyOf(at % keys);
      table.put(key, (table.get(key) ?? 0) + add);
      if ((i & 1_023) === 0) mostCached = Math.max(mostCached, backend.cachedBytes);
    }
  };
  let checkpoint = 0;
  const barrier = (): Uint8Array => {
    const bytes = writeOrderedSegment(header, table.freeze("delta"));
    backend.sealed(checkpointId(++checkpoint));
    return bytes;
  };

  timed("insert", keys, () => {
    for (let n = 0; n < keys; n++) {
      table.put(keyOf(n), n);
      if ((n & 1_023) === 0) mostCached = Math.max(mostCached, backend.cachedBytes);
    }
  });
  expect(table.size).toBe(keys);
  const first = timed("barrier of all", keys, barrier);
  timed("complete", keys, () => backend.completed(checkpointId(1)));

  // Never a write per record: statements that write are far fewer than records.
  const records = keys / 10;
  const before = database.statements.count;
  timed("fold", records, () => fold(records, 1, 1));
  const delta = timed("barrier of a tenth", records, barrier);
  const perRecord = (database.statements.count - before) / records;
  expect(perRecord).toBeLessThan(2.5); // up to two reads of a key that is not cached, and no more
  expect(delta.length).toBeLessThan(first.length / 5);
  expect(mostCached).toBeLessThan(1.02 * budget);

  // The epoch after it is given up; the rows go back to the barrier without reading any segment.
  const expected = new Map<string, number>();
  for (let n = 0; n < keys; n += 997) expected.set(keyOf(n), table.get(keyOf(n))!);
  fold(records, 2, 1_000_000);
  expect(StateRows.hold(database, owner, 2)).toBe(true);
  const again = timed("roll back and reopen", keys, () => {
    const opened = new SqliteStateBackend({ ...options, checkpoint: 2, isHeld: true });
    opened.store("op").restoreRest();
    return opened;
  });
  const held = again.store("op").table<number>("t");
  expect(held.size).toBe(keys);
  for (const [key, value] of expected) expect(held.get(key)).toBe(value);

  // And the segments alone give the same in an empty object.
  const empty = new SqliteStateBackend({
    ...options,
    database: testDatabase(),
    checkpoint: 2,
    isHeld: false,
  });
  const segments = [first, delta].map(readSegment);
  empty.store("op").restore("t", [{ segments, range: owner.range }]);
  const restored = timed("restore from segments", keys, () => empty.store("op").table<number>("t"));
  expect(restored.size).toBe(keys);
  for (const [key, value] of expected) expect(restored.get(key)).toBe(value);
  const full = timed("full freeze", keys, () =>
    writeOrderedSegment({ ...header, kind: "full" }, restored.freeze("full")),
  );
  console.info(
    `${keys} keys, cache ${(mostCached / MiB).toFixed(1)} MiB at most, statements per record ` +
      `${perRecord.toFixed(2)}, bytes full ${full.length}, delta ${delta.length}: ` +
      JSON.stringify(figures, null, 1),
  );
});
