// Who may do what: every route of the Worker, as anybody and with each kind of token.

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { urlLengthMax } from "../../format/limits.ts";
import { sha256 } from "../../worker/access/tokens.ts";
import { catalogOf } from "../../worker/catalog.ts";
import type { Env } from "../../worker/env.ts";
import { httpApp } from "../../worker/http.ts";
import { keyed, programs } from "./programs.ts";

const app = httpApp(catalogOf(programs, [keyed]));

const token = (letter: string) => `${letter.repeat(31)}.${letter.repeat(16)}==`;
const admin = token("A");
const read = token("r");
const ingest = token("i");
const ingestKeyed = token("k");
const ingestOther = token("o");
const stranger = token("s");
const hashed = token("h");

const secrets = {
  TIDEMARK_TOKENS: `# by hand\nadmin ${admin}\r\n\n  read   ${read}\ningest ${ingest}\n`,
  TIDEMARK_TOKENS_PRODUCERS: `ingest:flights,keyed ${ingestKeyed}; ingest:flights ${ingestOther}`,
};

type Bindings = Partial<Record<keyof typeof secrets, string>> & Partial<Env>;

/** The bindings of a deployment: those of the test, without what makes it a local one. */
const deployed = (bindings: Bindings): Env => {
  const { TIDEMARK_LOCAL: _, ...rest } = env as unknown as Env;
  return { ...rest, ...bindings };
};
const withTokens = deployed(secrets);

/** What went out or was written down: the place to look for what should not be there. */
const told: string[] = [];
beforeEach(() => {
  for (const level of ["debug", "error", "info", "log", "warn"] as const) {
    vi.spyOn(console, level).mockImplementation((...all: unknown[]) => {
      told.push(...all.map((one) => (one instanceof Error ? `${one.stack}` : String(one))));
    });
  }
});
function noTokenWasTold(): void {
  const all = told.splice(0).join("\n");
  for (const secret of [admin, read, ingest, ingestKeyed, ingestOther, stranger, hashed]) {
    expect(all).not.toContain(secret);
  }
}
afterEach(() => {
  vi.restoreAllMocks();
  noTokenWasTold();
});

interface Asked extends RequestInit {
  readonly bindings?: Env;
  readonly bearer?: string | undefined;
  readonly origin?: string;
}

async function ask(path: string, asked: Asked = {}) {
  const { bindings = withTokens, bearer, origin = "https://tidemark.example.com", ...init } = asked;
  const headers = new Headers(init.headers);
  if (bearer !== undefined) headers.set("Authorization", `Bearer ${bearer}`);
  const request = new Request(`${origin}${path}`, { ...init, headers });
  const response = await app.fetch(request, bindings, createExecutionContext());
  const text = await response.text();
  told.push(text, JSON.stringify([...response.headers]));
  return { status: response.status, headers: response.headers, text };
}

const errorsOf = ({ text }: { text: string }) =>
  (JSON.parse(text) as { readonly errors: readonly string[] }).errors;

const routes = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path}`),
  ),
].filter((route) => !route.includes(" /v1/"));

const vertex = "GET /jobs/:jobid/vertices/:vertexid";

/** Which of the tokens below a route lets in. A route that is missing here fails the test. */
const who: Readonly<Record<string, readonly string[] | "everyone">> = {
  "GET /healthz": "everyone",
  "POST /topics/:topic/records": ["admin", "ingest", "ingest of this topic"],
  "POST /jars/:id/run": ["admin"],
  "POST /jars/:id/run-application": ["admin"],
  "POST /jars/upload": ["admin"],
  "DELETE /jars/:id": ["admin"],
  "POST /jobs": ["admin"],
  "PATCH /jobs/:jobid": ["admin"],
  "GET /jobs/:jobid/yarn-cancel": ["admin"],
  "PATCH /jobs/:jobid/clientHeartbeat": ["admin"],
  "PATCH /jobs/:jobid/rescaling": ["admin"],
  "POST /applications/:applicationid/cancel": ["admin"],
  "DELETE /datasets/:datasetid": ["admin"],
  "DELETE /cluster": ["admin"],
  "GET /openapi.json": ["admin", "read"],
  "GET /metrics": ["admin", "read"],
  "GET /topics": ["admin", "read"],
  "GET /topics/:topic": ["admin", "read"],
  "GET /jars": ["admin", "read"],
  "GET /jars/:id/plan": ["admin", "read"],
  "POST /jars/:id/plan": ["admin", "read"],
  "GET /config": ["admin", "read"],
  "GET /overview": ["admin", "read"],
  "GET /datasets": ["admin", "read"],
  "GET /datasets/delete/:triggerid": ["admin", "read"],
  "GET /taskmanagers": ["admin", "read"],
  "GET /taskmanagers/metrics": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/metrics": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/log": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/logs": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/logs/:file": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/stdout": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/thread-dump": ["admin", "read"],
  "GET /taskmanagers/:taskmanagerid/profiler": ["admin", "read"],
  "GET /jobmanager/config": ["admin", "read"],
  "GET /jobmanager/environment": ["admin", "read"],
  "GET /jobmanager/metrics": ["admin", "read"],
  "GET /jobmanager/log": ["admin", "read"],
  "GET /jobmanager/logs": ["admin", "read"],
  "GET /jobmanager/logs/:file": ["admin", "read"],
  "GET /jobmanager/stdout": ["admin", "read"],
  "GET /jobmanager/thread-dump": ["admin", "read"],
  "GET /jobmanager/profiler": ["admin", "read"],
  "GET /applications/overview": ["admin", "read"],
  "GET /applications/:applicationid": ["admin", "read"],
  "GET /applications/:applicationid/exceptions": ["admin", "read"],
  "GET /applications/:applicationid/jobmanager/config": ["admin", "read"],
  "GET /jobs": ["admin", "read"],
  "GET /jobs/overview": ["admin", "read"],
  "GET /jobs/metrics": ["admin", "read"],
  "GET /jobs/:jobid": ["admin", "read"],
  "GET /jobs/:jobid/status": ["admin", "read"],
  "GET /jobs/:jobid/execution-result": ["admin", "read"],
  "GET /jobs/:jobid/plan": ["admin", "read"],
  "GET /jobs/:jobid/config": ["admin", "read"],
  "GET /jobs/:jobid/exceptions": ["admin", "read"],
  "GET /jobs/:jobid/accumulators": ["admin", "read"],
  "GET /jobs/:jobid/metrics": ["admin", "read"],
  "GET /jobs/:jobid/resource-requirements": ["admin", "read"],
  "PUT /jobs/:jobid/resource-requirements": ["admin"],
  "GET /jobs/:jobid/jobmanager/config": ["admin", "read"],
  "GET /jobs/:jobid/jobmanager/environment": ["admin", "read"],
  "GET /jobs/:jobid/jobmanager/log-url": ["admin", "read"],
  "GET /jobs/:jobid/taskmanagers/:taskmanagerid/log-url": ["admin", "read"],
  "GET /jobs/:jobid/rescales/config": ["admin", "read"],
  "GET /jobs/:jobid/rescales/details/:rescaleuuid": ["admin", "read"],
  "GET /jobs/:jobid/rescales/history": ["admin", "read"],
  "GET /jobs/:jobid/rescales/overview": ["admin", "read"],
  "GET /jobs/:jobid/rescales/summary": ["admin", "read"],
  "GET /jobs/:jobid/rescaling/:triggerid": ["admin", "read"],
  "GET /jobs/:jobid/checkpoints": ["admin", "read"],
  "GET /jobs/:jobid/checkpoints/config": ["admin", "read"],
  "GET /jobs/:jobid/checkpoints/details/:checkpointid": ["admin", "read"],
  "GET /jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid": ["admin", "read"],
  "POST /jobs/:jobid/savepoints": ["admin"],
  "GET /jobs/:jobid/savepoints/:triggerid": ["admin", "read"],
  "POST /jobs/:jobid/checkpoints": ["admin"],
  "GET /jobs/:jobid/checkpoints/:triggerid": ["admin", "read"],
  "GET /jobs/:jobid/savepoints/:triggerid/events": ["admin", "read"],
  "POST /jobs/:jobid/stop": ["admin"],
  "POST /jobs/:jobid/fork": ["admin"],
  "POST /savepoint-disposal": ["admin"],
  "GET /savepoint-disposal/:triggerid": ["admin", "read"],
  "GET /savepoints": ["admin", "read"],
  "GET /savepoints/:id": ["admin", "read"],
  "GET /savepoints/:id/entries": ["admin", "read"],
  "GET /savepoints/:id/verification": ["admin", "read"],
  "POST /savepoints": ["admin"],
  "GET /jobs/:jobid/state": ["admin", "read"],
  "GET /jobs/:jobid/state/:uid": ["admin", "read"],
  "GET /jobs/:jobid/state/:uid/:state": ["admin", "read"],
  "GET /jobs/:jobid/state/:uid/:state/:key": ["admin", "read"],
  [vertex]: ["admin", "read"],
  [`${vertex}/accumulators`]: ["admin", "read"],
  [`${vertex}/backpressure`]: ["admin", "read"],
  [`${vertex}/flamegraph`]: ["admin", "read"],
  [`${vertex}/jm-operator-metrics`]: ["admin", "read"],
  [`${vertex}/metrics`]: ["admin", "read"],
  [`${vertex}/subtasks/accumulators`]: ["admin", "read"],
  [`${vertex}/subtasks/metrics`]: ["admin", "read"],
  [`${vertex}/subtasks/:subtaskindex`]: ["admin", "read"],
  [`${vertex}/subtasks/:subtaskindex/metrics`]: ["admin", "read"],
  [`${vertex}/subtasks/:subtaskindex/attempts/:attempt`]: ["admin", "read"],
  [`${vertex}/subtasks/:subtaskindex/attempts/:attempt/accumulators`]: ["admin", "read"],
  [`${vertex}/subtasktimes`]: ["admin", "read"],
  [`${vertex}/taskmanagers`]: ["admin", "read"],
  [`${vertex}/watermarks`]: ["admin", "read"],
  "GET /jobs/:jobid/tables/:table": ["admin", "read"],
  "GET /jobs/:jobid/tables/:table/:key": ["admin", "read"],
};

const callers: Readonly<Record<string, string | undefined>> = {
  "no token": undefined,
  "a wrong token": stranger,
  admin,
  read,
  ingest,
  "ingest of this topic": ingestKeyed,
  "ingest of another topic": ingestOther,
};

const nobody = "00".repeat(16);
const pathOf = (route: string) =>
  route
    .replace(/^[A-Z]+ /, "")
    .replace(":topic", "keyed")
    .replace(/:(?:jobid|vertexid|applicationid|triggerid|taskmanagerid)/g, nobody)
    .replace(/:(?:subtaskindex|attempt|checkpointid)/g, "0")
    .replaceAll(/:\w+/g, "none");

describe("each route", () => {
  test("is known to this test, at the root and under /v1", () => {
    expect(routes.toSorted()).toEqual(Object.keys(who).toSorted());
    const versioned = app.routes.filter(({ path }) => path.startsWith("/v1/"));
    expect(new Set(versioned.map(({ path }) => path.replace("/v1", "")))).toEqual(
      new Set(routes.map((route) => route.replace(/^[A-Z]+ /, ""))),
    );
  });

  describe.each(routes)("%s", (route) => {
    test.each(Object.keys(callers))("with %s", async (caller) => {
      const method = route.split(" ", 1)[0]!;
      const allowed = who[route]!;
      for (const base of ["", "/v1"]) {
        const answer = await ask(`${base}${pathOf(route)}`, {
          method,
          bearer: callers[caller],
          ...(method === "POST" && { body: "" }),
        });
        if (allowed === "everyone" || allowed.includes(caller)) {
          expect([200, 400, 404, 501]).toContain(answer.status);
          continue;
        }
        const isKnown = caller !== "no token" && caller !== "a wrong token";
        expect(answer.status).toBe(isKnown ? 403 : 401);
        expect(answer.headers.get("WWW-Authenticate")).toMatch(/^Bearer realm="tidemark"/);
        const [error = ""] = errorsOf(answer);
        expect(error).toMatch(isKnown ? /scope "(admin|read|ingest)".*or "admin"/ : /token/);
      }
    });
  });

  test("is closed with 503 where no token is configured, and says which secret to set", async () => {
    for (const route of routes) {
      const method = route.split(" ", 1)[0]!;
      for (const bearer of [undefined, stranger]) {
        const answer = await ask(pathOf(route), { method, bearer, bindings: deployed({}) });
        if (who[route] === "everyone") {
          expect(answer).toMatchObject({ status: 200, text: '{"status":"ok"}' });
        } else {
          expect(answer.status).toBe(503);
          expect(errorsOf(answer)[0]).toMatch(/wrangler secret put TIDEMARK_TOKENS/);
        }
      }
    }
  });
});

describe("what is no route", () => {
  test.each(["/", "/nothing", "/v2/jobs", "/jobs/", "/healthz/", "/v1"])("%s", async (path) => {
    expect((await ask(path)).status).toBe(401);
    expect((await ask(path, { bearer: stranger })).status).toBe(401);
    expect((await ask(path, { bearer: read })).status).toBe(404);
  });

  test("a method that a path does not have", async () => {
    expect((await ask("/jobs", { method: "DELETE" })).status).toBe(401);
    expect((await ask("/jobs", { method: "OPTIONS" })).status).toBe(401);
    const answer = await ask("/v1/jobs", { method: "DELETE", bearer: read });
    expect(answer.status).toBe(405);
    expect(answer.headers.get("Allow")).toBe("GET, HEAD, POST");
  });
});

describe("a token", () => {
  const status = async (authorization: string, bindings = withTokens) =>
    (await ask("/jobs", { headers: { Authorization: authorization }, bindings })).status;

  test("is taken in an Authorization header only, whatever the case of its scheme", async () => {
    expect(await status(`Bearer ${read}`)).toBe(200);
    expect(await status(`bearer  ${read} `)).toBe(200);
    for (const wrong of [
      "Bearer",
      read,
      `Basic ${read}`,
      `Bearer ${read},`,
      `Bearer ${read}, Bearer ${read}`,
      `Bearer ${read} ${read}`,
      `Bearer ${read.slice(0, -1)}`,
      `Bearer ${read}=`,
      `Bearer ${read.toUpperCase()}`,
      `Bearer sha256:${(await sha256(read)).toHex()}`,
    ]) {
      expect(await status(wrong), `${wrong.replaceAll(read, "…")}`).toBe(401);
    }
    expect((await ask(`/jobs?access_token=${"x".repeat(40)}`)).status).toBe(401);
  });

  test("may be configured by its hash", async () => {
    const digest = (await sha256(hashed)).toHex();
    for (const text of [digest, digest.toUpperCase()]) {
      const bindings = deployed({ TIDEMARK_TOKENS: `read sha256:${text}` });
      expect(await status(`Bearer ${hashed}`, bindings)).toBe(200);
      expect(await status(`Bearer ${digest}`, bindings)).toBe(401);
    }
  });

  test("may have several scopes, and all secrets count", async () => {
    const bindings = deployed({
      TIDEMARK_TOKENS: `read ${read}`,
      TIDEMARK_TOKENS_PRODUCERS: `ingest:keyed ${read}`,
    });
    expect(await status(`Bearer ${read}`, bindings)).toBe(200);
    const post = (path: string) => ask(path, { method: "POST", body: "", bearer: read, bindings });
    expect((await post("/topics/keyed/records")).status).toBe(400);
    expect((await post("/topics/events/records")).status).toBe(403);
  });

  test("of one topic is not fooled by how the path is written", async () => {
    const post = (topic: string) =>
      ask(`/topics/${topic}/records`, { method: "POST", body: "1", bearer: ingestOther });
    for (const topic of [
      "keyed",
      "%6beyed",
      "keyed%2f..%2fflights",
      "flights/../keyed",
      "Flights",
    ]) {
      expect((await post(topic)).status, `to ${topic}`).toBe(403);
    }
  });
});

describe("secrets with a mistake", () => {
  test.each([
    ["admin", /entry 1: must be "scope token"/],
    [`admin ${admin} ${admin}`, /entry 1: must be "scope token"/],
    [`read ${read}\nroot ${admin}`, /entry 2: the scope must be/],
    [`ingest: ${admin}`, /entry 1: the scope must be/],
    [`ingest:a b ${admin}`, /entry 1/],
    [`admin:x ${admin}`, /entry 1: the scope must be/],
    [`admin ${"x".repeat(31)}`, /entry 1: the token must be/],
    [`admin ${"x".repeat(257)}`, /entry 1: the token must be/],
    [`admin sha256:${"0".repeat(63)}`, /entry 1: the token must be/],
    [`admin {"token":"${admin}"}`, /entry 1: the token must be/],
    [`admin ${admin}é`, /entry 1: the token must be/],
  ])("close the deployment, named but not told: case %#", async (secret, message) => {
    for (const bindings of [
      deployed({ TIDEMARK_TOKENS: secret }),
      deployed({ ...secrets, TIDEMARK_TOKENS_PRODUCERS: secret }),
      { ...deployed({ TIDEMARK_TOKENS: secret }), TIDEMARK_LOCAL: "open" },
    ]) {
      for (const path of ["/healthz", "/v1/healthz", "/jobs"]) {
        const answer = await ask(path, {
          bearer: admin,
          bindings,
          origin: "http://localhost:8787",
        });
        expect(answer.status).toBe(503);
        expect(errorsOf(answer)[0]).toMatch(message);
        expect(errorsOf(answer)[0]).toMatch(/TIDEMARK_TOKENS/);
      }
    }
  });

  test("that list nothing are none", async () => {
    for (const secret of ["", " \n;\n# admin\n"]) {
      const answer = await ask("/jobs", { bindings: deployed({ TIDEMARK_TOKENS: secret }) });
      expect(errorsOf(answer)[0]).toMatch(/No token is configured/);
    }
  });
});

describe("a local runtime", () => {
  const local = { ...deployed({}), TIDEMARK_LOCAL: "open" };
  const origin = "http://localhost:8787";

  test("serves its own machine without a token, and nobody else", async () => {
    expect((await ask("/jobs", { bindings: local, origin })).status).toBe(200);
    const answer = await ask("/jobs", { bindings: local });
    expect(answer.status).toBe(503);
    expect(errorsOf(answer)[0]).toMatch(/its Host is not localhost/);
  });

  test("asks for tokens where it has some", async () => {
    const bindings = { ...withTokens, TIDEMARK_LOCAL: "open" };
    expect((await ask("/jobs", { bindings, origin })).status).toBe(401);
    expect((await ask("/jobs", { bindings, origin, bearer: read })).status).toBe(200);
  });

  test("is not what a deployment becomes by a request for localhost", async () => {
    const answer = await ask("/jobs", { bindings: deployed({}), origin });
    expect(errorsOf(answer)[0]).toMatch(/No token is configured/);
  });
});

describe("web pages", () => {
  const page = "https://dash.example.com";
  const listed = deployed({ ...secrets, TIDEMARK_CORS_ORIGINS: `${page}, http://localhost:3000` });
  const preflight = (bindings: Env, from: string) =>
    ask("/jobs", {
      method: "OPTIONS",
      headers: { Origin: from, "Access-Control-Request-Method": "PATCH" },
      bindings,
    });
  const allowed = ({ headers }: { headers: Headers }) => headers.get("Access-Control-Allow-Origin");

  test("are refused unless their origin is listed", async () => {
    for (const [bindings, from] of [
      [withTokens, page],
      [listed, "https://evil.example.com"],
      [listed, "null"],
      [listed, `${page}.evil.com`],
    ] as const) {
      const answer = await preflight(bindings, from);
      expect(answer.status).toBe(401);
      expect(allowed(answer)).toBe(null);
      const got = await ask("/jobs", { headers: { Origin: from }, bearer: read, bindings });
      expect(allowed(got)).toBe(null);
    }
  });

  test("of listed origins may ask, with their token, and read errors too", async () => {
    const answer = await preflight(listed, page);
    expect(answer.status).toBe(204);
    expect(allowed(answer)).toBe(page);
    expect(answer.headers.get("Access-Control-Allow-Headers")).toMatch(/Authorization/);
    expect(answer.headers.get("Access-Control-Allow-Credentials")).toBe(null);
    for (const bearer of [read, undefined]) {
      const got = await ask("/jobs", { headers: { Origin: page }, bearer, bindings: listed });
      expect(got.status).toBe(bearer === undefined ? 401 : 200);
      expect(allowed(got)).toBe(page);
      expect(got.headers.get("Vary")).toMatch(/Origin/);
    }
  });

  test.each(["*", "dash.example.com", `${page}/`, `${page},https://x.example.com/a`, "null"])(
    "cannot be listed as %s",
    async (origins) => {
      const bindings = deployed({ ...secrets, TIDEMARK_CORS_ORIGINS: origins });
      const answer = await ask("/healthz", { bindings });
      expect(answer.status).toBe(503);
      expect(errorsOf(answer)[0]).toMatch(/TIDEMARK_CORS_ORIGINS.*wrong: item \d/);
    },
  );
});

test("every answer forbids browsers to sniff, frame and keep it", async () => {
  for (const [path, bearer] of [
    ["/healthz", undefined],
    ["/jobs", undefined],
    ["/jobs", read],
    ["/nothing", read],
  ] as const) {
    const { headers } = await ask(path, { bearer });
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("Content-Security-Policy")).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    );
    expect(headers.get("X-Frame-Options")).toBe("DENY");
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("Strict-Transport-Security")).toBe("max-age=15552000");
    expect(headers.get("Access-Control-Allow-Origin")).toBe(null);
  }
});

test("a URL without end is refused, before anything else looks at it", async () => {
  const answer = await ask(`/jobs/${"a".repeat(urlLengthMax)}`, { bearer: read });
  expect(answer.status).toBe(414);
  expect(errorsOf(answer)[0]).toMatch(/8192/);
});

test("a rate limit counts each token by itself, and is not told the token", async () => {
  const keys: string[] = [];
  const bindings = deployed({
    ...secrets,
    RATE_LIMIT: {
      limit: (options) => {
        keys.push(options.key);
        return env.TWO_A_MINUTE.limit(options);
      },
    },
  });
  for (const bearer of [read, admin]) {
    // A minute may begin in between, so that four pass; five never do.
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await ask("/jobs", { bearer, bindings }));
    expect(answers[0]!.status).toBe(200);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.headers.get("Retry-After")).toBe("10");
    expect(errorsOf(refused)[0]).toMatch(/Too many requests/);
  }
  expect((await ask("/jobs", { bearer: stranger, bindings })).status).toBe(401);
  told.push(...keys);
  expect(new Set(keys).size).toBe(2);
});
