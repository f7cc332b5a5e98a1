import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";

import { ingestBodyBytesMax } from "../../format/limits.ts";

const worker = (exports as unknown as { default: Fetcher }).default;
const call = (path: string, init?: RequestInit) => worker.fetch(`http://localhost${path}`, init);
const post = (body: BodyInit, headers: Record<string, string> = {}) =>
  call("/topics/flights/records", { method: "POST", body, headers });
const json = async (response: Response) => (await response.json()) as Record<string, unknown>;
const errorOf = async (response: Response) => ((await json(response))["errors"] as string[])[0];

const records = async () => {
  const topic = await json(await call("/topics/flights"));
  const partitions = topic["partitions"] as { first: number; next: number }[];
  return partitions.reduce((sum, { first, next }) => sum + next - first, 0);
};

describe("every route", () => {
  test("is served at /v1 and at the root", async () => {
    for (const path of ["/healthz", "/v1/healthz"]) {
      expect(await json(await call(path))).toEqual({ status: "ok" });
    }
  });

  test("says 404 for what there is not, in Flink's form", async () => {
    for (const path of ["/", "/nothing", "/v1/nothing", "/v2/healthz"]) {
      const response = await call(path);
      expect(response.status).toBe(404);
      expect(await json(response)).toEqual({ errors: [`Not found: ${path}`] });
    }
  });

  test("says 405 with what is allowed", async () => {
    const response = await call("/v1/jobs/overview", { method: "DELETE" });
    expect(response.status).toBe(405);
    expect(response.headers.get("Allow")).toBe("GET, HEAD");
  });
});

describe("ingestion", () => {
  test("takes lines and arrays, declared or not", async () => {
    const before = await records();
    const bodies: [string, Record<string, string>][] = [
      ['{"n":1}\n{"n":2}\n', { "Content-Type": "application/x-ndjson; charset=utf-8" }],
      ['[{"n":3},{"n":4}]', { "Content-Type": "application/json" }],
      ['{"n":5}\n{"n":6}', { "Content-Type": "application/x-www-form-urlencoded" }],
      ['[{"n":7},{"n":8}]', {}],
    ];
    for (const [body, headers] of bodies) {
      const response = await post(body, headers);
      expect(response.status).toBe(200);
      expect(await json(response)).toMatchObject({
        topic: "flights",
        records: 2,
        partitions: [{ count: 2 }],
        duplicate: false,
      });
    }
    expect(await records()).toBe(before + 8);
  });

  test("counts a repeated request once, and refuses its key for another body", async () => {
    const headers = { "Idempotency-Key": "producer-1/17" };
    const first = await json(await post('{"n":1}', headers));
    const before = await records();
    expect(await json(await post('{"n":1}', headers))).toEqual({ ...first, duplicate: true });
    expect((await post('{"n":2}', headers)).status).toBe(422);
    expect(await records()).toBe(before);
  });

  test("keeps nothing of a body with one bad record", async () => {
    const before = await records();
    const response = await post('{"n":1}\n{"n":2}\n{"n":\n{"n":4}\n');
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatch(/^Line 3 is not one JSON value/);
    expect(await records()).toBe(before);
  });

  test.each([
    ["an empty body", "", {}, 400, /no records/],
    ["a null record", "[1,null]", {}, 400, /Record 2 is null/],
    ["a bad key", "1", { "Idempotency-Key": "é" }, 400, /printable ASCII/],
    ["a long key", "1", { "Idempotency-Key": "k".repeat(257) }, 400, /1 to 256/],
    ["a body too large", "1".repeat(ingestBodyBytesMax + 1), {}, 413, /larger than/],
  ])("refuses %s", async (_, body, headers, status, reason) => {
    const response = await post(body, headers);
    expect(response.status).toBe(status);
    expect(await errorOf(response)).toMatch(reason);
  });

  test("refuses a body that hides that it is too large", async () => {
    const chunk = new TextEncoder().encode("1\n".repeat(512 * 1024));
    let left = ingestBodyBytesMax / chunk.length + 1;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(chunk);
        else controller.close();
      },
    });
    expect((await post(stream)).status).toBe(413);
  });

  test("knows its topics", async () => {
    const response = await call("/topics/fligths/records", { method: "POST", body: "1" });
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatch(/There are: .*flights/);
    const { topics } = (await json(await call("/topics"))) as { topics: { topic: string }[] };
    expect(topics.map(({ topic }) => topic)).toContain("flights");
  });
});
