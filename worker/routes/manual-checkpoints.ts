// Checkpoints by hand: `POST /jobs/:jobid/checkpoints`, and what became of one.

import { Hono } from "hono";
import * as z from "zod";

import type { CheckpointStatus } from "../../format/job-status.ts";
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

const checkpointBody = z.strictObject({
  checkpointType: optional(z.enum(["CONFIGURED", "FULL", "INCREMENTAL"])),
  triggerId,
});

const resultAnswer = named(
  "CheckpointTriggerResult",
  resultOf(z.object({ checkpointId: z.int(), failureCause }).partial()),
);

export function manualCheckpointRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  const take = {
    method: "post",
    path: "/jobs/:jobid/checkpoints",
    summary: "Takes a checkpoint now.",
    params: params.job,
    body: checkpointBody,
    status: 202,
    answer: triggerResponse,
  } as const;
  serve(routes, take, async ({ c, env, params: { jobid } }) => {
    const body = await parsed(c.req.raw, checkpointBody);
    const { summary, config } = await detailsOf(env, jobid);
    const { checkpointType: type = "CONFIGURED", triggerId: trigger = newTrigger() } = body;
    if (type === "INCREMENTAL" && !config.checkpointing.incremental) {
      throw new HttpError(
        400,
        `checkpointType: job ${summary.job} takes full checkpoints ` +
          `(execution.checkpointing.incremental is false), and has nothing that an INCREMENTAL one ` +
          `could build on. Leave it out.`,
      );
    }
    const answer = await coordinator(env, summary.job).checkpoint({ trigger, type });
    if (answer.kind === "refused") throw new HttpError(409, answer.reason);
    return { "request-id": trigger };
  });

  const status = {
    method: "get",
    path: "/jobs/:jobid/checkpoints/:triggerid",
    summary: "What became of a checkpoint that was asked for.",
    params: params.operation,
    answer: resultAnswer,
  } as const;
  serve(routes, status, async ({ env, params: { jobid, triggerid } }) => {
    const { summary } = await detailsOf(env, jobid);
    const found = await coordinator(env, summary.job).checkpointStatus(triggerid);
    if (found !== undefined) return operationResult(found);
    throw new HttpError(404, `Job ${summary.job} knows no checkpoint of trigger id ${triggerid}.`);
  });

  return routes;
}

function operationResult(status: CheckpointStatus): z.input<typeof resultAnswer> {
  switch (status.kind) {
    case "inProgress":
      return inProgress;
    case "completed":
      return ended({ checkpointId: status.checkpoint });
    case "failed":
      return ended({ failureCause: causeOf("CheckpointFailed", status.message) });
  }
}
