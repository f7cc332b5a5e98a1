// The routes of a deployment against what is written about them.

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { catalogOf } from "../../worker/catalog.ts";
import { endpointOf } from "../../worker/contract/endpoint.ts";
import { openApiOf } from "../../worker/contract/openapi.ts";
import { httpApp } from "../../worker/http.ts";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const page = read("../../docs/rest-api.md");
const described = JSON.parse(read("../workerd/flink-rest-v1.json")) as {
  readonly routes: Readonly<Record<string, unknown>>;
};

const app = httpApp(catalogOf([], []));
const served = app.routes.filter(
  ({ method, path }) => method !== "ALL" && !path.startsWith("/v1/"),
);
const routes = [...new Set(served.map(({ method, path }) => `${method} ${path}`))];

describe("docs/rest-api.md", () => {
  test("has every route that is served", () => {
    expect(routes.filter((route) => !page.includes(`\`${route}\``))).toEqual([]);
  });

  test("has every route that Flink describes", () => {
    const theirs = Object.keys(described.routes).map((route) => route.replace(":jarid", ":id"));
    expect(theirs.filter((route) => !page.includes(`\`${route}\``))).toEqual([]);
  });

  test("has no route that there is not", () => {
    const rows = [...page.matchAll(/^\| `([A-Z]+ [^`]+)`/gm)].map(([, route]) => route!);
    expect(rows.length).toBeGreaterThan(80);
    expect(rows.filter((route) => !routes.includes(route))).toEqual([]);
  });
});

describe("the published document", () => {
  interface Operation {
    readonly description: string;
    readonly parameters: readonly { readonly name: string; readonly in: string }[];
    readonly requestBody?: { readonly content: Readonly<Record<string, { schema?: object }>> };
    readonly responses: Readonly<Record<string, object>>;
  }
  const document = openApiOf(served) as unknown as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  };
  const operation = (method: string, path: string): Operation => document.paths[path]![method]!;

  test("says of a route who may call it, with what, and what is answered", () => {
    const { description, parameters, responses } = operation(
      "get",
      "/jobs/{jobid}/vertices/{vertexid}/subtasks/metrics",
    );
    expect(description).toBe('Needs the scope "read".');
    expect(parameters.map(({ in: place, name }) => `${place} ${name}`)).toEqual([
      "path jobid",
      "path vertexid",
      "query get",
      "query agg",
      "query subtasks",
    ]);
    expect(responses["200"]).toMatchObject({
      content: {
        "application/json": {
          schema: { $ref: "#/components/schemas/AggregatedMetricsResponseBody" },
        },
      },
    });
  });

  test("says what a request to run may say", () => {
    const { requestBody } = operation("post", "/jars/{id}/run");
    expect(requestBody?.content["application/json"]?.schema).toMatchObject({
      additionalProperties: false,
      properties: { parallelism: { type: "integer", minimum: 1 }, jobId: { type: "string" } },
    });
  });

  test("says of no route that it succeeds which cannot", () => {
    const cannot = served.filter(({ handler }) => {
      const endpoint = endpointOf(handler);
      return endpoint !== undefined && endpoint.answer === undefined;
    });
    expect(cannot.length).toBeGreaterThan(20);
    for (const { method, path } of cannot) {
      const { responses } = operation(method.toLowerCase(), path.replaceAll(/:(\w+)/g, "{$1}"));
      expect(Object.keys(responses)).toEqual(["default"]);
    }
  });
});
