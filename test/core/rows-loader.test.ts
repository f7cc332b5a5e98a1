// The state of a checkpoint, loaded into rows segment by segment.

import { describe, expect, it } from "vitest";

import { planOf } from "../../coordinator/plan.ts";
import { attempt, checkpointId, jobIdFrom, millis } from "../../format/ids.ts";
import { allKeyGroups, keyGroupOf, rangeHas, rangeOfSubtask } from "../../format/key-groups.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import {
  readSegment,
  type SegmentEntry,
  type SegmentHeader,
  SegmentSlices,
  type StoredSchema,
  writeSegment,
} from "../../format/segment.ts";
import type { BytesHandle, KeyedStateHandle } from "../../format/state-handle.ts";
import { defineJob, rows, table, topic, valueState } from "../../stream/index.ts";
import { RowsLoader } from "../../task/rows-loader.ts";
import { schemaOf } from "../../operators/state/schema.ts";
import { holdsState, rowsBackendOf } from "../../task/state-backend.ts";
import { Task } from "../../task/task.ts";
import { testDatabase } from "./state-backends.ts";

const jobOf = (version: number, parallelism: number) =>
  defineJob(
    "loaded",
    (env) => {
      env
        .from(topic<{ key: string }>("rows"), { uid: "rows" })
        .keyBy((row) => row.key)
        .process(
          {
            state: {
              seen: valueState<number>({ version, migrate: (old) => Number(old) + 1_000 }),
            },
            emits: rows<{ key: string }>(),
            process: () => {},
          },
          { uid: "fold" },
        )
        .to(table("out"), { uid: "out" });
    },
    { parallelism, checkpointing: { interval: 100 } },
  );

function deploymentOf(version: number, index: number, parallelism: number) {
  const { graph } = jobOf(version, parallelism);
  const config = { ...graph.config, state: { ...graph.config.state, backend: "sqlite" as const } };
  const plan = planOf(graph, config);
  const vertex = plan.vertices.find(({ operators }) => operators.includes("fold"))!;
  const deployment: TaskDeployment = {
    job: jobIdFrom(new Uint8Array(16)),
    attempt: attempt(2),
    task: { vertex: vertex.id, index },
    plan,
    config,
    restore: { checkpoint: checkpointId(7), states: [] },
  };
  return { deployment, graph, maxParallelism: plan.maxParallelism };
}

const plain: StoredSchema = { holds: "value", version: 1, ttl: false };
const keyOf = (n: number): string => `key ${n}`;

function slicesOf(
  header: SegmentHeader,
  entries: readonly SegmentEntry[],
  path: string,
): { readonly bytes: Uint8Array; readonly at: BytesHandle }[] {
  const slices = new SegmentSlices(
    header,
    entries.toSorted((a, b) => a.group - b.group),
    { bytes: 2_000, rows: 1_000 },
  );
  const all: { readonly bytes: Uint8Array; readonly at: BytesHandle }[] = [];
  let offset = 0;
  for (let isDone = false; !isDone;) {
    const step = slices.step(10);
    ({ isDone } = step);
    if (step.segment === undefined) continue;
    const { bytes, groups } = step.segment;
    const { length } = bytes;
    all.push({ bytes, at: { kind: "file", path, offset, length, ...(groups && { groups }) } });
    offset += length;
  }
  return all;
}

/** The chain of a former subtask: a state of 600 keys in many segments, and a delta of some. */
function chainOf(
  maxParallelism: number,
  range = allKeyGroups(maxParallelism),
  valueOf: (n: number, group: number) => unknown = (n) => n,
) {
  const header: SegmentHeader = { uid: "fold", state: "seen", kind: "full", maxParallelism };
  const entries = Array.from({ length: 600 }, (_, n) => {
    const key = keyOf(n);
    const group = keyGroupOf(key, maxParallelism);
    return { group, key, value: valueOf(n, group) };
  }).filter(({ group }) => rangeHas(range, group));
  const full = slicesOf(header, entries, "chk-1");
  const changed = entries
    .filter((_, n) => n % 3 === 0)
    .map(({ group, key }) => ({ group, key, value: -1 }));
  const delta = slicesOf({ ...header, kind: "delta" }, changed, "chk-2");
  const slices = [...full, ...delta];
  const segments = slices.map(({ at }) => at);
  const handle: KeyedStateHandle = { uid: "fold", state: "seen", range, segments };
  const expected = new Map<string, unknown>(entries.map(({ key, value }) => [key, value]));
  for (const { key, value } of changed) expected.set(key, value);
  return { handle, bytes: slices.map(({ bytes }) => bytes), expected, changes: changed.length };
}

type Loaded = ReturnType<typeof chainOf>;

/** All that may be the loader's; answers how many segments that were. */
function loadAll(loader: RowsLoader, { handle, bytes }: Loaded): number {
  const own = [...handle.segments.entries()].filter(([, at]) => loader.owns(at));
  for (const [n, at] of own) loader.load(handle, at, readSegment(bytes[n]!));
  return own.length;
}

describe("rows that are loaded", () => {
  it("are held once they are all there, and not before (L1)", () => {
    const { deployment, maxParallelism } = deploymentOf(1, 0, 1);
    const database = testDatabase();
    const chain = chainOf(maxParallelism);
    expect(chain.handle.segments.length).toBeGreaterThan(5);
    const loader = new RowsLoader(deployment, database);
    expect(holdsState(deployment, database)).toBe(false);
    const [first] = chain.handle.segments;
    loader.load(chain.handle, first!, readSegment(chain.bytes[0]!));
    expect(holdsState(deployment, database)).toBe(false);
    // Whoever comes then begins with nothing.
    const again = new RowsLoader(deployment, database);
    loadAll(again, chain);
    again.done();
    expect(holdsState(deployment, database)).toBe(true);
    const held = again.backend.store("fold").table<number>("seen");
    expect(new Map(held.entries())).toEqual(chain.expected);
    expect(held.size).toBe(600);
    // Of what was restored the delta is a change, and all of the rest one run.
    expect(held.mergedChanges).toBe(chain.changes);
    const runs = database.exec("SELECT count(*) AS n FROM state_runs WHERE live = 1")[0]!["n"];
    expect(runs).toBe(2);
  });

  it("are in few runs, also where the first segment has fewer of them than the others", () => {
    const { deployment, maxParallelism } = deploymentOf(1, 0, 1);
    const database = testDatabase();
    const loader = new RowsLoader(deployment, database);
    const isLarge = (group: number): boolean => group < 8;
    const chain = chainOf(maxParallelism, allKeyGroups(maxParallelism), (n, group) =>
      isLarge(group) ? "v".repeat(500) : n,
    );
    loadAll(loader, chain);
    loader.done();
    const held = loader.backend.store("fold").table("seen");
    expect(new Map(held.entries())).toEqual(chain.expected);
    const runs = database.exec("SELECT count(*) AS n FROM state_runs WHERE live = 1")[0]!["n"];
    expect(runs).toBe(3);
  });

  it("are those of the key groups that are owned, out of all former subtasks", () => {
    const { maxParallelism } = deploymentOf(1, 0, 3);
    const chains = [0, 1].map((index) =>
      chainOf(maxParallelism, rangeOfSubtask(index, 2, maxParallelism)),
    );
    const expected = new Map(chains.flatMap((chain) => [...chain.expected]));
    const found = new Map<unknown, number>();
    let [read, of] = [0, 0];
    for (const index of [0, 1, 2]) {
      const { deployment } = deploymentOf(1, index, 3);
      const own = rangeOfSubtask(index, 3, maxParallelism);
      const loader = new RowsLoader(deployment, testDatabase());
      for (const chain of chains) {
        const { first, last } = chain.handle.range;
        if (first > own.last || own.first > last) continue;
        read += loadAll(loader, chain);
        of += chain.handle.segments.length;
      }
      loader.done();
      const table = loader.backend.store("fold").table("seen");
      const isOwn = ([key]: [string, unknown]): boolean =>
        rangeHas(own, keyGroupOf(key, maxParallelism));
      const changes = chains.flatMap((chain) => [...chain.expected].filter(isOwn));
      expect(table.mergedChanges).toBe(changes.filter(([, value]) => value === -1).length);
      for (const [key, value] of loader.backend.store("fold").table<number>("seen").entries()) {
        expect(rangeHas(own, keyGroupOf(key, maxParallelism))).toBe(true);
        found.set(key, value);
      }
    }
    expect(found).toEqual(expected);
    // Segments of other key groups are not even read.
    expect(read).toBeLessThan(of);
  });

  it("are migrated by the task that is built on them, and carried on where nobody asks", () => {
    const { deployment, graph, maxParallelism } = deploymentOf(2, 0, 1);
    const database = testDatabase();
    const chain = chainOf(maxParallelism);
    const loader = new RowsLoader(deployment, database);
    loadAll(loader, chain);
    const other: KeyedStateHandle = { ...chain.handle, state: "gone", segments: [] };
    const header = { uid: "fold", state: "gone", kind: "full", maxParallelism } as const;
    const bytes = writeSegment(header, [
      { group: keyGroupOf("a", maxParallelism), key: "a", value: 1 },
    ]);
    const inline = { kind: "inline", bytes } as const;
    const gone = { ...other, segments: [inline] };
    loader.load(gone, inline, readSegment(bytes));
    loader.done();
    const { handle } = chain;
    const keyed = [handle, gone].map((of) => ({ handle: of, segments: "loaded" as const }));
    const restored = { checkpoint: checkpointId(7), keyed, operator: [], channels: [] };
    const task = new Task(
      deployment,
      graph,
      { ...restored, backend: loader.backend },
      millis(0),
      database,
    );
    const seen = loader.backend.store("fold").tables();
    expect([...seen.keys()].sort()).toEqual(["gone", "seen"]);
    expect(seen.get("seen")!.get("key 5")).toBe(Number(chain.expected.get("key 5")) + 1_000);
    expect([seen.get("seen")!.isUpgraded, seen.get("gone")!.isUpgraded]).toEqual([true, false]);
    expect(seen.get("gone")!.get("a")).toBe(1);
    task.stop();
  });

  it("are of the schema that they were of once they are gone back to", () => {
    const { deployment, maxParallelism } = deploymentOf(1, 0, 1);
    const database = testDatabase();
    const chain = chainOf(maxParallelism);
    const loader = new RowsLoader(deployment, database);
    loadAll(loader, chain);
    loader.done();
    const later = deploymentOf(2, 0, 1);
    const schema = {
      stored: { ...plain, version: 2 },
      migrates: true,
      upgrade: (old: unknown) => Number(old) + 1_000,
    };
    const again = (checkpoint: number) => {
      const restore = { checkpoint: checkpointId(checkpoint), states: [] };
      const of = { ...later.deployment, restore };
      expect(holdsState(of, database)).toBe(true);
      return rowsBackendOf(of, database, true);
    };
    const five = Number(chain.expected.get("key 5"));
    // It is lost before it has a checkpoint, time and again; then the program of before is deployed.
    for (let attempts = 0; attempts < 2; attempts++) {
      const table = again(7).store("fold").table("seen", schema);
      expect([table.get("key 5"), table.isUpgraded]).toEqual([five + 1_000, true]);
      table.flush();
    }
    const before = again(7).store("fold").table("seen", schemaOf());
    expect([before.get("key 5"), before.isUpgraded]).toEqual([five, false]);
    // What a checkpoint has since is of the new schema, whether or not it was heard that it is complete.
    for (const isHeard of [false, true]) {
      const backend = again(7);
      backend.store("fold").table("seen", schema);
      backend.sealed(checkpointId(8));
      if (isHeard) backend.completed(checkpointId(8));
      const table = again(8).store("fold").table("seen", schema);
      expect([table.get("key 5"), table.isUpgraded]).toEqual([five + 1_000, false]);
      if (!isHeard) {
        const rows = new RowsLoader(deployment, database);
        loadAll(rows, chain);
        rows.done();
      }
    }
  });

  it("are of one schema, or refused", () => {
    const { deployment, maxParallelism } = deploymentOf(1, 0, 1);
    const { backend } = new RowsLoader(deployment, testDatabase());
    const range = allKeyGroups(maxParallelism);
    backend.restorer("fold", "seen", plain, range);
    expect(() => backend.restorer("fold", "seen", { ...plain, version: 2 }, range)).toThrow(
      'State "seen" of operator "fold" is stored under two schemas.',
    );
  });
});
