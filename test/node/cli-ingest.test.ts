// Files into a topic and out of a table, through faults on the way: every record once.

import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, expect, test } from "vitest";

import { flightBodies } from "../../examples/01-flight-delays/flights.ts";
import {
  delaysByOrigin,
  type DelaysRow,
  differences,
} from "../../examples/01-flight-delays/reference.ts";
import { type Runtime, startRuntime } from "../../local/runtime.ts";
import { start, tidemark } from "./tidemark.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-ingest-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Runs `body` with a runtime of its own, on which the job runs. */
async function withJob(
  name: string,
  body: (runtime: Runtime, job: string) => Promise<void>,
): Promise<void> {
  const runtime = await startRuntime({ directory: join(directory, name) });
  try {
    const args = ["run", "flight-delays", "-c", "execution.checkpointing.interval=250ms"];
    const { stdout, stderr } = await tidemark(args, { url: runtime.url });
    expect(stderr).toBe("");
    await body(runtime, stdout.trim());
  } finally {
    await runtime.stop();
  }
}

/** Waits until the job has counted `rows` in all, and compares its table with that of the first flights. */
async function expectExact(url: string, job: string, rows: number): Promise<void> {
  const expected = await delaysByOrigin(rows);
  const tableOf = async (): Promise<readonly DelaysRow[]> => {
    const answer = await fetch(`${url}/jobs/${job}/tables/delays-by-origin`);
    return answer.ok ? ((await answer.json()) as { rows: DelaysRow[] }).rows : [];
  };
  await expect
    .poll(async () => differences(expected, await tableOf()).length, {
      timeout: 30_000,
      interval: 250,
    })
    .toBe(0);
  // No record more than the file has, though the job would not count all of them.
  expect(await recordsIn(url)).toBe(rows);
}

async function recordsIn(url: string): Promise<number> {
  const topic = (await (await fetch(`${url}/topics/flights`)).json()) as {
    partitions: { next: number }[];
  };
  return topic.partitions.reduce((total, { next }) => total + next, 0);
}

async function flightsFile(rows: number): Promise<string> {
  const path = join(directory, `flights-${rows}.ndjson`);
  const bodies: Buffer[] = [];
  for await (const { ndjson } of flightBodies(rows, { rowsPerBody: 5_000 })) bodies.push(ndjson);
  await writeFile(path, Buffer.concat(bodies));
  return path;
}

test("an ingestion that is killed in mid-file is resumed by its repetition", async () => {
  const rows = 40_000;
  const file = await flightsFile(rows);
  await withJob("killed", async ({ url }, job) => {
    const args = ["ingest", file, "--topic", "flights", "--batch", "500"];
    const killed = start(args, { url });
    await expect
      .poll(() => recordsIn(url), { timeout: 20_000, interval: 20 })
      .toBeGreaterThan(4_000);
    killed.kill("SIGKILL");
    await once(killed, "exit");

    const otherwise = await tidemark([...args, "--batch", "1000"], { url });
    expect(otherwise).toMatchObject({ code: 1, stdout: "" });
    expect(otherwise.stderr).toMatch(/^error: Other records were sent as this stream's before/);

    const resumed = await tidemark([...args, "--json"], { url });
    expect(resumed.code).toBe(0);
    const result = JSON.parse(resumed.stdout) as { keptBefore: number };
    expect(result).toMatchObject({ topic: "flights", records: rows, skipped: [] });
    expect(result.keptBefore).toBeGreaterThan(4_000);
    expect(result.keptBefore).toBeLessThan(rows);
    await expectExact(url, job, rows);

    const again = await tidemark([...args, "--json"], { url });
    expect(JSON.parse(again.stdout)).toMatchObject({ records: rows, keptBefore: rows });
    await expectExact(url, job, rows);
  });
});

test("answers that are refused, lost or late leave every record once, from Parquet", async () => {
  const parquet = fileURLToPath(
    new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets")),
  );
  const rows = 20_000;
  await withJob("faults", async (runtime, job) => {
    const proxy = await faultyProxy(runtime.url);
    try {
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const args = ["ingest", parquet, "-t", "flights", "--limit", String(rows), "--batch", "500"];
      const { code, stdout } = await tidemark([...args, "--timeout", "2s", "--json"], { url });
      expect(code).toBe(0);
      const result = JSON.parse(stdout) as { repeated: number };
      expect(result).toMatchObject({ records: rows, keptBefore: 0 });
      expect(result.repeated).toBeGreaterThanOrEqual(10);
      await expectExact(runtime.url, job, rows);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

/** Of every eight appends, by turns: 503, 429, a cut before the append, one after it, and no answer. */
async function faultyProxy(target: string): Promise<Server> {
  let appends = 0;
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.from(await new Response(request as never).arrayBuffer());
      const fault = request.method === "POST" ? appends++ % 8 : undefined;
      if (fault === 1)
        return response.writeHead(503, { "Retry-After": "0" }).end('{"errors":["Not now."]}');
      if (fault === 2) return response.writeHead(429).end("<html>");
      if (fault === 3) return request.socket.destroy();
      const answer = await fetch(target + request.url, {
        method: request.method!,
        headers: request.headers as Record<string, string>,
        ...(body.length > 0 && { body }),
      });
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (fault === 4) return request.socket.destroy();
      // Once only: it takes the time-out of the client.
      if (fault === 5 && appends === 6) return response.writeHead(200).write("{");
      return response.writeHead(answer.status, { "Content-Type": "application/json" }).end(bytes);
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

test("CSV and NDJSON say what is wrong where, go on without it, and end by SIGINT", async () => {
  await withJob("formats", async ({ url }, job) => {
    const csv = join(directory, "flights.csv");
    const header = "origin,destination,delay\n";
    await writeFile(csv, `${header}LAS,PHL,33\nLAS,"New\nYork",n/a\nLAS,PHL\nLAS,PHL,-3\n`);
    const args = ["ingest", csv, "--topic", "flights", "--types", "delay=number"];
    const refused = await tidemark(args, { url });
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toBe(
      `error: ${csv}, line 4: has "n/a" in column "delay" of type number\n` +
        "Correct it and repeat the command, or leave such records out with --skip-bad <n>.\n",
    );
    expect(await recordsIn(url)).toBe(0);
    const skipping = await tidemark([...args, "--skip-bad", "2"], { url });
    expect(skipping).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^2 records in flights; 2 skipped; \d+\.\d s\n$/),
    });
    expect(skipping.stderr).toMatch(/^skipped: .*line 4: .*\nskipped: .*line 5: has 2 cells, /);

    const ndjson = join(directory, "bad.ndjson");
    const line = '{"origin":"LAS","destination":"PHL","delay":6}\n';
    await writeFile(ndjson, `${line}\n${line}{"origin":\n${line}`);
    const stopped = await tidemark(["ingest", ndjson, "-t", "flights", "--batch", "2"], { url });
    expect(stopped).toMatchObject({ code: 1, stdout: "" });
    expect(stopped.stderr).toMatch(/bad\.ndjson, line 4: is not one JSON value: /);
    // Up to the batch before the bad line. Corrected and repeated, all of it, once.
    expect(await recordsIn(url)).toBe(4);
    await writeFile(ndjson, (await readFile(ndjson, "utf8")).replace('{"origin":\n', line));
    const corrected = await tidemark(["ingest", ndjson, "-t", "flights", "--batch", "2"], { url });
    expect(corrected.stdout).toMatch(/^4 records in flights, 2 of them kept before; /);

    const row = { key: "LAS", flights: 6, delayed: 1, meanDelay: 9, worst: 33 };
    await expect
      .poll(async () => (await fetch(`${url}/jobs/${job}/tables/delays-by-origin`)).json())
      .toMatchObject({ rows: [row] });

    // Of a stdin on which nothing comes any more, which is where it could hang.
    const child = start(["ingest", "-", "--topic", "flights", "--batch", "1"], { url });
    child.stdin!.write(`${line}{"origin":`);
    await expect.poll(() => recordsIn(url), { timeout: 20_000 }).toBe(7);
    child.kill("SIGINT");
    const [[code], stderr] = await Promise.all([once(child, "exit"), text(child.stderr!)]);
    expect({ code, stderr }).toEqual({ code: 130, stderr: "Ended by SIGINT.\n" });
  });
});

test("a deployment that takes nothing is given up, as unavailable", async () => {
  const server = createServer((request, response) => {
    if (request.method === "GET") response.end("{}");
    else response.writeHead(503, { "Retry-After": "0" }).end('{"errors":["Not now."]}');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ["ingest", "-", "-t", "flights", "--patience", "500ms"];
  const { code, stdout, stderr } = await tidemark(args, { url, input: '{"a":1}\n' });
  server.close();
  expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
  expect(stderr).toMatch(/^error: .* took no records for 0\.5 s: Not now\.\nRepeat the command/);
});
