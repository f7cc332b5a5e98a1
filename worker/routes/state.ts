// Looking into the state of a job: as it is now, as of a checkpoint that is retained, as of a savepoint.
//   Q1. Of a snapshot nothing runs: keys are read from its files by range requests.
//   Q2. What is there now is asked of the subtask that owns the key, and is not committed: a failure
//       may take it back. A job that rests answers and rests on.
//   Q3. A value that has expired is not there: by the clock now, in a snapshot by the time it was
//       complete.

import { Hono } from "hono";
import * as z from "zod";

import { keyJson, keysOfText, keyText } from "../../format/exact-json.ts";
import { keyGroupOf } from "../../format/key-groups.ts";
import { serve } from "../contract/endpoint.ts";
import { jobId } from "../contract/flink-schemas.ts";
import { named } from "../contract/named.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { elementsOf, heldBy, shownHeld } from "../state/held.ts";
import { jobOf, maxParallelismOf, type Source, sourceOf } from "../state/source.ts";
import { type Known, limitMax, noState, statesOf } from "../state/states.ts";

const int = z.number().int();

const asOfQuery = {
  checkpoint: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the id of a checkpoint")
    .transform(Number)
    .optional(),
  savepoint: z.string().optional(),
};

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
