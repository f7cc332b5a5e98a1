// A savepoint as lines of JSON, for people to read, compare and repair: a header, a line per entry, and
// a last line that says that nothing is missing.
//   N1. Lines come in one order (place.ts), so that two exports of the same state are the same text.
//   N2. What is read from the lines is what they were written from, whatever the values.
//   N3. Every line says what it is by itself: operator, state, key, value, schema.

import { exactJson, fromExactJson, keyFromJson, keyJson } from "../format/exact-json.ts";
import { FormatError } from "../format/format-error.ts";
import { attempt, checkpointId, isJobId, millis, parseTaskKey } from "../format/ids.ts";
import type { Key } from "../format/key.ts";
import { checkMaxParallelism, checkParallelism, type KeyGroup } from "../format/key-groups.ts";
import type { Manifest } from "../format/manifest.ts";
import type { StoredSchema } from "../format/segment.ts";
import type { Redistribution } from "../format/state-handle.ts";
import type { LiveEntry } from "./fold.ts";
import { shown, stored } from "./stored-value.ts";

/** Which subtasks there were, and which operators with state they ran. */
export interface Vertex {
  readonly vertex: string;
  readonly parallelism: number;
  readonly operators: readonly string[];
}

export interface Header {
  readonly about: Omit<Manifest, "tasks">;
  readonly vertices: readonly Vertex[];
  /** It is of a checkpoint that holds rows on their way; the lines have only its states. */
  readonly rowsInChannels: boolean;
}

export interface KeyedLine {
  readonly kind: "keyed";
  readonly operator: string;
  readonly state: string;
  readonly schema: StoredSchema;
  /** As the line says, where it does. */
  readonly group?: KeyGroup;
  /** Of a map, the pair of the stream's key and the map's. */
  readonly key: Key;
  /** As it is stored. */
  readonly value: unknown;
}

export interface ElementLine {
  readonly kind: "operator";
  readonly operator: string;
  readonly state: string;
  readonly schema: StoredSchema;
  readonly redistribution: Redistribution;
  readonly subtask: number;
  readonly value: unknown;
}

export type Line =
  | { readonly kind: "header"; readonly header: Header }
  | KeyedLine
  | ElementLine
  | { readonly kind: "end" };

/** The version of the form. */
const version = 1;

export function headerOf({ tasks, ...about }: Manifest): Header {
  const vertices = Map.groupBy(tasks, ({ task }) => parseTaskKey(task).vertex);
  return {
    about,
    vertices: Array.from(vertices, ([vertex, own]) => {
      const uids = own.flatMap(({ state }) => [...state.keyed, ...state.operator]);
      const operators = [...new Set(uids.map(({ uid }) => uid))].sort();
      return { vertex, parallelism: own.length, operators };
    }),
    rowsInChannels: tasks.some(({ state }) => (state.channels ?? []).length > 0),
  };
}

export const headerLine = ({ about, vertices, rowsInChannels }: Header): object => ({
  tidemark: "savepoint",
  version,
  job: about.job,
  program: about.program,
  fingerprint: about.fingerprint,
  checkpoint: about.checkpoint,
  attempt: about.attempt,
  time: about.completedAt,
  maxParallelism: about.maxParallelism,
  ...(about.shapes !== undefined && { shapes: about.shapes }),
  vertices,
  ...(rowsInChannels && { rowsInChannels }),
});

export function keyedLine(
  operator: string,
  state: string,
  { group, key, value, schema }: LiveEntry & { readonly schema: StoredSchema },
): object {
  const { value: seen, expires } = shown(schema, value);
  const [first, second] = schema.holds === "map" ? (key as readonly Key[]) : [key];
  return {
    operator,
    state,
    group,
    key: keyJson(first!),
    ...(schema.holds === "map" && { mapKey: keyJson(second!) }),
    value: exactJson(seen),
    ...(expires !== undefined && { expires }),
    schema,
  };
}

export function elementLine(
  line: Omit<ElementLine, "kind"> & { readonly element: number },
): object {
  const { operator, state, redistribution, subtask, element, value, schema } = line;
  return { operator, state, redistribution, subtask, element, value: exactJson(value), schema };
}

export const endLine = { end: true };

// Reading.

type Json = Readonly<Record<string, unknown>>;

/** @throws FormatError that says what is wrong with the line */
export function readLine(text: string): Line {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(`is not JSON: ${(error as Error).message}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw wrong("is no object");
  }
  const line = json as Json;
  if ("tidemark" in line) return { kind: "header", header: readHeader(line) };
  if ("end" in line) return { kind: "end" };
  if ("error" in line) throw wrong(`is where the export ended: ${String(line["error"])}`);
  return readEntry(line);
}

function readHeader(line: Json): Header {
  if (line["tidemark"] !== "savepoint" || line["version"] !== version) {
    throw wrong(`must have "tidemark": "savepoint" and "version": ${version}`);
  }
  const job = text(line, "job");
  if (!isJobId(job)) throw wrong(`has no job id of 32 hex digits in "job"`);
  const vertices = list(line, "vertices").map(readVertex);
  try {
    const maxParallelism = number(line, "maxParallelism");
    checkMaxParallelism(maxParallelism);
    for (const { parallelism } of vertices) checkParallelism(parallelism, maxParallelism);
    const { shapes } = line as { shapes?: Readonly<Record<string, string>> };
    const about = {
      job,
      program: text(line, "program"),
      fingerprint: text(line, "fingerprint"),
      checkpoint: checkpointId(number(line, "checkpoint")),
      attempt: attempt(number(line, "attempt")),
      completedAt: millis(number(line, "time")),
      maxParallelism,
      ...(shapes !== undefined && { shapes: readShapes(shapes) }),
    };
    return { about, vertices, rowsInChannels: line["rowsInChannels"] === true };
  } catch (cause) {
    if (cause instanceof FormatError || !(cause instanceof Error)) throw cause;
    throw new FormatError("content", cause.message, { cause });
  }
}

function readShapes(json: unknown): Readonly<Record<string, string>> {
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  if (isObject && Object.values(json).every((shape) => typeof shape === "string")) {
    return json as Readonly<Record<string, string>>;
  }
  throw wrong(`must have an object of texts in "shapes"`);
}

function readVertex(json: unknown): Vertex {
  if (typeof json !== "object" || json === null) throw wrong(`has no object in "vertices"`);
  const line = json as Json;
  const vertex = text(line, "vertex");
  if (!/^[0-9A-Za-z_-]{1,64}$/.test(vertex))
    throw wrong(`names a vertex "${vertex}", which is none`);
  const operators = list(line, "operators");
  if (!operators.every((uid) => typeof uid === "string")) {
    throw wrong(`must have texts in "operators"`);
  }
  return { vertex, parallelism: number(line, "parallelism"), operators };
}

function readEntry(line: Json): KeyedLine | ElementLine {
  const schema = readSchema(line["schema"]);
  const of = { operator: text(line, "operator"), state: text(line, "state"), schema };
  if (!Object.hasOwn(line, "value")) throw wrong(`has no "value"`);
  const value = fromExactJson(line["value"]);
  if (Object.hasOwn(line, "subtask")) {
    const { redistribution } = line;
    if (
      redistribution !== "split" &&
      redistribution !== "union" &&
      redistribution !== "broadcast"
    ) {
      throw wrong(`must have split, union or broadcast in "redistribution"`);
    }
    return { kind: "operator", ...of, redistribution, subtask: number(line, "subtask"), value };
  }
  if (!Object.hasOwn(line, "key")) throw wrong(`has neither a "key" nor a "subtask"`);
  const key = keyFromJson(line["key"]);
  const isMap = schema.holds === "map";
  if (Object.hasOwn(line, "mapKey") !== isMap) {
    throw wrong(isMap ? `is of a map and has no "mapKey"` : `has a "mapKey" and is of no map`);
  }
  const { expires } = line as { expires?: number };
  const shownValue = { value, ...(expires !== undefined && { expires }) };
  return {
    kind: "keyed",
    ...of,
    ...(Object.hasOwn(line, "group") && { group: number(line, "group") as KeyGroup }),
    key: isMap ? [key, keyFromJson(line["mapKey"])] : key,
    value: stored(schema, shownValue),
  };
}

const kinds: readonly unknown[] = ["value", "list", "map", "reducing", "aggregating"];

function readSchema(json: unknown): StoredSchema {
  const { holds, version: of, ttl } = (json ?? {}) as Json;
  if (
    !kinds.includes(holds) ||
    !Number.isSafeInteger(of) ||
    (of as number) < 1 ||
    typeof ttl !== "boolean"
  ) {
    throw wrong(`has no "schema" such as {"holds":"value","version":1,"ttl":false}`);
  }
  return { holds, version: of, ttl } as StoredSchema;
}

function text(line: Json, field: string): string {
  const value = line[field];
  if (typeof value === "string") return value;
  throw wrong(`must have a text in "${field}"`);
}

function number(line: Json, field: string): number {
  const value = line[field];
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw wrong(`must have a whole number of at least 0 in "${field}"`);
}

function list(line: Json, field: string): readonly unknown[] {
  const value = line[field];
  if (Array.isArray(value)) return value;
  throw wrong(`must have a list in "${field}"`);
}

const wrong = (problem: string): FormatError => new FormatError("content", `It ${problem}`);
