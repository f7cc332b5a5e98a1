// Golden pipelines on the real runtime: what happens is written in the input, and whatever it is, the
// tables and the dead letters come to be what the rows say. All of the matrix is in
// test/core/golden.test.ts, without a coordinator.

import { abortAllDurableObjects } from "cloudflare:test";
import { expect, onTestFinished, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { offset } from "../../format/ids.ts";
import { eventful, type Step, upgraded, widened } from "../golden/inputs.ts";
import { Fed, inOrder, tables } from "../golden/pipelines.ts";
import { becomes, call, json, partitionOf, run, type TestJob, until } from "./harness.ts";
import { runFrom, savepoint, stopped } from "./savepoints.ts";

const configuration = (backend: string, unaligned: boolean): Record<string, string> => ({
  "state.backend": backend,
  "execution.checkpointing.unaligned.enabled": `${unaligned}`,
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
});

async function post(topic: string, rows: readonly object[]): Promise<void> {
  const key = crypto.randomUUID();
  const init = { method: "POST", body: JSON.stringify(rows), headers: { "Idempotency-Key": key } };
  await until("the records are accepted", async () => {
    const response = await call(`/topics/${topic}/records`, init);
    if (response.status === 503) return false;
    await json(response);
    return true;
  });
}

/** The numbers in the dead letters of a topic, in order. */
async function lettersIn(topic: string): Promise<number[]> {
  const reader = await partitionOf(topic, 0).openReader();
  const found: number[] = [];
  for (let from = 0; ;) {
    const batches = await reader.read(offset(from), 0);
    if (batches.length === 0) break;
    for (const { first, count, bytes } of batches) {
      const letters = decodeRows(bytes) as { value: { n: number } }[];
      found.push(...letters.map(({ value }) => value.n));
      from = first + count;
    }
  }
  return found.sort((left, right) => left - right);
}

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
    const { expected } = fed;
    for (const table of tables) {
      const shown = async (): Promise<unknown> => {
        // A rule may still have been on its way when it was asked for the last time.
        if (table === "rules" || table === "held") await post(`${name}-events`, fed.questions());
        return inOrder((await job.rows(table)) ?? []);
      };
      await becomes(shown, expected[table]);
    }
    await becomes(() => lettersIn(`${name}-letters`), fed.letters);
    await job.completes(2);
    expect(await lettersIn(`${name}-letters`)).toEqual(fed.letters);
  },
);
