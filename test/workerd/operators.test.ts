import { describe, expect, onTestFinished, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { causeOf } from "../../worker/flink/serialized-throwable.ts";
import { call, json, killSubtask, run, subtaskOf, until } from "./harness.ts";
import { type Extremes, exoticOf, type Position } from "./programs.ts";

async function send(topic: string, records: readonly unknown[]): Promise<void> {
  const body = JSON.stringify(records);
  await json(await call(`/topics/${topic}/records`, { method: "POST", body }));
}

const sorted = <Row extends { readonly key: string }>(rows: Iterable<Row>): Row[] =>
  [...rows].sort((a, b) => (a.key < b.key ? -1 : 1));

describe("values that JSON cannot carry", () => {
  test("survive channels, snapshots and restores", async () => {
    const job = await run("exotic");
    onTestFinished(() => job.cancel());
    await job.running();
    const numbers = Array.from({ length: 40 }, (_, n) => n);
    await send("exotic", numbers);
    await until("all rows are committed", async () => (await job.rows("values"))?.length === 40);

    /** The rows themselves: over HTTP they would be JSON. */
    const rows = async (): Promise<unknown[]> => {
      const tasks = (await job.tasks()).map((task) => subtaskOf(job.id, task));
      const answers = await Promise.all(
        tasks.map((task) => task.readTable({ table: "values", read: "committed" })),
      );
      return answers
        .flatMap((answer) => (answer.kind === "rows" ? decodeRows(answer.rows) : []))
        .sort((a, b) => (a as { n: number }).n - (b as { n: number }).n);
    };
    expect(await rows()).toStrictEqual(numbers.map(exoticOf));

    for (const title of ["out/0", "out/1"]) {
      const before = await job.attempt();
      await killSubtask(job.id, await job.task(title));
      await job.running(before + 1);
    }
    await job.completes();
    expect(await rows()).toStrictEqual(numbers.map(exoticOf));
    expect((await job.checkpoints()).counts.restored).toBeGreaterThanOrEqual(2);
  });
});

describe("every operator", () => {
  test(
    "UdfStreamOperatorCheckpointingITCase: in one job that crashes at each of its subtasks is exact",
    { timeout: 60_000 },
    async () => {
      const job = await run("everything");
      onTestFinished(() => job.cancel());
      await job.running();

      // What the program computes, computed here.
      const extremes = new Map<string, Extremes>();
      const positions = new Map<string, Position>();
      const sides = { left: 0, right: 0 };
      let next = 1;
      const count = (side: "left" | "right", n: number): void => {
        sides[side]++;
        const key = `k${n % 5}`;
        const { least, most } = extremes.get(key) ?? { least: 0, most: 0 };
        extremes.set(key, { key, least: Math.min(least, -n), most: Math.max(most, n) });
        const { seen, total } = positions.get(key) ?? { seen: 0, total: 0 };
        positions.set(key, { key, seen: seen + 2, total: total + 2 * n });
      };
      const feed = async (): Promise<void> => {
        for (const side of ["left", "right"] as const) {
          const records = Array.from({ length: 30 }, () => ({ n: next++ }));
          await send(`everything-${side}`, records);
          for (const { n } of records) count(side, n);
        }
      };

      const titles = await job.titles();
      expect(titles).toHaveLength(16);
      // One subtask of every vertex, first and second in turn.
      const victims = titles.filter((_, at) => at % 4 === 0 || at % 4 === 3);
      for (const title of victims) {
        await feed();
        await job.completes();
        await feed();
        const before = await job.attempt();
        await killSubtask(job.id, await job.task(title));
        await feed();
        await job.running(before + 1);
      }
      await feed();
      await job.settlesAt("extremes", sorted(extremes.values()));
      await job.settlesAt("positions", sorted(positions.values()));
      await job.settlesAt("sides", [
        { key: "left", rows: sides.left },
        { key: "right", rows: sides.right },
      ]);
      expect(await job.attempt()).toBe(1 + victims.length);
    },
  );

  test("SimpleRecoveryITCase: whose function throws fails the attempt until it does not", async () => {
    const job = await run("moody");
    onTestFinished(() => job.cancel());
    await send("moody", [1, 2, 3]);
    await job.running(3);
    await job.settlesAt("sums", [{ key: "sum", sum: 6, rows: 3 }]);
    const { failures } = await job.details();
    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringContaining("moody"),
      expect.stringContaining("moody"),
    ]);
  });

  test("whose function throws for ever fails the job when its restarts are spent", async () => {
    const job = await run("furious", { "restart-strategy.fixed-delay.attempts": "2" });
    await job.running();
    await send("furious", [1]);
    await until("the job has failed", async () => (await job.state()) === "FAILED");
    const { attempt, failures } = await job.details();
    expect(attempt).toBe(3);
    expect(failures).toHaveLength(3);
    expect(failures[0]).toMatchObject({
      attempt: 3,
      name: "UserCodeError",
      message: expect.stringMatching(/"fury" \(map\) .*I am furious/) as string,
    });
    expect(await json(await call(`/jobs/${job.id}/execution-result`))).toMatchObject({
      "job-execution-result": {
        "application-status": "FAILED",
        "failure-cause": causeOf(failures[0]!.name, failures[0]!.message),
      },
    });
    expect((await call(`/jobs/${job.id}`, { method: "PATCH" })).status).toBe(409);
  });
});
