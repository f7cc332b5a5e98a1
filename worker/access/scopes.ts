// Who may call which route. The only place where that is said.
//   A1. A route that is not listed needs `admin`: forgetting one closes it.
//   A2. `admin` suffices everywhere; no other scope implies another.
//   A3. A grant for some topics suffices only where the route names one of them, whichever route.

/** What a token may be good for. */
export const scopes = ["admin", "ingest", "read"] as const;
export type Scope = (typeof scopes)[number];

/** What a caller may do. `topics` limits `ingest`; absent, it means all of them. */
export interface Grant {
  readonly scope: Scope;
  readonly topics?: ReadonlySet<string>;
}

const vertex = "GET /jobs/:jobid/vertices/:vertexid";

/** By method and path as the routes declare them; `open` asks for no token. */
const needs: ReadonlyMap<string, Scope | "open"> = new Map([
  ["GET /healthz", "open"],

  ["GET /openapi.json", "read"],
  ["GET /metrics", "read"],

  ["GET /topics", "read"],
  ["GET /topics/:topic", "read"],
  ["POST /topics/:topic/records", "ingest"],

  ["GET /jars", "read"],
  ["GET /jars/:id/plan", "read"],
  ["POST /jars/:id/plan", "read"],
  ["POST /jars/:id/run", "admin"],

  ["GET /config", "read"],
  ["GET /overview", "read"],
  ["GET /datasets", "read"],
  ["GET /datasets/delete/:triggerid", "read"],

  ["GET /taskmanagers", "read"],
  ["GET /taskmanagers/metrics", "read"],
  ["GET /taskmanagers/:taskmanagerid", "read"],
  ["GET /taskmanagers/:taskmanagerid/metrics", "read"],
  ["GET /taskmanagers/:taskmanagerid/log", "read"],
  ["GET /taskmanagers/:taskmanagerid/logs", "read"],
  ["GET /taskmanagers/:taskmanagerid/logs/:file", "read"],
  ["GET /taskmanagers/:taskmanagerid/stdout", "read"],
  ["GET /taskmanagers/:taskmanagerid/thread-dump", "read"],
  ["GET /taskmanagers/:taskmanagerid/profiler", "read"],

  ["GET /jobmanager/config", "read"],
  ["GET /jobmanager/environment", "read"],
  ["GET /jobmanager/metrics", "read"],
  ["GET /jobmanager/log", "read"],
  ["GET /jobmanager/logs", "read"],
  ["GET /jobmanager/logs/:file", "read"],
  ["GET /jobmanager/stdout", "read"],
  ["GET /jobmanager/thread-dump", "read"],
  ["GET /jobmanager/profiler", "read"],

  ["GET /applications/overview", "read"],
  ["GET /applications/:applicationid", "read"],
  ["POST /applications/:applicationid/cancel", "admin"],
  ["GET /applications/:applicationid/exceptions", "read"],
  ["GET /applications/:applicationid/jobmanager/config", "read"],

  ["GET /jobs", "read"],
  ["GET /jobs/overview", "read"],
  ["GET /jobs/metrics", "read"],
  ["GET /jobs/:jobid", "read"],
  ["PATCH /jobs/:jobid", "admin"],
  // A GET that changes something.
  ["GET /jobs/:jobid/yarn-cancel", "admin"],
  ["GET /jobs/:jobid/status", "read"],
  ["GET /jobs/:jobid/execution-result", "read"],
  ["GET /jobs/:jobid/plan", "read"],
  ["GET /jobs/:jobid/config", "read"],
  ["GET /jobs/:jobid/exceptions", "read"],
  ["GET /jobs/:jobid/accumulators", "read"],
  ["GET /jobs/:jobid/metrics", "read"],
  ["GET /jobs/:jobid/resource-requirements", "read"],
  ["PUT /jobs/:jobid/resource-requirements", "admin"],
  ["GET /jobs/:jobid/jobmanager/config", "read"],
  ["GET /jobs/:jobid/jobmanager/environment", "read"],
  ["GET /jobs/:jobid/jobmanager/log-url", "read"],
  ["GET /jobs/:jobid/taskmanagers/:taskmanagerid/log-url", "read"],
  ["GET /jobs/:jobid/rescales/config", "read"],
  ["GET /jobs/:jobid/rescales/details/:rescaleuuid", "read"],
  ["GET /jobs/:jobid/rescales/history", "read"],
  ["GET /jobs/:jobid/rescales/overview", "read"],
  ["GET /jobs/:jobid/rescales/summary", "read"],
  ["GET /jobs/:jobid/rescaling/:triggerid", "read"],

  ["GET /jobs/:jobid/checkpoints", "read"],
  ["POST /jobs/:jobid/checkpoints", "admin"],
  ["GET /jobs/:jobid/checkpoints/config", "read"],
  ["GET /jobs/:jobid/checkpoints/:triggerid", "read"],
  ["GET /jobs/:jobid/checkpoints/details/:checkpointid", "read"],
  ["GET /jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid", "read"],

  ["POST /jobs/:jobid/savepoints", "admin"],
  ["GET /jobs/:jobid/savepoints/:triggerid", "read"],
  ["GET /jobs/:jobid/savepoints/:triggerid/events", "read"],
  ["POST /jobs/:jobid/stop", "admin"],
  ["POST /jobs/:jobid/fork", "admin"],
  ["POST /savepoint-disposal", "admin"],
  ["GET /savepoint-disposal/:triggerid", "read"],

  ["GET /savepoints", "read"],
  ["GET /savepoints/:id", "read"],
  ["GET /savepoints/:id/entries", "read"],
  ["GET /savepoints/:id/verification", "read"],
  ["POST /savepoints", "admin"],
  ["GET /jobs/:jobid/state", "read"],
  ["GET /jobs/:jobid/state/:uid", "read"],
  ["GET /jobs/:jobid/state/:uid/:state", "read"],
  ["GET /jobs/:jobid/state/:uid/:state/:key", "read"],

  [vertex, "read"],
  [`${vertex}/accumulators`, "read"],
  [`${vertex}/backpressure`, "read"],
  [`${vertex}/flamegraph`, "read"],
  [`${vertex}/jm-operator-metrics`, "read"],
  [`${vertex}/metrics`, "read"],
  [`${vertex}/subtasks/accumulators`, "read"],
  [`${vertex}/subtasks/metrics`, "read"],
  [`${vertex}/subtasks/:subtaskindex`, "read"],
  [`${vertex}/subtasks/:subtaskindex/metrics`, "read"],
  [`${vertex}/subtasks/:subtaskindex/attempts/:attempt`, "read"],
  [`${vertex}/subtasks/:subtaskindex/attempts/:attempt/accumulators`, "read"],
  [`${vertex}/subtasktimes`, "read"],
  [`${vertex}/taskmanagers`, "read"],
  [`${vertex}/watermarks`, "read"],

  ["GET /jobs/:jobid/tables/:table", "read"],
  ["GET /jobs/:jobid/tables/:table/:key", "read"],
]);

/** The scope that a call of the route needs (A1). */
export const scopeOf = (method: string, path: string): Scope | "open" =>
  needs.get(`${method} ${path}`) ?? "admin";

/** Whether a caller with `grants` may do what needs `scope`, on `topic` where the route has one. */
export const suffices = (
  grants: readonly Grant[],
  scope: Scope,
  topic: string | undefined,
): boolean =>
  grants.some(
    (grant) =>
      grant.scope === "admin" ||
      (grant.scope === scope &&
        (grant.topics === undefined || (topic !== undefined && grant.topics.has(topic)))),
  );
