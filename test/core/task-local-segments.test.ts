// The copies of its snapshots that a subtask keeps in its object.

import { describe, expect, it } from "vitest";
import { crc32 } from "../../format/crc32.ts";
import { checkpointId } from "../../format/ids.ts";
import { localPartBytesMax } from "../../format/limits.ts";
import { type FileHandle, LocalSegments } from "../../task/local-segments.ts";
import { testDatabase } from "./state-backends.ts";

const handle = (name: string, length: number, offset = 0): FileHandle => ({
  kind: "file",
  path: `jobs/j/${name}`,
  offset,
  length,
});

function bytesOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = at * 31 + length;
  return bytes;
}

/** Large arrays are compared by their checksums. */
const sumOf = (bytes: Uint8Array | undefined): number | undefined => bytes && crc32(bytes);

function written(local: LocalSegments, ...handles: readonly FileHandle[]): void {
  for (const one of handles) for (const _ of local.write(one, bytesOf(one.length)));
}

function open(db = testDatabase()) {
  return { db, local: new LocalSegments(db) };
}

describe("LocalSegments", () => {
  it("gives back what was written, in rows that fit SQLite's values", () => {
    const { db, local } = open();
    const large = handle("large", 2 * localPartBytesMax + 7);
    written(local, handle("a", 100), handle("a", 50, 100), large);
    expect(local.read(handle("a", 100))).toEqual(bytesOf(100));
    expect(local.read(handle("a", 50, 100))).toEqual(bytesOf(50));
    expect(sumOf(local.read(large))).toBe(sumOf(bytesOf(large.length)));
    const rows = db.exec("SELECT max(length(bytes)) AS most, count(*) AS n FROM local_segment")[0];
    expect(rows).toMatchObject({ most: localPartBytesMax, n: 5 });
  });

  it("gives nothing that is not whole (Q1, Q4)", () => {
    const { db, local } = open();
    const large = handle("large", 3 * localPartBytesMax);
    const writing = local.write(large, bytesOf(large.length));
    writing.next();
    writing.next();
    expect(local.read(large)).toBeUndefined();
    written(local, large);
    expect(sumOf(local.read(large))).toBe(sumOf(bytesOf(large.length)));
    db.exec("DELETE FROM local_segment WHERE part = 1");
    expect(local.read(large)).toBeUndefined();
    expect(local.read(handle("never", 1))).toBeUndefined();
  });

  it("keeps what the completed checkpoint and later ones refer to (Q3)", () => {
    const { local } = open();
    const [full, one, two, again] = ["full", "one", "two", "again"].map((n) => handle(n, 10)) as [
      FileHandle,
      FileHandle,
      FileHandle,
      FileHandle,
    ];
    const kept = (): string[] =>
      [full, one, two, again].filter((h) => local.read(h)).map(({ path }) => path.slice(7));
    written(local, full, one, two);
    local.needs(checkpointId(1), [full]);
    local.needs(checkpointId(2), [full, one]);
    local.needs(checkpointId(3), [full, one, two]);
    local.completed(checkpointId(1));
    expect(kept()).toEqual(["full", "one", "two"]);
    written(local, again);
    local.needs(checkpointId(4), [again]);
    // The third was aborted.
    local.completed(checkpointId(2));
    expect(kept()).toEqual(["full", "one", "two", "again"]);
    local.completed(checkpointId(4));
    expect(kept()).toEqual(["again"]);
    // A notification that comes late, or of a checkpoint that was not taken here, changes nothing.
    local.completed(checkpointId(3));
    local.completed(checkpointId(9));
    expect(kept()).toEqual(["again"]);
  });

  it("begins an attempt with the copies of its checkpoint, pieces of others included (Q4)", () => {
    const { db, local } = open();
    const [full, one, torn] = [handle("full", 10), handle("one", 10), handle("torn", 4_000_000)];
    written(local, full, one);
    local.write(torn, bytesOf(torn.length)).next();
    const next = new LocalSegments(db);
    next.restored(checkpointId(1), [full]);
    expect(next.read(full)).toEqual(bytesOf(10));
    expect(db.exec("SELECT DISTINCT path FROM local_segment")).toHaveLength(1);
  });

  it("leaves nothing behind", () => {
    const { db, local } = open();
    written(local, handle("a", 10));
    expect(LocalSegments.exist(db)).toBe(true);
    LocalSegments.drop(db);
    expect(LocalSegments.exist(db)).toBe(false);
    LocalSegments.drop(db);
  });
});
