// Idle is free: a job with nothing to do leaves memory, all of it and by the platform's own doing, and
// goes on with the next record.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";

import { startRuntime } from "../../local/runtime.ts";
import type { Seen } from "./seen.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-idle-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const job = "1d1e".repeat(8);
const subtasks = 4;
/** Milliseconds that a job may take to come to rest: two rounds of probes and a checkpoint. */
const restsWithin = 60_000;
/** workerd keeps an object for some ten seconds after its last call; a read at the end of a topic may
 * be one of five seconds. */
const evictedAfter = 25_000;

test(
  "a job with nothing to do is evicted whole, and the next record finds it as it was",
  { timeout: 300_000 },
  async () => {
    const runtime = await startRuntime({ directory, config: "test/idle/wrangler.idle.toml" });
    onTestFinished(() => runtime.stop());
    const json = async <T>(path: string, init?: RequestInit): Promise<T> => {
      const response = await fetch(`${runtime.url}${path}`, init);
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    };
    const post = (path: string, body?: unknown): Promise<unknown> =>
      json(path, { method: "POST", ...(body !== undefined && { body: JSON.stringify(body) }) });
    const seen = (): Promise<Seen> => json("/idle/seen");
    const rows = async (): Promise<unknown[] | undefined> => {
      const answer = await json<{ rows: { key: string }[] }>(
        `/jobs/${job}/tables/tallies?read=latest`,
      ).catch(() => undefined);
      return answer?.rows.sort((a, b) => (a.key < b.key ? -1 : 1));
    };
    const rests = (times: number): Promise<unknown> =>
      vi.waitUntil(async () => (await seen()).resting.length >= times * subtasks, {
        timeout: restsWithin,
        interval: 500,
      });

    await post("/jars/ticks/run", { jobId: job });
    const keys = ["a", "b", "c", "d", "e", "f"];
    await post(
      "/topics/ticks/records",
      keys.map((key) => ({ key, n: 1 })),
    );
    const first = keys.map((key) => ({ key, rows: 1, sum: 1 }));
    await expect.poll(rows, { timeout: 30_000 }).toEqual(first);
    await rests(1);

    const atRest = await seen();
    await sleep(evictedAfter);
    // Whoever is called now was not in memory any more: it is constructed once more.
    expect((await seen()).constructed).toEqual(atRest.constructed);
    await post("/topics/ticks/records", [{ key: "a", n: 10 }]);
    const second = first.map((row) => (row.key === "a" ? { key: "a", rows: 2, sum: 11 } : row));
    await expect.poll(rows, { timeout: 30_000 }).toEqual(second);
    expect(await post(`/idle/touch/${job}`)).toEqual({ attempt: 1 });
    const awake = await seen();
    const once = Object.entries(atRest.constructed).map(([name, times]) => [name, times + 1]);
    expect(awake.constructed).toEqual(Object.fromEntries(once));
    expect(Object.keys(awake.constructed)).toHaveLength(1 + subtasks + 2);
    expect(awake.bucketReads).toEqual(atRest.bucketReads);

    // It comes to rest again, and nothing else happens for longer than any alarm or timer waits.
    await rests(2);
    await sleep(evictedAfter);
    expect((await seen()).constructed).toEqual(awake.constructed);
    expect(await rows()).toEqual(second);
    expect(await post(`/idle/touch/${job}`)).toEqual({ attempt: 1 });
  },
);
