// Looking into the state of a job: as it is now, as of a checkpoint that is retained, as of a savepoint.
//   Q1. Of a snapshot nothing runs: keys are read from its files by range requests.
//   Q2. What is there now is asked of the subtask that owns the key, and is not committed: a failure
//       may take it back. A job that rests answers and rests on.
//   Q3. A value that has expired is not there: by the clock now, in a snapshot by the time it was
//       complete.

import { Hono } from "hono";
import * as z from "zod";

import { decodeRows } from "../../format/batch.ts";
import { exactJson, keyJson, keysOfText, keyText } from "../../format/exact-json.ts";
import type { JobDetails } from "../../format/job-status.ts";
import type { Key } from "../../format/key.ts";
import { keyGroupOf, ownerOfGroup } from "../../format/key-groups.ts";
import type { LiveState, StateAnswer, StateQuery } from "../../format/messages.ts";
import { snapshotId } from "../../format/paths.ts";
import type { VertexPlan } from "../../format/plan.ts";
import type { StoredSchema } from "../../format/segment.ts";
import { alive, shown, type ShownValue } from "../../snapshot/stored-value.ts";
import type { SnapshotState } from "../../snapshot/states.ts";
import { serve } from "../contract/endpoint.ts";
import { jobId } from "../contract/flink-schemas.ts";
import { named } from "../contract/named.ts";
import { type Env, subtask } from "../env.ts";
import { HttpError } from "../errors.ts";
import { type OpenSnapshot, readable, retainedSnapshot, snapshotOf } from "../snapshots.ts";
import { detailsOf, summaryOf } from "./jobs.ts";

const int = z.number().int();

const asOfQuery = {
  checkpoint: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the id of a checkpoint")
    .transform(Number)
    .optional(),
  savepoint: z.string().optional(),
};

const limitMax = 10_000;
const limit = z
  .string()
  .regex(/^(?:[1-9]\d{0,3}|10000)$/, `must be a number from 1 to ${limitMax}`)
  .default("1000")
  .transform(Number);

/** What is answered: what there is now, which no checkpoint has committed, or what there was then. */
const asOf = named(
  "StateAsOf",
  z.object({
    read: z.enum(["live", "checkpoint", "savepoint"]),
    committed: z.boolean(),
    checkpoint: int.nullable(),
    savepoint: z.string().optional(),
    time: int,
  }),
);

const schemaFields = { holds: z.string(), version: int, ttl: z.boolean() };

const statesAnswer = named(
  "OperatorStates",
  z.object({
    job: z.string(),
    asOf,
    operators: z.array(
      z.object({
        operator: z.string(),
        states: z.array(
          z.object({
            state: z.string(),
            kind: z.enum(["keyed", "operator"]),
            ...schemaFields,
            redistribution: z.string().optional(),
            entries: int.optional(),
          }),
        ),
      }),
    ),
  }),
);

const expires = z.union([int, z.array(int)]).optional();

const elementsAnswer = named(
  "StateElements",
  z.object({
    job: z.string(),
    asOf,
    operator: z.string(),
    state: z.string(),
    kind: z.literal("operator"),
    ...schemaFields,
    redistribution: z.string(),
    subtasks: z.array(z.object({ subtask: int, count: int, elements: z.array(z.unknown()) })),
  }),
);

const keyAnswer = named(
  "StateOfKey",
  z.object({
    job: z.string(),
    asOf,
    operator: z.string(),
    state: z.string(),
    kind: z.literal("keyed"),
    ...schemaFields,
    key: z.unknown(),
    keyGroup: int,
    value: z.unknown().optional(),
    expires,
    count: int.optional(),
    entries: z.array(z.object({ key: z.unknown(), value: z.unknown(), expires })).optional(),
  }),
);

type AsOf = z.input<typeof asOf>;

/** What a request is about, and where its answer comes from. */
type Source =
  | { readonly kind: "live"; readonly details: JobDetails; readonly asOf: AsOf }
  | ({ readonly kind: "snapshot"; readonly asOf: AsOf } & OpenSnapshot);

/** One state that there is. */
type Known = Omit<LiveState, "entries"> & { readonly entries?: number };

/** Entries of one key, as they are stored; of a map, by the map's keys. */
interface Held {
  readonly schema: StoredSchema;
  readonly count: number;
  readonly entries: readonly (readonly [Key, unknown])[];
}

export function stateRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  const query = z.object(asOfQuery);
  const limited = z.object({ ...asOfQuery, limit });
  const ofState = z.object({ jobid: jobId, uid: z.string(), state: z.string() });

  const all = {
    method: "get",
    path: "/jobs/:jobid/state",
    summary: "Which states the operators of a job have: now, or as of a checkpoint or savepoint.",
    params: z.object({ jobid: jobId }),
    query,
    answer: statesAnswer,
  } as const;
  serve(routes, all, async ({ env, params: { jobid }, query: of }) => {
    const source = await sourceOf(env, jobid, of);
    return listed(source, await statesOf(env, source));
  });

  const ofOperator = {
    method: "get",
    path: "/jobs/:jobid/state/:uid",
    summary: "Which states an operator has.",
    params: z.object({ jobid: jobId, uid: z.string() }),
    query,
    answer: statesAnswer,
  } as const;
  serve(routes, ofOperator, async ({ env, params: { jobid, uid }, query: of }) => {
    const source = await sourceOf(env, jobid, of);
    const states = (await statesOf(env, source, uid)).filter((each) => each.uid === uid);
    if (states.length === 0) throw await noState(env, source, uid);
    return listed(source, states);
  });

  const whole = {
    method: "get",
    path: "/jobs/:jobid/state/:uid/:state",
    summary: "What a state holds that no key owns: a list, a broadcast map, offsets.",
    params: ofState,
    query: limited,
    answer: elementsAnswer,
  } as const;
  serve(routes, whole, async ({ env, params: { jobid, uid, state }, query: of }) => {
    const source = await sourceOf(env, jobid, of);
    const known = (await statesOf(env, source, uid)).filter(
      (each) => each.uid === uid && each.state === state,
    );
    if (known.length === 0) throw await noState(env, source, uid, state);
    const found = known.find(({ kind }) => kind === "operator");
    if (found === undefined) {
      throw new HttpError(
        404,
        `State "${state}" of operator "${uid}" is kept by key. Ask for one: ` +
          `GET /jobs/${jobid}/state/${encodeURIComponent(uid)}/${encodeURIComponent(state)}/:key.`,
      );
    }
    const { schema, redistribution } = found;
    const subtasks = await elementsOf(env, source, { uid, state, limit: of.limit });
    return {
      job: jobOf(source),
      asOf: source.asOf,
      operator: uid,
      state,
      kind: "operator" as const,
      ...schema,
      redistribution: redistribution!,
      subtasks,
    };
  });

  const oneKey = {
    method: "get",
    path: "/jobs/:jobid/state/:uid/:state/:key",
    summary: "What a state holds of a key: now, or as of a checkpoint or savepoint.",
    params: ofState.extend({ key: z.string() }),
    query: limited.extend({ mapKey: z.string().optional() }),
    answer: keyAnswer,
  } as const;
  serve(routes, oneKey, async ({ env, params, query: of }) => {
    const { jobid, uid, state, key: text } = params;
    const source = await sourceOf(env, jobid, of);
    const mapKeys = of.mapKey === undefined ? [undefined] : keysOfText(of.mapKey);
    for (const key of keysOfText(text)) {
      for (const mapKey of mapKeys) {
        const held = await heldBy(env, source, { uid, state, key, mapKey, limit: of.limit });
        const answer = held && shownHeld(held, mapKey, source.asOf.time);
        if (answer === undefined) continue;
        return {
          job: jobOf(source),
          asOf: source.asOf,
          operator: uid,
          state,
          kind: "keyed" as const,
          ...held!.schema,
          key: keyJson(key),
          keyGroup: keyGroupOf(key, maxParallelismOf(source)),
          ...answer,
        };
      }
    }
    const known = (await statesOf(env, source, uid)).find(
      (each) => each.uid === uid && each.state === state && each.kind === "keyed",
    );
    if (known === undefined) throw await noState(env, source, uid, state);
    const asked = keysOfText(text).map(keyText).join(" and ");
    const inMap =
      of.mapKey === undefined
        ? ""
        : `, and in its map ${mapKeys.map((k) => keyText(k!)).join(" and ")}`;
    throw new HttpError(
      404,
      `State "${state}" of operator "${uid}" holds nothing of the key: looked for were ${asked}${inMap}. ` +
        `A key is written as JSON; a string may go without quotes.`,
    );
  });

  return routes;
}

// Where the answer comes from.

async function sourceOf(
  env: Env,
  jobid: string,
  {
    checkpoint,
    savepoint,
  }: { readonly checkpoint?: number | undefined; readonly savepoint?: string | undefined },
): Promise<Source> {
  if (checkpoint !== undefined && savepoint !== undefined) {
    throw new HttpError(400, "Bad request: give checkpoint or savepoint, not both.");
  }
  const { job } = await summaryOf(env, jobid);
  if (checkpoint !== undefined) {
    const found = await retainedSnapshot(env, job, checkpoint);
    return { kind: "snapshot", ...found, asOf: asOfSnapshot(found) };
  }
  if (savepoint !== undefined) {
    const found = await snapshotOf(env, savepoint);
    return { kind: "snapshot", ...found, asOf: asOfSnapshot(found) };
  }
  const details = await detailsOf(env, jobid);
  const live = { read: "live", committed: false, checkpoint: null, time: Date.now() } as const;
  return { kind: "live", details, asOf: live };
}

function asOfSnapshot({ path, snapshot: { manifest } }: OpenSnapshot): AsOf {
  const { isSavepoint, checkpoint, completedAt: time } = manifest;
  return isSavepoint
    ? { read: "savepoint", committed: true, checkpoint, savepoint: snapshotId(path), time }
    : { read: "checkpoint", committed: true, checkpoint, time };
}

/** Whose state it is: of a savepoint, that of the job that it was taken of. */
const jobOf = (source: Source): string =>
  source.kind === "live" ? source.details.summary.job : source.snapshot.manifest.job;

const maxParallelismOf = (source: Source): number =>
  source.kind === "live"
    ? source.details.plan.maxParallelism
    : source.snapshot.manifest.maxParallelism;

// Which states there are.

/** Of one operator where `uid` is given, unless it has none: then of nobody. */
async function statesOf(env: Env, source: Source, uid?: string): Promise<Known[]> {
  if (source.kind === "snapshot") {
    const asked = source.snapshot.states.filter((each) => uid === undefined || each.uid === uid);
    return readable(() => Promise.all(asked.map((each) => ofSnapshot(source, each))));
  }
  const { details } = source;
  const vertices = details.plan.vertices.filter(
    ({ operators }) => uid === undefined || operators.includes(uid),
  );
  const known = new Map<string, Known>();
  for (const vertex of vertices) {
    const answers = await everywhere(env, details, vertex, {
      ...(uid !== undefined && { uid }),
      limit: limitMax,
    });
    for (const { answer } of answers) {
      if (answer.kind !== "states") continue;
      for (const state of answer.states) {
        const name = JSON.stringify([state.uid, state.state, state.kind]);
        const before = known.get(name)?.entries ?? 0;
        known.set(name, { ...state, entries: before + state.entries });
      }
    }
  }
  return [...known.values()];
}

async function ofSnapshot({ snapshot }: OpenSnapshot, state: SnapshotState): Promise<Known> {
  if (state.kind === "keyed") {
    const { kind, uid, state: name } = state;
    return { kind, uid, state: name, schema: await snapshot.schemaOf(state) };
  }
  const { schema, redistribution } = state.parts[0]!.handle;
  const entries = state.parts.reduce((sum, { handle }) => sum + handle.elements, 0);
  const { kind, uid, state: name } = state;
  return { kind, uid, state: name, schema, redistribution, entries };
}

function listed(source: Source, states: readonly Known[]): z.input<typeof statesAnswer> {
  const byOperator = Map.groupBy(
    states.toSorted((a, b) =>
      a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : a.state < b.state ? -1 : 1,
    ),
    ({ uid }) => uid,
  );
  return {
    job: jobOf(source),
    asOf: source.asOf,
    operators: Array.from(byOperator, ([operator, own]) => ({
      operator,
      states: own.map(({ state, kind, schema, redistribution, entries }) => ({
        state,
        kind,
        ...schema,
        ...(redistribution !== undefined && { redistribution }),
        ...(entries !== undefined && { entries }),
      })),
    })),
  };
}

/** The answer where an operator or a state was asked for that there is not: it names those there are. */
async function noState(env: Env, source: Source, uid: string, state?: string): Promise<HttpError> {
  const all = await statesOf(env, source);
  const own = all.filter((each) => each.uid === uid);
  const names = (texts: readonly string[]): string =>
    texts.length === 0
      ? "none"
      : [...new Set(texts)]
          .sort()
          .map((text) => `"${text}"`)
          .join(", ");
  if (own.length === 0) {
    const uids = names(all.map((each) => each.uid));
    return new HttpError(404, `Operator "${uid}" has no state. Those that have some: ${uids}.`);
  }
  const states = names(own.map((each) => each.state));
  return new HttpError(404, `Operator "${uid}" has no state "${state}". Its states: ${states}.`);
}

// What a state holds.

interface Wanted {
  readonly uid: string;
  readonly state: string;
  readonly key: Key;
  readonly mapKey: Key | undefined;
  readonly limit: number;
}

/** Undefined where the key, or the state, is not there. */
async function heldBy(env: Env, source: Source, wanted: Wanted): Promise<Held | undefined> {
  const { uid, state, key, mapKey, limit: most } = wanted;
  if (source.kind === "snapshot") {
    const { snapshot } = source;
    const found = snapshot.states.find(
      (each) => each.kind === "keyed" && each.uid === uid && each.state === state,
    );
    if (found?.kind !== "keyed") return undefined;
    const held = await readable(() => snapshot.lookUp(found, key, mapKey));
    if (held === undefined) return undefined;
    const isMap = held.schema.holds === "map";
    refuseMapKey(held.schema, wanted);
    const entries = held.entries.map(({ key: of, value }): [Key, unknown] => [
      isMap ? (of as readonly Key[])[1]! : of,
      value,
    ]);
    return { schema: held.schema, count: entries.length, entries: entries.slice(0, most) };
  }
  const { details } = source;
  const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid));
  if (vertex === undefined) return undefined;
  const { maxParallelism } = details.plan;
  const owner = ownerOfGroup(keyGroupOf(key, maxParallelism), vertex.parallelism, maxParallelism);
  const query = { uid, state, key, ...(mapKey !== undefined && { mapKey }), limit: most };
  const answer = await ask(env, details, vertex, owner, query);
  if (answer.kind !== "entries") return undefined;
  refuseMapKey(answer.schema, wanted);
  const { schema, count } = answer;
  if (count === 0) return undefined;
  return { schema, count, entries: decodeRows(answer.entries) as [Key, unknown][] };
}

function refuseMapKey({ holds }: StoredSchema, { uid, state, mapKey }: Wanted): void {
  if (mapKey === undefined || holds === "map") return;
  throw new HttpError(
    400,
    `mapKey: state "${state}" of operator "${uid}" holds a ${holds} per key, no map. Leave it out.`,
  );
}

/** What lives of it at that time; undefined where nothing does (Q3). */
function shownHeld(
  { schema, count, entries }: Held,
  mapKey: Key | undefined,
  time: number,
): object | undefined {
  const living = entries.flatMap(([key, stored]) => {
    const value = alive(schema, shown(schema, stored), time);
    return value === undefined ? [] : [{ key, value }];
  });
  if (living.length === 0) return undefined;
  if (schema.holds !== "map" || mapKey !== undefined) return jsonOf(living[0]!.value);
  return {
    count: count - (entries.length - living.length),
    entries: living.map(({ key, value }) => ({ key: keyJson(key), ...jsonOf(value) })),
  };
}

const jsonOf = ({ value, expires: at }: ShownValue) => ({
  value: exactJson(value),
  ...(at !== undefined && { expires: typeof at === "number" ? at : [...at] }),
});

async function elementsOf(
  env: Env,
  source: Source,
  {
    uid,
    state,
    limit: most,
  }: { readonly uid: string; readonly state: string; readonly limit: number },
): Promise<{ subtask: number; count: number; elements: unknown[] }[]> {
  const json = (elements: readonly unknown[]): unknown[] => elements.slice(0, most).map(exactJson);
  if (source.kind === "snapshot") {
    const { snapshot } = source;
    const found = snapshot.states.find(
      (each) => each.kind === "operator" && each.uid === uid && each.state === state,
    );
    if (found?.kind !== "operator") return [];
    return readable(() =>
      Promise.all(
        found.parts.map(async ({ subtask: index, handle }) => {
          const elements = await snapshot.elements(handle);
          return { subtask: index, count: elements.length, elements: json(elements) };
        }),
      ),
    );
  }
  const { details } = source;
  const vertex = details.plan.vertices.find(({ operators }) => operators.includes(uid))!;
  const answers = await everywhere(env, details, vertex, { uid, state, limit: most });
  return answers.flatMap(({ index, answer }) => {
    if (answer.kind !== "elements") return [];
    const elements = json(decodeRows(answer.elements));
    return [{ subtask: index, count: answer.count, elements }];
  });
}

// Asking subtasks.

async function everywhere(
  env: Env,
  details: JobDetails,
  vertex: VertexPlan,
  query: StateQuery,
): Promise<{ readonly index: number; readonly answer: StateAnswer }[]> {
  return Promise.all(
    Array.from({ length: vertex.parallelism }, async (_, index) => {
      return { index, answer: await ask(env, details, vertex, index, query) };
    }),
  );
}

async function ask(
  env: Env,
  { summary }: JobDetails,
  vertex: VertexPlan,
  index: number,
  query: StateQuery,
): Promise<StateAnswer> {
  const { job, phase, endTime } = summary;
  if (endTime === -1) {
    const answer = await subtask(env, job, { vertex: vertex.id, index }).readState(query);
    if (answer.kind === "unreadable") throw new HttpError(422, answer.reason);
    if (answer.kind !== "unknown") return answer;
    throw new HttpError(
      503,
      `Job ${job} is ${phase} and subtask ${index} holds no state now; repeat the request.`,
    );
  }
  throw new HttpError(
    409,
    `Job ${job} is ${phase}; nothing of it runs. Its state is in what it has left: ask with ` +
      `checkpoint=N for a checkpoint that is retained, or with savepoint=ID.`,
  );
}
