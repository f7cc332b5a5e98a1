// Tables: `GET /jobs/:jobid/tables/:table` and `/:key`. The rows are where the table's subtasks keep
// them; nothing is copied anywhere for reading.
//   Q1. Committed rows are those of one completed checkpoint, the same in every subtask. Subtasks
//       hear of a completion one after another, so a gathering that saw two is made again.
//   Q2. A key is asked of the one subtask that owns its key group.
//   Q4. Rows come in the order of their keys, and a page begins behind a key, whichever subtasks there are
//       by now. Each page is of one checkpoint, and the next may be of a later one; a row that is there
//       all the time is in one of them.
//   Q3. A job that has finished is asked as one that runs: its tables stay as its last checkpoint, or
//       the savepoint it was stopped with, has them.

import { Hono } from "hono";
import * as z from "zod";

import { decodeRows } from "../../format/batch.ts";
import type { JobDetails } from "../../format/job-status.ts";
import { comesBefore, isKey, type Key, keyBytes, keyId, keyOfBytes } from "../../format/key.ts";
import { keyGroupOf, ownerOfGroup } from "../../format/key-groups.ts";
import type { TableQuery } from "../../format/messages.ts";
import type { VertexPlan } from "../../format/plan.ts";
import { type Catalog, known } from "../catalog.ts";
import { serve } from "../contract/endpoint.ts";
import { jobId } from "../contract/flink-schemas.ts";
import { named } from "../contract/named.ts";
import { type Env, subtask } from "../env.ts";
import { HttpError } from "../errors.ts";
import { graphOfJob } from "../program-arguments.ts";
import { jsonOf } from "../row-json.ts";
import { detailsOf } from "./jobs.ts";

const tableQuery = z.object({
  read: z.enum(["committed", "latest"], "must be committed or latest").default("committed"),
});

const afterProblem = 'must be the "next" of a page';

const pageQuery = tableQuery.extend({
  limit: z
    .string()
    .regex(/^(?:[1-9]\d{0,4}|100000)$/, "must be a number from 1 to 100000")
    .default("10000")
    .transform(Number),
  after: z
    .string()
    .transform((text, ctx): Key => {
      const key = keyOfPlace(text);
      if (key !== undefined) return key;
      ctx.addIssue(afterProblem);
      return z.NEVER;
    })
    .optional(),
});

const tableRows = {
  table: z.string(),
  read: z.enum(["committed", "latest"]),
  checkpoint: z.number().nullable(),
  rows: z.array(z.unknown()),
};

const tableAnswer = named("TableRows", z.object(tableRows));
const pageAnswer = named("TablePage", z.object({ ...tableRows, next: z.string().nullable() }));

/** What one subtask answers. */
interface TablePart {
  readonly rows: readonly unknown[];
  readonly checkpoint: number | null;
  readonly page?: { readonly keys: readonly Key[]; readonly hasMore: boolean };
}

interface Gathered {
  readonly parts: readonly TablePart[];
  readonly checkpoint: number | null;
}

/** Gatherings until two checkpoints in one are an answer of its own, and milliseconds in between. */
const gatheringsMax = 5;
const gatheringPause = 40;

export function tableRoutes({ programs }: Catalog): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  /** The job, the vertex that holds the table, and the query without its key. */
  const located = async (env: Env, jobid: string, table: string, read: TableQuery["read"]) => {
    const details = await detailsOf(env, jobid);
    const program = programs.get(details.plan.program);
    if (program === undefined) {
      throw new HttpError(
        409,
        `Program "${details.plan.program}" is not part of this deployment any more.`,
      );
    }
    const graph = graphOfJob(program, details.config);
    const sinks = graph.nodes.flatMap(({ uid, spec }) =>
      spec.kind === "sink" ? [[spec.table.name, uid] as const] : [],
    );
    const uid = known("table", new Map(sinks), table);
    const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid));
    if (vertex === undefined) {
      throw new HttpError(409, `The job was started before "${table}" was added; start it again.`);
    }
    return { details, vertex, query: { table, read } };
  };

  const whole = {
    method: "get",
    path: "/jobs/:jobid/tables/:table",
    summary: "The rows of a table, a page at a time.",
    params: z.object({ jobid: jobId, table: z.string() }),
    query: pageQuery,
    answer: pageAnswer,
  } as const;
  serve(routes, whole, async ({ env, params: of, query: { read, limit, after } }) => {
    const { jobid, table } = of;
    const { details, vertex, query } = await located(env, jobid, table, read);
    const indices = Array.from({ length: vertex.parallelism }, (_, index) => index);
    const page = { limit, ...(after !== undefined && { after }) };
    const target = { details, vertex, query: { ...query, page }, indices };
    const { parts, checkpoint } = await gather(env, target);
    const { rows, last } = merged(parts, limit);
    const next = last === undefined ? null : placeBehind(last);
    return { table, read, checkpoint, rows: rows.map(jsonOf), next };
  });

  const oneKey = {
    method: "get",
    path: "/jobs/:jobid/tables/:table/:key",
    summary: "The row of a table with this key.",
    params: z.object({ jobid: jobId, table: z.string(), key: z.string() }),
    query: tableQuery,
    answer: tableAnswer,
  } as const;
  serve(routes, oneKey, async ({ env, params: of, query: { read } }) => {
    const { jobid, table, key: text } = of;
    const { details, vertex, query } = await located(env, jobid, table, read);
    for (const key of keysOf(text)) {
      const { maxParallelism } = details.plan;
      const owner = ownerOfGroup(
        keyGroupOf(key, maxParallelism),
        vertex.parallelism,
        maxParallelism,
      );
      const target = { details, vertex, query: { ...query, key }, indices: [owner] };
      const { parts, checkpoint } = await gather(env, target);
      const rows = parts.flatMap((part) => part.rows);
      if (rows.length > 0) {
        return { table, read: query.read, checkpoint, rows: rows.map(jsonOf) };
      }
    }
    throw new HttpError(404, `Table "${table}" has no ${query.read} row with the key ${text}.`);
  });

  return routes;
}

interface Gathering {
  readonly details: JobDetails;
  readonly vertex: VertexPlan;
  readonly query: TableQuery;
  readonly indices: readonly number[];
}

/** The first rows of all parts (Q4); `last` is the key of the last of them where more follow. */
function merged(
  parts: readonly TablePart[],
  limit: number,
): { readonly rows: readonly unknown[]; readonly last?: Key } {
  const all = parts.flatMap(({ rows, page }) =>
    rows.map((row, at) => {
      const key = page!.keys[at]!;
      return { row, key, id: keyId(key) };
    }),
  );
  all.sort((left, right) => (comesBefore(left.id, right.id) ? -1 : 1));
  const some = all.slice(0, limit);
  const rows = some.map(({ row }) => row);
  const hasMore = all.length > limit || parts.some(({ page }) => page!.hasMore);
  return hasMore ? { rows, last: some.at(-1)!.key } : { rows };
}

/** A key as text that goes into an address: its bytes in hexadecimal digits. */
const placeBehind = (key: Key): string =>
  Array.from(keyBytes(key), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The key that it was made of; undefined for any other text. */
function keyOfPlace(text: string): Key | undefined {
  if (!/^(?:[0-9a-f]{2})+$/.test(text)) return undefined;
  try {
    const bytes = text.match(/../g)!.map((digits) => Number.parseInt(digits, 16));
    const key = keyOfBytes(Uint8Array.from(bytes));
    return isKey(key) && placeBehind(key) === text ? key : undefined;
  } catch {
    return undefined;
  }
}

async function gather(env: Env, gathering: Gathering): Promise<Gathered> {
  for (let left = gatheringsMax; left > 0; left--) {
    const parts = await Promise.all(gathering.indices.map((index) => ask(env, gathering, index)));
    if (gathering.query.read === "latest") return { parts, checkpoint: null };
    const checkpoints = new Set(parts.map(({ checkpoint }) => checkpoint));
    const [checkpoint] = checkpoints;
    if (checkpoints.size === 1 && checkpoint !== undefined) return { parts, checkpoint };
    await new Promise((resolve) => setTimeout(resolve, gatheringPause));
  }
  throw new HttpError(503, "The subtasks are at different checkpoints; repeat the request.");
}

async function ask(
  env: Env,
  { details, vertex, query }: Gathering,
  index: number,
): Promise<TablePart> {
  const { job, phase } = details.summary;
  const answer = await subtask(env, job, { vertex: vertex.id, index }).readTable(query);
  if (answer.kind === "rows") {
    const { rows, checkpoint, page } = answer;
    const keys = page && (decodeRows(page.keys) as Key[]);
    return {
      rows: decodeRows(rows),
      checkpoint,
      ...(page && { page: { keys: keys!, hasMore: page.hasMore } }),
    };
  }
  const ended = phase === "CANCELED" || phase === "FAILED" || phase === "FINISHED";
  throw ended
    ? new HttpError(409, `Job ${job} is ${phase}; ${whyNotServed(phase)}`)
    : new HttpError(
        503,
        `Job ${job} is ${phase} and subtask ${index} holds no rows now; repeat the request.`,
      );
}

const whyNotServed = (phase: "CANCELED" | "FAILED" | "FINISHED"): string =>
  phase === "FINISHED"
    ? "its tables were not kept, or the program has changed since: run it again to read them."
    : "a table is served while its job runs, and after it has finished.";

/** The keys that `text` may mean: itself, and what it is as JSON where that is a key too. */
function keysOf(text: string): Key[] {
  try {
    const value: unknown = JSON.parse(text);
    return isKey(value) && value !== text ? [text, value] : [text];
  } catch {
    return [text];
  }
}
