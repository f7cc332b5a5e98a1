// The HTTP edge: every route at `/v1/…` and at the root, and one form for all that goes wrong.

import { Hono } from "hono";

import type { Catalog } from "./catalog.ts";
import type { Env } from "./env.ts";
import { errorResponse, HttpError } from "./errors.ts";
import { jarRoutes } from "./routes/jars.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { tableRoutes } from "./routes/tables.ts";
import { topicRoutes } from "./routes/topics.ts";

type Routes = Hono<{ Bindings: Env }>;

export function httpApp(catalog: Catalog): Routes {
  const api: Routes = new Hono();
  api.get("/healthz", (c) => c.json({ status: "ok" }));
  for (const routes of [topicRoutes, jarRoutes, jobRoutes, tableRoutes])
    api.route("/", routes(catalog));
  refuseOtherMethods(api);

  const app: Routes = new Hono();
  app.route("/v1", api);
  app.route("/", api);
  app.notFound((c) => c.json({ errors: [`Not found: ${c.req.path}`] }, 404));
  app.onError(errorResponse);
  return app;
}

/** 405 for every path of `api` under a method it has no route for. Call it when all have theirs. */
function refuseOtherMethods(api: Routes): void {
  for (const [path, routes] of Map.groupBy(api.routes, (route) => route.path)) {
    const methods = new Set(routes.map((route) => route.method));
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods].sort().join(", ");
    api.all(path, (c) => {
      throw new HttpError(405, `${c.req.method} is not allowed here. Allowed: ${allow}.`, {
        Allow: allow,
      });
    });
  }
}
