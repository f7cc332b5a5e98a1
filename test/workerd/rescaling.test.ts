// A running job in another size: with exact results while records keep coming, whole and vertex by
// vertex, on both backends, whoever is lost on the way.

import { afterEach, describe, expect, test } from "vitest";

import { objectName } from "../../format/ids.ts";
import { constructions, faults, Gate, heal, seen } from "./faults.ts";
import { call, json, stateInFiles, streaming, until } from "./harness.ts";
import { ask, history, outcome, rescaled, sizesOf } from "./rescales.ts";

afterEach(heal);

describe("a job in mid-stream", () => {
  // RescalingITCase, AutoRescalingITCase, UpdateJobResourceRequirementsITCase
  test.each([
    ["in memory", {}],
    ["on sqlite", { "state.backend": "sqlite" }],
    ["with local copies", { "execution.state-recovery.from-local": "true" }],
    ["with unaligned checkpoints", { "execution.checkpointing.unaligned.enabled": "true" }],
    ["with inline storage", { "execution.checkpointing.storage": "jobmanager" }],
  ])(
    "is rescaled up and down, and counts every record once (%s)",
    { timeout: 60_000 },
    async (_, own) => {
      const { job, producer, stop } = await streaming({ ...stateInFiles, ...own });
      for (const [sizes, expected] of [
        [{ "*": 4 }, [4, 4, 4]],
        [{ tally: 1 }, [4, 4, 1]],
        [{ events: 1, step: 2, tally: 3 }, [1, 2, 3]],
        [{ "*": 4 }, [4, 4, 4]],
      ] as const) {
        await rescaled(job, sizes);
        expect(await sizesOf(job)).toEqual(expected);
        await job.completes(2);
      }
      await stop();
      await job.settlesAt("tallies", producer.expected);
      expect((await job.details()).failures).toEqual([]);
      expect(await job.attempt()).toBe(5);
      if (!("execution.checkpointing.storage" in own)) await job.keepsOnlyWhatItNeeds();
    },
  );

  test("has no subtask beyond its size awake, and none comes back with what it knew", async () => {
    const { job, producer, stop } = await streaming({ ...stateInFiles, "state.backend": "sqlite" });
    await rescaled(job, { "*": 1 });
    await job.completes(2);
    const { plan } = await job.details();
    await until("all have been told", async () => {
      for (const { id } of plan.vertices) {
        const name = objectName.subtask(job.id, { vertex: id, index: 1 });
        if (constructions(name) === 0) return false;
      }
      return true;
    });
    await rescaled(job, { "*": 2 });
    await job.completes(2);
    await stop();
    await job.settlesAt("tallies", producer.expected);
  });

  test("is not restarted by a request for the size it has", async () => {
    const { job } = await streaming(stateInFiles);
    await json(await ask(job, {}));
    await job.completes(2);
    expect([await job.attempt(), await history(job)]).toEqual([1, []]);
    const requirements = await json(await call(`/jobs/${job.id}/resource-requirements`));
    expect(Object.values(requirements as object)).toEqual(
      Array(3).fill({ parallelism: { lowerBound: 2, upperBound: 2 } }),
    );
  });

  // UpdateJobResourceRequirementsITCase
  test("refuses what makes no sense, and says all that is wrong", async () => {
    const { job, stop } = await streaming(stateInFiles);
    const path = `/jobs/${job.id}/resource-requirements`;
    const put = async (body: unknown): Promise<[number, string]> => {
      const init = { method: "PUT", body: typeof body === "string" ? body : JSON.stringify(body) };
      const response = await call(path, init);
      return [response.status, (await response.json<{ errors: string[] }>()).errors?.join()];
    };
    const { plan } = await job.details();
    const of = (lowerBound: unknown, upperBound: unknown): object =>
      Object.fromEntries(
        plan.vertices.map(({ id }) => [id, { parallelism: { lowerBound, upperBound } }]),
      );
    for (const body of [
      "",
      "{",
      "[]",
      {},
      of(1, 200),
      of(0, 2),
      of(3, 2),
      of(1, "2"),
      of(1, 1.5),
      of(1, null),
      of(-1, -1),
      { ...of(1, 2), nobody: { parallelism: { lowerBound: 1, upperBound: 1 } } },
      '{"__proto__":{"parallelism":{"lowerBound":1,"upperBound":1}}}',
    ]) {
      expect([body, (await put(body))[0]]).toEqual([body, 400]);
    }
    const [, message] = await put({ nobody: { parallelism: { lowerBound: 3, upperBound: 2 } } });
    expect(message).toMatch(/nobody.*no vertex "nobody"; it has .*is missing; a request names/);
    expect([await job.attempt(), await history(job)]).toEqual([1, []]);
    expect(
      (await call(`/jobs/${"0".repeat(32)}/resource-requirements`, { method: "PUT" })).status,
    ).toBe(404);
    await stop();
    await job.cancel();
    expect((await ask(job, { "*": 3 })).status).toBe(409);
  });

  test("is rescaled to one size at a time", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const gate = new Gate();
    faults.onAcknowledge = async (ack, forward) => {
      await gate.pass();
      return forward();
    };
    await json(await ask(job, { tally: 4 }));
    expect((await ask(job, { tally: 3 })).status).toBe(409);
    await json(await ask(job, { tally: 4 }));
    gate.open();
    heal();
    expect(await outcome(job)).toMatchObject({ terminalState: "COMPLETED" });
    expect([await sizesOf(job), (await history(job)).length]).toEqual([[2, 2, 4], 1]);
    await stop();
    await job.settlesAt("tallies", producer.expected);
  });
});

describe("a size that does not start", () => {
  test("is given up for the former one, from the same checkpoint", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    faults.onGet = () => Promise.reject(new Error("The bucket is closed."));
    await json(await ask(job, { "*": 4 }));
    expect(await outcome(job)).toMatchObject({ terminalState: "FAILED" });
    heal();
    await job.completes(2);
    const { failures } = await job.details();
    expect(failures.at(-1)?.message).toContain("the job goes back to the former one");
    expect(await sizesOf(job)).toEqual([2, 2, 2]);
    await stop();
    await job.settlesAt("tallies", producer.expected);
    await rescaled(job, { "*": 3 });
    await job.settlesAt("tallies", producer.expected);
  });
});

test("a resting job wakes up to be rescaled, and rests again", { timeout: 90_000 }, async () => {
  const { job, producer, stop } = await streaming(stateInFiles);
  const rests = (): Promise<void> =>
    expect
      .poll(async () => (await job.details()).restingSince !== undefined, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe(true);
  await stop();
  await job.settlesAt("tallies", producer.expected);
  await rests();
  const failures = seen.failures.length;
  await rescaled(job, { "*": 3 });
  await rests();
  await producer.send(100);
  await job.settlesAt("tallies", producer.expected);
  expect([seen.failures.length, await job.attempt()]).toEqual([failures, 2]);
});
