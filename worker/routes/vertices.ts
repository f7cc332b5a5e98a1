// The vertices of a job and their subtasks, below `/jobs/:jobid/vertices/:vertexid`.

import { Hono } from "hono";

import type { TaskStatus } from "../../format/job-status.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params, queries } from "../contract/flink-schemas.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { vertexBackPressure } from "../flink/back-pressure.ts";
import { endpointOf } from "../flink/deployment.ts";
import {
  aggregated,
  collected,
  taskMetrics,
  vertexMetrics,
  vertexWatermarks,
} from "../flink/metrics.ts";
import {
  attemptDetails,
  attemptNumber,
  subtaskTimes,
  type Vertex,
  vertexDetails,
  vertexIn,
  vertexTaskManagers,
} from "../flink/vertices.ts";
import { detailsOf } from "./jobs.ts";

const base = "/jobs/:jobid/vertices/:vertexid";

export function vertexRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  const ofVertex = { method: "get", params: params.vertex } as const;

  serve(
    routes,
    { ...ofVertex, path: base, summary: "A vertex by subtask.", answer: answers.vertexDetails },
    async ({ env, params: of }) => vertexDetails(await vertexOf(env, of), Date.now()),
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/subtasktimes`,
      summary: "When the subtasks of a vertex began and ended.",
      answer: answers.subtaskTimes,
    },
    async ({ env, params: of }) => subtaskTimes(await vertexOf(env, of), Date.now()),
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/taskmanagers`,
      summary: "A vertex by TaskManager, of which there is one.",
      answer: answers.vertexTaskManagers,
    },
    async ({ env, params: of }) => vertexTaskManagers(await vertexOf(env, of), Date.now()),
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/backpressure`,
      summary: "Back pressure of a vertex, by subtask.",
      answer: answers.backPressure,
    },
    async ({ env, params: of }) => vertexBackPressure((await vertexOf(env, of)).tasks),
  );

  // ---- What nobody here knows, as Flink says that it does not

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/flamegraph`,
      summary: "A flame graph, as where they are switched off.",
      answer: answers.flameGraph,
    },
    async ({ env, params: of }) => {
      await vertexOf(env, of);
      return { data: null, endTimestamp: flameGraphsAreOff };
    },
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/watermarks`,
      summary: "How far event time has come, by subtask.",
      answer: answers.metrics,
    },
    async ({ env, params: of }) => vertexWatermarks((await vertexOf(env, of)).tasks),
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/jm-operator-metrics`,
      summary: "Metrics of operators on the JobManager: there are none.",
      query: queries.metrics,
      answer: answers.metrics,
    },
    async ({ env, params: of, query }) => {
      await vertexOf(env, of);
      return collected(new Map(), query.get);
    },
  );

  // ---- Accumulators: there are none

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/accumulators`,
      summary: "Accumulators of a vertex: there are none.",
      answer: answers.vertexAccumulators,
    },
    async ({ env, params: of }) => {
      const { vertex } = await vertexOf(env, of);
      return { id: vertex.id, "user-accumulators": [] };
    },
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/subtasks/accumulators`,
      summary: "Accumulators by subtask: there are none.",
      answer: answers.subtasksAccumulators,
    },
    async ({ env, params: of }) => {
      const { vertex, tasks } = await vertexOf(env, of);
      return {
        id: vertex.id,
        parallelism: vertex.parallelism,
        subtasks: tasks.map((task) => ({
          subtask: task.task.index,
          attempt: attemptNumber(task),
          endpoint: endpointOf(task.started !== undefined),
          "user-accumulators": [],
        })),
      };
    },
  );

  // ---- Metrics

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/metrics`,
      summary: "Metrics of a vertex, by subtask.",
      query: queries.metrics,
      answer: answers.metrics,
    },
    async ({ env, params: of, query }) =>
      collected(vertexMetrics((await vertexOf(env, of)).tasks), query.get),
  );

  serve(
    routes,
    {
      ...ofVertex,
      path: `${base}/subtasks/metrics`,
      summary: "Metrics of subtasks, aggregated.",
      query: queries.aggregatedSubtasks,
      answer: answers.aggregatedMetrics,
    },
    async ({ env, params: of, query }) => {
      const { tasks } = await vertexOf(env, of);
      const { subtasks = () => true } = query;
      return aggregated(tasks.filter(({ task }) => subtasks(task.index)).map(taskMetrics), query);
    },
  );

  // ---- One subtask

  serve(
    routes,
    {
      method: "get",
      path: `${base}/subtasks/:subtaskindex`,
      summary: "A subtask in its latest attempt.",
      params: params.subtask,
      answer: answers.attemptDetails,
    },
    async ({ env, params: of }) => attemptDetails(await subtaskOf(env, of), Date.now()),
  );

  serve(
    routes,
    {
      method: "get",
      path: `${base}/subtasks/:subtaskindex/metrics`,
      summary: "Metrics of a subtask.",
      params: params.subtask,
      query: queries.metrics,
      answer: answers.metrics,
    },
    async ({ env, params: of, query }) =>
      collected(taskMetrics(await subtaskOf(env, of)), query.get),
  );

  serve(
    routes,
    {
      method: "get",
      path: `${base}/subtasks/:subtaskindex/attempts/:attempt`,
      summary: "A subtask in an attempt; only the latest is remembered.",
      params: params.attempt,
      answer: answers.attemptDetails,
    },
    async ({ env, params: of }) => attemptDetails(await attemptOf(env, of), Date.now()),
  );

  serve(
    routes,
    {
      method: "get",
      path: `${base}/subtasks/:subtaskindex/attempts/:attempt/accumulators`,
      summary: "Accumulators of an attempt: there are none.",
      params: params.attempt,
      answer: answers.attemptAccumulators,
    },
    async ({ env, params: of }) => {
      const task = await attemptOf(env, of);
      return {
        subtask: task.task.index,
        attempt: attemptNumber(task),
        id: `${task.task.vertex}_${task.task.index}_${attemptNumber(task)}`,
        "user-accumulators": [],
      };
    },
  );

  return routes;
}

/** By which Flink says that a flame graph is none because they are disabled. */
const flameGraphsAreOff = -2;

interface OfVertex {
  readonly jobid: string;
  readonly vertexid: string;
}

async function vertexOf(env: Env, { jobid, vertexid }: OfVertex): Promise<Vertex> {
  const vertex = vertexIn(await detailsOf(env, jobid), vertexid);
  if (vertex !== undefined) return vertex;
  throw new HttpError(404, `Job ${jobid} has no vertex ${vertexid}.`);
}

interface OfSubtask extends OfVertex {
  readonly subtaskindex: number;
}

async function subtaskOf(env: Env, { subtaskindex, ...of }: OfSubtask): Promise<TaskStatus> {
  const { vertex, tasks } = await vertexOf(env, of);
  const found = tasks.find(({ task }) => task.index === subtaskindex);
  if (found !== undefined) return found;
  throw new HttpError(
    404,
    `Vertex ${vertex.id} has no subtask ${subtaskindex}; it has 0 to ${vertex.parallelism - 1}.`,
  );
}

async function attemptOf(
  env: Env,
  { attempt, ...of }: OfSubtask & { readonly attempt: number },
): Promise<TaskStatus> {
  const task = await subtaskOf(env, of);
  if (attemptNumber(task) === attempt) return task;
  throw new HttpError(
    404,
    `Attempt ${attempt} of subtask ${of.subtaskindex} is not remembered; ` +
      `its latest is ${attemptNumber(task)}.`,
  );
}
