// What `npm run airport-hours` is told, from its command line.

import { parseArgs } from "node:util";

import { type Command, commandFrom, wholeNumber } from "../../local/command-line.ts";
import { flightsMax } from "../flights/parquet.ts";

export interface Options {
  readonly rows: number;
  /** Rows that were sent when the runtime is killed; 0 for never. */
  readonly killAfter: number;
  readonly parallelism: number;
  readonly json: boolean;
}

/** So that there are requests before the kill, a checkpoint, and requests after it. */
export const rowsMin = 1_000;
const parallelismMax = 64;
const parallelismDefault = 4;

export const usage = `Usage: npm run airport-hours -- [options]

Streams real flights, out of order, into a job with windows by event time on a local runtime, kills
the runtime on the way, and compares every window with the same one made by DuckDB from the file.

  --rows N         Flights, the first N of ${flightsMax.toLocaleString("en")} (all), ${rowsMin.toLocaleString("en")} or more.
  --kill-after N   SIGKILL of the whole runtime when N are sent (half of them); 0 for none.
  --parallelism N  Subtasks of each operator behind the source (${parallelismDefault}).
  --json           Print one JSON object on stdout and everything else on stderr.
  --help           This text.

Exit code: 0 when every cell is equal, 1 when not or when something failed, 2 for bad arguments.`;

export const commandOf = (args: readonly string[]): Command<Options> =>
  commandFrom(() => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rows: { type: "string", default: String(flightsMax) },
        "kill-after": { type: "string" },
        parallelism: { type: "string", default: String(parallelismDefault) },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return "help";
    const rows = wholeNumber("--rows", values.rows, { least: rowsMin, most: flightsMax });
    const killMax = rows - 1;
    const killAfter = values["kill-after"] ?? String(Math.floor(rows / 2));
    return {
      rows,
      killAfter: wholeNumber("--kill-after", killAfter, { least: 0, most: killMax }),
      parallelism: wholeNumber("--parallelism", values.parallelism, {
        least: 1,
        most: parallelismMax,
      }),
      json: values.json,
    };
  });
