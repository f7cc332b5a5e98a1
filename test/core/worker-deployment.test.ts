// What a deployment says for all its jobs, as a submission over HTTP meets it.

import { expect, test } from "vitest";

import {
  defineJob,
  type JobOptions,
  restartConfig,
  type RestartOptions,
  table,
  topic,
} from "tidemark";
import type { JobSubmission } from "../../format/messages.ts";
import { catalogOf } from "../../worker/catalog.ts";
import type { Env } from "../../worker/env.ts";
import { httpApp } from "../../worker/http.ts";

/** Submits a job to a deployment; what its coordinator was given. */
async function submitted(
  deployment: RestartOptions | undefined,
  options: JobOptions,
  flinkConfiguration: Readonly<Record<string, string>> = {},
): Promise<JobSubmission> {
  const copy = defineJob(
    "copy",
    (env) => {
      env.from(topic<{ key: string }>("in"), { uid: "in" }).to(table("rows"), { uid: "out" });
    },
    options,
  );
  const submissions: JobSubmission[] = [];
  const env = {
    TIDEMARK_LOCAL: "open",
    DISPATCHER: { getByName: () => ({ register: async () => ({ kind: "registered" }) }) },
    COORDINATOR: {
      getByName: () => ({
        submit: async (submission: JobSubmission) => {
          submissions.push(submission);
          return { kind: "submitted" };
        },
      }),
    },
  } as unknown as Env;
  const app = httpApp(catalogOf([copy], [], deployment && restartConfig(deployment)));
  const body = JSON.stringify({ flinkConfiguration });
  const response = await app.request("/jars/copy/run", { method: "POST", body }, env);
  expect(await response.json()).toHaveProperty("jobid");
  expect(submissions).toHaveLength(1);
  return submissions[0]!;
}

const twice = { strategy: "fixed-delay", attempts: 2, delay: 5 } as const;

test("its restart strategy is that of jobs that name none", async () => {
  const checkpointing = { interval: 100 } as const;
  expect((await submitted(twice, { checkpointing })).config.restart).toEqual(twice);
  expect((await submitted(undefined, { checkpointing })).config.restart.strategy).toBe(
    "exponential-delay",
  );
  expect((await submitted(undefined, {})).config.restart.strategy).toBe("none");
});

test("a job's own strategy comes before it, and a submission's before both", async () => {
  const restart = { strategy: "failure-rate" } as const;
  expect((await submitted(twice, { restart })).config.restart.strategy).toBe("failure-rate");
  const off = { "restart-strategy.type": "off" };
  expect((await submitted(twice, { restart }, off)).config.restart.strategy).toBe("none");
});
