// The OpenAPI document of an application, from its routes. zod writes JSON Schema itself, and OpenAPI
// 3.1 takes that as it is, so no other library stands between a schema and what is published.

import type { RouterRoute } from "hono/types";
import * as z from "zod";

import { type Scope, scopeOf } from "../access/scopes.ts";
import { type Endpoint, endpointOf } from "./endpoint.ts";
import { errors, names } from "./named.ts";

type Json = Readonly<Record<string, unknown>>;

/** The routes that carry an endpoint, as an OpenAPI 3.1 document. */
export function openApiOf(routes: readonly Pick<RouterRoute, "handler">[]): Json {
  const endpoints = routes.flatMap(({ handler }) => endpointOf(handler) ?? []);
  const paths = Map.groupBy(endpoints, ({ path }) => path);
  return {
    openapi: "3.1.0",
    info: {
      title: "Tidemark",
      version: "v1",
      summary: "Flink's REST API, where it has a meaning here, and what is beside it.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/v1" }, { url: "/" }],
    components: {
      schemas: schemasByName(),
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
    paths: Object.fromEntries(
      [...paths].map(([path, methods]) => [
        path.replaceAll(/:(\w+)/g, "{$1}"),
        Object.fromEntries(methods.map((endpoint) => [endpoint.method, operation(endpoint)])),
      ]),
    ),
  };
}

function operation(endpoint: Endpoint): Json {
  const { method, path, summary, params, query, body, answer, status = 200 } = endpoint;
  const scope: Scope | "open" = scopeOf(method.toUpperCase(), path);
  return {
    summary,
    description: scope === "open" ? "Asks for no token." : `Needs the scope "${scope}".`,
    security: scope === "open" ? [] : [{ token: [] }],
    parameters: [...inPath(path, params), ...inQuery(query)],
    ...(body !== undefined && { requestBody: { content: contentOf(body) } }),
    responses: {
      ...(answer !== undefined && {
        [status]: { description: "It is so.", content: contentOf(answer) },
      }),
      default: { description: "It is not, and why.", content: contentOf(errors) },
    },
  };
}

function inPath(path: string, params: z.ZodObject | undefined): Json[] {
  const named = [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
  return named.map((name) => ({
    name,
    in: "path",
    required: true,
    schema: schemaOf((params?.shape[name] as z.ZodType | undefined) ?? z.string()),
  }));
}

const inQuery = (query: z.ZodObject | undefined): Json[] =>
  Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: schemaOf(schema as z.ZodType),
  }));

const contentOf = (body: z.ZodType | string): Json =>
  typeof body === "string" ? { [body]: {} } : { "application/json": { schema: schemaOf(body) } };

const referenceTo = (name: string): string => `#/components/schemas/${name}`;

/** What is said on the wire, before any reading of it: a text of numbers is a text. */
function schemaOf(schema: z.ZodType): Json {
  const name = names.get(schema)?.id;
  if (name !== undefined) return { $ref: referenceTo(name) };
  const { $schema: _, ...written } = z.toJSONSchema(schema, { io: "input" });
  return written;
}

function schemasByName(): Json {
  const { schemas } = z.toJSONSchema(names, { io: "input", uri: referenceTo });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const { $schema: _schema, $id: _id, ...written } = schema;
      return [name, written];
    }),
  );
}
