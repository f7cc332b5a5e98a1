// What the demo is told to do, from its command line.

import { parseArgs } from "node:util";

import { type Command, commandFrom, wholeNumber } from "../../local/command-line.ts";
import { flightsMax } from "../flights/parquet.ts";

export interface Options {
  readonly rows: number;
  readonly kills: number;
  /** Parallelisms that the running job is given, one after the other. */
  readonly rescales: readonly number[];
  readonly keep: boolean;
  readonly json: boolean;
}

export const usage = `Usage: npm run demo -- [options]

Streams real flights into a checkpointed job on a local runtime, kills the runtime on the way, and
compares what was counted with the same count made straight from the file.

  --rows N   Flights to stream, the first N of ${flightsMax.toLocaleString("en")} (all).
  --kill N   SIGKILLs of the whole runtime, spread evenly over the stream (1).
  --rescale  Give the running job 2 and then 6 subtasks per vertex in place of its 4.
  --keep     Leave the server and its state for a look around, until Ctrl-C.
  --json     Print one JSON object on stdout and everything else on stderr.
             recoverySeconds is the longest time to recover, null without a kill;
             rescaleSeconds, with --rescale, the longest until the new size runs.
  --help     This text.

Exit code: 0 when every cell is equal, 1 when not or when something failed, 2 for bad arguments.`;

const killsMax = 100;

/** Of --rescale; the job begins with 4. */
const parallelisms: readonly number[] = [2, 6];

/** Rows of a stretch between two kills or rescales, at least: enough to be in the middle of. */
const stretchRowsMin = 100;

export const commandOf = (args: readonly string[]): Command<Options> =>
  commandFrom(() => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rows: { type: "string", default: String(flightsMax) },
        kill: { type: "string", default: "1" },
        rescale: { type: "boolean", default: false },
        keep: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return "help";
    const rows = wholeNumber("--rows", values.rows, { least: 1, most: flightsMax });
    const kills = wholeNumber("--kill", values.kill, { least: 0, most: killsMax });
    const rescales = values.rescale ? parallelisms : [];
    const events = kills + rescales.length;
    const rowsMin = events === 0 ? 1 : stretchRowsMin * (events + 1);
    if (rows < rowsMin) {
      const given = `--kill ${kills}${values.rescale ? " --rescale" : ""}`;
      throw new RangeError(`${given} needs --rows ${rowsMin} or more, got ${rows}.`);
    }
    return { rows, kills, rescales, keep: values.keep, json: values.json };
  });
