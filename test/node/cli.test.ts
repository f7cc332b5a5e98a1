// Every command against the local runtime, for people and as JSON, and what it ends with.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

import { type Runtime, startRuntime } from "../../local/runtime.ts";
import { type Ended, type RunOptions, tidemark } from "./tidemark.ts";

let directory: string;
let runtime: Runtime;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-cli-"));
  runtime = await startRuntime({ directory });
});
afterAll(async () => {
  await runtime.stop();
  await rm(directory, { recursive: true, force: true });
});

const run = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  tidemark(args, { url: runtime.url, ...options });

/** The whole of stdout as one document. */
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run([...args, "--json"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

const flight = {
  origin: "LAS",
  destination: "PHL",
  delay: 33,
  distance: 2_176,
  date: 978_307_260_000,
};

// CliFrontendListTest, CliFrontendCancelTest
test("a job from its start to its end", async () => {
  expect(await run(["programs"])).toEqual({ code: 0, stdout: "flight-delays\n", stderr: "" });
  expect(await json("programs")).toMatchObject({ files: [{ id: "flight-delays" }] });

  const first = "aa".repeat(16);
  const second = "ab".repeat(16);
  const args = ["run", "flight-delays", "-p", "2", "-c", "execution.checkpointing.interval=200ms"];
  expect(await json(...args, "--job-id", first, "--wait")).toEqual({
    jobid: first,
    state: "RUNNING",
  });
  // As after a lost answer: still one job.
  expect(await run([...args, "--job-id", first])).toMatchObject({ code: 0, stdout: `${first}\n` });
  expect(await json(...args, "--job-id", second, "--wait")).toMatchObject({ jobid: second });

  const input = `${JSON.stringify(flight)}\n${JSON.stringify({ ...flight, delay: 1 })}\n`;
  expect(await run(["ingest", "-", "--topic", "flights"], { input })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^2 records in flights; \d+\.\d s\n$/),
  });
  await expect
    .poll(() => json("table", first, "delays-by-origin", "--key", "LAS"), { timeout: 20_000 })
    .toMatchObject({
      read: "committed",
      checkpoint: expect.any(Number),
      rows: [{ key: "LAS", flights: 2, delayed: 1, meanDelay: 17, worst: 33 }],
    });
  expect((await run(["table", first, "delays-by-origin", "--latest"])).stdout).toBe(
    "key  flights  delayed  meanDelay  worst\nLAS        2        1         17     33\n" +
      "1 row, latest rows, not yet committed by a checkpoint\n",
  );
  expect((await run(["table", first, "delays-by-origin", "--format", "csv"])).stdout).toBe(
    "key,flights,delayed,meanDelay,worst\nLAS,2,1,17,33\n",
  );
  expect(await json("topics", "flights")).toMatchObject({ topic: "flights", keyed: false });
  expect((await run(["topics"])).stdout).toMatch(
    /^TOPIC +PARTITIONS.*\nflights +4 +request +2 +\d/,
  );

  const list = await run(["list"]);
  expect(list.stdout).toMatch(
    new RegExp(`^Running jobs\nJOB .*\n(.*\n)*${first}  flight-delays  RUNNING +4/4 `),
  );
  expect(list.stdout).toMatch(/\n\nEnded jobs: none\n$/);
  expect(await json("list", "--running")).toMatchObject({ jobs: [{}, {}] });
  expect(await json("list", "--ended")).toEqual({ jobs: [] });

  const info = await run(["info", "aaa"]);
  expect(info.stdout).toContain(`flight-delays  ${first}  RUNNING\n`);
  expect(info.stdout).toMatch(/; attempt 1\ncheckpoints +[1-9]\d* completed, 0 failed/);
  expect(info.stdout).toMatch(/\nby-origin -> Sink: out +RUNNING +2\/2 /);
  expect(info.stdout).not.toContain("\u001b");
  expect(await json("info", "aaa")).toMatchObject({
    job: { jid: first, state: "RUNNING", attempt: 1 },
    checkpoints: { counts: { failed: 0 } },
    exceptions: { exceptionHistory: { entries: [] } },
  });
  expect((await run(["checkpoints", "aaa"])).stdout).toMatch(/\n *\d+ +COMPLETED .* 4\/4 +jobs\//);
  expect(await json("checkpoints", "aaa")).toMatchObject({ history: expect.any(Array) });
  expect(await run(["exceptions", "aaa"])).toMatchObject({ code: 0, stdout: "No failures.\n" });

  const several = await run(["info", "a"]);
  expect(several).toMatchObject({ code: 1, stdout: "" });
  expect(several.stderr).toMatch(/^error: "a" is the beginning of 2 job ids:\n/);
  for (const id of [first, second]) expect(several.stderr).toContain(id);

  expect(await json("cancel", "aaa", "--wait")).toEqual({ jobid: first, state: "CANCELED" });
  // Repeated, as by a script that lost the answer.
  expect(await run(["cancel", first])).toMatchObject({
    code: 0,
    stdout: `Job ${first} is CANCELED.\n`,
  });
  const table = await run(["table", first, "delays-by-origin"]);
  expect(table).toMatchObject({ code: 1, stdout: "" });
  expect(table.stderr).toMatch(/is CANCELED; a table is served while its job runs/);

  // A record without a key fails every attempt; the job that runs is told what it was.
  const poison = '{"destination":"PHL"}\n';
  expect(await run(["ingest", "-", "-t", "flights"], { input: poison })).toMatchObject({ code: 0 });
  await expect
    .poll(async () => (await run(["exceptions", second])).stdout, { timeout: 20_000 })
    .toMatch(/^\d{4}-.* {2}Source: flights -> real-flights \([12]\/2\)\n.*key/);
  expect((await run(["info", second])).stdout).toMatch(/\nFailures, newest first\n\d{4}-.*key/);
  expect(await json("cancel", second, "--wait")).toMatchObject({ state: "CANCELED" });
});

// CliFrontendSavepointTest, CliFrontendStopTest, CliFrontendCheckpointTest
test("a savepoint, a stop, and a job that begins where it ended", async () => {
  // The topic of the others holds a record that fails every job.
  const shared = runtime;
  runtime = await startRuntime({ directory: join(directory, "savepoints") });
  onTestFinished(async () => {
    await runtime.stop();
    runtime = shared;
  });
  const args = ["run", "flight-delays", "-c", "execution.checkpointing.interval=200ms", "--wait"];
  const { jobid: first } = (await json(...args, "-p", "1")) as { jobid: string };
  const job = new RegExp(`^savepoints/nightly/savepoint-${first}-\\d+\\n$`);
  expect(await run(["savepoint", first, "--wait", "-d", "nightly"])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(job),
  });
  const trigger = "5a".repeat(16);
  for (let time = 0; time < 2; time++) {
    expect(await run(["savepoint", first, "--trigger-id", trigger])).toMatchObject({
      code: 0,
      stdout: `${trigger}\n`,
    });
  }
  expect(await run(["savepoint", first, "-d", "../jobs"])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/no place for a savepoint/),
  });
  const branch = ["fork", first.slice(0, 8), "--program", "flight-delays", "-p", "2", "--wait"];
  expect(await json(...branch, "--job-id", "f0".repeat(16))).toEqual({
    jobid: "f0".repeat(16),
    state: "RUNNING",
  });
  // As after a lost answer: still one job.
  expect(await run([...branch, "--job-id", "f0".repeat(16)])).toMatchObject({ code: 0 });
  expect(await json("checkpoints", "f0".repeat(16))).toMatchObject({ counts: { restored: 1 } });
  expect(await json("cancel", "f0".repeat(16), "--wait")).toMatchObject({ state: "CANCELED" });
  expect(await json("checkpoint", first, "--full", "--wait")).toMatchObject({
    jobid: first,
    checkpointId: expect.any(Number) as number,
  });
  expect(await run(["checkpoint", first, "--wait"])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d+\n$/) as string,
  });
  const spare = (await json("savepoint", first, "--wait")) as { location: string };
  expect(await run(["savepoint", "delete", spare.location])).toMatchObject({
    code: 0,
    stdout: `${spare.location} is deleted.\n`,
  });
  expect(await run(["savepoint", "delete", spare.location])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/There is no savepoint at/) as string,
  });
  const { location, state } = (await json("stop", first, "--drain")) as Record<string, string>;
  expect(state).toBe("FINISHED");
  const from = ["-p", "3", "--from-savepoint", location!, "--claim-mode", "claim"];
  const { jobid: second } = (await json(...args, ...from)) as { jobid: string };
  expect(await json("checkpoints", second)).toMatchObject({ counts: { restored: 1 } });
  expect(await json("cancel", second, "--wait")).toMatchObject({ state: "CANCELED" });
});

test.each<[string[], number, RegExp]>([
  [[], 2, /Usage: tidemark/],
  [["nope"], 2, /unknown command 'nope'/],
  [["list", "--timeout", "soon"], 2, /It must be a duration such as "500ms"/],
  [["list", "--url", "ftp://a"], 2, /It must begin with http/],
  [["list", "--url", "http://a:b@c"], 2, /It may hold no user and password/],
  [["run", "flight-delays", "-p", "0"], 2, /It must be a whole number of at least 1/],
  [["run", "flight-delays", "-c", "a"], 2, /It must be key=value/],
  [["run", "flight-delays", "--", "--airport", "SFO"], 1, /does not read --airport/],
  [["run", "flight-delays", "-c", "a=b"], 1, /a/],
  [["run", "flight-delays", "--claim-mode", "legacy"], 2, /It must be NO_CLAIM .* or CLAIM/],
  [["fork", "ffff"], 1, /No job's id begins with "ffff"/],
  [["run", "nope"], 1, /There is no program "nope"\. There are: flight-delays\./],
  [["info", "xyz"], 1, /"xyz" is no job id/],
  [["info", "0".repeat(32)], 1, /Job 0{32} not found/],
  [["info", "0"], 1, /No job's id begins with "0"; "tidemark list" shows all jobs/],
  [["ingest", "a.csv"], 2, /required option '-t, --topic <topic>' not specified/],
  [["ingest", "nope.csv", "-t", "flights"], 2, /nope\.csv cannot be read: ENOENT/],
  [
    ["ingest", "node_modules/vega-datasets/data/airports.csv", "-t", "nope"],
    1,
    /There is no topic "nope"\. There are: flights\./,
  ],
  [["ingest", "-", "-t", "flights", "-f", "parquet"], 2, /cannot come from stdin/],
  [["list", "--url", "http://127.0.0.1:1"], 3, /Nobody answers at http:\/\/127\.0\.0\.1:1/],
])("%j ends with %i", async (args, code, reason) => {
  const ended = await run(args);
  expect(ended.stderr).toMatch(reason);
  expect(ended.stderr).not.toMatch(/\n +at /);
  expect(ended).toMatchObject({ code, stdout: "" });
});

test("--help tells exit codes, options and examples, of a command too", async () => {
  const { code, stdout } = await run(["--help"]);
  for (const text of ["--url", "TIDEMARK_TOKEN", "ingest", "Exit codes:", "Examples:"])
    expect(stdout).toContain(text);
  expect(code).toBe(0);
  const ingest = await run(["ingest", "--help"]);
  for (const text of ["--skip-bad", "--json", "Examples:"]) expect(ingest.stdout).toContain(text);
  expect(ingest.code).toBe(0);
});

test("a reader that has had enough ends the command quietly", async () => {
  const bin = fileURLToPath(new URL("../../cli/tidemark.js", import.meta.url));
  // `:` ends before anything is written.
  const line = `{ "${process.execPath}" "${bin}" --help; echo "code $?" >&2; } | :`;
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", line]);
  expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "code 0\n" });
});

test("an old Node is told to be one, in a line", async () => {
  const old = "Object.defineProperty(process, 'versions', { value: { node: '20.1.0' } })";
  const { code, stdout, stderr } = await run(["list"], {
    node: ["--import", `data:text/javascript,${encodeURIComponent(old)}`],
  });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^tidemark needs Node 24 and this is 20\.1\.0; .*\n$/);
});

test("the token goes to the deployment and nowhere else", async () => {
  const heard: (string | undefined)[] = [];
  const elsewhere = createServer((request, response) => {
    heard.push(request.headers.authorization);
    response.end("{}");
  }).listen(0, "127.0.0.1");
  const server = createServer((request, response) => {
    heard.push(request.headers.authorization);
    const { port } = elsewhere.address() as AddressInfo;
    if (request.url === "/jars")
      response.writeHead(302, { Location: `http://127.0.0.1:${port}/` }).end();
    else response.writeHead(401).end('{"errors":["Who is it?"]}');
  }).listen(0, "127.0.0.1");
  await Promise.all(
    [elsewhere, server].map((each) => new Promise((up) => each.once("listening", up))),
  );
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const env = { TIDEMARK_TOKEN: "secret-1" };
    const refused = await run(["list", "--token", "secret-2"], { url, env });
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(
      "error: Who is it? Check the token in TIDEMARK_TOKEN or --token.\n",
    );
    const redirected = await run(["programs"], { url, env });
    expect(redirected.code).toBe(1);
    expect(redirected.stderr).toMatch(/redirects to http.* not followed/);
    expect((await run(["--help"], { env })).stdout).not.toContain("secret");
    expect(heard).toEqual(["Bearer secret-2", "Bearer secret-1"]);
  } finally {
    server.close();
    elsewhere.close();
  }
});
