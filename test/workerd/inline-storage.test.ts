// `execution.checkpointing.storage: jobmanager`: checkpoints live in the coordinator's SQLite, and
// nothing is in R2.

import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import type { coordinatorClass } from "../../coordinator/coordinator.ts";
import type { JobId } from "../../format/ids.ts";
import { killCoordinator, killSubtask, streaming } from "./harness.ts";

type Coordinator = InstanceType<ReturnType<typeof coordinatorClass>>;

const inline = {
  "execution.checkpointing.storage": "jobmanager",
  "execution.checkpointing.data-inline-threshold": "0",
};

const manifestsOf = (job: JobId): Promise<string[]> =>
  runInDurableObject(
    (env.COORDINATOR as unknown as DurableObjectNamespace<Coordinator>).getByName(job),
    (_, state) =>
      state.storage.sql
        .exec<{ path: string }>("SELECT DISTINCT path FROM manifest ORDER BY path")
        .toArray()
        .map(({ path }) => path),
  );

describe("checkpoints in the coordinator", () => {
  test("survive the loss of a subtask, of the coordinator, of everything; R2 stays empty", async () => {
    const { job, producer, stop } = await streaming(inline);
    await killSubtask(job.id, await job.task("tally/0"));
    await job.running(2);
    await job.completes(1);
    await killCoordinator(job.id);
    await job.completes(2);
    expect(await job.files()).toEqual([]);
    const { attempt } = await job.details();
    await abortAllDurableObjects();
    await job.running(attempt + 1);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect((await job.checkpoints()).latest.restored).not.toBeNull();
    expect(await job.files()).toEqual([]);
    expect(await manifestsOf(job.id)).toHaveLength(1);
    await job.cancel();
    await expect.poll(() => manifestsOf(job.id)).toEqual([]);
    expect(await job.files()).toEqual([]);
  });

  test("retained on cancellation, they are still there and listed", async () => {
    const { job, stop } = await streaming({
      ...inline,
      "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
      "execution.checkpointing.num-retained": "2",
    });
    await stop();
    await job.completes(2);
    await job.cancel();
    await expect.poll(() => manifestsOf(job.id)).toHaveLength(2);
    const { history } = await job.checkpoints();
    const kept = history.filter((entry) => "discarded" in entry && entry.discarded === false);
    expect(kept).toHaveLength(2);
  });
});
