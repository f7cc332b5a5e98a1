// Savepoints that earlier releases have written load for ever. A format that cannot read one of them
// any more is not changed like that.

import { env } from "cloudflare:workers";
import { expect, test } from "vitest";

import { encodeRows } from "../../format/batch.ts";
import { decodeManifest, hasRowsOnTheirWay } from "../../format/manifest.ts";
import { Fed } from "../golden/pipelines.ts";
import { comesToBe } from "./golden.ts";
import { partitionOf } from "./harness.ts";
import { kept } from "./kept.ts";
import { runFrom } from "./savepoints.ts";

const bytesOf = (base64: string): Uint8Array =>
  Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// StatefulJobSnapshotMigrationITCase, StatefulJobWBroadcastStateMigrationITCase
test.each(kept)("$program: a job goes on from it", { timeout: 60_000 }, async (fixture) => {
  const { program, path, fed: calls, topics, files, configuration } = fixture;
  for (const [name, base64] of Object.entries(files)) await env.BUCKET.put(name, bytesOf(base64));
  for (const [topic, partitions] of Object.entries(topics)) {
    for (const [partition, appends] of partitions.entries()) {
      const batches = appends.map((rows) => ({ rows: rows.length, bytes: encodeRows(rows) }));
      await partitionOf(topic, partition).append({ batches, digest: 0 });
    }
  }
  const fed = new Fed();
  fed.events(calls.events);
  for (let at = 0; at < calls.rules; at++) fed.rule();
  const job = await runFrom(program, path, { parallelism: 3, flinkConfiguration: configuration });
  await comesToBe(job, program, fed);
});

test("every kind of state is in one of them, and rows on their way", () => {
  const manifests = kept.map(({ path, files }) => decodeManifest(bytesOf(files[path]!), path));
  const states = manifests.flatMap(({ tasks }) => tasks.map(({ state }) => state));
  const keyed = new Set(
    states.flatMap((state) => state.keyed.map((one) => `${one.uid} ${one.state}`)),
  );
  const operator = new Set(states.flatMap((state) => state.operator.map((one) => one.state)));
  expect([...keyed].filter((state) => !state.endsWith("-out rows")).sort()).toEqual([
    "count accumulators",
    "kinds last",
    "kinds mean",
    "kinds most",
    "kinds rests",
    "kinds total",
    "picky-count accumulators",
    "reduce reduced",
    "timers rung",
    "timers timers/processing-time",
    "weigh n",
  ]);
  expect([...operator].sort()).toEqual(["commits/topics", "held", "offsets", "weights"]);
  expect(manifests.some(hasRowsOnTheirWay)).toBe(true);
});
