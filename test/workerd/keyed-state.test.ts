// Keyed state through the loss of every subtask that has any, under each backend and each way in
// which its snapshots are stored.

import { describe, expect, test } from "vitest";

import { killSubtask, stateInFiles, streaming } from "./harness.ts";

const small = { "taskmanager.memory.managed.size": "64 kb" };
const full = { "execution.checkpointing.incremental": "false" };

describe("KeyedStateCheckpointingITCase: every record counts once", () => {
  test.each([
    ["in memory, deltas inside the acknowledgement", {}],
    ["in memory, deltas in files", stateInFiles],
    ["in memory, full snapshots in files", { ...stateInFiles, ...full }],
    ["in sqlite, deltas in files", { ...stateInFiles, ...small, "state.backend": "sqlite" }],
    [
      "in sqlite, full snapshots in files",
      { ...stateInFiles, ...small, ...full, "state.backend": "sqlite" },
    ],
  ])("%s", { timeout: 60_000 }, async (_, configuration) => {
    const { job, producer, stop } = await streaming(configuration);
    for (const title of ["tally/0", "tally/1"]) {
      await job.completes(2);
      const before = await job.attempt();
      await killSubtask(job.id, await job.task(title));
      await job.running(before + 1);
    }
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect((await job.checkpoints()).counts.restored).toBeGreaterThanOrEqual(2);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });
});
