// The body of `POST /topics/:topic/records` as rows. The hot path of ingestion, and the border where
// a stranger's bytes become records.
//   W1. A body is taken whole or refused whole, with the place of the first bad record.
//   W2. Every line, and every element of an array, is exactly one JSON value: no line can smuggle a
//       second record in or swallow its neighbour, because each is parsed alone. (The lines joined
//       to one array parse up to 1.8 times as fast in workerd, but `1,2`, `[3` and `4]` are three
//       lines and three elements. A nonce between the lines tells, and costs what was gained.)
//   W3. No record has an own key `__proto__`: what a program does with such a row is not its intent.
//   W4. No record nests deeper than `recordDepthMax`. One that could be encoded here and not decoded
//       by a task, whose stack is fuller, would stop its job for good.
//   W5. Lines that are objects of one shape become columns at once (json-columns.ts), and no row is made.
//       Whatever is wrong or unusual goes the long way, by which alone anything is refused.

import { type JsonColumns, readJsonColumns } from "./json-columns.ts";
import { ingestRecordsMax, recordBytesMax, recordDepthMax } from "./limits.ts";

/** How the body is laid out; `sniff`: an array where it starts with `[`, lines otherwise. */
export type BodyForm = "lines" | "array" | "sniff";

export type Records = (RecordRows | RecordColumns) & {
  /** How a message calls the record at `index`: `Line 3`, or `Record 3` of an array, from 1. */
  readonly placeOf: (index: number) => string;
};

/** Records of any shape. */
export interface RecordRows {
  readonly kind: "rows";
  readonly rows: readonly unknown[];
}

/** Objects of one shape. */
export interface RecordColumns {
  readonly kind: "columns";
  readonly columns: JsonColumns;
}

type ParsedRows = Extract<Records, { kind: "rows" }>;
type ParsedOutcome = { readonly kind: "records"; readonly records: ParsedRows } | Refused;

export type ReadRecordsOutcome =
  | { readonly kind: "records"; readonly records: Records }
  | { readonly kind: "refused"; readonly status: 400 | 413; readonly reason: string };

type Refused = Extract<ReadRecordsOutcome, { kind: "refused" }>;

/** Bytes below which a body is not worth columns. */
const columnBytesMin = 1_024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
const encoder = new TextEncoder();

/** Reads and checks the whole body. */
export function readRecords(body: Uint8Array, form: BodyForm): ReadRecordsOutcome {
  let text: string;
  try {
    text = decoder.decode(body);
  } catch {
    return refused(400, "The body is not UTF-8.");
  }
  const isArray = form === "array" || (form === "sniff" && text.trimStart().startsWith("["));
  if (!isArray && body.length >= columnBytesMin) {
    const columns = readJsonColumns(body, text, columnLimits);
    if (columns !== undefined) {
      const placeOf = (index: number): string => `Line ${lineOfRow(text, index)}`;
      return { kind: "records", records: { kind: "columns", columns, placeOf } };
    }
  }
  const outcome = isArray ? readArray(text) : readLines(text);
  if (outcome.kind === "refused") return outcome;
  const { records } = outcome;
  if (records.rows.length === 0) {
    return refused(400, "The body holds no records; send one JSON value a line.");
  }
  // Only records that do not nest too deep can be measured.
  return problemOf(records, text) ?? (isArray ? longOf(records, text) : undefined) ?? outcome;
}

const columnLimits = {
  rowsMax: ingestRecordsMax,
  lineBytesMax: recordBytesMax,
  takes: (nested: object): boolean => !isDeep(nested, 2) && !holdsProto(nested),
};

const tooMany = (): Refused =>
  refused(413, `The body holds more than ${ingestRecordsMax} records (ingestRecordsMax).`);

function readLines(text: string): ParsedOutcome {
  const rows: unknown[] = [];
  let end: number;
  for (let start = 0; start < text.length; start = end + 1) {
    end = text.indexOf("\n", start);
    if (end === -1) end = text.length;
    if (isBlank(text, start, end)) continue;
    if (rows.length === ingestRecordsMax) return tooMany();
    const line = text.slice(start, end);
    const place = (): string => `Line ${lineAt(text, start)}`;
    if (isLong(line)) return tooLong(place());
    try {
      rows.push(JSON.parse(line));
    } catch (error) {
      const where = messageOf(error).replace(/ \(line 1 column \d+\)$/, "");
      return refused(400, `${place()} is not one JSON value: ${where}`);
    }
  }
  return {
    kind: "records",
    records: { kind: "rows", rows, placeOf: (index) => `Line ${lineOfRow(text, index)}` },
  };
}

function readArray(text: string): ParsedOutcome {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch (error) {
    return refused(400, `The body is not JSON: ${messageOf(error)}`);
  }
  if (!Array.isArray(rows)) {
    return refused(
      400,
      "An application/json body must be an array of records; " +
        "for one JSON value a line send Content-Type: application/x-ndjson.",
    );
  }
  if (rows.length > ingestRecordsMax) return tooMany();
  const placeOf = (index: number): string => `Record ${index + 1}`;
  return { kind: "records", records: { kind: "rows", rows, placeOf } };
}

/** The elements of an array have no text of their own until they are written again. */
function longOf({ rows, placeOf }: ParsedRows, text: string): Refused | undefined {
  if (text.length * 3 <= recordBytesMax) return undefined;
  const long = rows.findIndex((row) => isLong(JSON.stringify(row)));
  return long === -1 ? undefined : tooLong(placeOf(long));
}

/** Whether `value`, at `depth`, reaches beyond the limit; it is not followed any further. */
function isDeep(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth > recordDepthMax) return true;
  if (Array.isArray(value)) return value.some((inner) => isDeep(inner, depth + 1));
  const inside = value as Readonly<Record<string, unknown>>;
  for (const name in inside) {
    if (typeof inside[name] === "object" && isDeep(inside[name], depth + 1)) return true;
  }
  return false;
}

/** What is wrong with a record that is JSON. */
function problemOf({ rows, placeOf }: ParsedRows, text: string): Refused | undefined {
  const bare = rows.indexOf(null);
  if (bare !== -1) {
    return refused(400, `${placeOf(bare)} is null; a record may be any other JSON value.`);
  }
  const deep = rows.findIndex((row) => isDeep(row, 1));
  if (deep !== -1) {
    const place = placeOf(deep);
    return refused(400, `${place} nests deeper than ${recordDepthMax} levels (recordDepthMax).`);
  }
  if (!mayHoldProto.test(text)) return undefined;
  const polluted = rows.findIndex(holdsProto);
  if (polluted === -1) return undefined;
  return refused(400, `${placeOf(polluted)} has a key "__proto__", which records may not have.`);
}

/** The name itself, or an escape of one of its letters, by which JSON may hide it. */
const mayHoldProto = /__proto__|\\u00(?:5f|70|72|6f|74)/i;

function holdsProto(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.hasOwn(value, "__proto__") || Object.values(value).some(holdsProto);
}

// Lines rarely are blank: nearly all end at the first comparison.
function isBlank(text: string, start: number, end: number): boolean {
  return !(text.charCodeAt(start) > 0x20 && start < end) && text.slice(start, end).trim() === "";
}

// UTF-8 takes one to three bytes for each UTF-16 unit, so bytes are counted only in between.
const isLong = (text: string): boolean =>
  text.length * 3 > recordBytesMax &&
  (text.length > recordBytesMax || encoder.encode(text).length > recordBytesMax);

const tooLong = (place: string): Refused =>
  refused(413, `${place} is larger than ${recordBytesMax} bytes (recordBytesMax).`);

// Line numbers are found by counting again, once something is wrong.
function lineAt(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}

function lineOfRow(text: string, index: number): number {
  let rows = -1;
  return text.split("\n").findIndex((line) => line.trim() !== "" && ++rows === index) + 1;
}

function refused(status: 400 | 413, reason: string): Refused {
  return { kind: "refused", status, reason };
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
