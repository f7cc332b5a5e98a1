import { env } from "cloudflare:workers";
import { expect, onTestFinished, test } from "vitest";

import { killSubtask, Producer, run } from "./harness.ts";
import { factorKey } from "./programs.ts";

test(
  "rows wait for a service that is down, in every checkpoint and over every loss",
  { timeout: 60_000 },
  async () => {
    const job = await run("asking");
    onTestFinished(() => job.cancel());
    const producer = new Producer("asking");
    await job.running();
    await producer.send(100);
    // No barrier waits for an answer.
    await job.completes(2);
    expect(await job.rows("tallies", "latest")).toEqual([]);
    for (const title of ["events/0", "events/1", "tally/0"]) {
      const attempt = await job.attempt();
      await killSubtask(job.id, await job.task(title));
      await job.running(attempt + 1);
      await producer.send(20);
      await job.completes();
    }
    expect(await job.rows("tallies", "latest")).toEqual([]);

    await env.BUCKET.put(factorKey, "1");
    const streaming = producer.stream();
    await job.completes();
    await killSubtask(job.id, await job.task("events/0"));
    await job.completes(2);
    await streaming();
    await job.settlesAt("tallies", producer.expected);
  },
);
