// Savepoints as lines and back: an export, imported, is the same savepoint; what is no good is named.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { namedSavepointFolder } from "../../format/paths.ts";
import { exported } from "../../snapshot/shell/export.ts";
import { imported } from "../../snapshot/shell/import.ts";
import { Snapshot } from "../../snapshot/shell/snapshot.ts";
import { verify } from "../../snapshot/shell/verify.ts";
import { anyKey, anyValue } from "./format-arbitraries.ts";
import { folder, SnapshotWorld } from "./snapshot-world.ts";
import { stateBackends } from "./state-backends.ts";

const schemaOf = (holds: "value" | "list" | "map", ttl = false) => ({ holds, version: 2, ttl });
const values = { uid: "sum", state: "accumulators" };
const maps = { uid: "sum", state: "visits", schema: schemaOf("map") };
const expiring = { uid: "other", state: "recent", schema: schemaOf("list", true) };
const held = {
  uid: "sum",
  state: "held",
  redistribution: "split",
  schema: schemaOf("list"),
} as const;

const linesOf = async (world: SnapshotWorld, path: string): Promise<string[]> => {
  const lines: string[] = [];
  const snapshot = await Snapshot.open(world.bucket, path);
  for await (const line of exported(snapshot)) lines.push(JSON.stringify(line));
  return lines;
};

const target = namedSavepointFolder("repaired")!;

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

let imports = 0;
const importing = (world: SnapshotWorld, lines: readonly string[]) =>
  imported(world.bucket, each(lines), { folder: target, token: `t${imports++}` });

describe.each(stateBackends)("on $name", (backend) => {
  test("an export that is imported is the same again, whatever is in it", async () => {
    const entries = fc.array(fc.tuple(anyKey, anyValue), { maxLength: 30 });
    const drawn = fc.asyncProperty(
      entries,
      fc.array(anyValue, { maxLength: 5 }),
      fc.integer({ min: 1, max: 4 }),
      async (all, elements, parallelism) => {
        const world = new SnapshotWorld(backend, { parallelism, maxParallelism: 8 });
        for (const [key, value] of all) {
          if (value !== undefined) world.put(values, key, value);
          world.put(maps, [key, "m"], [value]);
          world.put(expiring, key, [[value, 5]]);
        }
        if (elements.length > 0) world.hold(parallelism - 1, held, elements);
        const lines = await linesOf(world, await world.savepoint());
        const outcome = await importing(world, lines);
        if (outcome.kind !== "imported") throw new Error(JSON.stringify(outcome));
        expect(await linesOf(world, outcome.path)).toEqual(lines);
        const { manifest } = await Snapshot.open(world.bucket, outcome.path);
        expect(await verify(world.bucket, manifest)).toMatchObject({
          problems: [],
          elements: elements.length,
          entries: lines.length - 2 - elements.length,
        });
      },
    );
    await fc.assert(drawn, { numRuns: 40 });
  });
});

const [memory] = stateBackends;

async function small(): Promise<{ world: SnapshotWorld; lines: string[] }> {
  const world = new SnapshotWorld(memory!, { parallelism: 2 });
  for (let n = 0; n < 300; n++) world.put(values, `key-${n}`, n);
  return { world, lines: await linesOf(world, await world.savepoint()) };
}

test("a value that was changed by hand is there", async () => {
  const { world, lines } = await small();
  const at = lines.findIndex((line) => line.includes('"key-77"'));
  const changed = lines.with(at, lines[at]!.replace('"value":77', '"value":{"$bigint":"7"}'));
  const outcome = await importing(world, changed);
  if (outcome.kind !== "imported") throw new Error(JSON.stringify(outcome));
  const snapshot = await Snapshot.open(world.bucket, outcome.path);
  const [state] = snapshot.states;
  if (state?.kind !== "keyed") throw new Error("There is no such state.");
  expect((await snapshot.lookUp(state, "key-77"))?.entries[0]?.value).toBe(7n);
  expect(await importing(world, lines)).toEqual({ kind: "exists" });
});

test.each<[string, (lines: string[]) => string[], RegExp]>([
  ["cut short", (lines) => lines.slice(0, -1), /^Line 302: the file is cut short/],
  ["without a header", (lines) => lines.slice(1), /^Line 1: the first line must be the header/],
  ["no JSON", (lines) => lines.with(5, "{"), /^Line 6: it is not JSON/],
  [
    "a key twice",
    (lines) => lines.toSpliced(5, 0, lines[5]!),
    /^Line 7: the key .* is there twice/,
  ],
  [
    "out of order",
    (lines) => lines.with(5, lines[6]!).with(6, lines[5]!),
    /^Line 7: it must stand before/,
  ],
  [
    "a wrong group",
    (lines) => lines.with(1, lines[1]!.replace(/"group":\d+/, '"group":127')),
    /^Line 2: the key .* is of key group \d+, not 127/,
  ],
  [
    "an unknown operator",
    (lines) => lines.with(1, lines[1]!.replace('"sum"', '"none"')),
    /^Line 2: operator "none" is in no vertex.*"sum"/,
  ],
  [
    "an unknown mark",
    (lines) => lines.with(1, lines[1]!.replace(/"value":\d+/, '"value":{"$x":1}')),
    /^Line 2: the value is marked "\$x"/,
  ],
  [
    "an export that failed",
    (lines) => [...lines.slice(0, 9), '{"error":"damaged"}'],
    /^Line 10: it is where the export ended: damaged/,
  ],
])(
  "what is no good is named by its line, and nothing is left behind: %s",
  async (_, change, message) => {
    const { world, lines } = await small();
    const before = [...world.bucket.files.keys()];
    const outcome = await importing(world, change(lines));
    expect(outcome).toEqual({ kind: "refused", reason: expect.stringMatching(message) });
    expect([...world.bucket.files.keys()]).toEqual(before);
  },
);

test("a flipped byte is named with file, range, operator and state", async () => {
  const { world } = await small();
  const snapshot = await Snapshot.open(world.bucket, `${folder}_metadata`);
  const bytes = world.bucket.files.get(`${folder}v-1`)!;
  bytes[bytes.length - 9]! ^= 1;
  const { problems, problemsInAll } = await verify(world.bucket, snapshot.manifest);
  expect(problemsInAll).toBe(1);
  expect(problems[0]).toMatch(
    /^State file savepoints\/here\/savepoint-1\/v-1, bytes 0 to \d+ \(operator "sum", state "accumulators"\): Segment block of key group 127 .*checksum/,
  );
});

test.each(["", "a/", "../a", "a//b", ".a", "savepoint-a/b", "a b"])(
  "no savepoint can be called %o",
  (name) => {
    expect(namedSavepointFolder(name)).toBe(undefined);
  },
);

test("what follows a line that is no good is not read, and whoever sends it is told so", async () => {
  const world = new SnapshotWorld(stateBackends[0]!, { parallelism: 1, maxParallelism: 8 });
  let sent = 0;
  let isOver = false;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) {
        sent++;
        yield "no JSON";
      }
    } finally {
      isOver = true;
    }
  }
  const outcome = await imported(world.bucket, endless(), { folder: target, token: "endless" });
  expect(outcome).toMatchObject({ kind: "refused" });
  expect({ sent, isOver }).toEqual({ sent: 1, isOver: true });
});
