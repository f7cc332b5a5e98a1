// Two topics, one a day ahead: sources in step hold back the one, and what joins them holds an hour. As
// Flink's WatermarkAlignmentITCase.

import { afterEach, beforeEach, expect, test } from "vitest";
import { faults, heal } from "./faults.ts";
import { becomes, call, json, killCoordinator, killSubtask, run, type TestJob } from "./harness.ts";
import type { Sighting } from "./programs.ts";

beforeEach(() => {
  faults.readWait = 200;
});
afterEach(heal);

const day = 24 * 60;
/** Minutes from one row to the next, and rows of one request. */
const step = 7;
const perRequest = 5;

/** Every row finds the one of its own time. */
const expected = (to: number): { key: string }[] =>
  Array.from({ length: Math.ceil(to / step) }, (_, i) => ({ key: `${i * step} ${i * step}` })).sort(
    (a, b) => (a.key < b.key ? -1 : 1),
  );

async function send(topic: string, from: number, to: number): Promise<void> {
  const rows: Sighting[] = [];
  for (let minute = from; minute < to; minute += step) rows.push({ key: "a", minute });
  for (let at = 0; at < rows.length; at += perRequest) {
    const body = JSON.stringify(rows.slice(at, at + perRequest));
    await json(await call(`/topics/${topic}/records`, { method: "POST", body }));
  }
}

/** The rows that the join holds, and its timers. */
async function held(job: TestJob): Promise<number> {
  interface States {
    readonly operators: readonly {
      readonly operator: string;
      readonly states: readonly { readonly entries: number }[];
    }[];
  }
  const { operators } = await json<States>(await call(`/jobs/${job.id}/state`));
  const own = operators.find(({ operator }) => operator === "pairs")?.states ?? [];
  return own.reduce((sum, { entries }) => sum + entries, 0);
}

const drift = async (job: TestJob): Promise<number | undefined> => {
  const { vertex } = await job.task("ahead/0");
  const { tasks } = await job.details();
  return tasks.find(({ task }) => task.vertex === vertex && task.index === 0)?.metrics
    ?.watermarkAlignmentDrift;
};

const restingSince = async (job: TestJob): Promise<number | undefined> =>
  (await job.details()).restingSince;

test(
  "is held back by an hour, through losses and rest, and the pairs are the same",
  { timeout: 180_000 },
  async () => {
    const [inStep, asTheyCome] = await Promise.all([run("in-step"), run("as-they-come")]);
    await send("behind", 0, 60);
    await send("ahead", 0, day);
    for (const job of [inStep, asTheyCome]) await becomes(() => job.rows("pairs"), expected(60));
    const hour = 60 / step + 2 * perRequest;
    await expect.poll(() => held(asTheyCome)).toBeGreaterThan((day / step) * 0.9);
    const most = 3 * hour;
    expect(await held(inStep)).toBeLessThan(most);

    await killSubtask(inStep.id, await inStep.task("ahead/0"));
    await inStep.running(2);
    await send("behind", 63, 300);
    await becomes(() => inStep.rows("pairs"), expected(300));
    expect(await held(inStep)).toBeLessThan(most);

    // Whoever waits for what does not come sleeps, and is woken by it, whatever was forgotten meanwhile.
    const patience = { timeout: 60_000, interval: 200 };
    await expect.poll(() => restingSince(inStep), patience).toBeDefined();
    expect(await drift(inStep)).toBeGreaterThan(60 * 60_000);
    expect(await held(inStep)).toBeLessThan(most);
    await killCoordinator(inStep.id);
    expect(await restingSince(inStep)).toBeDefined();
    await send("behind", 301, day);
    for (const job of [inStep, asTheyCome]) {
      await becomes(() => job.rows("pairs"), expected(day), 60_000);
      await job.cancel();
    }
    expect(await inStep.attempt()).toBe(2);
  },
);
