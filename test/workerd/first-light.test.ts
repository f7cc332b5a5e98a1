import { describe, expect, onTestFinished, test } from "vitest";

import { faults, Gate, heal } from "./faults.ts";
import { becomes, call, json, Producer, run, stateInFiles, streaming, until } from "./harness.ts";
import { unusedCopy } from "./programs.ts";

describe("a job without any fault", () => {
  test("counts exactly, lists its checkpoints, and leaves nothing behind when cancelled", async () => {
    const program = unusedCopy();
    const producer = new Producer(program);
    await producer.send(100);
    const job = await run(program);
    await job.running();
    for (let request = 0; request < 5; request++) await producer.send(100);
    await job.settlesAt("tallies", producer.expected);

    const { counts, latest, history } = await job.checkpoints();
    expect(counts).toMatchObject({ failed: 0, restored: 0 });
    expect(counts.completed).toBeGreaterThanOrEqual(3);
    expect(latest.completed).toMatchObject({
      status: "COMPLETED",
      num_subtasks: 6,
      num_acknowledged_subtasks: 6,
      external_path: `jobs/${job.id}/chk-${latest.completed?.id}/_metadata`,
    });
    const ids = history.map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(await job.attempt()).toBe(1);

    await job.cancel();
    const table = await call(`/jobs/${job.id}/tables/tallies`);
    expect(table.status).toBe(409);
    expect(await table.json()).toEqual({
      errors: [
        `Job ${job.id} is CANCELED; a table is served while its job runs, and after it has finished.`,
      ],
    });
    await expect.poll(() => job.files()).toEqual([]);
    expect((await json<{ state: string }>(await call(`/jobs/${job.id}`))).state).toBe("CANCELED");
  });

  test("keeps the files of its last checkpoint alone", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    await job.completes(5);
    await job.keepsOnlyWhatItNeeds();
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });

  test("shows a row as committed once its checkpoint is durable, and as latest before", async () => {
    const program = unusedCopy();
    const producer = new Producer(program);
    const job = await run(program);
    onTestFinished(() => job.cancel());
    await job.running();
    await producer.send(100);
    const committed = producer.expected;
    await job.settlesAt("tallies", committed);

    const gate = new Gate();
    onTestFinished(heal);
    faults.onPut = async (_, put) => {
      await gate.pass();
      return put();
    };
    await until("a manifest is held", () => gate.arrived > 0);
    await producer.send(100);
    await becomes(() => job.rows("tallies", "latest"), producer.expected);
    expect(await job.rows("tallies")).toEqual(committed);
    gate.open();
    await job.settlesAt("tallies", producer.expected);
  });
});
