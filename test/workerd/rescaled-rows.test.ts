// Unaligned checkpoints with rows in channels, and jobs that begin with them at another size.

import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";

import { loadManifest } from "../../coordinator/load-manifest.ts";
import { hasRowsOnTheirWay } from "../../format/manifest.ts";
import { needsCredit } from "../../format/frame.ts";
import { faults, heal } from "./faults.ts";
import { killSubtask, stateInFiles, streaming, type TestJob, until } from "./harness.ts";
import { programOf, runFrom } from "./savepoints.ts";

afterEach(heal);

const unaligned = {
  ...stateInFiles,
  "execution.checkpointing.unaligned.enabled": "true",
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
};

/** Whether the last completed checkpoint has rows on their way. */
async function hasRows(job: TestJob): Promise<boolean> {
  const { latest } = await job.checkpoints();
  const loaded = await loadManifest(env.BUCKET, latest.completed?.external_path ?? "");
  return loaded.kind === "loaded" && hasRowsOnTheirWay(loaded.manifest);
}

// UnalignedCheckpointRescaleITCase, RescaleCheckpointManuallyITCase
test.each([
  ["memory", [1, 3, 2]],
  ["sqlite", [2, 8]],
] as const)(
  "on %s rows that were on their way are counted once at %j",
  { timeout: 60_000 },
  async (backend, sizes) => {
    const flinkConfiguration = { ...unaligned, "state.backend": backend };
    const first = await streaming({ ...flinkConfiguration, "parallelism.default": `${sizes[0]}` });
    const program = await programOf(first.job);
    let job = first.job;
    for (const parallelism of sizes.slice(1)) {
      // Credits take their time, so rows pile up at their senders, and barriers do not wait for them.
      faults.onPush = async ({ frame }, forward) => {
        await forward();
        if (needsCredit(frame)) await scheduler.wait(400);
      };
      await killSubtask(job.id, await job.task("tally/0"));
      await until("checkpoints have rows in their channels", () => hasRows(job));
      await job.cancel();
      expect(await hasRows(job)).toBe(true);
      const { external_path: path = "" } = (await job.checkpoints()).latest.completed!;
      heal();
      job = await runFrom(program, path, { parallelism, flinkConfiguration });
      await job.completes(2);
    }
    await first.stop();
    await job.settlesAt("tallies", first.producer.expected);
  },
);
