import { afterEach, describe, expect, test } from "vitest";

import { objectName } from "../../format/ids.ts";
import { constructions, faults, Gate, heal } from "./faults.ts";
import {
  killCoordinator,
  killSubtask,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";

const isManifest = (path: string): boolean => path.endsWith("/_metadata");

afterEach(heal);

interface Held {
  readonly gate: Gate;
  readonly path: string;
}

/** Holds the next upload for which `of` says so, before or after it is made. */
async function hold(of: (path: string) => boolean, when: "before" | "after"): Promise<Held> {
  const gate = new Gate();
  let held: string | undefined;
  faults.onPut = async (path, put) => {
    if (!of(path) || held !== undefined) return put();
    held = path;
    if (when === "before") await gate.pass();
    const stored = await put();
    if (when === "after") await gate.pass();
    return stored;
  };
  const path = await until("an upload is held", () => (gate.arrived > 0 ? held : undefined));
  return { gate, path };
}

const checkpointOf = (path: string): number => Number(/chk-(\d+)/.exec(path)?.[1]);

/** How often each subtask of the job was constructed. */
async function lives(job: TestJob): Promise<number[]> {
  return (await job.tasks()).map((task) => constructions(objectName.subtask(job.id, task)));
}

// JobRecoveryITCase, JMFailoverITCase
describe("a coordinator that is lost during a checkpoint", () => {
  test.each([
    {
      during: "while a subtask uploads its state",
      of: (path: string) => !isManifest(path),
      when: "before",
      completes: false,
    },
    {
      during: "before the manifest is written",
      of: isManifest,
      when: "before",
      completes: false,
    },
    {
      during: "after the manifest is written and before it knows",
      of: isManifest,
      when: "after",
      completes: true,
    },
  ] as const)("$during disturbs no subtask", async ({ of, when, completes }) => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const before = await job.checkpoints();
    const subtasks = await lives(job);
    const { gate, path } = await hold(of, when);
    const id = checkpointOf(path);
    await killCoordinator(job.id);
    // Whoever asks first wakes it; without anyone it would be its next heartbeat.
    expect((await job.details()).attempt).toBe(1);
    expect(job.reloads()).toBe(1);
    gate.open();
    const { counts, latest } = await job.completes(2);
    expect(counts.failed - before.counts.failed).toBe(completes ? 0 : 1);
    expect(latest.completed?.id).toBeGreaterThan(id);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    expect(await job.attempt()).toBe(1);
    expect(await lives(job)).toEqual(subtasks);
    await job.keepsOnlyWhatItNeeds();
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  });

  test("is taken up by an alarm alone", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await killCoordinator(job.id);
    await until("its alarm woke it", () => job.reloads() === 1);
    await job.completes(2);
    expect(await job.attempt()).toBe(1);
    await job.cancel();
  });

  test("at any moment of a restart goes on with it", async () => {
    const delay = { "restart-strategy.fixed-delay.delay": "200 ms" };
    const { job, producer, stop } = await streaming(delay);
    const phases = new Set<string>();
    for (let round = 0; round < 6; round++) {
      const { attempt } = await job.details();
      await killSubtask(job.id, await job.task("step/0"));
      await until("the failure is known", async () => {
        const { summary, attempt: current } = await job.details();
        return summary.phase === "RESTARTING" || current > attempt;
      });
      // From the delay before the restart, over the deployment, to the running attempt.
      await scheduler.wait(round * 50);
      phases.add((await job.details()).summary.phase);
      await killCoordinator(job.id);
      await job.running(attempt + 1);
      await job.completes();
    }
    expect(phases).toContain("RESTARTING");
    await stop();
    await job.settlesAt("tallies", producer.expected);
  });
});
