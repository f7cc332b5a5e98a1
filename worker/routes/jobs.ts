// Jobs: `GET /jobs`, `GET /jobs/overview`, `GET /jobs/:jobid`, `PATCH /jobs/:jobid?mode=cancel`,
// `GET /jobs/:jobid/checkpoints`. The dispatcher says which jobs there are, a job's coordinator what
// it does.

import { Hono } from "hono";

import { isJobId, type JobId } from "../../format/ids.ts";
import type { JobDetails, JobHealth } from "../../format/job-status.ts";
import type { JobSummary } from "../../format/messages.ts";
import { coordinator, dispatcher, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import {
  checkpointingStatistics,
  healthOfSummary,
  jobDetailsInfo,
  jobExceptionsInfo,
  jobOverview,
} from "../flink-json.ts";

export function jobRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.get("/jobs", async (c) => {
    const jobs = await dispatcher(c.env).list();
    return c.json({ jobs: jobs.map(({ job, phase }) => ({ id: job, status: phase })) });
  });

  routes.get("/jobs/overview", async (c) => {
    const jobs = await dispatcher(c.env).list();
    const healths = await Promise.all(jobs.map((summary) => healthOf(c.env, summary)));
    const now = Date.now();
    return c.json({ jobs: jobs.map((summary, at) => jobOverview(summary, healths[at], now)) });
  });

  routes.get("/jobs/:jobid", async (c) =>
    c.json(jobDetailsInfo(await detailsOf(c.env, c.req.param("jobid")), Date.now())),
  );

  // As in Flink, cancelling what is being cancelled is no mistake (202), cancelling what has ended
  // is one (409).
  routes.patch("/jobs/:jobid", async (c) => {
    const mode = c.req.query("mode") ?? "cancel";
    if (mode !== "cancel") {
      throw new HttpError(400, `Termination mode "${mode}" is not supported. Allowed: cancel.`);
    }
    const { summary } = await detailsOf(c.env, c.req.param("jobid"));
    const { kind } = await coordinator(c.env, summary.job).cancel();
    if (kind === "cancelling") return c.json({}, 202);
    throw new HttpError(409, `Job ${summary.job} has ended already; there is nothing to cancel.`);
  });

  routes.get("/jobs/:jobid/exceptions", async (c) =>
    c.json(jobExceptionsInfo(await detailsOf(c.env, c.req.param("jobid")))),
  );

  routes.get("/jobs/:jobid/checkpoints", async (c) => {
    const { summary } = await detailsOf(c.env, c.req.param("jobid"));
    const overview = await coordinator(c.env, summary.job).checkpoints();
    if (overview === undefined) throw notSubmitted(summary.job);
    return c.json(checkpointingStatistics(overview));
  });

  return routes;
}

/** Asks coordinators that are awake anyway, and wakes none that rests. */
async function healthOf(env: Env, summary: JobSummary): Promise<JobHealth | undefined> {
  const known = healthOfSummary(summary);
  if (known !== undefined) return known;
  return coordinator(env, summary.job)
    .health()
    .catch(() => undefined);
}

/** What the job's coordinator tells of it: 400 for what is no job id, 404 for an unknown job. */
export async function detailsOf(env: Env, text: string): Promise<JobDetails> {
  if (!isJobId(text)) {
    throw new HttpError(400, `"${text}" is not a job id; it has 32 lower-case hex digits.`);
  }
  const summary = await dispatcher(env).get(text);
  if (summary === undefined) throw new HttpError(404, `Job ${text} not found.`);
  const details = await coordinator(env, text).details();
  if (details === undefined) throw notSubmitted(text);
  return details;
}

// Listed, but its submission has not arrived: between the two steps of a run, or for good when the
// Worker died there. Running it again under the same id completes it.
const notSubmitted = (job: JobId): HttpError =>
  new HttpError(
    503,
    `Job ${job} is being submitted. If this lasts, repeat its POST /jars/:id/run with "jobId": "${job}".`,
  );
