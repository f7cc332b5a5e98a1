// The files sink against a plain loop: every row in one file, of its own partition, whatever is lost
// between the barrier, the end of the checkpoint and the put, and whatever the layout.

import { describe, expect, test } from "vitest";

import { fileBytesMax } from "../../format/limits.ts";
import type { Manifest } from "../../format/manifest.ts";
import { filesPrefix } from "../../format/paths.ts";
import { Prng } from "../../sim/prng.ts";
import {
  deadLetter,
  type DeadLetter,
  defineJob,
  type FilePartition,
  files,
  type JobDefinition,
  type OnError,
  topic,
} from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Bid {
  readonly n: number;
  readonly day: string;
  readonly minute: string;
  readonly text?: string;
}

const partitions = 3;
const bids = topic<Bid>("bids", { partitions });

const jobOf = (
  partition: ((bid: Bid) => FilePartition) | undefined,
  checkpointing: { interval?: number; unaligned?: boolean } = { interval: 100 },
  onError: OnError = "fail",
): JobDefinition =>
  defineJob(
    "filed",
    (env) => {
      env
        .from(bids, { uid: "bids" })
        .rebalance()
        .to(files("bids", partition && { partition }), { uid: "out" });
    },
    { bufferTimeout: 0, checkpointing, onError },
  );

const byMinute = ({ day, minute }: Bid): FilePartition => [
  ["dt", day],
  ["hm", minute],
];

const bidOf = (n: number): Bid => ({ n, day: `2026-01-0${1 + (n % 2)}`, minute: `12:0${n % 5}` });

const folderOf = ({ day, minute }: Bid): string => `dt=${day}/hm=${minute.replace(":", "%3A")}`;

/** The lines of all files, by folder, sorted. */
function linesOf({ job, written }: World, name = "bids"): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  const prefix = filesPrefix(job, name);
  for (const [path, bytes] of written) {
    expect(path.startsWith(prefix)).toBe(true);
    const at = path.lastIndexOf("/");
    expect(path.slice(at + 1)).toMatch(/^part-\d+-(\d+|a\d+\.\d+)-\d+\.ndjson$/);
    const text = new TextDecoder().decode(bytes);
    expect(text.endsWith("\n")).toBe(true);
    const folder = path.slice(prefix.length, Math.max(at, prefix.length));
    (found[folder] ??= []).push(...text.slice(0, -1).split("\n"));
  }
  for (const lines of Object.values(found)) lines.sort();
  return found;
}

function wantedOf(all: readonly Bid[], folder: (bid: Bid) => string): Record<string, string[]> {
  const wanted: Record<string, string[]> = {};
  for (const bid of all) (wanted[folder(bid)] ??= []).push(JSON.stringify(bid));
  for (const lines of Object.values(wanted)) lines.sort();
  return wanted;
}

/** What became of checkpoints before crashes, in all runs. */
const crashes = { prepared: 0, completed: 0, put: 0 };

function lossy(unaligned: boolean, sizes: readonly number[], seed: number): void {
  const prng = new Prng(seed);
  const world = new World();
  const definition = jobOf(byMinute, { interval: 100, unaligned });
  const all: Bid[] = [];
  let restore: Manifest | undefined;
  for (const parallelism of [...sizes, sizes[0]!]) {
    const cluster = new Cluster(world, {
      definition,
      parallelism,
      seed: prng.below(1_000_000),
      ...(restore && { restore }),
    });
    for (let round = prng.between(1, 4); round > 0; round--) {
      for (let append = 0; append < 8; append++) {
        const rows = Array.from({ length: prng.between(1, 9) }, (_, at) => bidOf(all.length + at));
        all.push(...rows);
        world.append("bids", prng.below(partitions), rows);
      }
      cluster.run(prng.below(120), prng.chance(0.5));
      if (prng.chance(0.3)) {
        // Its files stay with the next one.
        cluster.checkpoint();
        crashes.prepared++;
        continue;
      }
      restore = cluster.checkpoint({ ticks: !unaligned });
      if (prng.chance(0.3)) {
        crashes.completed++;
        break;
      }
      const before = world.written.size;
      cluster.complete(restore).run(prng.below(20));
      if (world.written.size > before) crashes.put++;
    }
    cluster.stop();
  }
  const last = new Cluster(world, {
    definition,
    parallelism: sizes[0]!,
    ...(restore && { restore }),
  });
  last.settle();
  last.complete(last.checkpoint()).settle();
  expect(linesOf(world)).toEqual(wantedOf(all, folderOf));
  expect([...last.tasks.values()].some(({ isCommitting }) => isCommitting)).toBe(false);
}

describe.each([false, true])("each row is in one file, unaligned: %s", (unaligned) => {
  test.each([[[1, 1, 1]], [[4, 4, 4]], [[1, 4, 2, 3]]])("at parallelism %j", (sizes) => {
    for (let seed = 1; seed <= 15; seed++) lossy(unaligned, sizes, seed * 13);
  });
});

test("crashes came before the end of a checkpoint, after it and after a put", () => {
  for (const times of Object.values(crashes)) expect(times).toBeGreaterThan(10);
});

const rowsOf = (world: World, rows: readonly Bid[]): void => world.append("bids", 0, rows);

test("nothing is there before the checkpoint has completed", () => {
  const world = new World();
  rowsOf(world, [bidOf(1)]);
  const cluster = new Cluster(world, { definition: jobOf(byMinute), parallelism: 1 }).settle();
  const checkpoint = cluster.checkpoint();
  expect(cluster.settle().world.written.size).toBe(0);
  cluster.complete(checkpoint).settle();
  expect([...world.written.keys()]).toEqual([
    `files/${world.job}/bids/dt=2026-01-02/hm=12%3A01/part-0-1-0.ndjson`,
  ]);
});

test("a savepoint that stops waits for its files", () => {
  const world = new World();
  rowsOf(world, [bidOf(1), bidOf(2)]);
  const cluster = new Cluster(world, { definition: jobOf(undefined), parallelism: 1 }).settle();
  const stopped = cluster.checkpoint({ savepoint: { folder: "savepoints/s", stops: true } });
  const [task] = cluster.subtasksOf("out");
  expect(cluster.complete(stopped) && task!.finishedWith).toBeUndefined();
  cluster.settle();
  expect(task!.finishedWith).toBe(stopped.checkpoint);
  expect(linesOf(world)).toEqual(wantedOf([bidOf(1), bidOf(2)], () => ""));
});

test("without checkpoints rows leave as they come, in files of their own", () => {
  const world = new World();
  const definition = jobOf(undefined, {});
  const all = Array.from({ length: 40 }, (_, n) => bidOf(n));
  const cluster = new Cluster(world, { definition, parallelism: 2 });
  for (const bid of all) {
    rowsOf(world, [bid]);
    cluster.run(3);
  }
  cluster.settle();
  expect(linesOf(world)).toEqual(wantedOf(all, () => ""));
  expect(world.written.size).toBeGreaterThan(1);
});

test("a file that is full is followed by another", () => {
  const world = new World();
  const text = "é".repeat(100_000);
  const all = Array.from({ length: 100 }, (_, n) => ({ ...bidOf(n), text }));
  for (const bid of all) rowsOf(world, [bid]);
  const definition = jobOf(undefined);
  const cluster = new Cluster(world, { definition, parallelism: 1 }).settle();
  cluster.complete(cluster.checkpoint()).settle();
  const sizes = Array.from(world.written.values(), ({ length }) => length);
  expect(sizes).toHaveLength(2);
  expect(sizes[0]).toBeGreaterThanOrEqual(fileBytesMax);
  expect(sizes[0]).toBeLessThan(fileBytesMax + 1_000_000);
  expect(linesOf(world)).toEqual(wantedOf(all, () => ""));
});

test("rows that no file has yet count against the budget", () => {
  const world = new World();
  for (let n = 0; n < 30; n++) rowsOf(world, [{ ...bidOf(n), text: "x".repeat(100_000) }]);
  const definition = jobOf(undefined);
  const cluster = new Cluster(world, {
    definition,
    parallelism: 1,
    state: { memoryBudget: 2 ** 20 },
  });
  expect(() => cluster.settle()).toThrow(/memoryBudget.* State "files" of operator "out" holds/);
});

test("a row that has no partition is one that the operator throws on", () => {
  const world = new World();
  const letters = topic<DeadLetter<Bid>>("letters", { partitions: 1 });
  const paths = ["a=1/b=2", "", "a//b", "..", "/a", "x".repeat(513)];
  const definition = jobOf(({ n }) => paths[n]!, undefined, deadLetter(letters));
  const all = paths.map((_, n) => bidOf(n));
  rowsOf(world, all);
  const cluster = new Cluster(world, { definition, parallelism: 1 }).settle();
  cluster.complete(cluster.checkpoint()).settle();
  expect(Object.keys(linesOf(world)).sort()).toEqual(["", "a=1/b=2"]);
  expect(world.topic("letters").reduce((sum, { count }) => sum + count, 0)).toBe(4);
});

test("names and values are escaped as Flink's", () => {
  const world = new World();
  const definition = jobOf(({ minute }) => [
    ["a/b", minute],
    ["n", 7],
    ["none", ""],
  ]);
  rowsOf(world, [{ n: 1, day: "", minute: "1=2:é%" }]);
  const cluster = new Cluster(world, { definition, parallelism: 1 }).settle();
  cluster.complete(cluster.checkpoint()).settle();
  expect(Object.keys(linesOf(world))).toEqual([
    "a%2Fb=1%3D2%3Aé%25/n=7/none=__DEFAULT_PARTITION__",
  ]);
});
