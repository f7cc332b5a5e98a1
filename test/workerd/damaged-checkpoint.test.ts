// A byte of a checkpoint that is not what was written, from the bucket to the job that goes on.

import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";

import { attempt } from "../../format/ids.ts";
import { snapshotPath } from "../../format/paths.ts";
import { faults, Gate, heal } from "./faults.ts";
import { killSubtask, stateInFiles, streaming, until } from "./harness.ts";

afterEach(heal);

test(
  "a changed byte in the latest checkpoint: the job goes on from the one before",
  { timeout: 60_000 },
  async () => {
    const { job, producer, stop } = await streaming({
      ...stateInFiles,
      "execution.checkpointing.num-retained": "3",
      // So that each has segments of its own.
      "execution.checkpointing.incremental": "false",
    });
    await job.completes(3);
    // From here on none completes, so the latest stays what it is.
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (path.endsWith("/_metadata")) await gate.pass();
      return put();
    };
    await until("a manifest is held", () => gate.arrived > 0);
    const { id } = (await job.checkpoints()).latest.completed!;
    const task = await job.task("tally/0");
    const path = snapshotPath(job.id, id, attempt(1), task);
    const bytes = new Uint8Array(await (await env.BUCKET.get(path))!.arrayBuffer());
    bytes[100]! ^= 1;
    await env.BUCKET.put(path, bytes);

    await killSubtask(job.id, task);
    await until("the job is restored", async () => {
      const { restored } = (await job.checkpoints()).latest;
      return restored !== null && restored.id < id && (await job.state()) === "RUNNING";
    });
    gate.open();
    const { failures } = await job.details();
    const messages = failures.map(({ message }) => message);
    const found = messages.filter((message) => message.includes(`State file ${path}, bytes `));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^Checkpoint ${id} is damaged: .*checksum`));
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  },
);
