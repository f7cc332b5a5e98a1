// Savepoints of a job, and its end with one: `POST /jobs/:jobid/savepoints`, `POST /jobs/:jobid/stop`,
// and what became of either, `GET /jobs/:jobid/savepoints/:triggerid`.

import { Hono } from "hono";
import * as z from "zod";

import type { SavepointRequest, SavepointStatus } from "../../format/job-status.ts";
import { folderOf, savepointDirectory } from "../../format/paths.ts";
import { serve } from "../contract/endpoint.ts";
import { failureCause, params } from "../contract/flink-schemas.ts";
import { named } from "../contract/named.ts";
import { coordinator, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { causeOf } from "../flink/serialized-throwable.ts";
import { detailsOf } from "./jobs.ts";
import {
  ended,
  inProgress,
  newTrigger,
  optional,
  parsed,
  resultOf,
  triggerId,
  triggerResponse,
} from "./operations.ts";

// There is one format, which is both: canonical in that every backend reads it.
const formatType = optional(z.enum(["CANONICAL", "NATIVE"]));

const savepointBody = z.strictObject({
  "target-directory": optional(z.string()),
  "cancel-job": optional(z.boolean()),
  formatType,
  triggerId,
});

const stopBody = z.strictObject({
  targetDirectory: optional(z.string()),
  drain: optional(z.boolean()),
  formatType,
  triggerId,
});

const resultAnswer = named(
  "AsynchronousOperationResult",
  resultOf(z.object({ location: z.string(), "failure-cause": failureCause }).partial()),
);

type Jobs = { Bindings: Env };

export function savepointRoutes(): Hono<Jobs> {
  const routes = new Hono<Jobs>();

  const take = {
    method: "post",
    path: "/jobs/:jobid/savepoints",
    summary: "Takes a savepoint, and cancels the job after it where asked to.",
    params: params.job,
    body: savepointBody,
    status: 202,
    answer: triggerResponse,
  } as const;
  serve(routes, take, async ({ c, env, params: { jobid } }) => {
    const body = await parsed(c.req.raw, savepointBody);
    const cancels = body["cancel-job"] === true;
    return requested(env, jobid, {
      trigger: body.triggerId ?? newTrigger(),
      directory: directoryOf("target-directory", body["target-directory"]),
      ...(cancels && { ends: "cancel" }),
    });
  });

  const stop = {
    method: "post",
    path: "/jobs/:jobid/stop",
    summary: "Takes a savepoint and ends the job with it.",
    params: params.job,
    body: stopBody,
    status: 202,
    answer: triggerResponse,
  } as const;
  serve(routes, stop, async ({ c, env, params: { jobid } }) => {
    const body = await parsed(c.req.raw, stopBody);
    return requested(env, jobid, {
      trigger: body.triggerId ?? newTrigger(),
      directory: directoryOf("targetDirectory", body.targetDirectory),
      ends: "stop",
      ...(body.drain === true && { drains: true }),
    });
  });

  const status = {
    method: "get",
    path: "/jobs/:jobid/savepoints/:triggerid",
    summary: "What became of a savepoint, or of a stop.",
    params: params.operation,
    answer: resultAnswer,
  } as const;
  serve(routes, status, async ({ env, params: { jobid, triggerid } }) => {
    const { summary } = await detailsOf(env, jobid);
    const found = await coordinator(env, summary.job).savepointStatus(triggerid);
    if (found !== undefined) return operationResult(found);
    throw new HttpError(404, `Job ${summary.job} knows no savepoint of trigger id ${triggerid}.`);
  });

  return routes;
}

async function requested(
  env: Env,
  jobid: string,
  request: SavepointRequest,
): Promise<z.input<typeof triggerResponse>> {
  const { summary } = await detailsOf(env, jobid);
  const answer = await coordinator(env, summary.job).savepoint(request);
  if (answer.kind === "refused") throw new HttpError(409, answer.reason);
  return { "request-id": request.trigger };
}

function directoryOf(field: string, text = ""): string {
  const directory = savepointDirectory(text);
  if (directory !== undefined) return directory;
  throw new HttpError(
    400,
    `${field}: "${text}" is no place for a savepoint. It is a directory of the deployment's bucket ` +
      `below savepoints/: up to 8 names of letters, digits and . _ = -, none beginning with "." or ` +
      `"savepoint-".`,
  );
}

/** Flink's `AsynchronousOperationResult` of a `SavepointInfo`. */
export function operationResult(status: SavepointStatus): z.input<typeof resultAnswer> {
  switch (status.kind) {
    case "inProgress":
      return inProgress;
    case "completed":
      return ended({ location: folderOf(status.path).replace(/\/$/, "") });
    case "failed":
      return ended({ "failure-cause": causeOf("SavepointFailed", status.message) });
  }
}
