// Routes of Flink's that have no meaning here. They answer with what Flink says where there is
// nothing (404), or that this cannot be had (501), and why; all are in `docs/rest-api.md`.

import { Hono } from "hono";

import { add } from "../contract/endpoint.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";

const noJars =
  'Programs come with the deployment: list them in tidemark({ jobs }) and run "wrangler deploy".';
const noJava =
  "What is submitted is a program of this deployment, by POST /jars/:id/run; a serialised Java graph cannot run here.";
const noRescales = "All that is recorded of rescales is in GET /jobs/:jobid/rescales/history.";
/** Word for word: Flink's dashboard is silent about this one. */
const noFile = "File not found.";

const absent: readonly [route: string, status: 404 | 501, reason: string][] = [
  [
    "delete /cluster",
    501,
    'There is no cluster to shut down: "wrangler delete" ends a deployment.',
  ],
  ["delete /datasets/:datasetid", 404, "There are no data sets."],
  ["get /datasets/delete/:triggerid", 404, "There are no data sets."],
  ["post /jars/upload", 501, noJars],
  ["delete /jars/:id", 501, noJars],
  ["post /jars/:id/run-application", 501, "Use POST /jars/:id/run; each run is an application."],
  ["post /jobs", 501, noJava],
  [
    "patch /jobs/:jobid/clientHeartbeat",
    501,
    "A job does not end with the client that started it; cancel it by PATCH /jobs/:jobid.",
  ],
  ["get /jobs/:jobid/jobmanager/log-url", 404, 'Logs are Cloudflare\'s: "wrangler tail".'],
  [
    "get /jobs/:jobid/taskmanagers/:taskmanagerid/log-url",
    404,
    'Logs are Cloudflare\'s: "wrangler tail".',
  ],
  ["get /jobs/:jobid/rescales/config", 404, noRescales],
  ["get /jobs/:jobid/rescales/details/:rescaleuuid", 404, noRescales],
  ["get /jobs/:jobid/rescales/overview", 404, noRescales],
  ["get /jobs/:jobid/rescales/summary", 404, noRescales],
  [
    "patch /jobs/:jobid/rescaling",
    501,
    "Rescaling in place is disabled in Flink, too (FLINK-12312).",
  ],
  ["get /jobs/:jobid/rescaling/:triggerid", 404, "No rescaling was triggered."],
  ["get /jobmanager/log", 404, noFile],
  ["get /jobmanager/stdout", 404, noFile],
  ["get /jobmanager/logs/:file", 404, noFile],
  ["get /taskmanagers/:taskmanagerid/log", 404, noFile],
  ["get /taskmanagers/:taskmanagerid/stdout", 404, noFile],
  ["get /taskmanagers/:taskmanagerid/logs/:file", 404, noFile],
];

export function absentRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  for (const [route, status, reason] of absent) {
    const [method, path] = route.split(" ") as ["get" | "post" | "patch" | "delete", string];
    add(routes, { method, path, summary: `Not here. ${reason}` }, () => {
      throw new HttpError(status, reason);
    });
  }
  return routes;
}
