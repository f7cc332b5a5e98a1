// Rows of a table. Columns are the fields of the rows, in the order in which they first appear.

import { Command, Option } from "commander";

import type { TableRows } from "../api.ts";
import { findJob } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import { type Column, printJson, tableOf } from "../output.ts";

interface Options {
  readonly key?: string;
  readonly latest?: true;
  readonly format: "table" | "csv" | "json";
}

export const tableCommand = (interrupted: AbortSignal): Command =>
  new Command("table")
    .description("print the rows of a job's table: those of its last completed checkpoint")
    .argument("<job>", "its id, or the beginning of it")
    .argument("<table>", "its name in the program")
    .option("-k, --key <key>", "only the row of this key")
    .option("--latest", "what the job has now, which a failure may take back")
    .addOption(
      new Option("-f, --format <format>", "json is what --json prints")
        .choices(["table", "csv", "json"])
        .default("table"),
    )
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark table 3f delays-by-origin --key ATL
  $ tidemark table 3f delays-by-origin --format csv > delays.csv
  $ tidemark table 3f delays-by-origin --json | jq '.rows[] | select(.worst > 600)'`,
    )
    .action(async (text: string, table: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const { key, latest, format } = options;
      const read = latest ? "latest" : "committed";
      const answer = await api.table(await findJob(api, text), table, {
        read,
        ...(key !== undefined && { key }),
      });
      if (isJson || format === "json") return printJson(answer);
      console.log(format === "csv" ? csvOf(answer) : pageOf(answer));
    });

type Row = Readonly<Record<string, unknown>>;

// A row that is no object has one column without a better name.
const fieldsOf = (row: unknown): Row =>
  typeof row === "object" && row !== null && !Array.isArray(row) ? (row as Row) : { value: row };

const columnsOf = (rows: readonly Row[]): string[] => [
  ...new Set(rows.flatMap((row) => Object.keys(row))),
];

const textOf = (value: unknown): string =>
  value === undefined || value === null
    ? ""
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value as string | number | boolean);

function pageOf({ rows, read, checkpoint }: TableRows): string {
  const source =
    read === "latest"
      ? "latest rows, not yet committed by a checkpoint"
      : checkpoint === null
        ? "no checkpoint has completed yet"
        : `as of checkpoint ${checkpoint}`;
  const footer = `${rows.length} ${rows.length === 1 ? "row" : "rows"}, ${source}`;
  if (rows.length === 0) return footer;
  const all = rows.map(fieldsOf);
  const columns = columnsOf(all).map((title): Column => {
    const isNumeric = all.every((row) => typeof (row[title] ?? 0) === "number");
    return { title, align: isNumeric ? "right" : "left" };
  });
  const cells = all.map((row) => columns.map(({ title }) => textOf(row[title])));
  return `${tableOf(columns, cells)}\n${footer}`;
}

/** As RFC 4180 has it, but with the line ends of this system's other tools. */
function csvOf({ rows }: TableRows): string {
  const all = rows.map(fieldsOf);
  const columns = columnsOf(all);
  const quoted = (text: string): string =>
    /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  return [columns, ...all.map((row) => columns.map((column) => textOf(row[column])))]
    .map((cells) => cells.map(quoted).join(","))
    .join("\n");
}
