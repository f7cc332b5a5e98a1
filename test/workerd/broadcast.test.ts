// Broadcast state and operator state in real objects, through crashes.

import { abortAllDurableObjects } from "cloudflare:test";
import { expect, test } from "vitest";

import { seen } from "./faults.ts";
import { becomes, call, json, killSubtask, run, type TestJob, until } from "./harness.ts";
import type { Event, Rate } from "./programs.ts";

const append = async (topic: string, records: readonly (Event | Rate)[]): Promise<void> => {
  const init = { method: "POST", body: JSON.stringify(records) };
  await json(await call(`/topics/${topic}/records`, init));
};

/** The subtasks whose latest snapshot holds that state, by their indices. */
function holding(state: string): number[] {
  const latest = new Map(
    seen.acks.map(({ task, state: { operator } }) => [
      `${task.vertex}/${task.index}`,
      { index: task.index, holds: operator.some((handle) => handle.state === state) },
    ]),
  );
  return [...latest.values()].flatMap(({ index, holds }) => (holds ? [index] : []));
}

const keys = ["a", "b", "c", "d", "e"];
const half = (from: number): Event[] => keys.map((key, at) => ({ key, n: from + at }));

/** After both halves of a ten, each row ten times what it was. */
const totals = (tens: number): { readonly key: string; readonly total: number }[] =>
  keys.map((key, at) => ({ key, total: 10 * tens * (1 + at + 6 + at) }));

// BroadcastState and ListCheckpointed of RescalingITCase, at an unchanged parallelism.
test(
  "each copy of broadcast state, and what a subtask holds back, outlive their objects",
  { timeout: 60_000 },
  async () => {
    seen.acks.length = 0;
    const job: TestJob = await run("rated");
    await job.running();
    await append("rated-rates", [{ name: "all", factor: 10 }]);
    await until("both subtasks hold the rate", () => holding("factors").length === 2);

    const harms = [
      async () => killSubtask(job.id, await job.task("events/0")),
      async () => killSubtask(job.id, await job.task("totals/1")),
      abortAllDurableObjects,
    ];
    for (const [round, harm] of harms.entries()) {
      const attempt = await job.attempt();
      await append("rated-events", half(1));
      await until("five rows are held back", () => holding("held").length === 1);
      await job.completes();
      await harm();
      await job.running(attempt + 1);
      await append("rated-events", half(6));
      await becomes(() => job.rows("totals"), totals(round + 1));
      await until("none is held back", () => holding("held").length === 0);
    }
    await job.settlesAt("totals", totals(harms.length));
    await job.cancel();
    await expect.poll(() => job.files()).toEqual([]);
  },
);
