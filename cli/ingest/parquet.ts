// Columns and rows of a Parquet file, a row group at a time, with values that JSON has:
//
//   timestamps and dates    milliseconds since the Unix epoch
//   64-bit integers         numbers, or their digits as a text where a number would not be exact
//   bytes                   base64
//   NaN and infinities      null

import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

import { asyncBufferFromFile, parquetScan } from "hyparquet";

import type { Entries, Entry } from "./entries.ts";

/** Some rows of a file: one array a column. */
export interface ParquetPiece {
  /** Of the first row, from 0. */
  readonly rowStart: number;
  readonly rows: number;
  readonly columns: ReadonlyMap<string, ArrayLike<unknown>>;
}

export interface ParquetFile {
  readonly rows: number;
  readonly pieces: AsyncIterable<ParquetPiece>;
}

export interface ParquetOptions {
  /** All of the file's where absent. */
  readonly columns?: readonly string[];
  /** The first so many rows. */
  readonly rows?: number;
}

/** Entries of one answer. */
const entriesMax = 1_000;

/** Opens a file: reads what it says of itself, not yet its rows. */
export async function openParquet(
  path: string,
  options: ParquetOptions = {},
): Promise<ParquetFile> {
  const scan = await parquetScan({
    file: await asyncBufferFromFile(path),
    ...(options.columns !== undefined && { columns: [...options.columns] }),
    ...(options.rows !== undefined && { rowEnd: options.rows }),
    compressors: {
      GZIP: (bytes) => gunzipSync(bytes),
      BROTLI: (bytes) => brotliDecompressSync(bytes),
      ZSTD: (bytes) => zstdDecompressSync(bytes),
    },
    parsers: {
      timestampFromMilliseconds: (value) => Number(value),
      timestampFromMicroseconds: (value) => Number(value) / 1_000,
      timestampFromNanoseconds: (value) => Number(value) / 1_000_000,
      dateFromDays: (days) => days * 86_400_000,
    },
  });
  const names = options.columns ?? topColumns(scan.metadata.schema);
  async function* pieces(): AsyncGenerator<ParquetPiece> {
    for (const { rowStart, rowEnd } of scan.ranges) {
      const columns = await Promise.all(
        names.map(async (column) => {
          const values = await scan.readColumn({ column, rowStart, rowEnd });
          return [column, withoutBigints(values)] as const;
        }),
      );
      yield { rowStart, rows: rowEnd - rowStart, columns: new Map(columns) };
    }
  }
  const rows = scan.ranges.reduce((total, range) => total + range.rowEnd - range.rowStart, 0);
  return { rows, pieces: pieces() };
}

/** The rows as JSON objects; the place of a row is its number, from 1. */
export async function* parquetEntries(
  { pieces }: ParquetFile,
  onRows: (count: number) => void,
): Entries {
  for await (const { rowStart, rows, columns } of pieces) {
    for (let from = 0; from < rows; from += entriesMax) {
      const until = Math.min(from + entriesMax, rows);
      const entries: Entry[] = [];
      for (let i = from; i < until; i++) {
        const row: Record<string, unknown> = {};
        for (const [name, values] of columns) row[name] = plain(values[i]);
        entries.push({ kind: "record", json: JSON.stringify(row), place: rowStart + i + 1 });
      }
      yield entries;
      onRows(until - from);
    }
  }
}

interface SchemaElement {
  readonly name: string;
  readonly num_children?: number | undefined;
}

/** The names of the schema's top level: its elements are a tree in order of depth. */
function topColumns([root, ...elements]: readonly SchemaElement[]): string[] {
  const names: string[] = [];
  let at = 0;
  const skip = (): void => {
    const children = elements[at++]?.num_children ?? 0;
    for (let child = 0; child < children; child++) skip();
  };
  for (let column = 0; column < (root?.num_children ?? 0); column++) {
    names.push(elements[at]?.name ?? "");
    skip();
  }
  return names;
}

function withoutBigints(values: ArrayLike<unknown>): ArrayLike<unknown> {
  if (values instanceof BigInt64Array || values instanceof BigUint64Array)
    return Array.from(values, numberOrDigits);
  return typeof values[0] === "bigint" ? Array.from(values, plain) : values;
}

function numberOrDigits(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function plain(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return numberOrDigits(value);
    case "undefined":
      return null;
    case "object":
      if (value === null) return null;
      if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
      if (value instanceof Date) return value.getTime();
      if (Array.isArray(value) || ArrayBuffer.isView(value))
        return Array.from(value as ArrayLike<unknown>, plain);
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
    default:
      return value;
  }
}
