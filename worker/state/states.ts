// Which states there are.

import type { LiveState } from "../../format/messages.ts";
import type { SnapshotState } from "../../snapshot/states.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { type OpenSnapshot, readable } from "../snapshots.ts";
import type { Source } from "./source.ts";
import { everywhere } from "./subtasks.ts";

/** Entries of a map, and elements of a subtask, that one request may ask for. */
export const limitMax = 10_000;

/** One state that there is. */
export type Known = Omit<LiveState, "entries"> & { readonly entries?: number };

/** Of one operator where `uid` is given, unless it has none: then of nobody. */
export async function statesOf(env: Env, source: Source, uid?: string): Promise<Known[]> {
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

/** The answer where an operator or a state was asked for that there is not: it names those there are. */
export async function noState(
  env: Env,
  source: Source,
  uid: string,
  state?: string,
): Promise<HttpError> {
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
