// What a stranger, or a client gone wrong, may send: to every route, in every place of a request.
// Whatever it is, the answer is no 5xx, an error has Flink's form, and nothing changes that the
// answer does not tell of. Asks more of every route than Flink's RestServerEndpointITCase.

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import { ingestBodyBytesMax, MiB, recordBytesMax } from "../../format/limits.ts";
import { catalogOf } from "../../worker/catalog.ts";
import { endpointOf } from "../../worker/contract/endpoint.ts";
import type { Env } from "../../worker/env.ts";
import { taskManagerId } from "../../worker/flink/deployment.ts";
import { httpApp } from "../../worker/http.ts";
import { run, type TestJob, until } from "./harness.ts";
import { keyed, programs } from "./programs.ts";
import { savepoint } from "./savepoints.ts";

const app = httpApp(catalogOf(programs, [keyed]));
const admin = "a".repeat(40);
const { TIDEMARK_LOCAL: _, ...bound } = env as unknown as Env;
const bindings = { ...bound, TIDEMARK_TOKENS: `admin ${admin}` };

/** What the routes log as their own fault. */
const faults: unknown[] = [];
beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation((...all: unknown[]) => void faults.push(all));
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The answer, which is checked for what holds of all. */
async function send(path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = new Headers(init.headers);
  headers.set("Authorization", `Bearer ${admin}`);
  let request: Request;
  try {
    request = new Request(`https://tidemark.example.com${path}`, { ...init, headers });
  } catch (error) {
    // The runtime itself refuses it, before any Worker sees it.
    return { status: 400, body: { errors: [String(error)] } };
  }
  const what = `${request.method} ${path.slice(0, 200)} ${shown(init.body)}`;
  const response = await app.fetch(request, bindings, createExecutionContext());
  const text = new TextDecoder().decode(await response.arrayBuffer());
  expect(faults.splice(0), `${what}`).toEqual([]);
  expect([200, 202, 400, 404, 405, 409, 413, 414, 422, 501], `${what}`).toContain(response.status);
  if (request.method === "HEAD") {
    expect(text).toBe("");
    return { status: response.status, body: {} };
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json") === true;
  if (!isJson) expect(response.status, `${what}`).toBe(200);
  const body = (isJson ? JSON.parse(text) : {}) as Answer["body"];
  takeNote({ status: response.status, body });
  if (response.status >= 400) {
    expect(Object.keys(body), `${what}`).toEqual(["errors"]);
    expect(body["errors"], `${what}`).toEqual([expect.stringMatching(/./)]);
  }
  return { status: response.status, body };
}

const shown = (body: RequestInit["body"]): string =>
  typeof body === "string" ? body.slice(0, 200) : typeof body;

/** As a client might encode it that does not know surrogates. */
const encodeURIComponentLoosely = (text: string): string =>
  encodeURIComponent(text.toWellFormed()).replaceAll("%20", "+");

const bytes = (...all: number[]) => new Uint8Array(all);
const repeated = (text: string, bytesAtLeast: number) =>
  text.repeat(Math.ceil(bytesAtLeast / text.length));

/** A body that goes on for as long as it is read, and whose length nobody declared. */
const endless = (chunk: string): ReadableStream<Uint8Array> => {
  const encoded = new TextEncoder().encode(chunk);
  return new ReadableStream({ pull: (controller) => controller.enqueue(encoded) });
};

// ---- What there is to hit

/** Runs over whatever is accepted for its topic, and may not be disturbed by any of it. */
let job: TestJob;

/** Records by topic and jobs that answers told of: all that may have changed. */
const told = { hostile: 0, keyed: 0, jobs: [] as string[] };

function takeNote({ status, body }: Answer): void {
  if (status !== 200) return;
  const { topic, records, duplicate, jobid } = body;
  if ((topic === "hostile" || topic === "keyed") && typeof records === "number") {
    if (duplicate !== true) told[topic] += records;
  }
  if (typeof jobid === "string") told.jobs.push(jobid);
}

async function state(): Promise<typeof told> {
  const listed = (await send("/topics")).body as {
    topics: { topic: string; partitions: { next: number }[] }[];
  };
  const held = new Map(
    listed.topics.map(({ topic, partitions }) => [
      topic,
      partitions.reduce((sum, { next }) => sum + next, 0),
    ]),
  );
  for (const [topic, records] of held) {
    if (!(topic in told)) expect(records, `in ${topic}`).toBe(0);
  }
  const { jobs } = (await send("/jobs")).body as { jobs: { id: string }[] };
  return {
    hostile: held.get("hostile")!,
    keyed: held.get("keyed")!,
    jobs: jobs.map(({ id }) => id).toSorted(),
  };
}

// ---- The corpus

const texts: readonly string[] = [
  "",
  " ",
  "null",
  "[]",
  "{}",
  "[[]]",
  "[null]",
  "true",
  "0",
  '"',
  "'",
  "NaN",
  "Infinity",
  "undefined",
  "1e309",
  "-1e309",
  "[1e309,-1e309,-0,1e-400]",
  `${"9".repeat(400)}`,
  `[0.${"1".repeat(10_000)}]`,
  "12345678901234567890123",
  '"\\ud800"',
  '"\\u0000"',
  '{"a":1,"a":2}',
  '{"__proto__":{"polluted":true}}',
  '{"\\u005f_proto__":{"polluted":true}}',
  '{"a":{"__proto__":null}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"constructor":1,"toString":2,"valueOf":3,"hasOwnProperty":4,"then":5,"toJSON":6}',
  '[{"toJSON":1},{"then":"x"},{"length":-1},{"":""}]',
  '{"key":{"a":1},"n":"x"}',
  '{"key":[1,[2,[3]]],"n":1}',
  '{"key":null}\n{"key":1}\n{"key":true}\n{"key":""}\n{"key":"\\u0000"}',
  `${"[".repeat(100_000)}`,
  `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  `[${"[".repeat(60)}${"]".repeat(60)}]`,
  `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`,
  `"${"x".repeat(recordBytesMax)}"`,
  `["${"é".repeat(recordBytesMax)}"]`,
  `[${"0,".repeat(5_000)}0]`,
  `{${Array.from({ length: 3_000 }, (_, i) => `"k${i}":${i}`).join(",")}}`,
  Array.from({ length: 300 }, (_, i) => `{"k${i}":1,"l${i}":[${i}]}`).join("\n"),
  '{"n":1}\n[1]\n"s"\n2\ntrue\n{"n":"1"}\n{"m":{}}',
  "\uFEFF{}",
  "\u2028",
  '{"parallelism":-1}',
  '{"parallelism":1e99}',
  '{"parallelism":"1e2"}',
  '{"parallelism":[],"jobId":{}}',
  '{"jobId":"../../etc/passwd"}',
  `{"jobId":"${"g".repeat(32)}"}`,
  '{"jobId":"__proto__"}',
  '{"entryClass":"x"}',
  '{"programArgs":{"$gt":""}}',
  '{"flinkConfiguration":{"__proto__":"x"}}',
  '{"flinkConfiguration":{"constructor":"x","toString":"y"}}',
  '{"flinkConfiguration":{"parallelism.default":"99999999999999999999"}}',
  '{"flinkConfiguration":{"pipeline.max-parallelism":"1e9"}}',
  '{"flinkConfiguration":{"execution.checkpointing.interval":"1e309 s"}}',
  '{"flinkConfiguration":{"execution.checkpointing.interval":"-5"}}',
  '{"flinkConfiguration":{"taskmanager.memory.managed.size":"999999999999999999 tb"}}',
  '{"flinkConfiguration":[["a","b"]]}',
  '{"flinkConfiguration":"x"}',
  '{"savepointPath":"../../jobs"}',
  '{"unknown":1}',
  `{"unknown${"x".repeat(60_000)}":1}`,
];

const binaries: readonly Uint8Array[] = [
  bytes(0),
  bytes(0xff),
  bytes(0xc0, 0x80),
  bytes(0xed, 0xa0, 0x80),
  bytes(0xf5, 0x80, 0x80, 0x80),
  bytes(0x22, 0xe2, 0x82, 0x22),
  bytes(0xff, 0xfe, 0x7b, 0, 0x7d, 0),
  bytes(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3),
  bytes(0x7b, 0x7d, 0x0a, 0xff),
];

const contentTypes: readonly (string | undefined)[] = [
  undefined,
  "application/json",
  "application/x-ndjson; charset=utf-16",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "text/html",
  "a",
  ";;;",
  "application/json, application/x-ndjson",
  "APPLICATION/JSON;".repeat(100),
];

/** What may stand between two slashes, as it is sent. */
const segments: readonly string[] = [
  "%",
  "%00",
  "%0a%0d",
  "%2",
  "%2e%2e",
  "..%2f..%2f",
  "%2F",
  "%252F",
  "%25%32%46",
  "%ff",
  "%c0%af",
  "%ed%a0%80",
  "%F0%9F%92%A9",
  "%u0041",
  "*",
  ":topic",
  ":jobid",
  "{}",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toString",
  "null",
  "undefined",
  "NaN",
  "1e999",
  "-0",
  "[1,2]",
  "%22key%22",
  "[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]",
  `${"[".repeat(3000)}${"]".repeat(3000)}`,
  "9".repeat(400),
  "a".repeat(4_000),
  "a".repeat(20_000),
  "%61".repeat(2_000),
  "%".repeat(3_000),
  "a;b=c",
  "a+b",
  "a%20b",
  "0".repeat(32),
  "f".repeat(32),
  "F".repeat(32),
  "0".repeat(33),
];

const queries: readonly string[] = [
  "?",
  "?read",
  "?read=",
  "?read=%",
  "?read=latest&read=committed",
  "?read[]=latest",
  "?__proto__=x",
  "?__proto__[a]=x",
  "?constructor=x&toString=y",
  "?parallelism=-1",
  "?parallelism=1e9",
  "?parallelism=99999999999999999999",
  "?parallelism=%00",
  "?mode=stop",
  "?mode=%ff",
  "?mode=",
  "?entry-class=x",
  "?programArg=%F0%9F%92%A9",
  `?${"a=b&".repeat(1_000)}`,
  `?read=${"x".repeat(4_000)}`,
];

/** As of which checkpoint or savepoint, and how much of it. */
const asOf: readonly string[] = [
  "?checkpoint=-1",
  "?checkpoint=0",
  "?checkpoint=1e999",
  "?checkpoint=99999999999999999999",
  "?checkpoint=latest",
  "?checkpoint=1&savepoint=x",
  "?checkpoint=%00",
  "?savepoint=",
  "?savepoint=..%2f..%2fjobs",
  "?savepoint=%2f%2f",
  `?savepoint=${"a/".repeat(2_000)}`,
  "?savepoint=__proto__",
  "?limit=0",
  "?limit=-1",
  "?limit=1e9",
  "?limit=NaN",
  "?mapKey=",
  "?mapKey=%00",
  `?mapKey=${"[".repeat(3_000)}`,
  "?mapKey=%22",
];

/** Sizes that no vertex can have. */
const sizes: readonly string[] = '-1 0 1.5 1e99 99999999999999999999 null true [1] {} "2"'
  .split(" ")
  .flatMap((size) => [
    `{"x":{"parallelism":{"lowerBound":1,"upperBound":${size}}}}`,
    `{"x":{"parallelism":${size}}}`,
    `{"x":${size}}`,
    `{"__proto__":{"parallelism":{"lowerBound":1,"upperBound":${size}}}}`,
  ]);

/** The fields of a request to run a program. */
const fields = ["parallelism", "jobId", "flinkConfiguration", "programArgs", "claimMode", "x"];

const unknownJob = "00".repeat(16);

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"];

/** All routes; of those that nobody can succeed with only two, as they look at nothing. */
const routes = app.routes.flatMap(({ method, path, handler }) => {
  const endpoint = endpointOf(handler);
  if (endpoint === undefined || path.startsWith("/v1/")) return [];
  const isAbsent = endpoint.answer === undefined && !["/jobs", "/jobmanager/log"].includes(path);
  return isAbsent ? [] : [{ method, path, readsBody: endpoint.body !== undefined }];
});

/** The path of a sound request, but for `segment` in place of its parameter number `index`. */
function pathWith(path: string, index = -1, segment = ""): string {
  const sound: Readonly<Record<string, string>> = {
    ":topic": "hostile",
    ":id": "hostile",
    // Cancelling a job that there is would be a sound request.
    ":jobid": unknownJob,
    ":applicationid": unknownJob,
    ":vertexid": unknownJob,
    ":subtaskindex": "0",
    ":attempt": "0",
    ":checkpointid": "1",
    ":taskmanagerid": taskManagerId,
    ":table": "rows",
    ":key": "x",
  };
  const parts = path.split("/").map((part) => sound[part] ?? part);
  return index < 0 ? parts.join("/") : parts.with(index, segment).join("/");
}

const parametersOf = (path: string): number[] =>
  path.split("/").flatMap((part, index) => (part.startsWith(":") ? [index] : []));

beforeAll(async () => {
  job = await run("hostile");
  told.jobs.push(job.id);
  await job.running();
});

async function nothingElseChanged(): Promise<void> {
  expect(await state()).toEqual({ ...told, jobs: told.jobs.toSorted() });
  expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined);
}
afterEach(nothingElseChanged);

const takesBody = ({ method }: { readonly method: string }): boolean => method !== "GET";

describe.each(routes)("$method $path", ({ method, path }) => {
  // An empty body would start a job; this one is as good as any for the other routes.
  const init: RequestInit = takesBody({ method }) ? { method, body: "null" } : { method };

  test("with anything in its path", async () => {
    for (const index of parametersOf(path)) {
      for (const segment of segments) {
        await send(pathWith(path, index, segment), init);
        await send(`/v1${pathWith(path, index, segment)}`, init);
      }
    }
  });

  test("with anything after its path", async () => {
    for (const query of queries) await send(`${pathWith(path)}${query}`, init);
  });

  test("by any method", async () => {
    for (const other of methods) {
      const { status } = await send(pathWith(path), { method: other });
      const asked = other === "HEAD" ? "GET" : other;
      const isRouted = routes.some((route) => route.method === asked && route.path === path);
      if (!isRouted) expect(status, `by ${other}`).toBeGreaterThanOrEqual(400);
    }
  });

  test("with anything drawn", { timeout: 60_000 }, async () => {
    const segment = fc.oneof(
      fc.webSegment(),
      fc.string({ unit: "binary" }).map(encodeURIComponentLoosely),
      fc.constantFrom(...segments),
    );
    const body = fc.oneof(
      fc.json(),
      fc.array(fc.json(), { maxLength: 5 }).map((lines) => lines.join("\n")),
      fc.jsonValue().map((value) => JSON.stringify([value])),
      fc
        .dictionary(fc.constantFrom(...fields), fc.jsonValue())
        .map((value) => JSON.stringify(value)),
      fc.string({ unit: "binary" }),
      fc.uint8Array().map((drawn) => Uint8Array.from(drawn)),
      fc.constantFrom(...texts),
    );
    const request = fc.record({
      segments: fc.array(segment, { minLength: 5, maxLength: 5 }),
      query: fc.oneof(
        fc.constantFrom(...queries),
        fc.webQueryParameters().map((text) => `?${text}`),
      ),
      type: fc.constantFrom(...contentTypes),
      key: fc.option(fc.constantFrom("k", "l", "", " ", "\u007f", "k".repeat(257)), {
        nil: undefined,
      }),
      method: fc.constantFrom(method, method, method, ...methods),
      hits: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
      body,
    });
    const drawn = fc.asyncProperty(request, async (all) => {
      let target = pathWith(path);
      for (const [n, index] of parametersOf(path).entries()) {
        if (all.hits[n] === true)
          target = target.split("/").with(index, all.segments[n]!).join("/");
      }
      const headers = new Headers();
      if (all.type !== undefined) headers.set("Content-Type", all.type);
      if (all.key !== undefined) headers.set("Idempotency-Key", all.key);
      const bare = all.method === "GET" || all.method === "HEAD";
      await send(`${target}${all.query}`, {
        method: all.method,
        headers,
        ...(!bare && { body: all.body }),
      });
    });
    await fc.assert(drawn, { numRuns: takesBody({ method }) ? 60 : 15 });
  });
});

describe.each(routes.filter(takesBody))("$method $path", ({ method, path, readsBody }) => {
  test("with anything in its body", async () => {
    for (const [index, body] of [...texts, ...binaries].entries()) {
      const type = contentTypes[index % contentTypes.length];
      const headers = type === undefined ? {} : { "Content-Type": type };
      await send(pathWith(path), { method, body });
      await send(pathWith(path), { method, body, headers });
    }
    for (const type of contentTypes) {
      const headers = type === undefined ? {} : { "Content-Type": type };
      await send(pathWith(path), { method, body: '{"parallelism":0}', headers });
    }
  });

  test("with a body without end", async () => {
    // What is read line by line is refused at its first line.
    const isOfLines = path === "/savepoints";
    const refusals = !readsBody ? [404, 501] : isOfLines ? [400] : [413];
    for (const chunk of ['{"n":1}\n', "x", "[", "\n", "\u0000"]) {
      const body = endless(repeated(chunk, MiB));
      const { status } = await send(pathWith(path), { method, body });
      expect(refusals).toContain(status);
    }
    const headers = { "Content-Length": "9".repeat(30) };
    const body = new Uint8Array(ingestBodyBytesMax + 1);
    for (const all of [{ body }, { body, headers }, { body: "{}", headers }]) {
      const { status } = await send(pathWith(path), { method, ...all });
      if (all.body === body) expect(refusals).toContain(status);
    }
  });
});

test("a job reads all that was accepted, and nothing of it disturbs the job", async () => {
  const { records } = (await send("/topics/hostile/records", { method: "POST", body: "{}" }))
    .body as { records: number };
  expect(records).toBe(1);
  const counted = async (): Promise<number> => {
    const rows = await job.rows<{ key: string; rows: number }>("counts");
    return rows?.reduce((sum, row) => sum + row.rows, 0) ?? 0;
  };
  await until("the job has read everything", async () => (await counted()) >= told.hostile);
  expect(await counted()).toBe(told.hostile);
  expect(await job.attempt()).toBe(1);
  for (const read of ["committed", "latest"]) {
    const { status, body } = await send(`/jobs/${job.id}/tables/rows?read=${read}`);
    expect(status).toBe(200);
    expect((body["rows"] as unknown[]).length).toBeGreaterThan(20);
  }
  for (const segment of segments) await send(`/jobs/${job.id}/tables/rows/${segment}`);
});

describe("of a job that runs, with a savepoint", () => {
  /** What there is, by the names of parameters. */
  let real: Readonly<Record<string, string>>;
  const pathOf = (path: string, changed: Readonly<Record<string, string>> = {}): string =>
    path.replace(/:\w+/g, (name) => changed[name] ?? real[name] ?? name);

  beforeAll(async () => {
    await send("/topics/hostile/records", { method: "POST", body: '{"n":1}' });
    const location = await savepoint(job);
    const listed = (await send(`/jobs/${job.id}/state`)).body as {
      operators: { operator: string; states: { state: string; kind: string }[] }[];
    };
    const [{ operator, state: name }] = listed.operators.flatMap(({ operator: uid, states }) =>
      states.flatMap(({ state: of, kind }) =>
        kind === "keyed" ? [{ operator: uid, state: of }] : [],
      ),
    ) as [{ operator: string; state: string }];
    const id = encodeURIComponent(location.slice("savepoints/".length));
    real = {
      ":jobid": job.id,
      ":uid": encodeURIComponent(operator),
      ":state": name,
      ":key": "x",
      ":id": id,
      ":table": "rows",
    };
  });

  const looked = [
    "/jobs/:jobid/state",
    "/jobs/:jobid/state/:uid",
    "/jobs/:jobid/state/:uid/:state",
    "/jobs/:jobid/state/:uid/:state/:key",
    "/jobs/:jobid/tables/:table",
    "/jobs/:jobid/tables/:table/:key",
    "/jobs/:jobid/savepoints/:triggerid",
    "/jobs/:jobid/savepoints/:triggerid/events",
    "/jobs/:jobid/checkpoints/:triggerid",
    "/jobs/:jobid/checkpoints/details/:checkpointid",
    "/savepoints/:id",
    "/savepoints/:id/entries",
    "/savepoints/:id/verification",
  ];

  test.each(["/savepoints/:id", "/jobs/:jobid/state/:uid"])("%s is there", async (path) => {
    expect((await send(pathOf(path))).status).toBe(200);
  });

  test.each(looked)("GET %s", { timeout: 90_000 }, async (path) => {
    for (const name of path.match(/:\w+/g) ?? []) {
      if (name === ":jobid") continue;
      for (const segment of segments) await send(pathOf(path, { [name]: segment }));
    }
    const asked = [...queries, ...asOf, `?savepoint=${real[":id"]}`];
    for (const query of asked) await send(`${pathOf(path)}${query}`);
  });

  test("PUT /jobs/:jobid/resource-requirements leaves the job as large as it is", async () => {
    const path = `/jobs/${job.id}/resource-requirements`;
    const before = (await send(path)).body;
    for (const body of [...texts, ...binaries, ...sizes]) {
      const { status } = await send(path, { method: "PUT", body });
      expect([400, 413]).toContain(status);
    }
    expect((await send(path)).body).toEqual(before);
    expect(await job.attempt()).toBe(1);
  });
});
