// Programs, which Flink's clients know as jars: `GET /jars`, `/jars/:id/plan`, `POST /jars/:id/run`.
//   R1. A job is listed before it is submitted, so none ever runs unlisted.
//   R2. The same job id is the same run: repeating a request whose answer was lost starts nothing.

import { type Context, Hono } from "hono";
import * as z from "zod";

import { planOf } from "../../coordinator/plan.ts";
import type { JobConfig } from "../../format/config.ts";
import { jobIdFrom, millis } from "../../format/ids.ts";
import { checkParallelism } from "../../format/key-groups.ts";
import { KiB } from "../../format/limits.ts";
import type { JobSubmission } from "../../format/messages.ts";
import { tasksOf } from "../../format/plan.ts";
import { applyFlinkConfiguration } from "../../stream/config.ts";
import { ConfigError } from "../../stream/errors.ts";
import type { JobGraph } from "../../stream/graph.ts";
import { bodyOf } from "../body.ts";
import { type Catalog, known } from "../catalog.ts";
import { serve } from "../contract/endpoint.ts";
import { answers } from "../contract/flink-schemas.ts";
import { coordinator, dispatcher, type Env } from "../env.ts";
import { HttpError, isTransient } from "../errors.ts";
import { planInfo } from "../flink-json.ts";
import { graphWith } from "../program-arguments.ts";
import { manifestAt, restorable, settingsFor } from "../restore.ts";
import { runBody, type RunRequest, runRequestOf } from "../run-request.ts";

const runBodyBytesMax = 64 * KiB;
const jarParams = z.object({ id: z.string() });

export function jarRoutes(catalog: Catalog): Hono<{ Bindings: Env }> {
  const { programs } = catalog;
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/jars",
      summary: "The programs of the deployment, as jars.",
      answer: answers.jars,
    },
    ({ c }) => ({
      address: new URL(c.req.url).origin,
      files: [...programs.keys()].sort().map((name) => ({
        id: name,
        name,
        // Programs come with the deployment; when that was is not known to it.
        uploaded: 0,
        entry: [{ name, description: null }],
      })),
    }),
  );

  /** What a request to run asks for, once nothing is wrong with it. */
  const requestOf = async (c: Context<{ Bindings: Env }>, id: string): Promise<JobSubmission> => {
    const program = known("program", programs, id);
    const body = await bodyOf(c.req.raw, { bytesMax: runBodyBytesMax });
    const request = runRequestOf(program.name, new TextDecoder().decode(body), c.req.query());
    const { restore, programArgs } = request;
    const graph = graphWith(program, programArgs, catalog);
    const manifest = restore && (await manifestAt(c.env, restore));
    const settings = manifest && settingsFor(manifest, request.flinkConfiguration);
    const config = configOf(
      graph,
      { ...request, ...(settings && { flinkConfiguration: settings }) },
      catalog,
    );
    const plan = planOf(graph, config);
    const begins = manifest && restorable(manifest, plan, restore);
    const job = request.jobId ?? jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    return { job, plan, config, ...(begins && { restore: begins }) };
  };

  // Flink's file says POST, its dashboard says GET.
  for (const method of ["get", "post"] as const) {
    const endpoint = {
      method,
      path: "/jars/:id/plan",
      params: jarParams,
      summary: "The plan of a program under such a request, which starts nothing.",
      ...(method === "post" && { body: runBody }),
      answer: answers.plan,
    } as const;
    serve(routes, endpoint, async ({ c, params: { id } }) => {
      const { job, plan } = await requestOf(c, id);
      return { plan: planInfo(job, plan) };
    });
  }

  const run = {
    method: "post",
    path: "/jars/:id/run",
    params: jarParams,
    summary: "Starts a job. The same jobId is the same job, however often it is sent.",
    body: runBody,
    answer: answers.run,
  } as const;
  serve(routes, run, async ({ c, params: { id } }) => {
    const submission = await requestOf(c, id);
    const { job } = submission;
    await started(c.env, submission).catch((error: unknown) => {
      // Without the id a repetition would be a second job, should the first have been started.
      if (!isTransient(error)) throw error;
      throw new HttpError(
        503,
        `Job ${job} may not have been started; repeat with "jobId": "${job}".`,
      );
    });
    return { jobid: job };
  });

  return routes;
}

/** Lists the job, then submits it, so that none runs unlisted. Repeatable under the same id. */
async function started(env: Env, submission: JobSubmission): Promise<void> {
  const { job, plan } = submission;
  const now = millis(Date.now());
  const registered = await dispatcher(env).register({
    job,
    program: plan.program,
    phase: "INITIALIZING",
    startTime: now,
    endTime: -1,
    lastModification: now,
    tasks: { total: tasksOf(plan).length, running: 0 },
  });
  if (registered.kind === "taken") {
    throw new HttpError(
      409,
      `Job ${job} is a run of "${registered.program}"; choose another jobId.`,
    );
  }
  await coordinator(env, job).submit(submission);
}

/** The program's configuration under the request's, above the deployment's. A parallelism of its own wins over the map's. */
function configOf(
  graph: JobGraph,
  { parallelism, flinkConfiguration, programArgs }: RunRequest,
  deployment: Pick<Catalog, "restart">,
): JobConfig {
  const settings = {
    ...flinkConfiguration,
    ...(parallelism !== undefined && { "parallelism.default": String(parallelism) }),
  };
  try {
    const config = applyFlinkConfiguration(graph.config, settings, deployment);
    for (const node of graph.nodes) {
      if (node.parallelism !== undefined) checkParallelism(node.parallelism, config.maxParallelism);
    }
    return programArgs.length === 0 ? config : { ...config, programArgs };
  } catch (error) {
    if (error instanceof ConfigError || error instanceof RangeError)
      throw new HttpError(400, error.message);
    throw error;
  }
}
