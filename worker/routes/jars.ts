// Programs, which Flink's clients know as jars: `GET /jars`, `POST /jars/:id/run`.
//   R1. A job is listed before it is submitted, so none ever runs unlisted.
//   R2. The same job id is the same run: repeating a request whose answer was lost starts nothing.

import { Hono } from "hono";

import { planOf } from "../../coordinator/plan.ts";
import type { JobConfig } from "../../format/config.ts";
import { jobIdFrom, millis } from "../../format/ids.ts";
import { checkParallelism } from "../../format/key-groups.ts";
import { KiB } from "../../format/limits.ts";
import type { JobSubmission } from "../../format/messages.ts";
import { tasksOf } from "../../format/plan.ts";
import { applyFlinkConfiguration } from "../../stream/config.ts";
import { ConfigError } from "../../stream/errors.ts";
import type { JobDefinition } from "../../stream/job.ts";
import { bodyOf } from "../body.ts";
import { type Catalog, known } from "../catalog.ts";
import { coordinator, dispatcher, type Env } from "../env.ts";
import { HttpError, isTransient } from "../errors.ts";
import { manifestAt, restorable, settingsFor } from "../restore.ts";
import { type RunRequest, runRequestOf } from "../run-request.ts";

const runBodyBytesMax = 64 * KiB;

export function jarRoutes(catalog: Catalog): Hono<{ Bindings: Env }> {
  const { programs } = catalog;
  const routes = new Hono<{ Bindings: Env }>();

  routes.get("/jars", (c) => {
    const files = [...programs.keys()].sort().map((name) => ({
      id: name,
      name,
      // Programs come with the deployment; when that was is not known to it.
      uploaded: 0,
      entry: [{ name, description: null }],
    }));
    return c.json({ address: new URL(c.req.url).origin, files });
  });

  routes.post("/jars/:id/run", async (c) => {
    const program = known("program", programs, c.req.param("id"));
    const body = await bodyOf(c.req.raw, { bytesMax: runBodyBytesMax });
    const request = runRequestOf(program.name, new TextDecoder().decode(body), c.req.query());
    const { restore } = request;
    const manifest = restore && (await manifestAt(c.env, restore));
    const settings = manifest && settingsFor(manifest, request.flinkConfiguration);
    const config = configOf(
      program,
      { ...request, ...(settings && { flinkConfiguration: settings }) },
      catalog,
    );
    const plan = planOf(program.graph, config);
    const begins = manifest && restorable(manifest, plan, restore);
    const job = request.jobId ?? jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    const submission = { job, plan, config, ...(begins && { restore: begins }) };
    await started(c.env, submission).catch((error: unknown) => {
      // Without the id a repetition would be a second job, should the first have been started.
      if (!isTransient(error)) throw error;
      throw new HttpError(
        503,
        `Job ${job} may not have been started; repeat with "jobId": "${job}".`,
      );
    });
    return c.json({ jobid: job });
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
  { graph }: JobDefinition,
  { parallelism, flinkConfiguration }: RunRequest,
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
    return config;
  } catch (error) {
    if (error instanceof ConfigError || error instanceof RangeError)
      throw new HttpError(400, error.message);
    throw error;
  }
}
