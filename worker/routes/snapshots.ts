// Savepoints, whichever job took them: `GET /savepoints` and `GET /savepoints/:id`.

import { Hono } from "hono";
import * as z from "zod";

import type { Manifest } from "../../format/manifest.ts";
import { parseTaskKey } from "../../format/ids.ts";
import { describe, type StateDescription } from "../../snapshot/shell/describe.ts";
import { listSavepoints, type ListedSavepoint } from "../../snapshot/shell/savepoints.ts";
import { snapshotId } from "../../format/paths.ts";
import { serve } from "../contract/endpoint.ts";
import { named } from "../contract/named.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { locationOf, readable, snapshotOf } from "../snapshots.ts";

const int = z.number().int();

/** What a snapshot says of itself. */
const about = {
  id: z.string(),
  location: z.string(),
  job: z.string(),
  program: z.string(),
  checkpoint: int,
  time: int,
};

const listedSavepoint = named(
  "ListedSavepoint",
  z.object({
    ...about,
    job: z.string().nullable(),
    program: z.string().nullable(),
    checkpoint: int.nullable(),
    time: int.nullable(),
    bytes: int,
    problem: z.string().optional(),
  }),
);

const listAnswer = named(
  "SavepointList",
  z.object({ savepoints: z.array(listedSavepoint), total: int, next: z.string().nullable() }),
);

const listQuery = z.object({
  limit: z
    .string()
    .regex(/^(?:[1-9]\d?|100)$/, "must be a number from 1 to 100")
    .default("50")
    .transform(Number),
  after: z.string().optional(),
});

const stateDescription = named(
  "StateDescription",
  z.object({
    state: z.string(),
    kind: z.enum(["keyed", "operator"]),
    holds: z.string().nullable(),
    version: int.nullable(),
    ttl: z.boolean().nullable(),
    redistribution: z.string().optional(),
    entries: int,
    bytes: int,
    keyGroups: z.array(z.object({ group: int, entries: int, bytes: int })).optional(),
  }),
);

const savepointAnswer = named(
  "SavepointDescription",
  z.object({
    ...about,
    isSavepoint: z.boolean(),
    attempt: int,
    maxParallelism: int,
    bytes: int,
    rowsInChannels: z.boolean(),
    isWhole: z.boolean(),
    problems: z.array(z.string()),
    operators: z.array(
      z.object({
        uid: z.string(),
        vertex: z.string(),
        parallelism: int,
        shape: z.string().nullable(),
        states: z.array(stateDescription),
      }),
    ),
  }),
);

export const snapshotParams = z.object({ id: z.string() });

export function snapshotRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  const list = {
    method: "get",
    path: "/savepoints",
    summary: "The savepoints in the bucket, newest first, a page at a time.",
    query: listQuery,
    answer: listAnswer,
  } as const;
  serve(routes, list, async ({ env, query }) => {
    const { limit, after } = query;
    const page = await listSavepoints(env.BUCKET, { limit, after });
    if (page === undefined) {
      throw new HttpError(404, `after: there is no savepoint "${after}". Begin without it.`);
    }
    const { savepoints, total, hasMore } = page;
    return {
      savepoints: savepoints.map(listed),
      total,
      next: hasMore ? savepoints.at(-1)!.id : null,
    };
  });

  const one = {
    method: "get",
    path: "/savepoints/:id",
    summary: "A savepoint: its operators, their states, and what is in each key group.",
    params: snapshotParams,
    answer: savepointAnswer,
  } as const;
  serve(routes, one, async ({ env, params: { id } }) => {
    const { path, snapshot } = await snapshotOf(env, id);
    const { manifest } = snapshot;
    const { states, problems } = await readable(() => describe(snapshot, env.BUCKET));
    const { isSavepoint = false, attempt, maxParallelism } = manifest;
    return {
      ...aboutOf(path, manifest),
      isSavepoint,
      attempt,
      maxParallelism,
      bytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
      rowsInChannels: manifest.tasks.some(({ state }) => (state.channels ?? []).length > 0),
      isWhole: problems.length === 0,
      problems: [...problems],
      operators: operatorsOf(manifest, states),
    };
  });

  return routes;
}

const aboutOf = (path: string, { job, program, checkpoint, completedAt }: Manifest) => ({
  id: snapshotId(path),
  location: locationOf(path),
  job,
  program,
  checkpoint,
  time: completedAt,
});

function listed({ id, path, bytes, manifest }: ListedSavepoint): z.input<typeof listedSavepoint> {
  if (!(manifest instanceof Error)) return { ...aboutOf(path, manifest), bytes };
  const unknown = { job: null, program: null, checkpoint: null, time: null };
  return { id, location: locationOf(path), ...unknown, bytes, problem: manifest.message };
}

function operatorsOf(
  { tasks, shapes }: Manifest,
  states: readonly StateDescription[],
): z.input<typeof savepointAnswer>["operators"] {
  const vertices = Map.groupBy(tasks, ({ task }) => parseTaskKey(task).vertex);
  const vertexOf = (uid: string): string =>
    tasks
      .filter(({ state }) => [...state.keyed, ...state.operator].some((each) => each.uid === uid))
      .map(({ task }) => parseTaskKey(task).vertex)[0]!;
  return Array.from(
    Map.groupBy(states, ({ uid }) => uid),
    ([uid, own]) => {
      const vertex = vertexOf(uid);
      return {
        uid,
        vertex,
        parallelism: vertices.get(vertex)!.length,
        shape: shapes?.[uid] ?? null,
        states: own.map(({ state, kind, schema, entries, bytes, keyGroups, redistribution }) => ({
          state,
          kind,
          holds: schema?.holds ?? null,
          version: schema?.version ?? null,
          ttl: schema?.ttl ?? null,
          ...(redistribution !== undefined && { redistribution }),
          entries,
          bytes,
          ...(keyGroups !== undefined && { keyGroups: keyGroups.map((group) => ({ ...group })) }),
        })),
      };
    },
  );
}
