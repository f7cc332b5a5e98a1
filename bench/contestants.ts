// Who runs in the bench's Worker: one HTTP request starts a run there and is answered at its end.

import { differences, type Tallies, type Tally } from "./data.ts";
import type { Contestant } from "./harness.ts";
import type { BenchRuntime } from "./runtime.ts";

/** Written by hand, answering by itself. */
export function byHand(
  runtime: BenchRuntime,
  { name, rows, expected }: { name: string; rows: number; expected: Tallies },
): Contestant {
  const path = (what: string): string => `/bench/${what}/${name}?rows=${rows}`;
  return {
    name,
    rows,
    prepare: () => runtime.ask("POST", path("reset")),
    run: async () => {
      await runtime.ask("POST", path("run"));
    },
    check: async () => {
      const answer = await runtime.ask<[string, Tally][]>("GET", path("answer"));
      return differences(expected, new Map(answer));
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

interface JobContestant {
  readonly name: string;
  readonly program: string;
  readonly parallelism: number;
  readonly flink?: Readonly<Record<string, string>>;
  readonly rows: number;
  readonly expected: Tallies;
}

interface TablePage {
  readonly rows: readonly (Tally & { readonly key: string })[];
}

/** A job of the engine; a run is from its submission until its operator has taken in every row. */
export function job(
  runtime: BenchRuntime,
  { name, program, parallelism, flink = {}, rows, expected }: JobContestant,
): Contestant {
  let running = "";
  return {
    name,
    rows,
    run: async () => {
      running = await runtime.submit(program, { parallelism, flink });
      await runtime.ask("GET", `/bench/processed/${running}?uid=tallies&rows=${rows}`);
    },
    check: async () => {
      const path = `/jobs/${running}/tables/tallies?read=latest`;
      const table = await runtime.ask<TablePage>("GET", path);
      await runtime.cancel(running);
      return differences(expected, new Map(table.rows.map((row) => [row.key, row])));
    },
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}
