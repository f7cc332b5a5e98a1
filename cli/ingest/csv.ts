// Rows of a CSV file as JSON objects, a chunk at a time.

import { Readable } from "node:stream";

import { CsvError, parse } from "csv-parse";

import { recordBytesMax } from "../../format/limits.ts";
import { Problem, usageProblem } from "../problem.ts";
import {
  columnsOf,
  type ColumnType,
  type CsvColumn,
  headerProblem,
  rowOf,
  sampleRows,
} from "./column-types.ts";
import type { Entries, Entry } from "./entries.ts";

export interface CsvOptions {
  /** As messages name the file. */
  readonly name: string;
  readonly delimiter: string;
  /** Names of the columns where the file does not begin with them. */
  readonly columns: readonly string[] | undefined;
  readonly types: ReadonlyMap<string, ColumnType>;
  /** Called with the first row, before any other. */
  readonly onFirst: (text: string) => void;
}

interface Row {
  readonly cells: readonly string[];
  readonly place: number;
}

/** Entries of one answer: a chunk's worth. */
const entriesMax = 1_000;

export async function* csvEntries(chunks: AsyncIterable<Buffer>, options: CsvOptions): Entries {
  const rows = rowsOf(chunks, options);
  const names = options.columns ?? (await rows.next()).value?.cells;
  if (names === undefined) return;
  checkHeader(names, options);

  const sample: Row[] = [];
  while (sample.length < sampleRows) {
    const next = await rows.next();
    if (next.done === true) break;
    sample.push(next.value);
  }
  const columns = columnsOf(
    names,
    sample.map(({ cells }) => cells),
    options.types,
  );
  if (sample[0] !== undefined) options.onFirst(JSON.stringify([names, sample[0].cells]));
  yield sample.map((row) => entryOf(row, columns));
  let entries: Entry[] = [];
  for await (const row of rows) {
    entries.push(entryOf(row, columns));
    if (entries.length < entriesMax) continue;
    yield entries;
    entries = [];
  }
  if (entries.length > 0) yield entries;
}

async function* rowsOf(
  chunks: AsyncIterable<Buffer>,
  { name, delimiter }: CsvOptions,
): AsyncGenerator<Row, undefined> {
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    max_record_size: recordBytesMax,
    // Rows of another length are told apart by their line here, and can be skipped.
    relax_column_count: true,
    skip_empty_lines: true,
  });
  const source = Readable.from(checked(chunks, name));
  source.on("error", (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const { info, record } of parser as AsyncIterable<{
      readonly info: { readonly lines: number };
      readonly record: readonly string[];
    }>) {
      yield { cells: record, place: info.lines };
    }
    return undefined;
  } catch (error) {
    // After broken quotes nobody can tell where the next row begins.
    if (error instanceof CsvError)
      throw new Problem(`${name}: ${error.message}`, undefined, { cause: error });
    throw error;
  } finally {
    source.destroy();
  }
}

// The parser would put U+FFFD for what it cannot read.
async function* checked(chunks: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let bytes = 0;
  const check = (chunk?: Buffer): void => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (error) {
      const message = `${name} is not UTF-8, somewhere after byte ${bytes}; convert it, for instance by iconv.`;
      throw new Problem(message, undefined, { cause: error });
    }
  };
  for await (const chunk of chunks) {
    check(chunk);
    bytes += chunk.length;
    yield chunk;
  }
  check();
}

function checkHeader(names: readonly string[], { name, types }: CsvOptions): void {
  const problem = headerProblem(names);
  if (problem !== undefined) {
    throw new Problem(`${name}: ${problem}; name the columns by --columns if the file does not.`);
  }
  const unknown = [...types.keys()].find((column) => !names.includes(column));
  if (unknown !== undefined) {
    throw usageProblem(
      `--types names the column "${unknown}", and ${name} has: ${names.join(", ")}.`,
    );
  }
}

const entryOf = ({ cells, place }: Row, columns: readonly CsvColumn[]): Entry => {
  const outcome = rowOf(columns, cells);
  return outcome.kind === "row"
    ? { kind: "record", json: outcome.json, place }
    : { kind: "bad", reason: outcome.reason, place };
};
