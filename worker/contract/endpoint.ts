// A route and what is said of it: one schema each for its path, query, body and answer. From them come
// the refusal of bad requests, the types of handlers and the published document (`openapi.ts`).
//   E1. What is published is what is served: the document is made from the routes themselves, each
//       of which carries its endpoint.
//   E2. An answer has the type of its schema. That it has it at run time too is for the tests to say:
//       production does not pay for checking what the compiler has checked.
//   E3. As in Flink, query parameters that a route does not know are ignored.

import type { Context, Handler, Hono } from "hono";
import * as z from "zod";

import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";

type Method = "get" | "post" | "put" | "patch" | "delete";

/** What is said of one route. */
export interface Endpoint {
  readonly method: Method;
  /** As Hono writes it: `/jobs/:jobid`. */
  readonly path: string;
  readonly summary: string;
  /** Of parameters in the path that have a form of their own; the others are texts. */
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Of a body in JSON, or its content type where it is none. */
  readonly body?: z.ZodType | string;
  /** 200 where absent. */
  readonly status?: 200 | 202;
  /** Of a body in JSON, or its content type where it is none; absent: the route has no success. */
  readonly answer?: z.ZodType | string;
}

type Asked<Schema> = Schema extends z.ZodType ? z.output<Schema> : Readonly<Record<string, never>>;
type Told<Schema> = Schema extends z.ZodType ? z.input<Schema> : never;

export interface Request<E extends Endpoint> {
  readonly params: Asked<E["params"]>;
  readonly query: Asked<E["query"]>;
  readonly env: Env;
  readonly c: Context<{ Bindings: Env }>;
}

/** Adds a route that answers in JSON, behind the check of its path and query. */
export function serve<const E extends Endpoint>(
  routes: Hono<{ Bindings: Env }>,
  endpoint: E,
  answer: (request: Request<E>) => Told<E["answer"]> | Promise<Told<E["answer"]>>,
): void {
  const { status = 200 } = endpoint;
  respond(routes, endpoint, async (request) => request.c.json(await answer(request), status));
}

/** Adds a route that writes its answer itself, behind the check of its path and query. */
export function respond<const E extends Endpoint>(
  routes: Hono<{ Bindings: Env }>,
  endpoint: E,
  answer: (request: Request<E>) => Response | Promise<Response>,
): void {
  const { params, query } = endpoint;
  add(routes, endpoint, async (c) => {
    const request = {
      params: checked("path", params, c.req.param()),
      query: checked("query", query, c.req.query()),
      env: c.env,
      c,
    };
    return answer(request as Request<E>);
  });
}

/** Adds a route that reads its request and writes its answer itself. */
export function add(
  routes: Hono<{ Bindings: Env }>,
  endpoint: Endpoint,
  handler: Handler<{ Bindings: Env }>,
): void {
  routes.on(endpoint.method.toUpperCase(), endpoint.path, Object.assign(handler, { endpoint }));
}

/** What is said of the route with this handler; undefined where nothing is. */
export const endpointOf = (handler: unknown): Endpoint | undefined =>
  (handler as { readonly endpoint?: Endpoint }).endpoint;

function checked(place: string, schema: z.ZodType | undefined, given: unknown): unknown {
  if (schema === undefined) return {};
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
  throw new HttpError(400, `Bad request, in its ${place}: ${problems.join("; ")}.`);
}
