// Savepoints of a job, and its end with one: `POST /jobs/:jobid/savepoints`, `POST /jobs/:jobid/stop`,
// and what became of either, `GET /jobs/:jobid/savepoints/:triggerid`.
//   R1. The same trigger id is the same request: repeating one whose answer was lost takes no second
//       savepoint.

import { Hono } from "hono";
import * as z from "zod";

import type { SavepointRequest, SavepointStatus } from "../../format/job-status.ts";
import { KiB } from "../../format/limits.ts";
import { folderOf, savepointDirectory } from "../../format/paths.ts";
import { bodyOf } from "../body.ts";
import { serve } from "../contract/endpoint.ts";
import { params } from "../contract/flink-schemas.ts";
import { described } from "../contract/described.ts";
import { named } from "../contract/named.ts";
import { coordinator, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { detailsOf } from "./jobs.ts";

const bodyBytesMax = 16 * KiB;

/** Flink's clients send what they do not mean as null. */
const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess((value) => value ?? undefined, type.optional()).meta(described(type));

const triggerId = optional(z.string().regex(/^[0-9a-f]{32}$/, "must be 32 lower-case hex digits"));
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

const triggerResponse = named("TriggerResponse", z.object({ "request-id": z.string() }));

const operationResultAnswer = named(
  "AsynchronousOperationResult",
  z.object({
    status: z.object({ id: z.enum(["IN_PROGRESS", "COMPLETED"]) }),
    operation: z
      .object({
        location: z.string().optional(),
        "failure-cause": z
          .object({
            class: z.string(),
            "stack-trace": z.string(),
            "serialized-throwable": z.string(),
          })
          .optional(),
      })
      .nullable(),
  }),
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
    if (body.drain === true) {
      throw new HttpError(
        400,
        "drain: a final watermark would fire windows and timers of event time, and there are none " +
          "yet. Leave it out.",
      );
    }
    return requested(env, jobid, {
      trigger: body.triggerId ?? newTrigger(),
      directory: directoryOf("targetDirectory", body.targetDirectory),
      ends: "stop",
    });
  });

  const status = {
    method: "get",
    path: "/jobs/:jobid/savepoints/:triggerid",
    summary: "What became of a savepoint, or of a stop.",
    params: params.operation,
    answer: operationResultAnswer,
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

async function parsed<T extends z.ZodType>(request: Request, schema: T): Promise<z.infer<T>> {
  const text = new TextDecoder().decode(await bodyOf(request, { bytesMax: bodyBytesMax }));
  let value: unknown = {};
  try {
    if (text.trim() !== "") value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${(error as Error).message}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new HttpError(400, `Bad request: ${issues.join("; ").replace(/^: /, "")}`);
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

const newTrigger = (): string => crypto.randomUUID().replaceAll("-", "");

/** Flink's `AsynchronousOperationResult` of a `SavepointInfo`. */
function operationResult(status: SavepointStatus): z.input<typeof operationResultAnswer> {
  switch (status.kind) {
    case "inProgress":
      return { status: { id: "IN_PROGRESS" }, operation: null };
    case "completed": {
      const location = folderOf(status.path).replace(/\/$/, "");
      return { status: { id: "COMPLETED" }, operation: { location } };
    }
    case "failed":
      return { status: { id: "COMPLETED" }, operation: { "failure-cause": causeOf(status) } };
  }
}

/** Flink sends a serialised Java exception beside what people read; there is none here. */
const causeOf = ({ message }: { readonly message: string }) => ({
  class: "SavepointFailed",
  "stack-trace": message,
  "serialized-throwable": "",
});
