// Golden pipelines on the real runtime: what happens is written in the input, and whatever it is, the
// tables and the dead letters come to be what the rows say. All of the matrix is in
// test/core/golden.test.ts, without a coordinator.

import { abortAllDurableObjects } from "cloudflare:test";
import { onTestFinished, test } from "vitest";

import { eventful, type Step, upgraded, widened } from "../golden/inputs.ts";
import { Fed } from "../golden/pipelines.ts";
import { comesToBe, post } from "./golden.ts";
import { call, run, type TestJob } from "./harness.ts";
import { runFrom, savepoint, stopped } from "./savepoints.ts";

const configuration = (backend: string, unaligned: boolean): Record<string, string> => ({
  "state.backend": backend,
  "execution.checkpointing.unaligned.enabled": `${unaligned}`,
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
});

const crash = async (job: TestJob): Promise<void> => {
  const attempt = await job.attempt();
  await abortAllDurableObjects();
  await job.running(attempt + 1);
};

test.each([
  ["golden-0", "memory", true, eventful],
  ["golden-1", "sqlite", true, widened],
  ["golden-2", "sqlite", false, upgraded],
] as const)(
  "%s: on %s, unaligned %s, comes to what the rows say",
  { timeout: 120_000 },
  async (name, backend, unaligned, steps: readonly Step[]) => {
    const flinkConfiguration = configuration(backend, unaligned);
    const fed = new Fed();
    let program: string = name;
    let job = await run(program, { ...flinkConfiguration, "parallelism.default": "1" });
    onTestFinished(async () => {
      await call(`/jobs/${job.id}?mode=cancel`, { method: "PATCH" });
    });
    await job.running();
    const from = async (path: string, parallelism: number): Promise<void> => {
      job = await runFrom(program, path, { parallelism, flinkConfiguration });
    };
    for (const step of steps) {
      if (step === "crash") await crash(job);
      else if (step === "savepoint") await savepoint(job);
      else if ("rows" in step) {
        for (let sent = 0; sent < step.rows; sent += 5) await post(`${name}-events`, fed.events(5));
        await post(`${name}-rules`, [fed.rule()]);
      } else if ("rescale" in step) {
        await job.completes(1);
        await job.cancel();
        const { latest } = await job.checkpoints();
        await from(latest.completed!.external_path!, step.rescale);
      } else {
        const path = await stopped(job);
        if ("upgradeAt" in step) program = `${name}-next`;
        await from(path, "upgradeAt" in step ? step.upgradeAt : step.stopAndStartAt);
      }
    }
    await comesToBe(job, name, fed);
  },
);
