// Streams a file into a topic, each record once however often the command is repeated.
//
// There is no file of progress: it could say that something was sent to a deployment that has since
// been emptied, or was another one. The topic itself knows what it has kept, by the keys of the
// requests (`ingest/delivery.ts`). A repeated command sends everything again and adds what is missing.

import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { addAbortSignal } from "node:stream";

import { Command, InvalidArgumentError, Option } from "commander";

import { batchRowsMax, ingestRecordsMax } from "../../format/limits.ts";
import type { Api } from "../api.ts";
import { type BadRecord, batchesOf } from "../ingest/batches.ts";
import { type ColumnType, columnTypes } from "../ingest/column-types.ts";
import { csvEntries } from "../ingest/csv.ts";
import { Delivery, type Delivered } from "../ingest/delivery.ts";
import type { Entries, RecordFile } from "../ingest/entries.ts";
import { LineTooLong, ndjsonEntries } from "../ingest/ndjson.ts";
import { openParquet, parquetEntries } from "../ingest/parquet.ts";
import { Progress } from "../ingest/progress.ts";
import { durationOption, sessionOf, wholeFrom } from "../options.ts";
import { printable, printJson, whole } from "../output.ts";
import { Problem, reasonOf, usageProblem } from "../problem.ts";

const formats = ["ndjson", "csv", "parquet"] as const;
type Format = (typeof formats)[number];

const formatOf: ReadonlyMap<string, Format> = new Map([
  [".ndjson", "ndjson"],
  [".jsonl", "ndjson"],
  [".csv", "csv"],
  [".parquet", "parquet"],
]);

const inFlightMax = 64;
const inFlightDefault = 4;
const patienceDefault = "2 min";
const chunkBytes = 1 << 18;

/** Bad records that are named one by one. */
const badShown = 10;

interface Options {
  readonly topic: string;
  readonly format?: Format;
  readonly batch: number;
  readonly inFlight: number;
  readonly id?: string;
  readonly skipBad: number;
  readonly limit?: number;
  readonly patience: number;
  readonly types?: ReadonlyMap<string, ColumnType>;
  readonly columns?: readonly string[];
  readonly delimiter: string;
}

export const ingestCommand = (interrupted: AbortSignal): Command =>
  new Command("ingest")
    .description("send the records of a file to a topic, each exactly once")
    .argument("<file>", "NDJSON, CSV or Parquet; - for NDJSON on stdin")
    .requiredOption("-t, --topic <topic>", 'one of "tidemark topics"')
    .addOption(
      new Option("-f, --format <format>", "told by the file's extension, if not given").choices(
        formats,
      ),
    )
    .option("--batch <n>", "records of one request", wholeFrom(1, ingestRecordsMax), batchRowsMax)
    .option(
      "--in-flight <n>",
      "requests at a time; with 1, records arrive in the order of the file",
      wholeFrom(1, inFlightMax),
      inFlightDefault,
    )
    .option("--id <name>", "what the stream is known by; its first record, if not given")
    .option("--skip-bad <n>", "leave out up to n records that cannot be read", wholeFrom(0), 0)
    .option(
      "--limit <n>",
      "only the first n; a multiple of --batch, if more shall follow",
      wholeFrom(1),
    )
    .addOption(
      durationOption(
        "--patience <duration>",
        "how long to try while the deployment takes nothing",
        patienceDefault,
      ),
    )
    .option("--types <column=type,…>", `of CSV columns: ${columnTypes.join(", ")}`, typesFrom)
    .option("--columns <name,…>", "of a CSV file without a header", namesFrom)
    .option("--delimiter <character>", "of a CSV file", delimiterFrom, ",")
    .addHelpText(
      "after",
      `
Repeating the command is safe and resumes it: what was sent before is recognised, by the stream's
first record or its --id, and by positions. Two files that begin with the same record and differ
later are refused; give each an --id. Records from stdin are another stream every time, unless
they have an --id.

Without --types, a CSV column is of numbers or booleans where its first 1,000 rows are. An empty
cell is null there, and "" in a column of texts.

Examples:
  $ tidemark ingest flights.parquet --topic flights
  $ tidemark ingest orders.csv --topic orders --types zip=string --id orders-2026-11
  $ zcat events.ndjson.gz | tidemark ingest - --topic events --id events-17`,
    )
    .action(async (file: string, options: Options, command: Command) => {
      const { api, isJson, signal } = sessionOf(command, interrupted);
      const { seconds, skipped, ...delivered } = await ingest(file, options, { api, signal });
      const { records, keptBefore } = delivered;
      if (isJson) {
        return printJson({ topic: options.topic, ...delivered, skipped, seconds });
      }
      const before = keptBefore > 0 ? `, ${whole(keptBefore)} of them kept before` : "";
      const left = skipped.length > 0 ? `; ${whole(skipped.length)} skipped` : "";
      console.log(
        `${whole(records)} records in ${options.topic}${before}${left}; ${seconds.toFixed(1)} s`,
      );
    });

interface Means {
  readonly api: Api;
  readonly signal: AbortSignal;
}

interface Ingested extends Delivered {
  readonly skipped: readonly BadRecord[];
  readonly seconds: number;
}

async function ingest(path: string, options: Options, { api, signal }: Means): Promise<Ingested> {
  const name = path === "-" ? "stdin" : path;
  const { topic, batch: rows, patience, skipBad, inFlight } = options;
  // Where nobody is from the start, patience is of no use. (A token for ingestion may not ask for the
  // topic; whether there is one the first batch tells.)
  await api.reach();
  const file = await opened(path, options, signal);
  const skipped: BadRecord[] = [];
  const onBad = (bad: BadRecord): void => {
    const what = `${name}, ${file.places} ${bad.place}: ${bad.reason}`;
    if (skipped.length >= skipBad) throw new Problem(`${what}\n${adviceAfter(skipBad)}`);
    skipped.push(bad);
    if (skipped.length <= badShown) console.error(`skipped: ${printable(what)}`);
  };
  const entries = readable(file, name, signal);
  const { limit = Infinity } = options;
  const batches = batchesOf(firstOf(entries, limit), { rows, onBad });
  const first = await batches.next();
  if (first.done === true) throw new Problem(`${name} holds no records.`);
  const stream = streamOf(file.first(), path, options);
  const delivery = new Delivery({ api, topic, stream, patience, onBad });
  const progress = new Progress(file, delivery.delivered);
  try {
    await delivery.sendAll(preceded(first.value, batches), inFlight);
  } finally {
    progress.close();
  }
  return { ...delivery.delivered, skipped, seconds: progress.seconds };
}

const adviceAfter = (skipBad: number): string =>
  skipBad === 0
    ? "Correct it and repeat the command, or leave such records out with --skip-bad <n>."
    : `More than ${skipBad} records cannot be read, see --skip-bad.`;

/** By what the topic knows the stream again: a name, or what it begins with. */
function streamOf(first: string | undefined, path: string, { id }: Options): string {
  if (id === undefined && path === "-") return `stdin-${randomBytes(16).toString("hex")}`;
  const text = id === undefined ? `first record ${first}` : `id ${id}`;
  return `stream-${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
}

async function* firstOf(entries: Entries, limit: number): Entries {
  let left = limit;
  for await (const some of entries) {
    yield some.slice(0, left);
    left -= some.length;
    if (left <= 0) return;
  }
}

async function* preceded<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

async function opened(path: string, options: Options, signal: AbortSignal): Promise<RecordFile> {
  const format =
    options.format ?? (path === "-" ? "ndjson" : formatOf.get(extname(path).toLowerCase()));
  if (format === undefined) {
    throw usageProblem(
      `What ${path} is cannot be told by its name; say it with --format ${formats.join("|")}.`,
    );
  }
  if (path === "-" && format === "parquet") {
    throw usageProblem("A Parquet file is read from its end, so it cannot come from stdin.");
  }
  async function* firstNoted(entries: Entries): Entries {
    for await (const some of entries) {
      const [entry] = some;
      if (entry !== undefined) first ??= entry.kind === "record" ? entry.json : entry.reason;
      yield some;
    }
  }
  const bytes = path === "-" ? undefined : await sizeOf(path);
  const { limit = Infinity } = options;
  let done = 0;
  let first: string | undefined;
  const told = { first: () => first, done: () => done };
  if (format === "parquet") {
    const file = await openParquet(path).catch((error: unknown) => {
      throw new Problem(`${path} cannot be read as Parquet: ${reasonOf(error)}`, undefined, {
        cause: error,
      });
    });
    const entries = parquetEntries(file, (rows) => (done += rows));
    return {
      entries: firstNoted(entries),
      places: "row",
      total: Math.min(file.rows, limit),
      ...told,
    };
  }
  // Where a limit falls among the bytes is not known.
  const total = limit === Infinity ? bytes : undefined;
  const source =
    path === "-" ? process.stdin : createReadStream(path, { highWaterMark: chunkBytes });
  // Or SIGINT would wait for a stdin on which nothing comes.
  addAbortSignal(signal, source);
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      done += chunk.length;
      yield chunk;
    }
  }
  const { delimiter, columns, types = new Map<string, ColumnType>() } = options;
  if (format === "csv") {
    const onFirst = (text: string): void => void (first = text);
    const entries = csvEntries(chunks(), { name: path, delimiter, columns, types, onFirst });
    return { entries, places: "line", total, ...told };
  }
  return { entries: firstNoted(ndjsonEntries(chunks())), places: "line", total, ...told };
}

async function sizeOf(path: string): Promise<number> {
  try {
    const { size } = await stat(path);
    return size;
  } catch (error) {
    throw usageProblem(`${path} cannot be read: ${reasonOf(error)}`);
  }
}

/** The entries, and whatever ends them as a problem that names the file. */
async function* readable(
  { entries, places }: RecordFile,
  name: string,
  signal: AbortSignal,
): RecordFile["entries"] {
  try {
    yield* entries;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Problem) throw error;
    const place = error instanceof LineTooLong ? `, ${places} ${error.place}` : "";
    throw new Problem(`${name}${place}: ${reasonOf(error)}`, undefined, { cause: error });
  }
}

function typesFrom(
  text: string,
  before: ReadonlyMap<string, ColumnType> = new Map(),
): ReadonlyMap<string, ColumnType> {
  const types = new Map(before);
  for (const part of text.split(",")) {
    const at = part.lastIndexOf("=");
    const type = columnTypes.find((known) => known === part.slice(at + 1).trim());
    if (at < 1 || type === undefined) {
      throw new InvalidArgumentError(
        `It must be column=type; types are ${columnTypes.join(", ")}.`,
      );
    }
    types.set(part.slice(0, at).trim(), type);
  }
  return types;
}

const namesFrom = (text: string): string[] => text.split(",").map((name) => name.trim());

function delimiterFrom(text: string): string {
  const character = text === "\\t" || text === "tab" ? "\t" : text;
  if (character.length === 1) return character;
  throw new InvalidArgumentError('It must be one character; a tabulator is "tab".');
}
