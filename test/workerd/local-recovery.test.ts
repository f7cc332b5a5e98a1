// Restores from what a subtask keeps in its own object, and from R2 where that is not as it should
// be: Flink's LocalRecoveryITCase.

import { env, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import { crc32 } from "../../format/crc32.ts";
import { objectName, type TaskId } from "../../format/ids.ts";
import type { SqlDatabase } from "../../format/sql.ts";
import { LocalSegments } from "../../task/local-segments.ts";
import { seen } from "./faults.ts";
import {
  keyedStateInFiles,
  killSubtask,
  type Streaming,
  streaming,
  type TestJob,
} from "./harness.ts";

const local = { ...keyedStateInFiles, "execution.state-recovery.from-local": "true" };
const segments = "local_segment";

const inStorage = <T>(
  job: TestJob,
  task: TaskId,
  work: (storage: DurableObjectStorage) => T,
): Promise<T> => {
  const stub = env.SUBTASK.getByName(objectName.subtask(job.id, task));
  return runInDurableObject(stub as never, (_: unknown, { storage }: DurableObjectState) =>
    work(storage),
  );
};

const databaseOf = ({ sql }: DurableObjectStorage): SqlDatabase => ({
  exec: (query, ...bindings) => sql.exec(query, ...bindings).toArray(),
  transaction: (work) => work(),
});

/** Files of which the subtask has copies. */
const copiesOf = (job: TestJob, task: TaskId): Promise<number> =>
  inStorage(job, task, ({ sql }) =>
    Number(sql.exec(`SELECT count(DISTINCT path) AS n FROM ${segments}`).one()["n"]),
  );

/** State files that are read from R2 while `title` is lost and the job restores. */
async function readsAfterLossOf(
  { job }: Streaming,
  title: string,
  harm: (storage: DurableObjectStorage) => void = () => {},
): Promise<string[]> {
  await job.completes();
  const before = await job.attempt();
  const task = await job.task(title);
  const read = seen.gets.length;
  await inStorage(job, task, harm);
  await killSubtask(job.id, task);
  await job.running(before + 1);
  const paths = seen.gets.slice(read).filter((path) => path.includes(job.id));
  await job.completes();
  return paths.filter((path) => !path.endsWith("/_metadata"));
}

async function endsRight({ job, producer, stop }: Streaming): Promise<void> {
  await stop();
  await job.settlesAt("tallies", producer.expected);
  await job.cancel();
  await expect.poll(() => job.files()).toEqual([]);
}

describe("with local recovery, a restore (LocalRecoveryITCase, LocalStateForwardingTest)", () => {
  test.each([
    ["of segments", local],
    [
      "of segments and of rows on their way",
      { ...local, "execution.checkpointing.unaligned.enabled": "true" },
    ],
  ])("%s reads nothing from R2", { timeout: 60_000 }, async (_, settings) => {
    const stream = await streaming(settings);
    const { job } = stream;
    for (const title of ["tally/0", "tally/1", "step/0"]) {
      expect(await readsAfterLossOf(stream, title)).toEqual([]);
    }
    const { tasks } = await job.details();
    const bytes = tasks.flatMap(({ metrics }) => metrics?.restored ?? []);
    expect(bytes.every(({ remote }) => remote === 0)).toBe(true);
    expect(bytes.some(({ local: own }) => own > 0)).toBe(true);
    await endsRight(stream);
  });

  // BackendRestorerProcedureTest
  test.each([
    ["deleted", `DELETE FROM ${segments}`],
    ["cut short", `UPDATE ${segments} SET bytes = substr(bytes, 1, length(bytes) - 1)`],
    [
      "changed by a byte",
      `UPDATE ${segments} SET bytes = CAST(substr(bytes, 1, 40) || x'2a2b2c2d' || substr(bytes, 45) AS BLOB)`,
    ],
  ])("whose copies were %s reads R2", { timeout: 60_000 }, async (_, damage) => {
    const stream = await streaming(local);
    const { job } = stream;
    const harmed = await readsAfterLossOf(stream, "tally/0", ({ sql }) => void sql.exec(damage));
    const { vertex } = await job.task("tally/0");
    expect(harmed.length).toBeGreaterThan(0);
    expect(harmed.every((path) => path.includes(`/${vertex}-0-`))).toBe(true);
    // And then copies are there again.
    expect(await readsAfterLossOf(stream, "tally/0")).toEqual([]);
    await endsRight(stream);
  });

  test("has copies of what may be restored and of nothing else", { timeout: 60_000 }, async () => {
    const stream = await streaming({ ...local, "execution.checkpointing.incremental": "false" });
    const { job, stop } = stream;
    const task = await job.task("tally/0");
    await job.completes(10);
    await stop();
    await job.completes(3);
    // Full snapshots: that of the latest checkpoint, and of one that may be under way.
    await expect.poll(() => copiesOf(job, task)).toBeLessThanOrEqual(2);
    expect(await copiesOf(job, task)).toBeGreaterThan(0);
    await job.cancel();
  });
});

test("without it nothing is copied, and state is read from R2", { timeout: 60_000 }, async () => {
  const stream = await streaming(keyedStateInFiles);
  const { job } = stream;
  expect((await readsAfterLossOf(stream, "tally/0")).length).toBeGreaterThan(0);
  const task = await job.task("tally/0");
  const exists = await inStorage(job, task, (storage) => LocalSegments.exist(databaseOf(storage)));
  expect(exists).toBe(false);
  await endsRight(stream);
});

test("copies larger than a value of SQLite come back whole", async () => {
  const stub = env.SUBTASK.getByName("nobody's");
  await runInDurableObject(stub as never, (_: unknown, { storage }: DurableObjectState) => {
    const local = new LocalSegments(databaseOf(storage));
    const bytes = new Uint8Array(5_000_000).map((_, at) => at % 251);
    const handle = { kind: "file", path: "f", offset: 7, length: bytes.length } as const;
    for (const _ of local.write(handle, bytes));
    expect(crc32(local.read(handle)!)).toBe(crc32(bytes));
  });
});
