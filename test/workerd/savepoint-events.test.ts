// How far a savepoint is, by server-sent events.

import { afterEach, expect, test } from "vitest";

import { faults, Gate, heal, seen } from "./faults.ts";
import { call, stateInFiles, streaming, type TestJob, until } from "./harness.ts";
import { outcome, post, savepoint, triggered } from "./savepoints.ts";

afterEach(heal);

interface Event {
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const open = (job: TestJob, trigger: string, headers: Record<string, string> = {}) =>
  call(`/jobs/${job.id}/savepoints/${trigger}/events`, { headers });

/** Events as they come. Ends with the stream. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  let rest = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      if (block.startsWith(":")) continue;
      const fields = new Map(
        block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]),
      );
      const data = JSON.parse(fields.get("data")!) as Event["data"];
      yield { event: fields.get("event")!, id: fields.get("id")!, data };
    }
  }
}

const all = (response: Response): Promise<Event[]> => Array.fromAsync(eventsOf(response));

/** A savepoint of which a file is held back. */
async function heldBack() {
  const { job } = await streaming(stateInFiles);
  const gate = new Gate();
  faults.onPut = async (path, put) => {
    if (path.startsWith("savepoints/")) await gate.pass();
    return put();
  };
  const trigger = await triggered(await post(`/jobs/${job.id}/savepoints`));
  await until("a file is on its way", () => gate.arrived > 0);
  return { job, gate, trigger };
}

test("it tells who has acknowledged, then where the savepoint is, and ends", async () => {
  const { job, gate, trigger } = await heldBack();
  const response = await open(job, trigger);
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toBe("text/event-stream");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const events: Event[] = [];
  for await (const event of eventsOf(response)) {
    events.push(event);
    gate.open();
  }
  const { location } = await outcome(job, trigger);
  expect(events[0]).toMatchObject({
    event: "progress",
    id: "0",
    data: { status: "IN_PROGRESS", checkpoint: expect.any(Number) as number, total: 6 },
  });
  expect(events[0]!.data["acknowledged"]).toBeLessThan(6);
  expect(events.at(-1)).toEqual({
    event: "completed",
    id: "outcome",
    data: { status: "COMPLETED", location },
  });
});

test("who comes late or back is told the outcome, and who has heard it stays away", async () => {
  const { job } = await streaming(stateInFiles);
  const triggerId = "c0".repeat(16);
  const location = await savepoint(job, { triggerId });
  for (const headers of [{}, { "Last-Event-ID": "0" }, { "Last-Event-ID": "x; y" }]) {
    const events = await all(await open(job, triggerId, headers));
    expect(events).toEqual([
      { event: "completed", id: "outcome", data: { status: "COMPLETED", location } },
    ]);
  }
  expect((await open(job, triggerId, { "Last-Event-ID": "outcome" })).status).toBe(204);
  expect((await open(job, "f".repeat(32))).status).toBe(404);
  expect((await open(job, "f")).status).toBe(400);
});

test("it tells why one failed", async () => {
  const { job } = await streaming(stateInFiles);
  let broken = 0;
  faults.onPut = (path, put) => {
    if (!path.startsWith("savepoints/") || broken++ > 0) return put();
    return Promise.reject(new Error("put: the store is down (injected)"));
  };
  const trigger = await triggered(await post(`/jobs/${job.id}/savepoints`));
  const last = (await all(await open(job, trigger))).at(-1);
  expect(last).toMatchObject({
    event: "failed",
    data: { "failure-cause": { "stack-trace": expect.stringMatching(/was not stored/) as string } },
  });
});

test("a client that is gone leaves nothing running", async () => {
  const { job, gate, trigger } = await heldBack();
  const response = await open(job, trigger);
  const reader = response.body!.getReader();
  expect((await reader.read()).done).toBe(false);
  await reader.cancel();
  await scheduler.wait(600);
  const reads = seen.progressReads;
  await scheduler.wait(1_000);
  expect(seen.progressReads).toBe(reads);
  gate.open();
  expect((await outcome(job, trigger)).location).toBeDefined();
});
