// The HTTP edge: every route at `/v1/…` and at the root, and one form for all that goes wrong.
//   H1. Nothing behind the gate runs for a caller whose token does not suffice: the gate comes first
//       for every path, known or not, and each route has its scope checked under its own path.

import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import * as z from "zod";

import { urlLengthMax } from "../format/limits.ts";
import { corsWhereListed } from "./access/cors.ts";
import { authenticate, authorise, type GuardedEnv, refuseMisconfigured } from "./access/guard.ts";
import { scopeOf } from "./access/scopes.ts";
import type { Catalog } from "./catalog.ts";
import type { Env } from "./env.ts";
import { errorResponse, HttpError } from "./errors.ts";
import { add, serve } from "./contract/endpoint.ts";
import { named } from "./contract/named.ts";
import { openApiOf } from "./contract/openapi.ts";
import { absentRoutes } from "./routes/absent.ts";
import { applicationRoutes } from "./routes/applications.ts";
import { checkpointRoutes } from "./routes/checkpoints.ts";
import { deploymentRoutes } from "./routes/deployment.ts";
import { disposalRoutes } from "./routes/disposals.ts";
import { forkRoutes } from "./routes/fork.ts";
import { jarRoutes } from "./routes/jars.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { manualCheckpointRoutes } from "./routes/manual-checkpoints.ts";
import { rescalingRoutes } from "./routes/rescaling.ts";
import { savepointEventRoutes } from "./routes/savepoint-events.ts";
import { savepointRoutes } from "./routes/savepoints.ts";
import { savepointFileRoutes } from "./routes/savepoint-files.ts";
import { snapshotRoutes } from "./routes/snapshots.ts";
import { stateRoutes } from "./routes/state.ts";
import { tableRoutes } from "./routes/tables.ts";
import { topicRoutes } from "./routes/topics.ts";
import { vertexRoutes } from "./routes/vertices.ts";

type Routes = Hono<GuardedEnv>;

/** Under which every route answers. */
const bases = ["/v1", ""] as const;

export function httpApp(catalog: Catalog): Routes {
  const app: Routes = new Hono();
  // Answers are data for programs: no browser may sniff, frame, embed or keep them.
  app.use(
    secureHeaders({
      contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
      xFrameOptions: "DENY",
      // For this host alone: what else its owner serves under it is not ours to decide.
      strictTransportSecurity: "max-age=15552000",
    }),
    async (c, next) => {
      await next();
      c.header("Cache-Control", "no-store");
    },
    corsWhereListed,
    async (c, next) => {
      if (c.req.url.length > urlLengthMax) {
        throw new HttpError(414, `The URL is longer than ${urlLengthMax} characters.`);
      }
      await next();
    },
  );
  const open = healthRoutes();
  for (const base of bases) {
    for (const { method, path, handler } of open.routes) {
      app.on(method, `${base}${path}`, handler);
    }
  }
  app.use(authenticate);
  const guarded = [
    deploymentRoutes(catalog),
    topicRoutes(catalog),
    jarRoutes(catalog),
    jobRoutes(),
    checkpointRoutes(),
    manualCheckpointRoutes(),
    savepointRoutes(),
    savepointEventRoutes(),
    disposalRoutes(),
    forkRoutes(catalog),
    snapshotRoutes(),
    savepointFileRoutes(),
    stateRoutes(),
    rescalingRoutes(),
    vertexRoutes(),
    tableRoutes(catalog),
    applicationRoutes(),
    absentRoutes(),
  ];
  guarded.push(documentRoutes([open, ...guarded]));
  for (const base of bases) {
    for (const routes of guarded) addGuarded(app, base, routes);
  }
  refuseOtherMethods(app);
  app.notFound((c) => c.json({ errors: [`Not found: ${c.req.path}`] }, 404));
  app.onError(errorResponse);
  return app;
}

function healthRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  const answer = named("Health", z.object({ status: z.literal("ok") }));
  serve(
    routes,
    { method: "get", path: "/healthz", summary: "Whether the deployment answers.", answer },
    async ({ env }) => {
      await refuseMisconfigured(env);
      return { status: "ok" } as const;
    },
  );
  return routes;
}

/** `/openapi.json`, which describes `others` and itself. */
function documentRoutes(others: readonly Pick<Hono, "routes">[]): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  let document: object | undefined;
  add(
    routes,
    {
      method: "get",
      path: "/openapi.json",
      summary: "This document.",
      answer: "application/json",
    },
    (c) => c.json((document ??= openApiOf([...others, routes].flatMap((one) => one.routes)))),
  );
  return routes;
}

/** Adds `routes`, each behind the check of its scope (H1). */
function addGuarded(app: Routes, base: string, { routes }: Pick<Hono, "routes">): void {
  for (const { method, path, handler } of routes) {
    if (method === "ALL") {
      throw new Error(`${path} takes all methods, so it can have no scope; name its methods.`);
    }
    const scope = scopeOf(method, path);
    if (scope === "open")
      throw new Error(`${method} ${path} asks for no token; it is not guarded.`);
    app.on(method, `${base}${path}`, authorise(scope), handler);
  }
}

/** 405 for every path under a method it has no route for. Call it when all have theirs. */
function refuseOtherMethods(app: Routes): void {
  const named = app.routes.filter(({ method }) => method !== "ALL");
  for (const [path, routes] of Map.groupBy(named, (route) => route.path)) {
    const methods = new Set(routes.map((route) => route.method));
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods].sort().join(", ");
    app.all(path, (c) => {
      throw new HttpError(405, `${c.req.method} is not allowed here. Allowed: ${allow}.`, {
        Allow: allow,
      });
    });
  }
}
