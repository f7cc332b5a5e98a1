// Snapshots read without a job: one key by range requests, all of them in order, and what is damaged
// named.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { keyText } from "../../format/exact-json.ts";
import { type Key, keyId } from "../../format/key.ts";
import { describe as describeSnapshot } from "../../snapshot/shell/describe.ts";
import { SnapshotError } from "../../snapshot/shell/files.ts";
import { Snapshot } from "../../snapshot/shell/snapshot.ts";
import { verify } from "../../snapshot/shell/verify.ts";
import type { KeyedState } from "../../snapshot/states.ts";
import { anyKey, exactly } from "./format-arbitraries.ts";
import { folder, SnapshotWorld, type TableSpec } from "./snapshot-world.ts";
import { stateBackends } from "./state-backends.ts";

const sums = { uid: "sum", state: "accumulators" } satisfies TableSpec;
const maps = {
  uid: "sum",
  state: "visits",
  schema: { holds: "map", version: 3, ttl: false },
} satisfies TableSpec;

const [memory] = stateBackends;

const keyedIn = (snapshot: Snapshot, { state }: TableSpec): KeyedState =>
  snapshot.states.find((one): one is KeyedState => one.kind === "keyed" && one.state === state)!;

const all = async (snapshot: Snapshot, of: TableSpec): Promise<[Key, unknown][]> => {
  const found: [Key, unknown][] = [];
  for await (const { key, value } of snapshot.entries(keyedIn(snapshot, of))) {
    found.push([key, value]);
  }
  return found;
};

test("a state that was cut into segments is read as one, and its entries are counted", async () => {
  const cut = { lateFrom: 0, stepRows: 10, segment: { bytes: 1_000, rows: 1_000 }, piece: 2_000 };
  const world = new SnapshotWorld(stateBackends[1]!, { parallelism: 2, cut });
  for (let n = 0; n < 500; n++) world.put(sums, `key-${n}`, n);
  const path = await world.savepoint();
  const snapshot = await Snapshot.open(world.bucket, path);
  const state = keyedIn(snapshot, sums);
  expect(Math.min(...state.handles.map(({ segments }) => segments.length))).toBeGreaterThan(3);
  const found = new Map(await all(snapshot, sums));
  expect(found).toEqual(new Map(Array.from({ length: 500 }, (_, n) => [`key-${n}`, n])));
  for (let n = 0; n < 500; n += 50) {
    expect((await snapshot.lookUp(state, `key-${n}`))?.entries[0]?.value).toBe(n);
  }
  world.bucket.spent();
  const described = await describeSnapshot(snapshot, world.bucket);
  expect(described.states).toMatchObject([{ entries: 500 }]);
  // The fronts say how many there are; no entry was read for it.
  expect(world.bucket.calls).toBeLessThan(state.handles.flatMap((of) => of.segments).length + 10);
  const verified = await verify(world.bucket, snapshot.manifest);
  expect([verified.problems, verified.entries]).toEqual([[], 500]);
});

describe.each(stateBackends)("on $name", (backend) => {
  test("a chain of checkpoints is folded: the newest wins, and what was removed is gone", async () => {
    const world = new SnapshotWorld(backend, { parallelism: 3 });
    for (let n = 0; n < 500; n++) world.put(sums, `key-${n}`, n);
    await world.checkpoint();
    world.put(sums, "key-1", -1);
    world.put(sums, "key-2", undefined);
    world.put(sums, "new", 7);
    await world.checkpoint();
    world.put(sums, "key-1", -2);
    world.put(sums, "key-2", 22);
    world.put(sums, "key-3", undefined);
    const snapshot = await Snapshot.open(world.bucket, await world.checkpoint());
    const state = keyedIn(snapshot, sums);
    expect(Math.max(...state.handles.map(({ segments }) => segments.length))).toBeGreaterThan(2);
    const valueOf = async (key: Key) => (await snapshot.lookUp(state, key))?.entries[0]?.value;
    expect([
      await valueOf("key-0"),
      await valueOf("key-1"),
      await valueOf("key-2"),
      await valueOf("key-3"),
      await valueOf("new"),
      await valueOf("absent"),
    ]).toEqual([0, -2, 22, undefined, 7, undefined]);
    const entries = await all(snapshot, sums);
    expect(entries).toHaveLength(500);
    expect(new Map(entries as [string, number][]).get("key-1")).toBe(-2);
  });

  test("every key and entry of a map is found, whatever it is", async () => {
    const tables = fc.array(fc.tuple(anyKey, fc.option(fc.integer(), { nil: undefined })), {
      maxLength: 40,
    });
    const drawn = fc.asyncProperty(
      fc.array(tables, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      async (epochs, parallelism, isSavepoint) => {
        const world = new SnapshotWorld(backend, { parallelism, maxParallelism: 8 });
        const expected = new Map<unknown, [Key, number]>();
        let path = "";
        for (const epoch of epochs) {
          for (const [key, value] of epoch) {
            world.put(sums, key, value);
            world.put(maps, [key, "a"], value);
            world.put(maps, [key, 2], value);
            if (value === undefined) expected.delete(keyId(key));
            else expected.set(keyId(key), [key, value]);
          }
          path = await world.checkpoint();
        }
        if (isSavepoint) path = await world.savepoint();
        const snapshot = await Snapshot.open(world.bucket, path);
        if (expected.size === 0) {
          expect(snapshot.states).toEqual([]);
          return;
        }
        const entries = await all(snapshot, sums);
        const texts = [...expected.values()].map(([key, value]) => `${keyText(key)} ${value}`);
        expect(entries.map(([key, value]) => `${keyText(key)} ${String(value)}`).sort()).toEqual(
          texts.sort(),
        );
        expect(await all(snapshot, maps)).toHaveLength(2 * expected.size);
        for (const [key, value] of expected.values()) {
          const found = await snapshot.lookUp(keyedIn(snapshot, sums), key);
          expect(found?.entries.map((entry) => entry.value)).toEqual([value]);
          const map = await snapshot.lookUp(keyedIn(snapshot, maps), key);
          expect(map?.schema).toEqual(maps.schema);
          expect(map?.entries.map((entry) => entry.value)).toEqual([value, value]);
          const one = await snapshot.lookUp(keyedIn(snapshot, maps), key, 2);
          expect(one?.entries.map((entry) => entry.value)).toEqual([value]);
          expect(await snapshot.lookUp(keyedIn(snapshot, maps), key, "b")).toBe(undefined);
        }
      },
    );
    await fc.assert(drawn, { numRuns: 60 });
  });
});

describe("a large state", () => {
  const rows = 200_000;
  const world = new SnapshotWorld(memory!, { parallelism: 2 });
  for (let n = 0; n < rows; n++) world.put(sums, `key-${n}`, n);

  test("gives one key for a small part of its bytes, in a few requests", async () => {
    const path = await world.savepoint();
    const { size } = (await world.bucket.head(`${folder}v-0`))!;
    const snapshot = await Snapshot.open(world.bucket, path);
    world.bucket.spent();
    const found = await snapshot.lookUp(keyedIn(snapshot, sums), "key-77777");
    const { calls, bytes } = world.bucket.spent();
    expect(found?.entries).toMatchObject([{ key: "key-77777", value: 77_777 }]);
    expect(size).toBeGreaterThan(1_000_000);
    expect(calls).toBe(2);
    expect(bytes).toBeLessThan(size / 25);
  });

  test("is read whole in order, in requests of some size", async () => {
    const snapshot = await Snapshot.open(world.bucket, await world.checkpoint());
    world.bucket.spent();
    const entries = snapshot.entries(keyedIn(snapshot, sums));
    let read = 0;
    let last = { group: -1, text: "" };
    for await (const { group, key } of entries) {
      const text = keyText(key);
      expect(group > last.group || (group === last.group && text > last.text)).toBe(true);
      last = { group, text };
      read++;
    }
    expect(read).toBe(rows);
    expect(world.bucket.spent().calls).toBeLessThan(10);
  });
});

describe("what is damaged", () => {
  const damaged = async (change: (world: SnapshotWorld, file: string) => void): Promise<string> => {
    const world = new SnapshotWorld(memory!);
    for (let n = 0; n < 5_000; n++) world.put(sums, n, n);
    const snapshot = await Snapshot.open(world.bucket, await world.savepoint());
    change(world, `${folder}v-0`);
    const error: unknown = await all(snapshot, sums).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(SnapshotError);
    return `${(error as SnapshotError).kind} ${(error as SnapshotError).message}`;
  };

  const where =
    /State file savepoints\/here\/savepoint-1\/v-0, bytes 0 to \d+ \(operator "sum", state "accumulators"\): /;

  test("is named as a restore names it, wherever a byte was flipped", async () => {
    for (const at of [3, 40, 500, 20_000, -1]) {
      const message = await damaged((world, file) => {
        const bytes = world.bucket.files.get(file)!;
        const index = at < 0 ? bytes.length + at : at;
        bytes[index] = bytes[index]! ^ 4;
      });
      expect(message).toMatch(/^damaged /);
      expect(message).toMatch(where);
    }
  });

  test("may be missing, or cut short", async () => {
    expect(await damaged(({ bucket }, file) => bucket.files.delete(file))).toMatch(
      /it is not in the bucket/,
    );
    expect(
      await damaged(({ bucket }, file) =>
        bucket.files.set(file, bucket.files.get(file)!.slice(0, 30_000)),
      ),
    ).toMatch(/\): (expected \d+ bytes, found \d+|the file ends at byte 30000)\.$/);
  });

  test("is no damage where it was the transfer, or the store that failed", async () => {
    const world = new SnapshotWorld(memory!);
    for (let n = 0; n < 5_000; n++) world.put(sums, n, n);
    const path = await world.savepoint();
    let requests = 0;
    world.bucket.tamper = (_, bytes) => {
      if (requests++ % 3 === 0) return undefined;
      if (requests % 3 === 2) bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
      return bytes;
    };
    const snapshot = await Snapshot.open(world.bucket, path);
    expect(await all(snapshot, sums)).toHaveLength(5_000);
  });

  test("may be the manifest", async () => {
    const world = new SnapshotWorld(memory!);
    world.put(sums, 1, 1);
    const path = await world.savepoint();
    const bytes = world.bucket.files.get(path)!;
    bytes[50] = bytes[50]! ^ 1;
    await expect(Snapshot.open(world.bucket, path)).rejects.toMatchObject({
      kind: "damaged",
      message: expect.stringMatching(/^The manifest savepoints\/.*_metadata was not read: /),
    });
    world.bucket.files.delete(path);
    await expect(Snapshot.open(world.bucket, path)).rejects.toMatchObject({ kind: "missing" });
  });
});

test("operator state comes by subtask, as it was", async () => {
  const world = new SnapshotWorld(memory!, { parallelism: 2 });
  const of = {
    uid: "flights",
    state: "offsets",
    redistribution: "split",
    schema: { holds: "list", version: 1, ttl: false },
  } as const;
  world.hold(1, of, [["p", 5n]]);
  world.hold(0, of, [["q", new Date(7)], 2]);
  const snapshot = await Snapshot.open(world.bucket, await world.savepoint());
  const [state] = snapshot.states;
  if (state?.kind !== "operator") throw new Error("There is no such state.");
  expect(state.parts.map(({ subtask }) => subtask)).toEqual([0, 1]);
  expect(await snapshot.elements(state.parts[0]!.handle)).toSatisfy(
    exactly([["q", new Date(7)], 2]),
  );
});
