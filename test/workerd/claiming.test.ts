// Jobs that own what they begin with (CLAIM), in the real bucket.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test } from "vitest";

import { jobIdFrom, millis, objectName } from "../../format/ids.ts";
import type { DispatcherApi } from "../../format/job-status.ts";
import type { JobSummary } from "../../format/messages.ts";
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
import { post, programOf, runFrom, savepoint, stopped } from "./savepoints.ts";

afterEach(heal);

const claim = { claimMode: "CLAIM" };
const retained = {
  ...stateInFiles,
  "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
};

const filesAt = async (prefix: string): Promise<string[]> =>
  (await env.BUCKET.list({ prefix })).objects.map(({ key }) => key);

const isGone = (location: string): Promise<unknown> =>
  until(`${location} is gone`, async () => (await filesAt(`${location}/`)).length === 0);

const refusal = async (program: string, body: object): Promise<[number, string]> => {
  const response = await post(`/jars/${program}/run`, body);
  const { errors } = await response.json<{ errors?: string[] }>();
  return [response.status, errors?.[0] ?? ""];
};

const pathOfLatest = async (job: TestJob): Promise<string> =>
  (await job.checkpoints()).latest.completed!.external_path!;

describe("SavepointITCase, CLAIM: a savepoint that is claimed", () => {
  test("ResumeCheckpointAfterClaimedNativeSavepointITCase: is what a restart goes back to, and deleted when a checkpoint has replaced it, which is the next to go back to", async () => {
    const { job, producer, stop } = await streaming(stateInFiles);
    const location = await savepoint(job);
    const program = await programOf(job);
    const gate = new Gate();
    faults.onPut = async (path, put) => {
      if (path.startsWith("jobs/") && !path.includes(job.id)) await gate.pass();
      return put();
    };
    const next = await runFrom(program, location, { ...claim, flinkConfiguration: stateInFiles });
    expect((await next.checkpoints()).latest.restored).toMatchObject({ is_savepoint: true });
    expect(await refusal(program, { savepointPath: location, ...claim })).toEqual([
      409,
      expect.stringContaining(`is claimed by job ${next.id}`),
    ]);
    const reader = await runFrom(program, location, { flinkConfiguration: stateInFiles });
    await killSubtask(next.id, await next.task("tally/0"));
    await next.running(2);
    await killCoordinator(next.id);
    await next.running(2);
    gate.open();
    heal();
    await next.completes(1);
    await reader.completes(1);
    await isGone(location);
    await killSubtask(next.id, await next.task("tally/1"));
    await next.running(3);
    await stop();
    for (const each of [next, reader]) await each.settlesAt("tallies", producer.expected);
  });

  for (const [title, configuration, stays] of [
    ["stays", retained, true],
    ["goes", stateInFiles, false],
  ] as const) {
    test(`${title} where the job is cancelled before its first checkpoint, as its retention says`, async () => {
      const { job, stop } = await streaming(stateInFiles);
      await stop();
      const location = await stopped(job);
      const program = await programOf(job);
      faults.onPut = () => new Promise(() => {});
      const next = await runFrom(program, location, {
        ...claim,
        flinkConfiguration: configuration,
      });
      await next.cancel();
      heal();
      if (!stays) return void (await isGone(location));
      expect(await filesAt(`${location}/_metadata`)).toHaveLength(1);
      // It is nobody's now, and can be claimed again.
      const other = await runFrom(program, location, { restoreMode: "CLAIM" });
      await other.completes(1);
      await isGone(location);
    });
  }
});

test("ResumeCheckpointManuallyITCase, CLAIM: a retained checkpoint of an ended job, generations long", async () => {
  const { job, producer, stop } = await streaming(retained);
  const program = await programOf(job);
  expect(await refusal(program, { savepointPath: await pathOfLatest(job), ...claim })).toEqual([
    409,
    expect.stringMatching(/is RUNNING and needs .* itself|not retained/),
  ]);
  let last = job;
  for (let generation = 0; generation < 3; generation++) {
    await last.cancel();
    const path = await pathOfLatest(last);
    const next = await runFrom(program, path, { ...claim, flinkConfiguration: retained });
    expect((await next.checkpoints()).latest.restored).toMatchObject({ external_path: path });
    await next.completes(1);
    await until("the earlier job keeps nothing", async () => (await last.files()).length === 0);
    last = next;
  }
  await stop();
  await last.settlesAt("tallies", producer.expected);
});

test("what cannot be claimed is refused, and nothing was started", async () => {
  const { job, stop } = await streaming(stateInFiles);
  const program = await programOf(job);
  await stop();
  const location = await stopped(job);
  for (const [body, status, reason] of [
    [{ claimMode: "LEGACY", savepointPath: location }, 400, /Flink has removed it/],
    [{ restoreMode: "LEGACY", savepointPath: location }, 400, /Flink has removed it/],
    [{ claimMode: "CLAIM" }, 400, /needs a savepointPath/],
    [{ ...claim, restoreMode: "NO_CLAIM", savepointPath: location }, 400, /two names of one/],
    [{ ...claim, savepointPath: "savepoints/none" }, 422, /is not there/],
    [{ ...claim, savepointPath: `jobs/${"0".repeat(32)}/chk-1` }, 409, /does not know/],
  ] as const) {
    expect(await refusal(program, body)).toEqual([status, expect.stringMatching(reason)]);
  }
  expect(await filesAt(`${location}/_metadata`)).toHaveLength(1);
});

test("what was claimed by a job that was never submitted can be claimed after a while, and read at once", async () => {
  const { job, stop } = await streaming(stateInFiles);
  const program = await programOf(job);
  await stop();
  const location = await stopped(job);
  const ghost = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  const registered = async (startTime: number): Promise<void> => {
    const dispatcher = env.DISPATCHER.getByName(objectName.dispatcher());
    const summary: JobSummary = {
      job: ghost,
      program,
      phase: "INITIALIZING",
      startTime: millis(startTime),
      endTime: -1,
      lastModification: millis(0),
      tasks: { total: 0, running: 0 },
    };
    await (dispatcher as unknown as DispatcherApi).update(summary);
    await (dispatcher as unknown as DispatcherApi).register(summary, {
      claims: `${location}/_metadata`,
    });
  };
  await registered(Date.now());
  expect(await refusal(program, { savepointPath: location, ...claim })).toEqual([
    409,
    expect.stringContaining(`is claimed by job ${ghost}`),
  ]);
  const reader = await runFrom(program, location);
  await reader.completes(1);
  await registered(Date.now() - 3_600_000);
  const next = await runFrom(program, location, claim);
  await next.completes(1);
  await isGone(location);
});

test("what a job begins with is claimed by no other before it has a checkpoint of its own", async () => {
  const { job, stop } = await streaming(stateInFiles);
  const program = await programOf(job);
  await stop();
  const location = await stopped(job);
  const gate = new Gate();
  faults.onPut = async (path, put) => {
    if (path.startsWith("jobs/")) await gate.pass();
    return put();
  };
  const reader = await runFrom(program, location, { flinkConfiguration: stateInFiles });
  expect(await refusal(program, { savepointPath: location, ...claim })).toEqual([
    409,
    expect.stringMatching(`cannot be claimed: job ${reader.id} .*begin.* with it`),
  ]);
  gate.open();
  heal();
  await reader.completes(1);
  const next = await runFrom(program, location, { ...claim, flinkConfiguration: stateInFiles });
  await next.completes(1);
  await isGone(location);
});

test("one that was claimed between the look at it and the start is not begun with unless it is kept", async () => {
  const { job, stop } = await streaming(stateInFiles);
  const program = await programOf(job);
  await stop();
  const location = await stopped(job);
  faults.onPut = () => new Promise(() => {});
  const claimant = await runFrom(program, location, { ...claim, flinkConfiguration: stateInFiles });
  const dispatcher = env.DISPATCHER.getByName(objectName.dispatcher()) as unknown as DispatcherApi;
  const late: JobSummary = {
    job: jobIdFrom(crypto.getRandomValues(new Uint8Array(16))),
    program,
    phase: "INITIALIZING",
    startTime: millis(Date.now()),
    endTime: -1,
    lastModification: millis(0),
    begins: `${location}/_metadata`,
    tasks: { total: 0, running: 0 },
  };
  expect(await dispatcher.register(late)).toEqual({ kind: "claimed", by: claimant.id });
  expect(await dispatcher.get(late.job)).toBe(undefined);
  expect(await dispatcher.register(late, { isHeld: true })).toEqual({ kind: "registered" });
});

test("what a claimant has left behind can be deleted by hand", async () => {
  const { job, stop } = await streaming(stateInFiles);
  const program = await programOf(job);
  await stop();
  const location = await stopped(job);
  faults.onPut = () => new Promise(() => {});
  const next = await runFrom(program, location, { ...claim, flinkConfiguration: retained });
  const disposed = (): Promise<Response> =>
    post("/savepoint-disposal", { "savepoint-path": location });
  const early = await disposed();
  expect([early.status, await early.text()]).toEqual([
    409,
    expect.stringContaining("has claimed it"),
  ]);
  await next.cancel();
  await json(await disposed());
  await isGone(location);
});
