// The job's tables beside what DuckDB makes of the file, cell by cell.
//   D1. A row that is in one of the two only differs in all its cells; so does one that is there twice.

import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

import { flightsPath } from "../flights/parquet.ts";
import * as expected from "./expected.ts";

export type Row = Readonly<Record<string, unknown>>;

/** A table that is compared, by the type of each column. */
interface Compared {
  readonly title: string;
  readonly sql: string;
  /** Of the job. */
  readonly table: string;
  /** A row of it by the names of the columns, where it is not. */
  readonly named?: (row: Row) => Row;
  readonly keys: Readonly<Record<string, string>>;
  readonly cells: Readonly<Record<string, string>>;
}

const windowStart = "bigint";

const compared: readonly Compared[] = [
  {
    title: "hours of airports",
    sql: expected.hours,
    table: "airport-hours",
    named: ({ key: airport, ...row }) => ({ airport, ...row }),
    keys: { airport: "varchar", windowStart },
    cells: { flights: "bigint", delayed: "bigint", meanDelay: "double", worst: "bigint" },
  },
  {
    title: "ten worst of six hours",
    sql: expected.worst,
    table: "worst-airports",
    keys: { windowStart, rank: "bigint" },
    cells: { airport: "varchar", flights: "bigint", meanDelay: "double" },
  },
  {
    title: "sessions of delays",
    sql: expected.sessions,
    table: "delayed-sessions",
    named({ key, ...row }) {
      const [origin, destination] = key as readonly string[];
      return { origin, destination, ...row };
    },
    keys: { origin: "varchar", destination: "varchar", windowStart },
    cells: { windowEnd: "bigint", flights: "bigint", meanDelay: "double", worst: "bigint" },
  },
  {
    title: "late flights",
    sql: expected.late,
    table: "late-flights",
    keys: { id: "bigint" },
    cells: { date: "bigint", delay: "bigint", origin: "varchar", destination: "varchar" },
  },
];

/** What comparing a table came to. */
export interface Comparison {
  readonly title: string;
  readonly table: string;
  readonly rows: number;
  readonly cells: number;
  readonly differences: number;
  /** Some of them, as sentences. */
  readonly examples: readonly string[];
}

const examplesShown = 5;

/**
 * @param rows how many flights of the file were sent
 * @param directory where the tables may be written on their way
 * @param tableOf the rows of a table of the job
 */
export async function comparisons(
  rows: number,
  directory: string,
  tableOf: (name: string) => Promise<readonly Row[]>,
): Promise<Comparison[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run(`create table flights as ${expected.flights(flightsPath, rows)}`);
    await connection.run(`create table reports as ${expected.reports}`);
    const results: Comparison[] = [];
    for (const one of compared) {
      const file = join(directory, `${one.table}.ndjson`);
      const { named = (row) => row } = one;
      await writeLines(file, (await tableOf(one.table)).values().map(named));
      results.push(await compare(connection, one, file));
    }
    return results;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function writeLines(file: string, rows: IteratorObject<Row>): Promise<void> {
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`);
  await pipeline(Readable.from(lines), createWriteStream(file));
}

async function compare(
  connection: DuckDBConnection,
  { title, table, sql, keys, cells }: Compared,
  file: string,
): Promise<Comparison> {
  const types = Object.entries({ ...keys, ...cells }).map(([name, type]) => `"${name}": '${type}'`);
  const read = `read_json('${file}', format = 'newline_delimited', columns = {${types.join(", ")}})`;
  const keyNames = Object.keys(keys).map((name) => `"${name}"`);
  const differing = Object.keys(cells).map((name) => `(e."${name}" is distinct from a."${name}")`);
  await connection.run(`create or replace table expected as ${sql}`);
  await connection.run(`create or replace table actual as from ${read}`);
  await connection.run(`
    create or replace view both_sides as
    select e, a, (${differing.map((cell) => `${cell}::integer`).join(" + ")}) as differences
    from expected as e
    full join actual as a on ${keyNames.map((name) => `e.${name} = a.${name}`).join(" and ")}`);
  const [totals] = await rowsOf<{ rows: number; differences: number; twice: number }>(
    connection,
    `select
      count(*)::double as rows,
      coalesce(sum(differences), 0)::double as differences,
      (select count(*) - count(distinct (${keyNames.join(", ")})) from actual)::double as twice
    from both_sides`,
  );
  const { rows, differences, twice } = totals!;
  const examples = await rowsOf<{ e: string | null; a: string | null }>(
    connection,
    `select
      ${side("e", keyNames[0]!)},
      ${side("a", keyNames[0]!)}
    from both_sides where differences > 0 order by e limit ${examplesShown}`,
  );
  const width = differing.length;
  return {
    title,
    table,
    rows,
    cells: rows * width,
    differences: differences + twice * width,
    examples: [
      ...examples.map(({ e, a }) => `${title}: ${a ?? "nothing"} should be ${e ?? "nothing"}`),
      ...(twice === 0 ? [] : [`${title}: ${twice} rows are there again`]),
    ],
  };
}

/** A row of one side as text; null where it is not there. */
const side = (name: string, key: string): string =>
  `case when ${name}.${key} is not null then to_json(${name})::varchar end as ${name}`;

const rowsOf = async <T>(connection: DuckDBConnection, sql: string): Promise<T[]> =>
  (await connection.runAndReadAll(sql)).getRowObjectsJS() as T[];
