// Rescales as a user has them, for the tests of this folder.

import { expect } from "vitest";

import { call, json, type TestJob, until } from "./harness.ts";

export interface Rescale {
  readonly terminalState?: "COMPLETED" | "FAILED";
  readonly message?: string;
}

export const history = async (job: TestJob): Promise<readonly Rescale[]> =>
  json(await call(`/jobs/${job.id}/rescales/history`));

/** Those sizes, by the first operator of a vertex; what is not named stays. */
export async function ask(
  job: TestJob,
  sizes: Readonly<Record<string, number>>,
): Promise<Response> {
  const { plan } = await job.details();
  const body = Object.fromEntries(
    plan.vertices.map(({ id, operators, parallelism }) => {
      const size = sizes[operators[0]!] ?? sizes["*"] ?? parallelism;
      return [id, { parallelism: { lowerBound: 1, upperBound: size } }];
    }),
  );
  return call(`/jobs/${job.id}/resource-requirements`, {
    method: "PUT",
    body: JSON.stringify(body),
  });
}

export const outcome = (job: TestJob): Promise<Rescale> =>
  until("the rescale is over", async () => {
    const [newest] = await history(job);
    return newest?.terminalState !== undefined && newest;
  });

export async function rescaled(
  job: TestJob,
  sizes: Readonly<Record<string, number>>,
): Promise<void> {
  await json(await ask(job, sizes));
  expect(await outcome(job)).toMatchObject({ terminalState: "COMPLETED" });
}

export const sizesOf = async (job: TestJob): Promise<number[]> =>
  (await job.details()).plan.vertices.map(({ parallelism }) => parallelism);
