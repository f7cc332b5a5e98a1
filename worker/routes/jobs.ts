// Jobs: which there are, what each is and was told to be, and `PATCH /jobs/:jobid?mode=cancel`. The
// dispatcher says which jobs there are, a job's coordinator what it does.

import { Hono } from "hono";

import { isJobId, type JobId } from "../../format/ids.ts";
import type { CheckpointOverview, JobDetails, JobHealth } from "../../format/job-status.ts";
import type { JobSummary } from "../../format/messages.ts";
import { flinkConfigurationOf } from "../../stream/config.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params, queries } from "../contract/flink-schemas.ts";
import { coordinator, dispatcher, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import {
  healthOfSummary,
  jobDetailsInfo,
  jobExceptionsInfo,
  jobOverview,
  planInfo,
} from "../flink-json.ts";
import { entriesOf, noEnvironment } from "../flink/deployment.ts";
import { executionResult, jobConfigInfo } from "../flink/jobs.ts";
import { aggregated, collected, jobMetrics, type Metrics } from "../flink/metrics.ts";

export function jobRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/jobs",
      summary: "All jobs and their states, newest first.",
      answer: answers.jobs,
    },
    async ({ env }) => {
      const jobs = await dispatcher(env).list();
      return { jobs: jobs.map(({ job, phase }) => ({ id: job, status: phase })) };
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/overview",
      summary: "All jobs, newest first.",
      answer: answers.jobsOverview,
    },
    async ({ env }) => {
      const jobs = await dispatcher(env).list();
      const healths = await Promise.all(jobs.map((summary) => healthOf(env, summary)));
      const now = Date.now();
      return { jobs: jobs.map((summary, at) => jobOverview(summary, healths[at], now)) };
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/metrics",
      summary: "Metrics of jobs, aggregated: of those asked for, or of all that are awake.",
      query: queries.aggregatedJobs,
      answer: answers.aggregatedMetrics,
    },
    async ({ env, query }) => {
      const all = await dispatcher(env).list();
      const { jobs } = query;
      const asked = all.filter((one) =>
        jobs === undefined ? isAwake(one) : jobs.includes(one.job),
      );
      return aggregated(await Promise.all(asked.map(({ job }) => metricsOf(env, job))), query);
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid",
      summary: "A job, its vertices and its plan.",
      params: params.job,
      answer: answers.jobDetails,
    },
    async ({ env, params: { jobid } }) => jobDetailsInfo(await detailsOf(env, jobid), Date.now()),
  );

  // As in Flink, cancelling what is being cancelled is no mistake (202), cancelling what has ended
  // is one (409).
  serve(
    routes,
    {
      method: "patch",
      path: "/jobs/:jobid",
      summary: "Cancels a job.",
      params: params.job,
      query: queries.termination,
      status: 202,
      answer: answers.nothing,
    },
    ({ env, params: { jobid } }) => cancelled(env, jobid),
  );

  // Flink's dashboard asks by a GET, as YARN's proxy lets nothing else pass.
  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/yarn-cancel",
      summary: "Cancels a job, for clients that can only GET.",
      params: params.job,
      status: 202,
      answer: answers.nothing,
    },
    ({ env, params: { jobid } }) => cancelled(env, jobid),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/status",
      summary: "The state of a job.",
      params: params.job,
      answer: answers.jobStatus,
    },
    async ({ env, params: { jobid } }) => ({ status: (await summaryOf(env, jobid)).phase }),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/execution-result",
      summary: "How a job ended, once it has.",
      params: params.job,
      answer: answers.executionResult,
    },
    async ({ env, params: { jobid } }) => executionResult(await detailsOf(env, jobid)),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/plan",
      summary: "The vertices of a job and what connects them.",
      params: params.job,
      answer: answers.plan,
    },
    async ({ env, params: { jobid } }) => ({
      plan: planInfo(jobid, (await detailsOf(env, jobid)).plan),
    }),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/config",
      summary: "What a job is configured with, under Flink's keys.",
      params: params.job,
      answer: answers.jobConfig,
    },
    async ({ env, params: { jobid } }) => jobConfigInfo(await detailsOf(env, jobid)),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/jobmanager/config",
      summary: "The same, as a JobManager of the job's own would have it.",
      params: params.job,
      answer: answers.configuration,
    },
    async ({ env, params: { jobid } }) =>
      entriesOf(flinkConfigurationOf((await detailsOf(env, jobid)).config)),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/jobmanager/environment",
      summary: "The virtual machine of a job: there is none.",
      params: params.job,
      answer: answers.environment,
    },
    async ({ env, params: { jobid } }) => {
      await summaryOf(env, jobid);
      return noEnvironment;
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/exceptions",
      summary: "Failures of a job, newest first.",
      params: params.job,
      query: queries.exceptions,
      answer: answers.exceptions,
    },
    async ({ env, params: { jobid }, query }) =>
      jobExceptionsInfo(await detailsOf(env, jobid), query.maxExceptions),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/accumulators",
      summary: "Accumulators of a job: there are none.",
      params: params.job,
      answer: answers.jobAccumulators,
    },
    async ({ env, params: { jobid } }) => {
      await summaryOf(env, jobid);
      return {
        "job-accumulators": [],
        "user-task-accumulators": [],
        "serialized-user-task-accumulators": {},
      };
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/jobs/:jobid/metrics",
      summary: "Metrics of a job.",
      params: params.job,
      query: queries.metrics,
      answer: answers.metrics,
    },
    async ({ env, params: { jobid }, query }) => {
      const { job } = await summaryOf(env, jobid);
      return collected(await metricsOf(env, job), query.get);
    },
  );

  return routes;
}

/** Cancels a job that has not ended; the answer to whoever asked. */
export async function cancelled(env: Env, jobid: JobId): Promise<Record<string, never>> {
  const { summary } = await detailsOf(env, jobid);
  const { kind } = await coordinator(env, summary.job).cancel();
  if (kind === "cancelling") return {};
  throw new HttpError(409, `Job ${summary.job} has ended already; there is nothing to cancel.`);
}

/** Its objects are in memory, so that asking wakes nobody. */
export const isAwake = ({ endTime, isResting }: JobSummary): boolean =>
  endTime === -1 && isResting !== true;

/** Asks coordinators that are awake anyway, and wakes none that rests. */
export async function healthOf(env: Env, summary: JobSummary): Promise<JobHealth | undefined> {
  const known = healthOfSummary(summary);
  if (known !== undefined) return known;
  return coordinator(env, summary.job)
    .health()
    .catch(() => undefined);
}

/** Of a job that is listed; none where it has not been submitted yet. */
async function metricsOf(env: Env, job: JobId): Promise<Metrics> {
  const object = coordinator(env, job);
  const [details, checkpoints] = await Promise.all([object.details(), object.checkpoints()]);
  if (details === undefined || checkpoints === undefined) return new Map();
  return jobMetrics(details, checkpoints, Date.now());
}

/** What the dispatcher knows of a job: 400 for what is no job id, 404 for an unknown job. */
export async function summaryOf(env: Env, text: string): Promise<JobSummary> {
  if (!isJobId(text)) {
    throw new HttpError(400, `"${text}" is not a job id; it has 32 lower-case hex digits.`);
  }
  const summary = await dispatcher(env).get(text);
  if (summary === undefined) throw new HttpError(404, `Job ${text} not found.`);
  return summary;
}

/** What the job's coordinator tells of it: 400 for what is no job id, 404 for an unknown job. */
export async function detailsOf(env: Env, text: string): Promise<JobDetails> {
  const { job } = await summaryOf(env, text);
  const details = await coordinator(env, job).details();
  if (details === undefined) throw notSubmitted(job);
  return details;
}

/** The same of its checkpoints. */
export async function checkpointsOf(env: Env, text: string): Promise<CheckpointOverview> {
  const { job } = await summaryOf(env, text);
  const overview = await coordinator(env, job).checkpoints();
  if (overview === undefined) throw notSubmitted(job);
  return overview;
}

// Listed, but its submission has not arrived: between the two steps of a run, or for good when the
// Worker died there. Running it again under the same id completes it.
const notSubmitted = (job: JobId): HttpError =>
  new HttpError(
    503,
    `Job ${job} is being submitted. If this lasts, repeat its POST /jars/:id/run with "jobId": "${job}".`,
  );
