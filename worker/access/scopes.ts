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

/** By method and path as the routes declare them; `open` asks for no token. */
const needs: ReadonlyMap<string, Scope | "open"> = new Map([
  ["GET /healthz", "open"],

  ["GET /topics", "read"],
  ["GET /topics/:topic", "read"],
  ["POST /topics/:topic/records", "ingest"],

  ["GET /jars", "read"],
  ["POST /jars/:id/run", "admin"],

  ["GET /jobs", "read"],
  ["GET /jobs/overview", "read"],
  ["GET /jobs/:jobid", "read"],
  ["PATCH /jobs/:jobid", "admin"],
  ["GET /jobs/:jobid/exceptions", "read"],
  ["GET /jobs/:jobid/checkpoints", "read"],
  ["POST /jobs/:jobid/savepoints", "admin"],
  ["GET /jobs/:jobid/savepoints/:triggerid", "read"],
  ["POST /jobs/:jobid/stop", "admin"],
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
