// Flink's REST API as its own tools see it: every route of its description, and what its command line
// and dashboard do one after another.

import { beforeAll, describe, expect, test } from "vitest";
import type * as z from "zod";

import { catalogOf } from "../../worker/catalog.ts";
import { endpointOf } from "../../worker/contract/endpoint.ts";
import { taskManagerId } from "../../worker/flink/deployment.ts";
import { httpApp } from "../../worker/http.ts";
import { flinkRoutes, misfits } from "./flink-contract.ts";
import { call, json, killSubtask, run, type TestJob, until } from "./harness.ts";
import { keyed, programs, unusedCopy } from "./programs.ts";

const app = httpApp(catalogOf(programs, [keyed]));

/** What a request to each route of Flink's needs beside its path. */
const requests: Record<string, RequestInit> = {
  "POST /jars/:jarid/plan": { body: "{}" },
  "POST /jars/:jarid/run": { body: "{}" },
  "POST /jobs/:jobid/checkpoints": { body: "{}" },
  "POST /jobs/:jobid/savepoints": { body: "{}" },
  "POST /jobs/:jobid/stop": { body: "{}" },
};

/** Routes that answer 404 or 501 here, with a reason (`worker/routes/absent.ts`). */
const absent: readonly string[] = [
  "DELETE /cluster",
  "DELETE /datasets/:datasetid",
  "GET /datasets/delete/:triggerid",
  "POST /jars/upload",
  "DELETE /jars/:jarid",
  "POST /jars/:jarid/run-application",
  "PATCH /jobs/:jobid/clientHeartbeat",
  "GET /jobs/:jobid/jobmanager/log-url",
  "GET /jobs/:jobid/taskmanagers/:taskmanagerid/log-url",
  "GET /jobs/:jobid/rescales/config",
  "GET /jobs/:jobid/rescales/details/:rescaleuuid",
  "GET /jobs/:jobid/rescales/overview",
  "GET /jobs/:jobid/rescales/summary",
  "PATCH /jobs/:jobid/rescaling",
  "GET /jobs/:jobid/rescaling/:triggerid",
];

/** Those that end the job they are asked of: they come last. */
const ending: readonly string[] = [
  "POST /jobs/:jobid/stop",
  "POST /applications/:applicationid/cancel",
  "PATCH /jobs/:jobid",
];

/** A job in mid-stream, with a failure behind it and checkpoints before and after that. */
let job: TestJob;
let program: string;
const segments = new Map<string, string>();

beforeAll(async () => {
  program = unusedCopy();
  job = await run(program);
  await job.running();
  await append();
  await job.completes(2);
  const [victim] = await job.tasks();
  await killSubtask(job.id, victim!);
  await job.running(2);
  await append();
  const trigger = "5a".repeat(16);
  const body = JSON.stringify({ triggerId: trigger });
  await json(await call(`/jobs/${job.id}/savepoints`, { method: "POST", body }));
  const location = await until("the savepoint is complete", async () => {
    const response = await call(`/jobs/${job.id}/savepoints/${trigger}`);
    const { operation } = await json<{ operation: { location?: string } | null }>(response);
    return operation?.location;
  });
  await json(await call(`/jobs/${job.id}/checkpoints`, { method: "POST", body }));
  const disposal = JSON.stringify({ "savepoint-path": location, triggerId: trigger });
  requests["POST /savepoint-disposal"] = { body: disposal };
  // As it is, so that nothing is rescaled.
  const sizes = await call(`/jobs/${job.id}/resource-requirements`);
  requests["PUT /jobs/:jobid/resource-requirements"] = { body: await sizes.text() };
  await json(await call("/savepoint-disposal", { method: "POST", body: disposal }));
  const { latest } = await job.completes(2);
  const {
    attempt,
    plan: {
      vertices: [vertex],
    },
  } = await job.details();
  for (const [name, value] of [
    ["jarid", program],
    ["jobid", job.id],
    ["applicationid", job.id],
    ["vertexid", vertex!.id],
    ["checkpointid", String(latest.completed!.id)],
    ["subtaskindex", "0"],
    // Flink counts from 0.
    ["attempt", String(attempt - 1)],
    ["taskmanagerid", taskManagerId],
    ["triggerid", trigger],
    ["datasetid", "0".repeat(32)],
    ["rescaleuuid", "0".repeat(32)],
  ] as const) {
    segments.set(name, value);
  }
});

const appended = 40;

async function append(): Promise<void> {
  const rows = Array.from({ length: appended }, (_, n) => ({ key: `key-${n}`, n }));
  const body = JSON.stringify(rows);
  await json(await call(`/topics/${program}/records`, { method: "POST", body }));
}

const pathOf = (route: string): string =>
  route.replace(/^[A-Z]+ /, "").replaceAll(/:(\w+)/g, (_, name: string) => segments.get(name)!);

const methodOf = (route: string): string => route.split(" ", 1)[0]!;

/** What is published of the route that serves `route`. */
function publishedOf(route: string): z.ZodType {
  const own = route.replace(":jarid", ":id");
  const found = app.routes.find(
    ({ method, path, handler }) =>
      `${method} ${path}` === own && endpointOf(handler)?.answer !== undefined,
  );
  const answer = endpointOf(found?.handler)?.answer;
  if (answer === undefined || typeof answer === "string") {
    throw new Error(`${route} is served without a schema.`);
  }
  return answer;
}

/** What is put is what is there, as far as a client can know. */
async function bodyOf(route: string, base: string): Promise<{ readonly body?: string }> {
  if (methodOf(route) !== "PUT") return {};
  return { body: await (await call(`${base}${pathOf(route)}`)).text() };
}

async function answersAsDescribed(route: string, base: string): Promise<void> {
  const flink = flinkRoutes[route]!;
  const init = { method: methodOf(route), ...requests[route], ...(await bodyOf(route, base)) };
  const response = await call(`${base}${pathOf(route)}`, init);
  const text = await response.text();
  expect(response.status, `${text}`).toBe(flink.status);
  expect(response.headers.get("Content-Type")).toMatch(/^application\/json/);
  const body: unknown = JSON.parse(text);
  if (flink.body !== undefined) expect(misfits(body, flink.body)).toEqual([]);
  // Nothing is said that is not published: an unknown property would be left out here.
  expect(publishedOf(route).parse(body)).toEqual(body);
}

const served = Object.keys(flinkRoutes).filter((route) => !absent.includes(route));

describe("what Flink describes", () => {
  test.each(served.filter((route) => !ending.includes(route)))("%s", async (route) => {
    await answersAsDescribed(route, "/v1");
    await answersAsDescribed(route, "");
  });

  test.each(absent)("%s is not here, and says why", async (route) => {
    const response = await call(pathOf(route), { method: methodOf(route) });
    expect([404, 501]).toContain(response.status);
    const { errors } = (await response.json()) as { errors: string[] };
    expect(errors).toEqual([expect.stringMatching(/\. *$|\)$|^File/)]);
    expect(errors[0]).not.toMatch(/^Not found: /);
  });
});

test.each<[string, object, string[]]>([
  ["a missing property", { subtasks: [] }, ["body.id is missing", "body.parallelism is missing"]],
  ["a wrong type", { id: "a".repeat(32), parallelism: "1", subtasks: [] }, ["is no integer"]],
  ["a null", { id: "a".repeat(32), parallelism: 1, subtasks: null }, ["is no array"]],
  ["a wrong id", { id: "a", parallelism: 1, subtasks: [] }, ["does not match"]],
  ["a wrong item", { id: "a".repeat(32), parallelism: 1, subtasks: [1] }, ["[0] is no object"]],
])("%s does not fit Flink's description", (_, body, expected) => {
  const found = misfits(body, { $ref: "SubtasksAllAccumulatorsInfo" });
  expect(found).toEqual(expected.map((what) => expect.stringContaining(what) as string));
});

describe("what is said", () => {
  interface Aggregate {
    readonly id: string;
    readonly sum: number;
    readonly min: number;
    readonly max: number;
    readonly skew: number;
  }
  const ofVertex = (rest = "") => `/jobs/${job.id}/vertices/${segments.get("vertexid")}${rest}`;

  test("metrics are listed, fetched and aggregated", async () => {
    await until("the source has read all", async () => {
      const get = "/subtasks/metrics?get=numRecordsOut";
      const [out] = await json<Aggregate[]>(await call(ofVertex(get)));
      // More, should the first rows not have been part of a checkpoint when the subtask died.
      return (out?.sum ?? 0) >= appended;
    });
    const listed = await json<{ id: string }[]>(await call(ofVertex("/metrics")));
    expect(listed).toContainEqual({ id: "0.numRecordsOut" });
    const some = "?get=0.numRecordsOut,nothing,0.numRecordsOut";
    const fetched = await json<object[]>(await call(ofVertex(`/metrics${some}`)));
    expect(fetched).toEqual([
      { id: "0.numRecordsOut", value: expect.stringMatching(/^\d+$/) as string },
    ]);
    const few = "/subtasks/metrics?get=numRecordsOut,busyTimeMsPerSecond&agg=MIN,skew&subtasks=0";
    expect(await json(await call(ofVertex(few)))).toEqual([
      { id: "numRecordsOut", min: expect.any(Number) as number, skew: 0 },
    ]);
    const counts = "?get=numberOfCompletedCheckpoints,numRestarts,lastCheckpointDuration";
    const [completed, restarts] = await json<{ value: string }[]>(
      await call(`/jobs/${job.id}/metrics${counts}`),
    );
    expect(Number(completed?.value)).toBeGreaterThanOrEqual(2);
    expect(restarts).toEqual({ id: "numRestarts", value: "1" });
    const all = await json<Aggregate[]>(
      await call(`/jobs/metrics?get=numRestarts&agg=max&jobs=${job.id}`),
    );
    expect(all).toEqual([{ id: "numRestarts", max: 1 }]);
  });

  test("rates and back pressure are there after two heartbeats", async () => {
    const names = [
      "numRecordsInPerSecond",
      "numRecordsOutPerSecond",
      "numBytesInPerSecond",
      "numBytesOutPerSecond",
      "backPressuredTimeMsPerSecond",
    ];
    const get = `/subtasks/metrics?get=${names.join(",")}`;
    const rates = await until("rates are known", async () => {
      const found = await json<Aggregate[]>(await call(ofVertex(get)));
      return found.length > 0 ? found : undefined;
    });
    expect(rates.map(({ id }) => id)).toEqual(names);
    expect(rates.every(({ min }) => min >= 0)).toBe(true);
    expect(rates.at(-1)!.max).toBeLessThanOrEqual(1_000);
    const answer = await call(ofVertex("/backpressure"));
    const body = await json<Record<string, unknown>>(answer);
    const route = "GET /jobs/:jobid/vertices/:vertexid/backpressure";
    expect(misfits(body, flinkRoutes[route]!.body!)).toEqual([]);
    expect(body).toMatchObject({ status: "ok", "end-timestamp": expect.any(Number) as number });
    expect(body["subtasks"]).toContainEqual({
      subtask: 0,
      backpressureLevel: expect.stringMatching(/^(ok|low|high)$/) as string,
      "backpressure-level": expect.stringMatching(/^(ok|low|high)$/) as string,
      ratio: expect.any(Number) as number,
      idleRatio: "NaN",
      busyRatio: "NaN",
    });
  });

  test.each([
    "/subtasks/metrics?agg=median",
    "/subtasks/metrics?subtasks=1-",
    "/subtasks/metrics?subtasks=x",
  ])("%s is refused", async (rest) => {
    const response = await call(ofVertex(rest));
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      errors: [expect.stringMatching(/^Bad request, in its query: (agg|subtasks) must/)],
    });
  });

  test("what there is not is not found", async () => {
    const nobody = "0".repeat(32);
    for (const path of [
      `/jobs/${job.id}/vertices/${nobody}`,
      ofVertex("/subtasks/99"),
      ofVertex("/subtasks/0/attempts/0"),
      `/jobs/${job.id}/checkpoints/details/999999`,
      `/taskmanagers/${nobody}`,
      `/applications/${nobody}`,
    ]) {
      expect((await call(path)).status, `${path}`).toBe(404);
    }
  });

  test("failures are newest first, as many as asked for", async () => {
    interface History {
      readonly exceptionHistory: {
        readonly entries: readonly { readonly timestamp: number; readonly stacktrace: string }[];
        readonly truncated: boolean;
      };
    }
    const path = `/jobs/${job.id}/exceptions`;
    const { entries } = (await json<History>(await call(path))).exceptionHistory;
    expect(entries.length).toBeGreaterThan(0);
    const none = await json<History>(await call(`${path}?maxExceptions=0`));
    expect(none).toEqual({ exceptionHistory: { entries: [], truncated: true } });
  });

  test("a checkpoint's parts add up to it", async () => {
    interface Part {
      readonly num_subtasks: number;
      readonly num_acknowledged_subtasks: number;
      readonly state_size: number;
    }
    const { latest } = await job.checkpoints();
    const id = latest.completed!.id;
    const details = await json<Part & { readonly tasks: Readonly<Record<string, Part>> }>(
      await call(`/jobs/${job.id}/checkpoints/details/${id}`),
    );
    const { plan } = await job.details();
    expect(Object.keys(details.tasks)).toEqual(plan.vertices.map((vertex) => vertex.id));
    for (const name of ["num_subtasks", "num_acknowledged_subtasks", "state_size"] as const) {
      const parts = Object.values(details.tasks).map((part) => part[name]);
      expect(parts.reduce((sum, part) => sum + part)).toBe(details[name]);
    }
    for (const [vertex, part] of Object.entries(details.tasks)) {
      const { subtasks, summary } = await json<{
        subtasks: { status: string; state_size: number }[];
        summary: { state_size: { max: number } };
      }>(await call(`/jobs/${job.id}/checkpoints/details/${id}/subtasks/${vertex}`));
      expect(subtasks.map(({ status }) => status)).toEqual(
        Array.from({ length: part.num_subtasks }, () => "completed"),
      );
      const sizes = subtasks.map(({ state_size: size }) => size);
      expect(summary.state_size.max).toBe(Math.max(...sizes));
    }
  });

  test("a plan under a request starts nothing, and is the plan of the run", async () => {
    const of = `/jars/${program}/plan?parallelism=3`;
    interface Nodes {
      readonly plan: { readonly nodes: { readonly id: string; readonly parallelism: number }[] };
    }
    const before = await json<{ jobs: unknown[] }>(await call("/jobs"));
    const { plan } = await json<Nodes>(await call(of));
    expect((await json<{ jobs: unknown[] }>(await call("/jobs"))).jobs.length).toBe(
      before.jobs.length,
    );
    const started = await json<Nodes>(await call(`/jobs/${job.id}/plan`));
    expect(plan.nodes.map(({ id }) => id)).toEqual(started.plan.nodes.map(({ id }) => id));
    expect(plan.nodes.some(({ parallelism }) => parallelism === 3)).toBe(true);
  });
});

describe("Prometheus", () => {
  test("reads every sample under a type of its own, and wakes nobody", async () => {
    const response = await call("/metrics");
    expect(response.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const lines = (await response.text()).split("\n");
    expect(lines.pop()).toBe("");
    let family = "";
    const families: string[] = [];
    for (const line of lines) {
      const [, name] = /^# TYPE ([a-zA-Z_:][\w:]*) (?:counter|gauge)$/.exec(line) ?? [];
      if (name !== undefined) {
        family = name;
        families.push(name);
        continue;
      }
      const label = '[a-z_]+="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
      expect(line).toMatch(
        new RegExp(`^${family}(?:\\{${label}(?:,${label})*\\})? -?\\d+(?:\\.\\d+)?$`),
      );
    }
    expect(new Set(families).size).toBe(families.length);
    expect(families).toEqual(
      expect.arrayContaining([
        "flink_jobmanager_numRunningJobs",
        "flink_jobmanager_job_lastCheckpointDuration",
        "flink_jobmanager_job_numRestarts",
        "flink_taskmanager_job_task_numRecordsIn",
        "flink_taskmanager_job_task_numRecordsInPerSecond",
        "flink_taskmanager_job_task_backPressuredTimeMsPerSecond",
        "tidemark_task_numRecordsDropped",
      ]),
    );
    expect(lines.join("\n")).toContain(`job_id="${job.id}",job_name="${program}"`);
  });
});

describe("the published document", () => {
  interface OpenApi {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
  }

  test("has every route, and nothing it refers to is missing", async () => {
    const document = await json<OpenApi>(await call("/openapi.json"));
    const published = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(
        (method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
      ),
    );
    const routes = app.routes
      .filter(({ method, path }) => method !== "ALL" && !path.startsWith("/v1/"))
      .map(({ method, path }) => `${method} ${path}`);
    expect(published.toSorted()).toEqual([...new Set(routes)].toSorted());
    const text = JSON.stringify(document);
    for (const [, name = ""] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).toHaveProperty([name]);
    }
    expect(text).not.toContain("#/$defs/");
  });
});

describe("Flink's command line", () => {
  /** As `RestClusterClient` asks: under /v1. */
  interface Listed {
    readonly jid: string;
    readonly name: string;
    readonly state: string;
    readonly tasks: { readonly total: number };
    readonly [field: string]: unknown;
  }
  const numbers = ["start-time", "end-time", "duration", "last-modification", "pending-operators"];

  async function list(id: string): Promise<Listed | undefined> {
    const { jobs } = await json<{ jobs: Listed[] }>(await call("/v1/jobs/overview"));
    for (const one of jobs) {
      for (const field of numbers) expect(one[field]).toEqual(expect.any(Number));
      expect(one.tasks.total).toEqual(expect.any(Number));
    }
    return jobs.find(({ jid }) => jid === id);
  }

  test("list, run, list, cancel, list", async () => {
    const { files } = await json<{ files: { id: string; entry: unknown[] }[] }>(
      await call("/v1/jars"),
    );
    const jar = files.find(({ id }) => id === program);
    expect(jar?.entry).toHaveLength(1);

    const body = JSON.stringify({ parallelism: 2, programArgsList: [], savepointPath: null });
    const { jobid } = await json<{ jobid: string }>(
      await call(`/v1/jars/${jar!.id}/run`, { method: "POST", body }),
    );
    expect(jobid).toMatch(/^[0-9a-f]{32}$/);
    await until(
      "the job is listed as running",
      async () => (await list(jobid))?.state === "RUNNING",
    );
    expect(await json(await call(`/v1/jobs/${jobid}/status`))).toEqual({ status: "RUNNING" });
    const result = `/v1/jobs/${jobid}/execution-result`;
    expect(await json(await call(result))).toEqual({ status: { id: "IN_PROGRESS" } });

    const cancel = await call(`/v1/jobs/${jobid}?mode=cancel`, { method: "PATCH" });
    expect([cancel.status, await cancel.json()]).toEqual([202, {}]);
    await until("it is cancelled", async () => (await list(jobid))?.state === "CANCELED");
    expect(await json(await call(result))).toMatchObject({
      status: { id: "COMPLETED" },
      "job-execution-result": { id: jobid, "application-status": "CANCELED" },
    });
    expect((await call(`/v1/jobs/${jobid}?mode=cancel`, { method: "PATCH" })).status).toBe(409);
  });

  interface Operation {
    readonly status: { readonly id: string };
    readonly operation?: { readonly location?: string } | null;
  }

  /** As the client polls: until the operation is over, which has a location then. */
  async function polled(jobid: string, trigger: string): Promise<string> {
    return until("the operation completes", async () => {
      const path = `/v1/jobs/${jobid}/savepoints/${trigger}`;
      const { status, operation } = await json<Operation>(await call(path));
      if (status.id !== "COMPLETED") return undefined;
      return operation?.location;
    });
  }

  test("run, savepoint, stop, list, run from it", async () => {
    const post = async <T>(path: string, asked: object): Promise<T> =>
      json(await call(`/v1${path}`, { method: "POST", body: JSON.stringify(asked) }));
    const { jobid } = await post<{ jobid: string }>(`/jars/${program}/run`, {});
    await until("the job runs", async () => (await list(jobid))?.state === "RUNNING");
    // What the client does not mean, it sends as null.
    const savepoint = await post<{ "request-id": string }>(`/jobs/${jobid}/savepoints`, {
      "target-directory": null,
      "cancel-job": false,
      formatType: "CANONICAL",
      triggerId: null,
    });
    expect(await polled(jobid, savepoint["request-id"])).toMatch(/^savepoints\//);
    expect((await list(jobid))?.state).toBe("RUNNING");

    const stop = await post<{ "request-id": string }>(`/jobs/${jobid}/stop`, {
      targetDirectory: null,
      drain: false,
      formatType: "NATIVE",
      triggerId: null,
    });
    const location = await polled(jobid, stop["request-id"]);
    await until("it is finished", async () => (await list(jobid))?.state === "FINISHED");
    expect(await json(await call(`/v1/jobs/${jobid}/execution-result`))).toMatchObject({
      "job-execution-result": { "application-status": "SUCCEEDED" },
    });

    const again = await post<{ jobid: string }>(`/jars/${program}/run`, {
      savepointPath: location,
      allowNonRestoredState: false,
    });
    await until("it runs again", async () => (await list(again.jobid))?.state === "RUNNING");
    const { latest } = await json<{ latest: { restored: object } }>(
      await call(`/v1/jobs/${again.jobid}/checkpoints`),
    );
    expect(latest.restored).toMatchObject({ is_savepoint: true });
    await call(`/v1/jobs/${again.jobid}`, { method: "PATCH" });
  });

  test.each(ending)("%s ends a job, as described", async (route) => {
    const one = await run(program);
    await one.running();
    segments.set("jobid", one.id).set("applicationid", one.id);
    await answersAsDescribed(route, "/v1");
    const ended = route.endsWith("/stop") ? "FINISHED" : "CANCELED";
    await until("it has ended", async () => (await one.state()) === ended);
  });

  test("the dashboard's own way to cancel", async () => {
    const one = await run(program);
    await one.running();
    const answer = await call(`/jobs/${one.id}/yarn-cancel`);
    expect([answer.status, await answer.json()]).toEqual([202, {}]);
    await until("it is cancelled", async () => (await one.state()) === "CANCELED");
  });
});
