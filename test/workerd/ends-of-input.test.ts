// A job that ends with its input, whole: FINISHED by itself, and its tables can still be read.

import { afterEach, expect, test } from "vitest";

import { heal } from "./faults.ts";
import { becomes, call, json, killCoordinator, killSubtask, run, until } from "./harness.ts";
import { generatedTallies } from "./programs.ts";
import { stopped } from "./savepoints.ts";

afterEach(heal);

const isFinished = async (job: Awaited<ReturnType<typeof run>>): Promise<boolean> =>
  (await job.state()) === "FINISHED";

test.each(["hashmap", "sqlite"])(
  "a job of which the rows have an end finishes, and its tables stay readable (%s)",
  { timeout: 60_000 },
  async (backend) => {
    const job = await run("generated", { "state.backend": backend });
    await until("there are rows", async () => ((await job.rows("tallies")) ?? []).length > 0);
    await killSubtask(job.id, await job.task("tally/0"));
    await until("the job is FINISHED", () => isFinished(job));
    expect(await job.rows("tallies")).toEqual(generatedTallies);
    expect(await job.rows("tallies", "latest")).toEqual(generatedTallies);
    // Whoever holds them may lose his memory as often as he likes.
    for (const task of await job.tasks()) await killSubtask(job.id, task);
    await killCoordinator(job.id);
    expect(await job.rows("tallies")).toEqual(generatedTallies);
    const [first] = generatedTallies;
    const one = await call(`/jobs/${job.id}/tables/tallies/${first!.key}`);
    expect((await json<{ rows: unknown[] }>(one)).rows).toEqual([first]);
    expect(await job.state()).toBe("FINISHED");
    await becomes(() => job.files(), [], 5_000);
  },
);

test.each(["hashmap", "sqlite"])(
  "the tables of a job that was stopped stay as the savepoint has them (%s)",
  { timeout: 60_000 },
  async (backend) => {
    const job = await run("generated", { "state.backend": backend });
    await until("there are rows", async () => ((await job.rows("tallies")) ?? []).length > 0);
    await stopped(job);
    const rows = await job.rows("tallies");
    expect(rows?.length).toBeGreaterThan(0);
    for (const task of await job.tasks()) await killSubtask(job.id, task);
    expect(await job.rows("tallies")).toEqual(rows);
  },
);
