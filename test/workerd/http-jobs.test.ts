import { exports } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";

const worker = (exports as unknown as { default: Fetcher }).default;
const call = (path: string, init?: RequestInit) => worker.fetch(`http://localhost${path}`, init);
const json = async (response: Response) => (await response.json()) as Record<string, unknown>;
const errorOf = async (response: Response) => ((await json(response))["errors"] as string[])[0];
const run = (body: unknown, program = "flight-delays") =>
  call(`/jars/${program}/run`, { method: "POST", body: JSON.stringify(body) });

const jobIdOf = (digits: string) => digits.repeat(32 / digits.length);
const stateOf = async (job: string) => (await json(await call(`/jobs/${job}`)))["state"];

const flights = [
  { origin: "MCI", destination: "MDW", delay: 10 },
  { origin: "MCI", destination: "LAX", delay: 30 },
  { origin: "LAX", destination: "MCI", delay: 0 },
];

describe("programs", () => {
  test("appear as jars", async () => {
    const { files } = (await json(await call("/v1/jars"))) as { files: { id: string }[] };
    expect(files).toContainEqual({
      id: "flight-delays",
      name: "flight-delays",
      uploaded: 0,
      entry: [{ name: "flight-delays", description: null }],
    });
  });

  test("an unknown one is refused with the known ones", async () => {
    const response = await run({}, "delays");
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatch(/There are: .*flight-delays/);
  });

  test("a request that makes no sense is refused before anything starts", async () => {
    const bad = [
      { parallelism: 0 },
      { parallelism: 129 },
      { flinkConfiguration: { "execution.checkpointing.interval": "soon" } },
      { flinkConfiguration: { "no.such.key": "1" } },
    ];
    for (const body of bad) expect((await run(body)).status).toBe(400);
    expect((await run({ savepointPath: "x" })).status).toBe(400);
    expect((await run({ savepointPath: "savepoints/x" })).status).toBe(422);
    expect((await run({ claimMode: "CLAIM" })).status).toBe(400);
  });
});

interface Health {
  readonly jid: string;
  readonly health: Readonly<Record<string, unknown>>;
}

describe("jobs", () => {
  test("run, are listed, serve their table, and are cancelled", async () => {
    const job = jobIdOf("a1");
    const body = flights.map((flight) => JSON.stringify(flight)).join("\n");
    await call("/topics/flights/records", { method: "POST", body });
    expect(await json(await run({ jobId: job }))).toEqual({ jobid: job, applicationId: job });
    expect(await json(await run({ jobId: job }))).toEqual({ jobid: job, applicationId: job });
    await vi.waitUntil(async () => (await stateOf(job)) === "RUNNING", 10_000);

    const { jobs } = (await json(await call("/jobs"))) as { jobs: { id: string }[] };
    expect(jobs.filter(({ id }) => id === job)).toEqual([{ id: job, status: "RUNNING" }]);
    const overview = (await json(await call("/v1/jobs/overview"))) as { jobs: { jid: string }[] };
    expect(overview.jobs).toContainEqual(expect.objectContaining({ jid: job, state: "RUNNING" }));

    const table = `/jobs/${job}/tables/delays-by-origin`;
    const rows = async (path = table) => (await json(await call(path)))["rows"] as object[];
    await vi.waitUntil(async () => (await rows())?.length === 2, 15_000);
    const mci = { key: "MCI", flights: 2, delayed: 1, meanDelay: 20, worst: 30 };
    expect(await rows()).toContainEqual(mci);
    for (const path of ["/jobs/overview", `/jobs/${job}`]) {
      const { jobs: all, ...one } = (await json(await call(path))) as unknown as Health & {
        jobs?: Health[];
      };
      const { health } = all?.find(({ jid }) => jid === job) ?? one;
      expect(health).toMatchObject({ status: "healthy" });
      expect(health["last-checkpoint-age"]).toBeGreaterThanOrEqual(0);
    }
    expect(await json(await call(`${table}/MCI`))).toMatchObject({
      table: "delays-by-origin",
      read: "committed",
      checkpoint: expect.any(Number) as number,
      rows: [mci],
    });
    expect(await json(await call(`${table}/MCI?read=latest`))).toMatchObject({
      read: "latest",
      checkpoint: null,
      rows: [mci],
    });
    expect((await call(`${table}/XXX`)).status).toBe(404);
    expect((await call(`${table}?read=newest`)).status).toBe(400);
    const [first, second] = [
      await json(await call(`${table}?limit=1`)),
      await json(await call(table)),
    ];
    expect(second["next"]).toBeNull();
    const next = String(first["next"]);
    const rest = await json(await call(`${table}?limit=1&after=${next}`));
    expect(rest["next"]).toBeNull();
    expect([...(first["rows"] as object[]), ...(rest["rows"] as object[])]).toEqual(second["rows"]);
    for (const bad of [
      "limit=0",
      "limit=100001",
      "limit=x",
      "after=",
      "after=x",
      `after=${next}0`,
    ]) {
      const answer = await call(`${table}?${bad}`);
      expect(answer.status).toBe(400);
      expect(await errorOf(answer)).toMatch(/in its query: (limit|after) must be/);
    }
    expect(await errorOf(await call(`/jobs/${job}/tables/delays`))).toMatch(/delays-by-origin/);

    const { counts, latest } = (await json(await call(`/jobs/${job}/checkpoints`))) as {
      counts: { completed: number };
      latest: { completed: object };
    };
    expect(counts.completed).toBeGreaterThan(0);
    expect(latest.completed).toMatchObject({ status: "COMPLETED", className: "completed" });

    expect((await call(`/jobs/${job}?mode=stop`, { method: "PATCH" })).status).toBe(400);
    expect((await call(`/jobs/${job}?mode=cancel`, { method: "PATCH" })).status).toBe(202);
    await vi.waitUntil(async () => (await stateOf(job)) === "CANCELED", 10_000);
    expect((await call(`/jobs/${job}`, { method: "PATCH" })).status).toBe(409);
    expect((await call(table)).status).toBe(409);
  });

  test.each(["", "/checkpoints", "/tables/delays-by-origin", "/tables/delays-by-origin/MCI"])(
    "/jobs/:jobid%s is 400 for what is no id, 404 for an unknown job",
    async (path) => {
      for (const bad of ["1", jobIdOf("AB"), jobIdOf("zz")]) {
        expect((await call(`/jobs/${bad}${path}`)).status).toBe(400);
      }
      expect((await call(`/jobs/${jobIdOf("00")}${path}`)).status).toBe(404);
    },
  );
});
