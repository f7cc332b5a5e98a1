// A rescale with a loss on its way: whoever is lost, and wherever, every record is counted once.

import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, describe, expect, test } from "vitest";

import { faults, Gate, heal } from "./faults.ts";
import {
  json,
  killCoordinator,
  killSubtask,
  stateInFiles,
  streaming,
  type TestJob,
  until,
} from "./harness.ts";
import { ask, outcome, sizesOf } from "./rescales.ts";

afterEach(heal);

// JobRecoveryITCase, JMFailoverITCase
describe("a rescale with a loss on the way counts every record once", () => {
  const isManifest = (path: string): boolean => path.endsWith("/_metadata");
  const losses = {
    "the coordinator": (job: TestJob) => killCoordinator(job.id),
    "a subtask": async (job: TestJob) => killSubtask(job.id, await job.task("step/0")),
    everything: () => abortAllDurableObjects(),
  } as const;

  for (const [whom, lose] of Object.entries(losses)) {
    test.each([
      ["as subtasks upload", (path: string) => !isManifest(path), "before"],
      ["before the manifest", isManifest, "before"],
      ["behind the manifest", isManifest, "after"],
    ] as const)(`of ${whom}, %s`, { timeout: 60_000 }, async (_, of, when) => {
      const { job, producer, stop } = await streaming(stateInFiles);
      await json(await ask(job, { events: 1, step: 4, tally: 3 }));
      const gate = new Gate();
      faults.onPut = async (path, put) => {
        if (!of(path)) return put();
        if (when === "before") await gate.pass();
        const stored = await put();
        if (when === "after") await gate.pass();
        return stored;
      };
      await Promise.race([until("an upload is held", () => gate.arrived > 0), outcome(job)]);
      await lose(job);
      gate.open();
      heal();
      expect(await outcome(job)).toMatchObject({ terminalState: "COMPLETED" });
      expect(await sizesOf(job)).toEqual([1, 4, 3]);
      await job.completes(2);
      await stop();
      await job.settlesAt("tallies", producer.expected);
    });

    test(`of ${whom}, as the new size is deployed`, { timeout: 60_000 }, async () => {
      const { job, producer, stop } = await streaming(stateInFiles);
      const gate = new Gate();
      faults.onGet = async (_path, get) => {
        await gate.pass();
        return get();
      };
      await json(await ask(job, { tally: 4 }));
      await until("state is read", () => gate.arrived > 0);
      await lose(job);
      gate.open();
      heal();
      const { terminalState } = await outcome(job);
      await job.completes(2);
      expect(await sizesOf(job)).toEqual(terminalState === "COMPLETED" ? [2, 2, 4] : [2, 2, 2]);
      await stop();
      await job.settlesAt("tallies", producer.expected);
    });
  }
});
