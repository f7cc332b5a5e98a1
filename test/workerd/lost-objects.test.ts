import { abortAllDurableObjects } from "cloudflare:test";
import { describe, expect, test } from "vitest";

import {
  becomes,
  killCoordinator,
  killDispatcher,
  killPartition,
  killSubtask,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";

/** Does `harm` in mid-stream, between two completed checkpoints, and waits for the next attempt. */
async function recovers(job: TestJob, harm: () => Promise<void>): Promise<void> {
  await job.completes();
  const attempt = await job.attempt();
  const { counts } = await job.checkpoints();
  await harm();
  await job.running(attempt + 1);
  const after = await job.completes();
  expect(after.counts.restored).toBeGreaterThan(counts.restored);
  expect(after.latest.restored?.id).toBeGreaterThan(0);
}

describe("in mid-stream", () => {
  // StreamCheckpointingITCase, StateCheckpointedITCase
  test("any subtask may be lost, and every record counts once", { timeout: 60_000 }, async () => {
    const { job, producer, stop } = await streaming();

    const victims = await job.titles();
    expect(victims).toEqual(["events/0", "events/1", "step/0", "step/1", "tally/0", "tally/1"]);
    for (const title of victims) {
      const task = await job.task(title);
      await recovers(job, () => killSubtask(job.id, task));
    }

    await stop();
    await job.settlesAt("tallies", producer.expected);
    const { attempt, failures } = await job.details();
    expect(attempt).toBe(1 + victims.length);
    expect(failures).toHaveLength(victims.length);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });

  // FastFailuresITCase
  test("every object may be lost at once, again and again", { timeout: 60_000 }, async () => {
    const { job, producer, stop } = await streaming();
    for (let round = 0; round < 4; round++) await recovers(job, abortAllDurableObjects);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });

  test("also with unaligned checkpoints", { timeout: 60_000 }, async () => {
    const { job, producer, stop } = await streaming({
      "execution.checkpointing.unaligned.enabled": "true",
      "execution.checkpointing.data-inline-threshold": "0 b",
    });
    for (const title of ["events/0", "step/1", "tally/0"]) {
      const task = await job.task(title);
      await recovers(job, () => killSubtask(job.id, task));
    }
    await recovers(job, abortAllDurableObjects);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });

  test("a lost partition, dispatcher or coordinator costs no attempt", async () => {
    const { job, producer, stop } = await streaming();
    const harms = [
      () => killPartition(producer.topic, 0),
      () => killPartition(producer.topic, 1),
      killDispatcher,
      () => killCoordinator(job.id),
    ];
    for (const harm of harms) {
      await job.completes();
      await harm();
    }
    await job.completes();
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
    expect(await job.state()).toBe("RUNNING");
    await job.cancel();
  });

  test("a job that waits for its restart can be cancelled", async () => {
    const { job, stop } = await streaming({ "restart-strategy.fixed-delay.delay": "1 h" });
    await killSubtask(job.id, await job.task("tally/0"));
    await until("it waits", async () => (await job.state()) === "RESTARTING");
    await job.cancel();
    await stop();
    expect(await job.attempt()).toBe(1);
    await becomes(() => job.files(), []);
  });
});
