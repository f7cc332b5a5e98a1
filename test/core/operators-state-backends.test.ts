import { describe, expect, test } from "vitest";

import { allKeyGroups } from "../../format/key-groups.ts";
import type { CheckpointId } from "../../format/ids.ts";
import { SqliteStateBackend } from "../../operators/state/sqlite.ts";
import { keyedStateSuite } from "./keyed-state-suite.ts";
import { stateBackends, testDatabase } from "./state-backends.ts";

for (const backend of stateBackends) keyedStateSuite(backend);

describe("on sqlite", () => {
  const open = (budget: number) => {
    const database = testDatabase();
    const backend = new SqliteStateBackend({
      database,
      range: allKeyGroups(16),
      maxParallelism: 16,
      budget,
      checkpoint: 0,
      isHeld: false,
    });
    return { database, backend, table: backend.store("op").table<unknown>("t") };
  };
  /** Enough for a few hundred entries. */
  const budget = 100_000;
  const users = Array.from({ length: 3_000 }, (_, i) => `user-${i}`);
  const first = users.slice(0, 200);

  test("entries of keys that come are read together, and only while entries have to be read", () => {
    const { database, backend, table } = open(budget);
    for (const user of users) table.put(user, { of: user });
    table.freeze("full");
    backend.sealed(1 as CheckpointId);
    table.get(first[0]!); // which has left the cache
    const before = database.statements.count;
    table.prefetch?.(first);
    expect(database.statements.count - before).toBeLessThan(20);
    const read = database.statements.count;
    for (const user of first) expect(table.get(user)).toEqual({ of: user });
    expect(database.statements.count).toBe(read);
    // All are in the cache, which is found out once.
    table.prefetch?.(first);
    table.get(first[0]!);
    table.prefetch?.(users);
    expect(database.statements.count).toBe(read);
  });

  test("rows of all lengths are written and read again", () => {
    const { backend, table } = open(budget);
    const long = (length: number): string => "é".repeat(length);
    const lengths = [0, 1, 4_000, 4_100, 30_000, 33_000, 70_000, 700_000];
    const entries = lengths.flatMap((length): [string, string][] => [
      [`value ${length}`, long(length)],
      [`key ${long(length >> 3)}`, "short"],
    ]);
    for (const [key, value] of entries) table.put(key, value);
    table.put("removed", 1);
    table.freeze("full");
    backend.sealed(1 as CheckpointId);
    table.remove("removed");
    table.freeze("delta");
    backend.sealed(2 as CheckpointId);
    for (const user of users) table.put(user, long(100)); // the cache has no room for the others
    for (const [key, value] of entries) expect(table.get(key)).toBe(value);
    expect(table.get("removed")).toBeUndefined();
  });
});
