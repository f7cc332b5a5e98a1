// What a run of the benchmarks is told, from its command line.

import { parseArgs } from "node:util";

import { type Command, commandFrom, wholeNumber } from "../local/command-line.ts";
import type { Benchmark } from "./benchmark.ts";

export interface Options {
  /** All where none is named. */
  readonly names: readonly string[];
  readonly rows: number;
  readonly rounds: number;
  readonly warmUps: number;
  readonly quick: boolean;
  readonly large: boolean;
  readonly svg: string | undefined;
  /** Those of `keyed-count`, or states of others; all where there are none. */
  readonly only: readonly string[];
  readonly json: boolean;
}

const rowsRange = { least: 1_000, most: 1_000_000_000 } as const;
const roundsRange = { least: 1, most: 1_000 } as const;

const full = { rows: 5_000_000, rounds: 5, warmUps: 1 } as const;
const quick = { rows: 100_000, rounds: 1, warmUps: 1 } as const;

export const usageOf = (
  benchmarks: readonly Benchmark[],
): string => `Usage: npm run bench -- [NAME…] [options]

Measures the engine beside what it could be replaced by, on the same rows in the same runtime, and
checks every answer. Without a name all are run.

${benchmarks.map(({ name, summary }) => `  ${name.padEnd(20)} ${summary}`).join("\n")}

  --rows N    Rows of one run (${full.rows.toLocaleString("en")})
  --rounds N  Measured rounds (${full.rounds}); each contestant runs once in each
  --quick     ${quick.rows.toLocaleString("en")} rows, ${quick.rounds} round: to see that it works, not how fast
  --large     With the sizes of state that take many minutes, too: 1 GB, 10 million keys
  --svg FILE  Where checkpoint-overhead draws its curve
  --only A,B  Of keyed-count, windows and nexmark these contestants, such as limit,rows; of
              checkpoint-overhead these states: 10MB-hot100, 10MB-hot1, 100MB-hot100, 100MB-hot1; of
              recovery these, such as 100MB-memory-local, 1000MB-sqlite-r2; of state-size what begins
              so: memory, sqlite, sqlite-zipf, sqlite-uniform; of scale these numbers of subtasks,
              such as 4,64; of latency these shares of the greatest load, such as 50
  --json      Print one JSON object on stdout and everything else on stderr
  --help      This text

Exit code: 0 when every answer was right, 1 when not or when something failed, 2 for bad arguments.`;

export const commandOf = (
  args: readonly string[],
  benchmarks: readonly Benchmark[],
): Command<Options> =>
  commandFrom(() => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rows: { type: "string" },
        rounds: { type: "string" },
        large: { type: "boolean", default: false },
        svg: { type: "string" },
        only: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return "help";
    const known = benchmarks.map(({ name }) => name);
    const unknown = positionals.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw new RangeError(`There is no benchmark "${unknown}"; there are ${known.join(", ")}.`);
    }
    const of = values.quick ? quick : full;
    return {
      names: positionals.length > 0 ? positionals : known,
      rows: values.rows === undefined ? of.rows : wholeNumber("--rows", values.rows, rowsRange),
      rounds:
        values.rounds === undefined
          ? of.rounds
          : wholeNumber("--rounds", values.rounds, roundsRange),
      warmUps: of.warmUps,
      quick: values.quick,
      large: values.large,
      svg: values.svg,
      only: values.only?.split(",") ?? [],
      json: values.json,
    };
  });
