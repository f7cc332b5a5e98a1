// Applications, as Flink's dashboard lists jobs from 2.3 on: here each is one job.

import { Hono } from "hono";

import { flinkConfigurationOf } from "../../stream/config.ts";
import { serve } from "../contract/endpoint.ts";
import { answers, params } from "../contract/flink-schemas.ts";
import { dispatcher, type Env } from "../env.ts";
import {
  applicationDetails,
  applicationExceptions,
  applicationOverview,
} from "../flink/applications.ts";
import { entriesOf } from "../flink/deployment.ts";
import { cancelled, detailsOf } from "./jobs.ts";

export function applicationRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/applications/overview",
      summary: "All jobs, as applications, newest first.",
      answer: answers.applications,
    },
    async ({ env }) => {
      const jobs = await dispatcher(env).list();
      const now = Date.now();
      return { applications: jobs.map((summary) => applicationOverview(summary, now)) };
    },
  );

  serve(
    routes,
    {
      method: "get",
      path: "/applications/:applicationid",
      summary: "A job, as an application.",
      params: params.application,
      answer: answers.applicationDetails,
    },
    async ({ env, params: { applicationid } }) =>
      applicationDetails(await detailsOf(env, applicationid), Date.now()),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/applications/:applicationid/exceptions",
      summary: "Failures of a job, as those of an application.",
      params: params.application,
      answer: answers.applicationExceptions,
    },
    async ({ env, params: { applicationid } }) =>
      applicationExceptions(await detailsOf(env, applicationid)),
  );

  serve(
    routes,
    {
      method: "get",
      path: "/applications/:applicationid/jobmanager/config",
      summary: "What a job is configured with, under Flink's keys.",
      params: params.application,
      answer: answers.configuration,
    },
    async ({ env, params: { applicationid } }) =>
      entriesOf(flinkConfigurationOf((await detailsOf(env, applicationid)).config)),
  );

  serve(
    routes,
    {
      method: "post",
      path: "/applications/:applicationid/cancel",
      summary: "Cancels a job, as an application.",
      params: params.application,
      status: 202,
      answer: answers.nothing,
    },
    ({ env, params: { applicationid } }) => cancelled(env, applicationid),
  );

  return routes;
}
