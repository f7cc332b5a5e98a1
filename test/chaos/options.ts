// What chaos is told to do, from its command line.

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";

import { flightsMax } from "../../examples/flights/parquet.ts";
import { type Command, commandFrom, wholeNumber } from "../../local/command-line.ts";

export interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly rows: number;
  readonly json: boolean;
}

const minutesRange = { least: 0.05, most: 600 } as const;
const seedMax = 2 ** 32 - 1;
const rowsMin = 1_000;
const rowsDefault = 1_000_000;

export const usage = `Usage: npm run chaos -- [options]

Streams real flights into a checkpointed job on a local runtime, kills the runtime, ends single
Durable Objects and breaks connections at random, heals, and compares what was counted with the
same count made straight from the file.

  --minutes N  How long things go wrong (2); ${minutesRange.least} or more, parts of one are allowed.
  --seed N     What goes wrong and when; at random where absent, and printed first.
  --rows N     Flights to stream (${rowsDefault.toLocaleString("en")}), the first N of ${flightsMax.toLocaleString("en")}, spread over the time.
  --json       Print one JSON object on stdout and everything else on stderr.
  --help       This text.

Exit code: 0 when every cell is equal and the job runs and completes checkpoints, 1 when not or when
something failed, 2 for bad arguments. What a failed run leaves is kept for a look.`;

export const commandOf = (args: readonly string[]): Command<Options> =>
  commandFrom(() => {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string", default: "2" },
        seed: { type: "string", default: String(randomInt(seedMax)) },
        rows: { type: "string", default: String(rowsDefault) },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return "help";
    return {
      minutes: minutesOf(values.minutes),
      seed: wholeNumber("--seed", values.seed, { least: 0, most: seedMax }),
      rows: wholeNumber("--rows", values.rows, { least: rowsMin, most: flightsMax }),
      json: values.json,
    };
  });

export const commandLine = ({ minutes, seed, rows }: Options): string =>
  `npm run chaos -- --seed ${seed} --minutes ${minutes} --rows ${rows}`;

function minutesOf(text: string): number {
  const { least, most } = minutesRange;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new RangeError(`--minutes is "${text}"; it must be a number from ${least} to ${most}.`);
}
