// Deleting savepoints: `POST /savepoint-disposal`, and what became of it.
//   R1. What is no savepoint is never deleted: no checkpoint, no directory above a savepoint, nothing
//       outside of savepoints/.

import { Hono } from "hono";
import * as z from "zod";

import type { DisposalStatus } from "../../format/job-status.ts";
import { disposableFolder } from "../../format/paths.ts";
import { serve } from "../contract/endpoint.ts";
import { failureCause, params } from "../contract/flink-schemas.ts";
import { named } from "../contract/named.ts";
import { dispatcher, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { causeOf } from "../flink/serialized-throwable.ts";
import {
  ended,
  inProgress,
  newTrigger,
  parsed,
  resultOf,
  triggerId,
  triggerResponse,
} from "./operations.ts";

const disposalBody = z.strictObject({
  "savepoint-path": z.string("must be the location of a savepoint"),
  triggerId,
});

const resultAnswer = named(
  "SavepointDisposalResult",
  resultOf(z.object({ "failure-cause": failureCause }).partial()),
);

export function disposalRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  const dispose = {
    method: "post",
    path: "/savepoint-disposal",
    summary: "Deletes a savepoint that no job needs.",
    body: disposalBody,
    answer: triggerResponse,
  } as const;
  serve(routes, dispose, async ({ c, env }) => {
    const body = await parsed(c.req.raw, disposalBody);
    const path = body["savepoint-path"];
    const folder = disposableFolder(path);
    if (folder === undefined) {
      throw new HttpError(
        400,
        `savepoint-path: "${path}" is no place of a savepoint (savepoints/…, the location that it was ` +
          `answered with).`,
      );
    }
    const trigger = body.triggerId ?? newTrigger();
    const answer = await dispatcher(env).dispose({ trigger, folder });
    if (answer.kind === "accepted") return { "request-id": trigger };
    throw new HttpError(answer.kind === "absent" ? 404 : 409, answer.reason);
  });

  const status = {
    method: "get",
    path: "/savepoint-disposal/:triggerid",
    summary: "Whether a savepoint is deleted.",
    params: params.trigger,
    answer: resultAnswer,
  } as const;
  serve(routes, status, async ({ env, params: { triggerid } }) => {
    const found = await dispatcher(env).disposalStatus(triggerid);
    if (found !== undefined) return operationResult(found);
    throw new HttpError(404, `No disposal of trigger id ${triggerid} is known.`);
  });

  return routes;
}

function operationResult(status: DisposalStatus): z.input<typeof resultAnswer> {
  switch (status.kind) {
    case "inProgress":
      return inProgress;
    case "completed":
      return ended({});
    case "failed":
      return ended({ "failure-cause": causeOf("SavepointNotDeleted", status.message) });
  }
}
