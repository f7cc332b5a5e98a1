// Savepoints as a user has them, for the tests of this folder.

import { expect, onTestFinished } from "vitest";

import { jobIdFrom } from "../../format/ids.ts";
import { call, json, TestJob, until } from "./harness.ts";

interface Operation {
  readonly status: { readonly id: "IN_PROGRESS" | "COMPLETED" };
  readonly operation: {
    readonly location?: string;
    readonly "failure-cause"?: { readonly "stack-trace": string };
  } | null;
}

export const post = (path: string, body: object = {}): Promise<Response> =>
  call(path, { method: "POST", body: JSON.stringify(body) });

const status = async (job: TestJob, trigger: string): Promise<Operation> =>
  json(await call(`/jobs/${job.id}/savepoints/${trigger}`));

export async function triggered(response: Response): Promise<string> {
  expect(response.status).toBe(202);
  return (await json<{ "request-id": string }>(response))["request-id"];
}

export const outcome = (
  job: TestJob,
  trigger: string,
): Promise<NonNullable<Operation["operation"]>> =>
  until("the savepoint is over", async () => {
    const { status: queue, operation } = await status(job, trigger);
    return queue.id === "COMPLETED" && operation !== null && operation;
  });

export const savepoint = async (job: TestJob, body: object = {}): Promise<string> => {
  const { location } = await outcome(
    job,
    await triggered(await post(`/jobs/${job.id}/savepoints`, body)),
  );
  if (location === undefined) throw new Error("The savepoint failed.");
  return location;
};

/** Ends the job with a savepoint, and waits for both. */
export async function stopped(job: TestJob): Promise<string> {
  const { location } = await outcome(job, await triggered(await post(`/jobs/${job.id}/stop`)));
  if (location === undefined) throw new Error("The savepoint failed.");
  await until("the job is finished", async () => (await job.state()) === "FINISHED");
  return location;
}

/** Another job of that one's program, begun with what is at `savepointPath`. Ends with the test. */
export async function runFrom(
  program: string,
  savepointPath: string,
  body: object = {},
): Promise<TestJob> {
  const jobId = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  await json(await post(`/jars/${program}/run`, { jobId, savepointPath, ...body }));
  onTestFinished(async () => {
    await call(`/jobs/${jobId}?mode=cancel`, { method: "PATCH" });
  });
  const job = new TestJob(jobId);
  await job.running();
  return job;
}

/** A fork of that job. Ends with the test. */
export async function forkOf(job: TestJob, body: object = {}): Promise<TestJob> {
  const jobId = jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
  await json(await post(`/jobs/${job.id}/fork`, { jobId, ...body }));
  onTestFinished(async () => {
    await call(`/jobs/${jobId}?mode=cancel`, { method: "PATCH" });
  });
  const fork = new TestJob(jobId);
  await fork.running();
  return fork;
}

export const programOf = async (job: TestJob): Promise<string> =>
  (await job.details()).plan.program;
