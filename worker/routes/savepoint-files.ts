// Savepoints out of the bucket and into it: `GET /savepoints/:id/entries`, `POST /savepoints`, and
// whether one is whole, `GET /savepoints/:id/verification`.
//   F1. What goes in or out is a stream of lines; none of it is in memory whole.

import { Hono } from "hono";
import * as z from "zod";

import { MiB } from "../../format/limits.ts";
import { namedSavepointFolder, snapshotId } from "../../format/paths.ts";
import { exported } from "../../snapshot/shell/export.ts";
import { SnapshotError } from "../../snapshot/shell/files.ts";
import { imported } from "../../snapshot/shell/import.ts";
import type { Snapshot } from "../../snapshot/shell/snapshot.ts";
import { textLines } from "../../snapshot/shell/text-lines.ts";
import { verify } from "../../snapshot/shell/verify.ts";
import { add, serve } from "../contract/endpoint.ts";
import { named } from "../contract/named.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { locationOf, readable, snapshotOf } from "../snapshots.ts";
import { snapshotParams } from "./snapshots.ts";

const int = z.number().int();

const verification = named(
  "SavepointVerification",
  z.object({
    id: z.string(),
    isWhole: z.boolean(),
    files: int,
    segments: int,
    entries: int,
    elements: int,
    bytes: int,
    problems: z.array(z.string()),
    problemsInAll: int,
  }),
);

const importAnswer = named(
  "ImportedSavepoint",
  z.object({ id: z.string(), location: z.string(), entries: int }),
);

const linesType = "application/x-ndjson";

/** Characters that are sent at a time, about. */
const chunkSize = 64 * 1_024;

/** Bytes that are read of a body after a line that is no good. */
const drainedMax = 100 * MiB;

export function savepointFileRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  add(
    routes,
    {
      method: "get",
      path: "/savepoints/:id/entries",
      summary: "All of a savepoint: a header, a line of JSON per entry, in one order, and an end.",
      params: snapshotParams,
      answer: linesType,
    },
    async (c) => {
      const { snapshot } = await snapshotOf(c.env, c.req.param("id")!);
      const text = textOf(snapshot);
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const next = await text.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        },
        async cancel() {
          await text.return(undefined);
        },
      });
      return new Response(body, { headers: { "Content-Type": linesType } });
    },
  );

  const check = {
    method: "get",
    path: "/savepoints/:id/verification",
    summary: "Whether a savepoint is whole: every byte is read.",
    params: snapshotParams,
    answer: verification,
  } as const;
  serve(routes, check, async ({ env, params: { id } }) => {
    const { path, snapshot } = await snapshotOf(env, id);
    const found = await readable(() => verify(env.BUCKET, snapshot.manifest));
    const { problems, problemsInAll } = found;
    const isWhole = problemsInAll === 0;
    return { ...found, id: snapshotId(path), isWhole, problems: [...problems] };
  });

  const take = {
    method: "post",
    path: "/savepoints",
    summary: "Makes a savepoint of the lines of an export.",
    query: z.object({ as: z.string().optional() }),
    body: linesType,
    answer: importAnswer,
  } as const;
  serve(routes, take, async ({ env, c, query: { as } }) => {
    const token = crypto.randomUUID();
    const name = as ?? `import-${token}`;
    const folder = namedSavepointFolder(name);
    if (folder === undefined) {
      throw new HttpError(
        400,
        `as: "${name.slice(0, 200)}" is no name for a savepoint. It is one of letters, digits and . _ = -, ` +
          `in up to 8 directories of such names, none beginning with "." or "savepoint-".`,
      );
    }
    const body = c.req.raw.body ?? new Response("").body!;
    const reader = body.getReader();
    const lines = textLines(chunksOf(reader));
    const outcome = await imported(env.BUCKET, lines, { folder, token });
    await drain(reader);
    switch (outcome.kind) {
      case "refused":
        throw new HttpError(400, outcome.reason);
      case "exists":
        throw new HttpError(
          409,
          `There is a savepoint ${locationOf(folder)}; choose another name.`,
        );
      case "imported": {
        const { path, entries } = outcome;
        return { id: snapshotId(path), location: locationOf(path), entries };
      }
    }
  });

  return routes;
}

/**
 * What the reader reads, piece by piece as it is asked for: workerd allows one read at a time, and none
 * is under way once there has been enough.
 */
const chunksOf = (reader: ReadableStreamDefaultReader<Uint8Array>): ReadableStream<Uint8Array> =>
  new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    },
    { highWaterMark: 0 },
  );

/**
 * Reads what is left after a line that is no good: a client that is still sending finds the connection
 * broken otherwise, and never hears which line it was. One that goes on and on is told no more.
 */
async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (let bytes = 0; bytes <= drainedMax;) {
    const { done, value } = await reader.read();
    if (done) return;
    bytes += value.length;
  }
  await reader.cancel();
}

/** The lines, some at a time. What cannot be read ends them with a line that says so. */
async function* textOf(snapshot: Snapshot): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = "";
  try {
    for await (const line of exported(snapshot)) {
      text += `${JSON.stringify(line)}\n`;
      if (text.length < chunkSize) continue;
      yield encoder.encode(text);
      text = "";
    }
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    text += `${JSON.stringify({ error: error.message })}\n`;
  }
  yield encoder.encode(text);
}
