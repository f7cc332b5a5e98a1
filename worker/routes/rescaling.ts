// The size of a running job: `GET` and `PUT /jobs/:jobid/resource-requirements`, and what became of
// the sizes that were asked for, `GET /jobs/:jobid/rescales/history`.
//   R1. A request is judged whole by the job's coordinator, before anything is changed. Repeated while
//       it is under way, or once it is done, it is the same request.

import { Hono } from "hono";
import * as z from "zod";

import type { RescaleRequest } from "../../format/job-status.ts";
import { KiB } from "../../format/limits.ts";
import { bodyOf } from "../body.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params } from "../contract/flink-schemas.ts";
import { coordinator, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { rescaleHistory, resourceRequirements } from "../flink/rescaling.ts";
import { detailsOf } from "./jobs.ts";

const bodyBytesMax = 64 * KiB;

const requirementsBody = z.record(
  z.string(),
  z.strictObject({
    parallelism: z.strictObject({ lowerBound: z.number(), upperBound: z.number() }),
  }),
);

export function rescalingRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/resource-requirements",
      summary: "The parallelism of each vertex, or that which was asked for and is not there yet.",
      params: params.job,
      answer: answers.resourceRequirements,
    },
    async ({ env, params: { jobid } }) => resourceRequirements(await detailsOf(env, jobid)),
  );

  const rescale = {
    method: "put",
    path: "/jobs/:jobid/resource-requirements",
    summary: "Rescales a running job: as many subtasks of each vertex as its upper bound says.",
    params: params.job,
    body: requirementsBody,
    answer: answers.nothing,
  } as const;
  serve(routes, rescale, async ({ c, env, params: { jobid } }) => {
    const request = await requestOf(c.req.raw);
    const { summary } = await detailsOf(env, jobid);
    const answer = await coordinator(env, summary.job).rescale(request);
    if (answer.kind === "invalid") throw new HttpError(400, answer.reason);
    if (answer.kind === "refused") throw new HttpError(409, answer.reason);
    return {};
  });

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/rescales/history",
      summary: "The sizes that were asked for while the job ran, newest first.",
      params: params.job,
      answer: answers.rescaleHistory,
    },
    async ({ env, params: { jobid } }) => rescaleHistory(await detailsOf(env, jobid)),
  );

  return routes;
}

async function requestOf(request: Request): Promise<RescaleRequest> {
  const text = new TextDecoder().decode(await bodyOf(request, { bytesMax: bodyBytesMax }));
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${(error as Error).message}`);
  }
  const parsed = requirementsBody.safeParse(value);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new HttpError(400, `Bad request: ${issues.join("; ").replace(/^: /, "")}`);
  }
  return Object.fromEntries(
    Object.entries(parsed.data).map(([id, { parallelism }]) => [id, parallelism]),
  );
}
