// Jobs that make their rows themselves, with checkpoints, losses and savepoints, to their end.

import { afterEach, expect, test } from "vitest";

import { heal } from "./faults.ts";
import { becomes, killSubtask, run, type TestJob, until } from "./harness.ts";
import { generatedTallies } from "./programs.ts";
import { runFrom, stopped } from "./savepoints.ts";

afterEach(heal);

const isAtWork = (job: TestJob): Promise<unknown> =>
  until("the job has rows", async () => ((await job.rows("tallies")) ?? []).length > 0);

test.each(["hashmap", "sqlite"])(
  "every row is counted once, across losses and another parallelism (%s)",
  { timeout: 90_000 },
  async (backend) => {
    const first = await run("generated", { "state.backend": backend });
    await isAtWork(first);
    await killSubtask(first.id, await first.task("events/0"));
    await first.running(2);
    await first.completes(2);
    expect(await first.rows("tallies")).not.toEqual(generatedTallies);
    const location = await stopped(first);

    const second = await runFrom("generated", location, { parallelism: 3 });
    await becomes(() => second.state(), "FINISHED");
    expect(await second.rows("tallies")).toEqual(generatedTallies);
    const again = await runFrom("generated", location, { parallelism: 1 });
    await becomes(() => again.state(), "FINISHED");
    expect(await again.rows("tallies")).toEqual(generatedTallies);
  },
);
