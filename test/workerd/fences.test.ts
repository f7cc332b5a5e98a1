import { describe, expect, test } from "vitest";

import { attempt, checkpointId } from "../../format/ids.ts";
import type { TaskDeployment } from "../../format/messages.ts";
import { inputChannels } from "../../format/plan.ts";
import { coordinatorOf, killSubtask, streaming, subtaskOf, type TestJob } from "./harness.ts";

/** Makes the job begin attempt 2, and gives what attempt 1 was deployed with. */
async function superseded(job: TestJob): Promise<TaskDeployment> {
  const task = await job.task("tally/0");
  const { plan, config } = await job.details();
  await killSubtask(job.id, await job.task("step/0"));
  await job.running(2);
  return { job: job.id, attempt: attempt(1), task, plan, config };
}

describe("an attempt that is over", () => {
  test("is refused by every subtask, also after it has lost its memory", async () => {
    const { job, producer, stop } = await streaming();
    const old = await superseded(job);
    const { task, plan } = old;
    const [channel] = inputChannels(plan, task);
    if (channel === undefined) throw new Error("The tally has inputs.");

    const refuses = async (current: number): Promise<void> => {
      const stale = { kind: "stale", current };
      const subtask = () => subtaskOf(job.id, task);
      const first = attempt(1);
      const id = checkpointId(1_000);
      expect(await subtask().deploy(old)).toEqual(stale);
      expect(await subtask().start(first)).toEqual(stale);
      expect(await subtask().triggerCheckpoint(first, id)).toEqual(stale);
      expect(await subtask().notifyComplete(first, id)).toEqual(stale);
      expect(await subtask().notifyAborted(first, id)).toEqual(stale);
      expect(await subtask().heartbeat(first)).toEqual(stale);
      expect(await subtask().open({ attempt: first, channel })).toEqual(stale);
      // A late cancellation of the old attempt does not end the new one.
      await subtask().cancel(first);
    };
    await refuses(2);
    await job.completes();
    expect(await job.attempt()).toBe(2);

    await killSubtask(job.id, task);
    expect(await subtaskOf(job.id, task).heartbeat(attempt(1))).toMatchObject({ kind: "stale" });
    await job.running(3);
    await refuses(3);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(3);
  });

  test("is not taken up again by a subtask that forgot it", async () => {
    const { job, producer, stop } = await streaming();
    const task = await job.task("tally/1");
    const { plan, config } = await job.details();
    const deployment = { job: job.id, attempt: attempt(1), task, plan, config };
    expect(await subtaskOf(job.id, task).deploy(deployment)).toEqual({ kind: "deployed" });
    await killSubtask(job.id, task);
    expect(await subtaskOf(job.id, task).deploy(deployment)).toMatchObject({ kind: "refused" });
    await job.running(2);
    await stop();
    await job.settlesAt("tallies", producer.expected);
  });

  test("is not heard by the coordinator", async () => {
    const { job, producer, stop } = await streaming();
    const { task } = await superseded(job);
    const zombie = { attempt: attempt(1), task };
    const coordinator = coordinatorOf(job.id);
    const metrics = { alignment: 0, syncDuration: 0, asyncDuration: 0, bytes: 0, stateBytes: 0 };
    const before = await job.checkpoints();
    const { failures } = await job.details();

    await coordinator.taskFailed({ ...zombie, name: "Error", message: "I am a zombie." });
    const tasks = await job.tasks();
    for (let id = 1; id < 50; id++) {
      const checkpoint = checkpointId(id);
      await coordinator.decline({ ...zombie, checkpoint, reason: "I am a zombie." });
      for (const of of tasks) {
        const ack = {
          ...zombie,
          task: of,
          checkpoint,
          state: { keyed: [], operator: [] },
          metrics,
        };
        await coordinator.acknowledge(ack);
      }
    }
    const after = await job.completes();
    expect(after.counts.failed).toBe(before.counts.failed);
    expect(await job.attempt()).toBe(2);
    expect((await job.details()).failures).toEqual(failures);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    // Had an empty acknowledgement counted, this restore would begin at nothing.
    await killSubtask(job.id, task);
    await job.running(3);
    await job.settlesAt("tallies", producer.expected);
  });
});
