// Jobs on the sqlite backend, through crashes of their subtasks.

import { env, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import { objectName, type TaskId } from "../../format/ids.ts";
import { seen } from "./faults.ts";
import { keyedStateInFiles, killSubtask, streaming, type TestJob } from "./harness.ts";

const sqlite = {
  ...keyedStateInFiles,
  "state.backend": "sqlite",
  "taskmanager.memory.managed.size": "64 kb",
};

/** Rows of state in a subtask's own database. */
const rowsOf = (job: TestJob, task: TaskId): Promise<number> => {
  const stub = env.SUBTASK.getByName(objectName.subtask(job.id, task));
  return runInDurableObject(stub as never, (_: unknown, { storage }: DurableObjectState) => {
    const query = "SELECT sum(entries) AS n FROM state_runs WHERE live = 1";
    return Number(storage.sql.exec(query).one()["n"]);
  });
};

describe("the sqlite backend", () => {
  test(
    "goes back to the last checkpoint by its own rows, and every record counts once",
    { timeout: 60_000 },
    async () => {
      const { job, producer, stop } = await streaming(sqlite);
      const tallies = ["tally/0", "tally/1"];
      for (const title of [...tallies, "step/0"]) {
        await job.completes();
        const before = await job.attempt();
        const read = seen.gets.length;
        await killSubtask(job.id, await job.task(title));
        await job.running(before + 1);
        await job.completes();
        // State files are read by nobody: the manifest alone is.
        const paths = seen.gets.slice(read).filter((path) => path.includes(job.id));
        expect(paths.filter((path) => !path.endsWith("/_metadata"))).toEqual([]);
      }
      await stop();
      await job.settlesAt("tallies", producer.expected);
      for (const title of tallies) {
        expect(await rowsOf(job, await job.task(title))).toBeGreaterThan(0);
      }
      await job.cancel();
      await expect.poll(() => job.files()).toEqual([]);
    },
  );
});
