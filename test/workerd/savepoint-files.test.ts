// Repair by hand over HTTP: a savepoint is exported, changed, imported, and a job goes on from it.

import { expect, test } from "vitest";

import { call, json, stateInFiles, streaming } from "./harness.ts";
import { programOf, runFrom, savepoint } from "./savepoints.ts";

const idOf = (location: string): string =>
  encodeURIComponent(location.replace(/^savepoints\//, ""));

test.each(["hashmap", "sqlite"])(
  "a value that was repaired is where a job begins (%s)",
  async (backend) => {
    const { job, producer, stop } = await streaming({ ...stateInFiles, "state.backend": backend });
    await stop();
    await job.settlesAt("tallies", producer.expected);
    const location = await savepoint(job);
    const program = await programOf(job);
    await job.cancel();
    const lines = await (await call(`/savepoints/${idOf(location)}/entries`)).text();
    const repaired = lines
      .split("\n")
      .map((line) => {
        if (!/"operator":"tally".*"key":"key-5"/.test(line)) return line;
        const entry = JSON.parse(line) as { value: number[] };
        return JSON.stringify({ ...entry, value: entry.value.with(0, 1_000_000) });
      })
      .join("\n");
    const response = await call(`/savepoints?as=by-hand-${backend}`, {
      method: "POST",
      body: repaired,
    });
    const made = await json<{ id: string; location: string }>(response);
    expect(made.location).toBe(`savepoints/savepoint-by-hand-${backend}`);
    expect(await json(await call(`/savepoints/${idOf(made.location)}/verification`))).toMatchObject(
      {
        isWhole: true,
        problems: [],
      },
    );
    const next = await runFrom(program, made.location);
    const state = await json<{ value: readonly number[] }>(
      await call(`/jobs/${next.id}/state/tally/accumulators/key-5`),
    );
    expect(state.value[0]).toBe(1_000_000);
    expect(await next.rows("tallies")).toEqual(producer.expected);
    const bad = await call("/savepoints?as=bad", { method: "POST", body: `${lines}x` });
    expect(bad.status).toBe(400);
    expect((await call("/savepoints/savepoint-bad")).status).toBe(404);
  },
);
