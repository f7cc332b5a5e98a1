// Jobs with arguments of their own: two of one program that count other things, each through whatever
// befalls it.

import { onTestFinished, expect, test } from "vitest";

import { call, json, killCoordinator, killSubtask, TestJob } from "./harness.ts";
import { jobIdFrom } from "../../format/ids.ts";
import type { Event, Tally } from "./programs.ts";
import { post, runFrom, savepoint } from "./savepoints.ts";

const start = async (programArgs: string): Promise<TestJob> => {
  const jobId = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  await json(await post("/jars/chosen/run", { jobId, programArgs }));
  onTestFinished(async () => {
    await call(`/jobs/${jobId}?mode=cancel`, { method: "PATCH" });
  });
  const job = new TestJob(jobId);
  await job.running();
  return job;
};

const send = async (events: readonly Event[]): Promise<void> => {
  await json(await call("/topics/keyed/records", { method: "POST", body: JSON.stringify(events) }));
};

const tallyOf = (events: readonly Event[], prefix: string, least = 0): Tally[] => {
  const chosen = events.filter(({ key, n }) => key.startsWith(prefix) && n >= least);
  return [...Map.groupBy(chosen, ({ key }) => key)]
    .map(([key, rows]) => ({
      key,
      rows: rows.length,
      sum: rows.reduce((sum, { n }) => sum + n, 0),
      squares: rows.reduce((sum, { n }) => sum + n * n, 0),
    }))
    .sort((left, right) => (left.key < right.key ? -1 : 1));
};

test("each job counts what its arguments say, also after its objects were lost", async () => {
  const events: Event[] = Array.from({ length: 60 }, (_, n) => ({
    key: `${"ab"[n % 2]}${n % 5}`,
    n,
  }));
  const [a, b] = [await start("--prefix a"), await start("--prefix=b --least 20")];
  await send(events);
  await a.settlesAt("tallies", tallyOf(events, "a"));
  await b.settlesAt("tallies", tallyOf(events, "b", 20));
  await killSubtask(a.id, await a.task("tally/0"));
  await a.running(2);
  await killCoordinator(b.id);
  await send(events);
  const all = [...events, ...events];
  await a.settlesAt("tallies", tallyOf(all, "a"));
  await b.settlesAt("tallies", tallyOf(all, "b", 20));
  expect(await b.attempt()).toBe(1);

  const { "execution-config": config } = await json<{
    "execution-config": { "user-config": Record<string, string> };
  }>(await call(`/jobs/${b.id}/config`));
  expect(config["user-config"]).toMatchObject({ "--prefix": "b", "--least": "20" });

  // Its state is the program's, whatever the next job is started with.
  const location = await savepoint(a);
  await a.cancel();
  const next = await runFrom("chosen", location, { programArgsList: ["--prefix", "b"] });
  await send(events);
  const fromBoth = [...tallyOf(all, "a"), ...tallyOf(events, "b")];
  await next.settlesAt("tallies", fromBoth);
});

test("nothing is started with arguments that the program does not take", async () => {
  const before = await json(await call("/jobs"));
  for (const [body, reason] of [
    [{}, /cannot be started without arguments: .*--prefix/],
    [{ programArgs: "--prefix" }, /--prefix was given no value/],
    [{ programArgs: "--prefix a --least few" }, /--least was given "few". Allowed: a whole number/],
    [{ programArgs: "--prefix a --most 3" }, /does not read --most.* --least, --prefix/],
    [{ programArgs: "a" }, /"a" is no parameter/],
    [{ programArgs: "--prefix a", programArgsList: ["--prefix", "a"] }, /both given/],
  ] as const) {
    for (const route of ["run", "plan"]) {
      const response = await post(`/jars/chosen/${route}`, body);
      expect(response.status).toBe(400);
      expect((await response.json<{ errors: string[] }>()).errors[0]).toMatch(reason);
    }
  }
  expect(await json(await call("/jobs"))).toEqual(before);
  expect((await post("/jars/chosen/plan", { programArgs: "--prefix a" })).status).toBe(200);
});
