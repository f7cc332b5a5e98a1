// The checkpoints of a job: how they are configured, which there were, and what each took where.

import { Hono } from "hono";

import type { CheckpointOverview, CheckpointRecord } from "../../format/job-status.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params } from "../contract/flink-schemas.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { checkpointingStatistics } from "../flink-json.ts";
import {
  checkpointConfigInfo,
  checkpointDetails,
  checkpointIn,
  checkpointOfVertex,
} from "../flink/checkpoints.ts";
import { checkpointsOf, detailsOf } from "./jobs.ts";

export function checkpointRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/checkpoints",
      summary: "Checkpoints of a job: counts, the latest ones, the last ten.",
      params: params.job,
      answer: answers.checkpointing,
    },
    async ({ env, params: { jobid } }) => checkpointingStatistics(await checkpointsOf(env, jobid)),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/checkpoints/config",
      summary: "When checkpoints are taken, and how.",
      params: params.job,
      answer: answers.checkpointConfig,
    },
    async ({ env, params: { jobid } }) =>
      checkpointConfigInfo((await detailsOf(env, jobid)).config),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/checkpoints/details/:checkpointid",
      summary: "One checkpoint, by vertex.",
      params: params.checkpoint,
      answer: answers.checkpoint,
    },
    async ({ env, params: { jobid, checkpointid } }) => {
      const overview = await checkpointsOf(env, jobid);
      return checkpointDetails(found(overview, checkpointid), overview);
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid",
      summary: "One checkpoint in one vertex, by subtask.",
      params: params.checkpointOfVertex,
      answer: answers.checkpointOfVertex,
    },
    async ({ env, params: { jobid, checkpointid, vertexid } }) => {
      const overview = await checkpointsOf(env, jobid);
      const checkpoint = found(overview, checkpointid);
      const vertex = overview.plan.vertices.find(({ id }) => id === vertexid);
      if (vertex === undefined) throw new HttpError(404, `The job has no vertex ${vertexid}.`);
      return checkpointOfVertex(checkpoint, vertex, overview);
    },
  );

  return routes;
}

function found(overview: CheckpointOverview, id: number): CheckpointRecord {
  const checkpoint = checkpointIn(overview, id);
  if (checkpoint !== undefined) return checkpoint;
  throw new HttpError(404, `Could not find checkpointing statistics for checkpoint ${id}.`);
}
