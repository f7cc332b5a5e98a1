// Programs, which Flink's clients know as jars: `GET /jars`, `/jars/:id/plan`, `POST /jars/:id/run`.

import { type Context, Hono } from "hono";
import * as z from "zod";

import { jobIdFrom } from "../../format/ids.ts";
import { KiB } from "../../format/limits.ts";
import { bodyOf } from "../body.ts";
import { type Catalog, known } from "../catalog.ts";
import { serve } from "../contract/endpoint.ts";
import { answers } from "../contract/flink-schemas.ts";
import type { Env } from "../env.ts";
import { planInfo } from "../flink-json.ts";
import { graphWith } from "../program-arguments.ts";
import { runBody, runRequestOf } from "../run-request.ts";
import { planFor, type Start, started } from "../start.ts";

const runBodyBytesMax = 64 * KiB;
const jarParams = z.object({ id: z.string() });

export function jarRoutes(catalog: Catalog): Hono<{ Bindings: Env }> {
  const { programs } = catalog;
  const routes = new Hono<{ Bindings: Env }>();

  serve(
    routes,
    {
      method: "get",
      path: "/jars",
      summary: "The programs of the deployment, as jars.",
      answer: answers.jars,
    },
    ({ c }) => ({
      address: new URL(c.req.url).origin,
      files: [...programs.keys()].sort().map((name) => ({
        id: name,
        name,
        // Programs come with the deployment; when that was is not known to it.
        uploaded: 0,
        entry: [{ name, description: null }],
      })),
    }),
  );

  /** What a request to run asks for, once nothing is wrong with its words. */
  const requestOf = async (c: Context<{ Bindings: Env }>, id: string): Promise<Start> => {
    const program = known("program", programs, id);
    const body = await bodyOf(c.req.raw, { bytesMax: runBodyBytesMax });
    const request = runRequestOf(program.name, new TextDecoder().decode(body), c.req.query());
    const job = request.jobId ?? jobIdFrom(crypto.getRandomValues(new Uint8Array(16)));
    const { restore: origin, programArgs } = request;
    const graph = graphWith(program, programArgs, catalog);
    return { job, graph, base: graph.config, request, ...(origin && { origin }) };
  };

  // Flink's file says POST, its dashboard says GET.
  for (const method of ["get", "post"] as const) {
    const endpoint = {
      method,
      path: "/jars/:id/plan",
      params: jarParams,
      summary: "The plan of a program under such a request, which starts nothing.",
      ...(method === "post" && { body: runBody }),
      answer: answers.plan,
    } as const;
    serve(routes, endpoint, async ({ c, params: { id } }) => {
      const start = await requestOf(c, id);
      return { plan: planInfo(start.job, await planFor(c.env, catalog, start)) };
    });
  }

  const run = {
    method: "post",
    path: "/jars/:id/run",
    params: jarParams,
    summary: "Starts a job. The same jobId is the same job, however often it is sent.",
    body: runBody,
    answer: answers.run,
  } as const;
  serve(routes, run, async ({ c, params: { id } }) => {
    const start = await requestOf(c, id);
    await started(c.env, catalog, start);
    return { jobid: start.job, applicationId: start.job };
  });

  return routes;
}
