// Branching: `POST /jobs/:jobid/fork` starts a second job from what the first has come to. The first goes
// on as if nothing had happened, and copies nothing.

import { Hono } from "hono";

import { jobIdFrom } from "../../format/ids.ts";
import { KiB } from "../../format/limits.ts";
import { bodyOf } from "../body.ts";
import { type Catalog, known } from "../catalog.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params } from "../contract/flink-schemas.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { graphWith } from "../program-arguments.ts";
import { forkBody, forkRequestOf } from "../run-request.ts";
import { started } from "../start.ts";
import { detailsOf } from "./jobs.ts";

const bodyBytesMax = 64 * KiB;

export function forkRoutes(catalog: Catalog): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  const fork = {
    method: "post",
    path: "/jobs/:jobid/fork",
    params: params.job,
    summary: "Starts another job from a job's latest checkpoint. The same jobId is the same fork.",
    body: forkBody,
    answer: answers.run,
  } as const;
  serve(routes, fork, async ({ c, env, params: { jobid } }) => {
    const body = await bodyOf(c.req.raw, { bytesMax: bodyBytesMax });
    const request = forkRequestOf(jobid, new TextDecoder().decode(body));
    const { summary, config } = await detailsOf(env, jobid);
    const program = known("program", catalog.programs, request.program ?? summary.program);
    const job = request.jobId ?? jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    if (job === summary.job) {
      throw new HttpError(409, `jobId: ${job} is the job that is to be forked; choose another.`);
    }
    const { programArgs: ownArgs = [], ...base } = config;
    const isOther = program.name !== summary.program;
    const programArgs = request.programArgs ?? (isOther ? [] : ownArgs);
    const graph = graphWith(program, programArgs, catalog);
    const { allowNonRestoredState } = request;
    const origin = { job: summary.job, claims: false, allowNonRestoredState };
    const asked = { ...request, programArgs };
    await started(env, catalog, { job, graph, base, request: asked, origin });
    return { jobid: job, applicationId: job };
  });
  return routes;
}
