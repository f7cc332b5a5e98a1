// The deployment as a Flink cluster: `/config`, `/overview`, `/taskmanagers`, `/jobmanager`,
// `/datasets`, and `/metrics` for Prometheus.

import { Hono } from "hono";

import { flinkConfigurationOf, jobConfig } from "../../stream/config.ts";
import type { Catalog } from "../catalog.ts";
import { type Endpoint, add, serve } from "../contract/endpoint.ts";
import { answers, params, queries } from "../contract/flink-schemas.ts";
import { coordinator, dispatcher, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import {
  clusterOverview,
  dashboardConfiguration,
  entriesOf,
  noEnvironment,
  taskManager,
  taskManagerDetails,
  taskManagerId,
} from "../flink/deployment.ts";
import { aggregated, collected, deploymentMetrics } from "../flink/metrics.ts";
import { prometheusText, prometheusType, type Scraped } from "../flink/prometheus.ts";
import { isAwake } from "./jobs.ts";

const get = <const E extends Omit<Endpoint, "method">>(endpoint: E) =>
  ({ method: "get", ...endpoint }) as const;

export function deploymentRoutes({ restart }: Pick<Catalog, "restart">): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  const jobsOf = (env: Env) => dispatcher(env).list();

  serve(
    routes,
    get({
      path: "/config",
      summary: "How a dashboard is to behave.",
      answer: answers.dashboardConfiguration,
    }),
    () => dashboardConfiguration,
  );

  serve(
    routes,
    get({
      path: "/overview",
      summary: "How many jobs and subtasks there are.",
      answer: answers.clusterOverview,
    }),
    async ({ env }) => clusterOverview(await jobsOf(env)),
  );

  serve(
    routes,
    get({
      path: "/datasets",
      summary: "Data sets that jobs share: there are none.",
      answer: answers.dataSets,
    }),
    () => ({ dataSets: [] }),
  );

  // ---- The one TaskManager

  serve(
    routes,
    get({
      path: "/taskmanagers",
      summary: "The deployment, as the one TaskManager there is.",
      answer: answers.taskManagers,
    }),
    async ({ env }) => ({ taskmanagers: [taskManager(await jobsOf(env), Date.now())] }),
  );

  serve(
    routes,
    get({
      path: "/taskmanagers/metrics",
      summary: "Metrics of TaskManagers, aggregated: there are none.",
      query: queries.aggregated,
      answer: answers.aggregatedMetrics,
    }),
    ({ query }) => aggregated([], query),
  );

  serve(
    routes,
    get({
      path: "/taskmanagers/:taskmanagerid",
      summary: "The deployment, as a TaskManager.",
      params: params.taskManager,
      answer: answers.taskManagerDetails,
    }),
    async ({ env, params: { taskmanagerid } }) => {
      refuseOtherThanOurs(taskmanagerid);
      return taskManagerDetails(await jobsOf(env), Date.now());
    },
  );

  serve(
    routes,
    get({
      path: "/taskmanagers/:taskmanagerid/metrics",
      summary: "Metrics of a TaskManager: there are none.",
      params: params.taskManager,
      query: queries.metrics,
      answer: answers.metrics,
    }),
    ({ params: { taskmanagerid }, query }) => {
      refuseOtherThanOurs(taskmanagerid);
      return collected(new Map(), query.get);
    },
  );

  // ---- What is empty of a TaskManager and of the JobManager alike

  for (const [base, summary, ofOne] of [
    ["/taskmanagers/:taskmanagerid", "of a TaskManager", params.taskManager],
    ["/jobmanager", "of the JobManager", undefined],
  ] as const) {
    const isOurs = (given: Readonly<Record<string, unknown>>): void => {
      if (ofOne !== undefined) refuseOtherThanOurs(String(given["taskmanagerid"]));
    };
    const own = ofOne === undefined ? {} : { params: ofOne };
    serve(
      routes,
      get({
        path: `${base}/logs`,
        summary: `Log files ${summary}: logs are Cloudflare's (wrangler tail).`,
        ...own,
        answer: answers.logList,
      }),
      ({ params: given }) => {
        isOurs(given);
        return { logs: [] };
      },
    );
    serve(
      routes,
      get({
        path: `${base}/thread-dump`,
        summary: `Threads ${summary}: there are none.`,
        ...own,
        answer: answers.threadDump,
      }),
      ({ params: given }) => {
        isOurs(given);
        return { threadInfos: [] };
      },
    );
    serve(
      routes,
      get({
        path: `${base}/profiler`,
        summary: `Profilings ${summary}: there are none.`,
        ...own,
        answer: answers.profilings,
      }),
      ({ params: given }) => {
        isOurs(given);
        return { profilingList: [] };
      },
    );
  }

  // ---- The JobManager

  serve(
    routes,
    get({
      path: "/jobmanager/config",
      summary: "What jobs have that do not say otherwise, under Flink's keys.",
      answer: answers.configuration,
    }),
    () => entriesOf(flinkConfigurationOf({ ...jobConfig(), ...(restart && { restart }) })),
  );

  serve(
    routes,
    get({
      path: "/jobmanager/environment",
      summary: "The virtual machine: there is none.",
      answer: answers.environment,
    }),
    () => noEnvironment,
  );

  serve(
    routes,
    get({
      path: "/jobmanager/metrics",
      summary: "Metrics of the deployment.",
      query: queries.metrics,
      answer: answers.metrics,
    }),
    async ({ env, query }) => collected(deploymentMetrics(await jobsOf(env)), query.get),
  );

  // ---- Prometheus

  add(
    routes,
    get({
      path: "/metrics",
      summary: "All metrics, for Prometheus.",
      answer: prometheusType,
    }),
    async (c) => {
      const jobs = await jobsOf(c.env);
      const scraped = jobs
        .filter(({ endTime }) => endTime === -1)
        .map(async (summary): Promise<Scraped> => {
          if (!isAwake(summary)) return { summary };
          const object = coordinator(c.env, summary.job);
          // One that cannot be reached shows by what is missing of it.
          const told = await Promise.all([object.details(), object.checkpoints()]).catch(() => []);
          const [details, checkpoints] = told;
          if (details === undefined || checkpoints === undefined) return { summary };
          return { summary, told: { details, checkpoints } };
        });
      const text = prometheusText(jobs, await Promise.all(scraped), Date.now());
      return c.body(text, 200, { "Content-Type": prometheusType });
    },
  );

  return routes;
}

function refuseOtherThanOurs(id: string): void {
  if (id === taskManagerId) return;
  throw new HttpError(404, `There is no TaskManager ${id}. There is: ${taskManagerId}.`);
}
