// How far a savepoint is, as it goes on: `GET /jobs/:jobid/savepoints/:triggerid/events`, as events that
// a browser's EventSource reads.
//   V1. Each event tells all there is to tell, so a client that comes back, with whatever
//       Last-Event-ID, has missed nothing. Who has heard the outcome is told to stay away (204).
//   V2. The stream ends with the outcome, or after some minutes: then the client comes back.
//   V3. The coordinator is asked, as for a status. So nothing is held open in it, a job that rests
//       sleeps on, and a client that is gone is asked for no longer.

import { Hono } from "hono";
import { streamSSE } from "hono/streaming";

import type { SavepointProgress } from "../../format/job-status.ts";
import { respond } from "../contract/endpoint.ts";
import { params } from "../contract/flink-schemas.ts";
import { coordinator, type Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { detailsOf } from "./jobs.ts";
import { operationResult } from "./savepoints.ts";

/** Milliseconds between two looks, and of silence before a comment shows that the stream lives. */
const lookEvery = 250;
const silenceMax = 10_000;

/** Milliseconds that one stream lasts, and after which a client is to come back. */
const streamMax = 5 * 60_000;
const comeBackAfter = 1_000;

/** Looks in a row that may fail before the stream is given up. */
const failuresMax = 20;

/** The id of the event that ends it all. */
const outcomeId = "outcome";

export function savepointEventRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  const events = {
    method: "get",
    path: "/jobs/:jobid/savepoints/:triggerid/events",
    summary: "How far a savepoint is, as it goes on: server-sent events.",
    params: params.operation,
    answer: "text/event-stream",
  } as const;
  respond(routes, events, async ({ c, env, params: { jobid, triggerid } }) => {
    const { summary } = await detailsOf(env, jobid);
    const look = (): Promise<SavepointProgress | undefined> =>
      coordinator(env, summary.job).savepointProgress(triggerid);
    const first = await look();
    if (first === undefined) {
      throw new HttpError(404, `Job ${summary.job} knows no savepoint of trigger id ${triggerid}.`);
    }
    if (isOver(first) && c.req.header("Last-Event-ID") === outcomeId) return c.body(null, 204);
    return streamSSE(c, async (stream) => {
      const endsAt = Date.now() + streamMax;
      let progress: SavepointProgress | undefined = first;
      let told = "";
      let toldAt = Date.now();
      for (let id = 0, failures = 0; !stream.aborted && failures < failuresMax;) {
        const event = progress && eventOf(progress);
        if (event !== undefined && event.data !== told) {
          const isLast = progress !== undefined && isOver(progress);
          const named = { ...event, id: isLast ? outcomeId : String(id++) };
          await stream.writeSSE({ ...named, retry: comeBackAfter });
          if (isLast) return;
          [told, toldAt] = [event.data, Date.now()];
        } else if (Date.now() >= toldAt + silenceMax) {
          await stream.write(": still there\n\n");
          toldAt = Date.now();
        }
        if (Date.now() >= endsAt) return;
        await stream.sleep(lookEvery);
        if (stream.aborted) return;
        progress = await look().catch(() => undefined);
        failures = progress === undefined ? failures + 1 : 0;
      }
    });
  });

  return routes;
}

const isOver = ({ kind }: SavepointProgress): boolean => kind === "completed" || kind === "failed";

function eventOf(progress: SavepointProgress): { event: string; data: string } {
  switch (progress.kind) {
    case "waiting":
      return { event: "progress", data: JSON.stringify({ status: "WAITING" }) };
    case "taking": {
      const { kind: _, ...soFar } = progress;
      return { event: "progress", data: JSON.stringify({ status: "IN_PROGRESS", ...soFar }) };
    }
    case "completed":
    case "failed":
      return {
        event: progress.kind,
        data: JSON.stringify({ status: "COMPLETED", ...operationResult(progress).operation }),
      };
  }
}
