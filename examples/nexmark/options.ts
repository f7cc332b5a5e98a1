// What `npm run nexmark` is told, from its command line.

import { parseArgs } from "node:util";

import { type Command, commandFrom, wholeNumber } from "../../local/command-line.ts";

export interface Options {
  readonly query: string;
  readonly events: number;
  readonly parallelism: number;
  /** Events a second, by their times. */
  readonly rate: number;
  readonly check: boolean;
  readonly json: boolean;
}

const eventsRange = { least: 1, most: 1_000_000_000 } as const;
/** Of which all events are held in memory, beside their results. */
const checkedMax = 10_000_000;
const parallelismRange = { least: 1, most: 64 } as const;
const rateRange = { least: 1, most: 1_000_000_000 } as const;

const defaults = { events: "1000000", parallelism: "2", rate: "10000" } as const;

export const usageOf = (
  queries: readonly string[],
): string => `Usage: npm run nexmark -- QUERY [options]

Runs a query of Nexmark over generated events on a local runtime, with a checkpoint every second, to
its end, and says how fast it was.

  QUERY            ${queries.slice(0, 12).join(", ")},
                   ${queries.slice(12).join(", ")}
  --events N       Persons, auctions and bids there are, in all (${defaults.events})
  --parallelism N  Subtasks of each operator (${defaults.parallelism})
  --rate N         Events a second, by their times (${defaults.rate}); how many are in a window
  --check          Compare the result with that of a plain loop; up to ${checkedMax} events.
                   What is compared is made on the way, which takes time of its own
  --json           Print one JSON object on stdout and everything else on stderr
  --help           This text

A query of bids alone makes only these, 92 in a hundred events. Rows a second are those that its source
made, from the submission of the job until it was FINISHED.

Exit code: 0 when it ran and, with --check, was right, 1 when not, 2 for bad arguments.`;

export const commandOf = (args: readonly string[], queries: readonly string[]): Command<Options> =>
  commandFrom(() => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        events: { type: "string", default: defaults.events },
        parallelism: { type: "string", default: defaults.parallelism },
        rate: { type: "string", default: defaults.rate },
        check: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return "help";
    const [query, ...more] = positionals;
    const allowed = `Allowed: ${queries.join(", ")}.`;
    if (query === undefined) throw new RangeError(`No query is named. ${allowed}`);
    if (more.length > 0) {
      throw new RangeError(`One query at a time: "${more[0]}" comes after "${query}".`);
    }
    const absent = absentQueries[query];
    if (absent !== undefined) throw new RangeError(`${query} is not there: ${absent} ${allowed}`);
    if (!queries.includes(query)) throw new RangeError(`There is no query "${query}". ${allowed}`);
    const events = wholeNumber("--events", values.events, eventsRange);
    if (values.check && events > checkedMax) {
      throw new RangeError(`--check holds all events in memory: --events may be ${checkedMax}.`);
    }
    return {
      query,
      events,
      parallelism: wholeNumber("--parallelism", values.parallelism, parallelismRange),
      rate: wholeNumber("--rate", values.rate, rateRange),
      check: values.check,
      json: values.json,
    };
  });

/** Queries of the suite that are none here, and why. */
const absentQueries: Readonly<Record<string, string>> = {
  q6: "in Flink's SQL it cannot be run either (FLINK-19059).",
};
