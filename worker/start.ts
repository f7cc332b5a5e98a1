// How a job is started, whichever route asked for it: planned, listed, submitted.
//   T1. It is listed before it is submitted, so none ever runs unlisted.
//   T2. The same job id is the same job: repeating a request whose answer was lost starts nothing.
//   T3. What keeps it from being started is found before anything is listed, and what was kept for it
//       is withdrawn then (kept.ts).

import { stillThere } from "../coordinator/changed-code.ts";
import { planOf } from "../coordinator/plan.ts";
import type { JobConfig } from "../format/config.ts";
import { type JobId, millis } from "../format/ids.ts";
import { checkParallelism } from "../format/key-groups.ts";
import type { JobSubmission } from "../format/messages.ts";
import { isInSavepoint } from "../format/paths.ts";
import { type ExecutionPlan, tasksOf } from "../format/plan.ts";
import { applyFlinkConfiguration } from "../stream/config.ts";
import { ConfigError } from "../stream/errors.ts";
import type { JobGraph } from "../stream/graph.ts";
import type { Catalog } from "./catalog.ts";
import { coordinator, dispatcher, type Env } from "./env.ts";
import { HttpError, isTransient } from "./errors.ts";
import { type Kept, kept, type Origin, withdrawn } from "./kept.ts";
import { manifestAt, refuseMisfits, settingsFor } from "./restore.ts";
import type { RunRequest } from "./run-request.ts";

/** What is asked for, once it is known to be well said. */
export interface Start {
  readonly job: JobId;
  /** The program's, as it is with the request's arguments. */
  readonly graph: JobGraph;
  /** The configuration that the request's settings change. */
  readonly base: JobConfig;
  readonly request: Pick<RunRequest, "parallelism" | "flinkConfiguration" | "programArgs">;
  readonly origin?: Origin & { readonly allowNonRestoredState: boolean };
}

/** Starts the job, unless it was started before. @throws HttpError that says why it cannot be */
export async function started(env: Env, catalog: Catalog, start: Start): Promise<void> {
  const { job, origin } = start;
  if (origin === undefined) return submitted(env, { job, ...planned(catalog, start) });
  if (await isStarted(env, start)) return;
  const begins = await kept(env, job, origin);
  const { path, manifest, hold, claimed } = begins;
  let fitting: Pick<JobSubmission, "plan" | "config">;
  try {
    fitting = plannedFrom(catalog, start, { path, manifest });
  } catch (error) {
    await withdrawn(env, begins);
    throw error;
  }
  const restore = {
    path,
    checkpoint: manifest.checkpoint,
    allowNonRestoredState: origin.allowNonRestoredState,
    ...(hold && { hold }),
    ...(claimed && { claimed }),
  };
  await submitted(env, { job, ...fitting, restore });
}

/** The plan that the job would have. @throws HttpError that says why it cannot be started */
export async function planFor(env: Env, catalog: Catalog, start: Start): Promise<ExecutionPlan> {
  const path = start.origin?.path;
  if (path === undefined) return planned(catalog, start).plan;
  const manifest = await manifestAt(env, { path });
  return plannedFrom(catalog, start, { path, manifest }).plan;
}

function planned(
  catalog: Catalog,
  { graph, base, request }: Pick<Start, "graph" | "base" | "request">,
): Pick<JobSubmission, "plan" | "config"> {
  const config = configOf(graph, request, { base: ownSizes(base, graph, request), catalog });
  try {
    return { config, plan: planOf(graph, config) };
  } catch (error) {
    if (error instanceof ConfigError) throw new HttpError(400, error.message);
    throw error;
  }
}

/** What is set for single vertices of another job counts for those that are here, in its size. */
function ownSizes(base: JobConfig, graph: JobGraph, { parallelism }: Start["request"]): JobConfig {
  if (base === graph.config) return base;
  if (parallelism === undefined) return stillThere(graph, base);
  const { parallelismOverrides: _, ...rest } = base;
  return rest;
}

/** The same of a job that goes on from that manifest. */
function plannedFrom(
  catalog: Catalog,
  { graph, base, request, origin }: Start,
  { path, manifest }: Pick<Kept, "path" | "manifest">,
): Pick<JobSubmission, "plan" | "config"> {
  const flinkConfiguration = settingsFor(manifest, request.flinkConfiguration);
  const found = planned(catalog, { graph, base, request: { ...request, flinkConfiguration } });
  const { allowNonRestoredState = false } = origin ?? {};
  refuseMisfits(manifest, found.plan, { path, allowNonRestoredState });
  return found;
}

/** Whether a request like that one was carried out: what it began with may be gone by now (T2). */
async function isStarted(env: Env, { job, graph }: Start): Promise<boolean> {
  const listed = await dispatcher(env).get(job);
  if (listed === undefined) return false;
  if (listed.program !== graph.name) throw taken(job, listed.program);
  return (await coordinator(env, job).details()) !== undefined;
}

/** Lists the job, then submits it. Repeatable under the same id. */
async function submitted(env: Env, submission: JobSubmission): Promise<void> {
  const { job, restore } = submission;
  const refusal = await listed(env, submission);
  if (refusal !== undefined) {
    await withdrawn(env, restore);
    throw refusal;
  }
  const outcome = await coordinator(env, job)
    .submit(submission)
    .catch((error: unknown) => {
      // Without the id a repetition would be a second job, should the first have been started.
      throw isTransient(error) ? unsure(job) : error;
    });
  if (outcome.kind === "known") await withdrawn(env, restore);
  if (outcome.kind === "refused") throw unsure(job);
}

async function listed(
  env: Env,
  { job, plan, restore }: JobSubmission,
): Promise<HttpError | undefined> {
  const now = millis(Date.now());
  const summary = {
    job,
    program: plan.program,
    phase: "INITIALIZING",
    startTime: now,
    endTime: -1,
    lastModification: now,
    tasks: { total: tasksOf(plan).length, running: 0 },
    ...(restore && { begins: restore.path }),
  } as const;
  const claims =
    restore?.claimed !== undefined && isInSavepoint(restore.path) ? restore.path : undefined;
  const outcome = await dispatcher(env)
    .register(summary, { ...(claims && { claims }), isHeld: restore?.hold !== undefined })
    .catch((error: unknown) => {
      throw isTransient(error) ? unsure(job) : error;
    });
  switch (outcome.kind) {
    case "registered":
    case "known":
      return undefined;
    case "taken":
      return taken(job, outcome.program);
    case "disposed":
      return new HttpError(
        422,
        `Nothing can be started from ${outcome.savepoint}: the savepoint is being deleted.`,
      );
    case "needed":
      return new HttpError(
        409,
        `${claims} cannot be claimed: job ${outcome.by} ${outcome.need}. Use NO_CLAIM, or claim it later.`,
      );
    case "claimed":
      if (claims === undefined) {
        return new HttpError(
          503,
          `Job ${outcome.by} has claimed ${restore?.path} in the meantime; repeat the request.`,
        );
      }
      return new HttpError(
        409,
        `${claims} is claimed by job ${outcome.by}, which has not ended. Use NO_CLAIM, or copy the folder.`,
      );
  }
}

const taken = (job: JobId, program: string): HttpError =>
  new HttpError(409, `Job ${job} is a run of "${program}"; choose another jobId.`);

const unsure = (job: JobId): HttpError =>
  new HttpError(503, `Job ${job} may not have been started; repeat with "jobId": "${job}".`);

/** `base` under the request's settings, above the deployment's. A parallelism of its own wins over the map's. */
function configOf(
  graph: JobGraph,
  { parallelism, flinkConfiguration, programArgs }: Start["request"],
  { base, catalog }: { readonly base: JobConfig; readonly catalog: Pick<Catalog, "restart"> },
): JobConfig {
  const settings = {
    ...flinkConfiguration,
    ...(parallelism !== undefined && { "parallelism.default": String(parallelism) }),
  };
  try {
    const config = applyFlinkConfiguration(base, settings, catalog);
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
