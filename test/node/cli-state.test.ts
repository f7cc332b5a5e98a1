// State and savepoints from the command line, against the local runtime.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { type Runtime, startRuntime } from "../../local/runtime.ts";
import { type Ended, type RunOptions, tidemark } from "./tidemark.ts";

const job = "aa".repeat(16);

let directory: string;
let runtime: Runtime;
let location: string;
let exported: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-cli-state-"));
  runtime = await startRuntime({ directory: join(directory, "runtime") });
  const settings = ["-c", "execution.checkpointing.interval=200ms", "--job-id", job, "--wait"];
  await done(["run", "flight-delays", "-p", "2", ...settings]);
  const input = ["LAS", "ATL", "LAS"].map((origin, n) => JSON.stringify(flight(origin, 10 * n)));
  await done(["ingest", "-", "--topic", "flights"], { input: input.join("\n") });
  const counted = async (): Promise<void> => {
    const value = await done(["state", job, ...accumulators]);
    if (!value.startsWith("[2,1,[20,2],20]\n")) throw new Error(`LAS has ${value}`);
  };
  await vi.waitFor(counted, { timeout: 30_000, interval: 200 });
  location = (await done(["savepoint", "take", "aa", "--wait", "-d", "nightly"])).trim();
  exported = await done(["savepoint", "export", location]);
}, 120_000);
afterAll(async () => {
  await runtime.stop();
  await rm(directory, { recursive: true, force: true });
});

const accumulators = ["by-origin", "accumulators", "LAS"];

const flight = (origin: string, delay: number) => ({
  origin,
  destination: "PHL",
  delay,
  distance: 2_176,
  date: 978_307_260_000,
});

const run = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  tidemark(args, { url: runtime.url, ...options });

/** What it has printed. @throws Error where it has not done it */
async function done(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(args, options);
  if (code === 0) return stdout;
  throw new Error(`${args.join(" ")} has ended with ${code}: ${stderr}`);
}

/** The whole of stdout as one document. */
async function json(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run([...args, "--json"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

/** A file of that text. */
async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

test("the state of a job, now and then", async () => {
  expect((await run(["state", "aa"])).stdout).toMatch(
    /^OPERATOR .*\nby-origin +accumulators +value +key +2\nflights +offsets +list +subtask, union +4\n/,
  );
  expect((await run(["state", job, "flights", "offsets"])).stdout).toMatch(
    /^SUBTASK +ELEMENT\n +0 +\{"partition":0,"next":\d\}\n(.*\n){3}4 elements, union; as of now/,
  );
  expect((await run(["state", job, ...accumulators, "--savepoint", location])).stdout).toMatch(
    /^\[2,1,\[20,2\],20\]\nkey "LAS", key group 45; as of savepoint nightly\/savepoint-/,
  );
  expect(await json("state", job, ...accumulators)).toMatchObject({
    key: "LAS",
    value: [2, 1, [20, 2], 20],
    asOf: { read: "live" },
  });
});

test("savepoints in the bucket", async () => {
  const id = location.slice("savepoints/".length);
  expect((await run(["savepoint", "list"])).stdout).toContain(`\n${id}  flight-delays `);
  expect(await json("savepoint", "list", "--limit", "1")).toMatchObject({
    savepoints: [expect.any(Object)],
  });
  expect((await run(["savepoint", "show", id])).stdout).toMatch(
    /\nby-origin +accumulators +value +key +2 +2 /,
  );
  expect(await json("savepoint", "verify", id)).toMatchObject({ isWhole: true, entries: 4 });
});

test("an export whose values were changed, imported, is what a job begins with", async () => {
  const output = join(directory, "state.ndjson");
  expect(await json("savepoint", "export", location, "-o", output)).toMatchObject({ entries: 8 });
  expect(await readFile(output, "utf8")).toBe(exported);
  expect(await run(["savepoint", "diff", location, output])).toEqual({
    code: 0,
    stdout: "They hold the same.\n",
    stderr: "",
  });
  const before = '"key":"LAS","value":[2,';
  const changed = await file("edited.ndjson", exported.replace(before, before.replace("2", "7")));
  const diff = await run(["savepoint", "diff", location, changed]);
  expect(diff).toMatchObject({ code: 1, stderr: "" });
  expect(diff.stdout).toMatch(
    /\nby-origin +accumulators +0 +0 +1 +1\nflights +offsets +0 +0 +0 +4\n/,
  );
  expect(diff.stdout).toContain('\n~ "LAS"  [2,1,[20,2],20] -> [7,1,[20,2],20]\n');

  const imported = await run(["savepoint", "import", changed, "--as", "repaired"]);
  expect(imported).toEqual({ code: 0, stdout: "savepoints/savepoint-repaired\n", stderr: "" });
  const again = await run(["savepoint", "import", "-", "--as", "repaired"], { input: exported });
  expect(again).toMatchObject({ code: 1, stdout: "" });
  expect(again.stderr).toMatch(/There is a savepoint savepoints\/savepoint-repaired/);

  const second = "bb".repeat(16);
  const from = ["-p", "1", "--from-savepoint", imported.stdout.trim(), "--job-id", second];
  expect(await run(["run", "flight-delays", ...from, "--wait"])).toMatchObject({ code: 0 });
  expect(await json("state", second, ...accumulators)).toMatchObject({
    value: [7, 1, [20, 2], 20],
  });
  expect(await run(["cancel", second, "--wait"])).toMatchObject({ code: 0 });
  expect(await run(["savepoint", "delete", "savepoint-repaired"])).toMatchObject({
    code: 0,
    stdout: "savepoints/savepoint-repaired is deleted.\n",
  });
});

test("a bad line of a long file is named, while the rest of it is still to be sent", async () => {
  const [header, first] = exported.split("\n");
  const text = `${header}\n${first}\n{\n${"x\n".repeat(3_000_000)}`;
  const ended = await run(["savepoint", "import", await file("bad.ndjson", text)]);
  expect(ended.stderr).toMatch(/Line 3: it is not JSON.*Nothing was imported/);
  expect(ended).toMatchObject({ code: 1, stdout: "" });
});

test("verify ends with 1 and tells file, operator and state of what is damaged", async () => {
  // So much that it gets a file of its own, which is known again by it.
  const mark = "a mark that no other file has ";
  const large = exported.replace("[2,1,[20,2],20]", JSON.stringify(mark.repeat(10_000)));
  await done(["savepoint", "import", "-", "--as", "damaged"], { input: large });
  const blobs = join(directory, "runtime", "r2", "tidemark", "blobs");
  let damaged = 0;
  for (const name of await readdir(blobs)) {
    const bytes = await readFile(join(blobs, name));
    const at = bytes.indexOf(mark);
    if (at === -1) continue;
    bytes[at]! ^= 1;
    await writeFile(join(blobs, name), bytes);
    damaged++;
  }
  expect(damaged).toBe(1);
  const verified = await run(["savepoint", "verify", "savepoint-damaged"]);
  expect(verified).toMatchObject({ code: 1, stderr: expect.stringMatching(/is damaged/) });
  expect(verified.stdout).toMatch(/savepoint-damaged\/.*by-origin.*accumulators/);
  const output = join(directory, "damaged.ndjson");
  const taken = await run(["savepoint", "export", "savepoint-damaged", "-o", output]);
  expect(taken).toMatchObject({ code: 1, stdout: "" });
  expect(taken.stderr).toMatch(/savepoint-damaged\/.*by-origin.*accumulators/);
  expect(await readdir(directory)).not.toContain("damaged.ndjson");
});

test.each<[string[], number, RegExp]>([
  [["state", job, "nope"], 1, /Operator "nope" has no state\. Those that have some: "by-origin"/],
  [["state", job, "by-origin", "accumulators", ".."], 1, /looked for were "\.\."/],
  [["state", job, "by-origin", "--map-key", "a"], 2, /--map-key needs a key/],
  [["state", job, "--checkpoint", "1", "--savepoint", "a"], 2, /not both/],
  [["savepoint"], 2, /missing required argument 'job'/],
  [["savepoint", "show", "nope"], 1, /GET \/savepoints lists those that are/],
  [["savepoint", "export", "nope"], 1, /GET \/savepoints lists those that are/],
  [["savepoint", "export", "nope", "--json"], 2, /--json needs --output/],
  [["savepoint", "verify", ".."], 2, /There is nothing called "\.\."/],
  [["savepoint", "import", "nope.ndjson"], 2, /nope\.ndjson cannot be read: ENOENT/],
  [["savepoint", "diff", "nope.ndjson", "b"], 2, /there is no such file/],
  [["savepoint", "diff", "nope", "nope"], 2, /GET \/savepoints lists those that are/],
])("%j ends with %i", async (args, code, reason) => {
  const ended = await run(args);
  expect(ended.stderr).toMatch(reason);
  expect(ended.stderr).not.toMatch(/\n +at /);
  expect(ended).toMatchObject({ code, stdout: "" });
});

test("a download that breaks off, is cut short or ends with an error is no export", async () => {
  const lines = exported.split("\n").slice(0, 3).join("\n");
  const server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    if (request.url!.includes("cut")) response.end(`${lines}\n`);
    else if (request.url!.includes("error")) response.end(`${lines}\n{"error":"It is damaged."}\n`);
    else response.write(lines, () => setTimeout(() => response.destroy(), 100));
  }).listen(0, "127.0.0.1");
  try {
    await new Promise((up) => server.once("listening", up));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const reasons = { cut: /cut short/, error: /It is damaged/, broken: /broke off/ };
    const output = await file("kept.ndjson", "as it was");
    for (const [id, reason] of Object.entries(reasons)) {
      const toFile = await run(["savepoint", "export", id, "-o", output], { url });
      expect(toFile).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(reason) });
      const toStdout = await run(["savepoint", "export", id], { url });
      expect(toStdout).toMatchObject({ code: 1, stderr: expect.stringMatching(reason) });
    }
    expect(await readFile(output, "utf8")).toBe("as it was");
    expect(await readdir(directory)).not.toContain("kept.ndjson.partial");
  } finally {
    server.close();
  }
});
