// Who runs in the bench's Worker: one HTTP request starts a run there and is answered at its end.

import { setTimeout as sleep } from "node:timers/promises";

import { batchRows, differences, talliesOf, type Tallies, type Tally } from "./data.ts";
import type { Contestant } from "./harness.ts";
import { ingestContestant } from "./ingest.ts";
import { latencyContestant } from "./latency.ts";
import { queryContestant, queryNames } from "./nexmark.ts";
import type { BenchRuntime, JobSettings } from "./runtime.ts";
import { windowContestant, windowNames } from "./windows.ts";

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

/** Batches of the pool that the rows are taken from again and again; as in `worker/limit.ts`. */
const poolRows = 40 * batchRows;

/** The next number of rows that is whole pools. */
export const limitRows = (rows: number): number => Math.ceil(rows / poolRows) * poolRows;

export function limitContestant(runtime: BenchRuntime, rows: number): Contestant {
  const times = limitRows(rows) / poolRows;
  const expected = new Map<string, Tally>();
  for (const [user, { n, total }] of talliesOf(poolRows)) {
    expected.set(user, { n: n * times, total: total * times });
  }
  return byHand(runtime, { name: "limit", rows: limitRows(rows), expected });
}

interface JobContestant extends JobSettings {
  readonly name: string;
  readonly program: string;
  readonly rows: number;
  readonly expected: Tallies;
}

/** Milliseconds that rows may take from an operator to the table behind it. */
const settlingTime = 10_000;

/** How the table of a job's tallies differs from what it should be, once it does not any more. */
export async function tableDifferences(
  runtime: BenchRuntime,
  job: string,
  expected: Tallies,
): Promise<string[]> {
  type Page = { readonly rows: readonly (Tally & { readonly key: string })[] };
  for (const deadline = Date.now() + settlingTime; ; await sleep(100)) {
    const { rows } = await runtime.ask<Page>(
      "GET",
      `/jobs/${job}/tables/tallies?read=latest&limit=100000`,
    );
    const wrong = differences(expected, new Map(rows.map((row) => [row.key, row])));
    if (wrong.length === 0 || Date.now() > deadline) return wrong;
  }
}

interface JobRun extends Contestant {
  /** How many the run has completed, before it is checked. */
  checkpoints(): Promise<number>;
  /** How many each run had, those to warm up included. */
  readonly completed: readonly number[];
}

/** A job of the engine; a run is from its submission until its operator has taken in every row. */
export function job(
  runtime: BenchRuntime,
  { name, program, rows, expected, ...settings }: JobContestant,
): JobRun {
  let running = "";
  const completed: number[] = [];
  const checkpoints = async (): Promise<number> => {
    type Overview = { readonly counts: { readonly completed: number } };
    const { counts } = await runtime.ask<Overview>("GET", `/jobs/${running}/checkpoints`);
    return counts.completed;
  };
  return {
    name,
    rows,
    completed,
    run: async () => {
      running = await runtime.submit(program, settings);
      await runtime.ask("GET", `/bench/processed/${running}?uid=tallies&rows=${rows}`);
    },
    check: async () => {
      completed.push(await checkpoints());
      const wrong = await tableDifferences(runtime, running, expected);
      await runtime.cancel(running);
      return wrong;
    },
    checkpoints,
    cpuSeconds: () => runtime.cpuSeconds(),
  };
}

/** Jobs of the engine that count: functions on row objects or fields by name, made or from a topic. */
const counting = {
  rows: { program: "keyed-count", isMade: true },
  columns: { program: "keyed-count-columns", isMade: true },
  "rows-topic": { program: "keyed-count-from-topic", isMade: false },
  "columns-topic": { program: "keyed-count-columns-from-topic", isMade: false },
} as const;

type CountingJob = keyof typeof counting;

export const countingJobs = Object.keys(counting) as CountingJob[];

/** From a topic it counts what `fillTopic` has put there. */
export function countingJob(
  runtime: BenchRuntime,
  {
    name,
    rows,
    expected,
    parallelism = 4,
  }: { name: CountingJob; rows: number; expected: Tallies; parallelism?: number },
): JobRun {
  const { program, isMade } = counting[name];
  return job(runtime, {
    name,
    program,
    parallelism,
    flink: { "execution.checkpointing.interval": "1 s" },
    parameters: isMade ? { rows } : {},
    rows,
    expected,
  });
}

/** Appends the rows to the topic that jobs count. */
export const fillTopic = (runtime: BenchRuntime, rows: number): Promise<unknown> =>
  runtime.ask("POST", `/bench/fill/purchases?rows=${rows}`);

const handWritten = ["sharded-sqlite", "sharded-log", "object-per-key"];

/** Those in the runtime that can be run one by one. */
export const contestantNames: readonly string[] = [
  ...countingJobs,
  "ingest",
  "latency",
  "limit",
  ...handWritten,
  ...windowNames,
  ...queryNames,
];

/** One of them, with all that it needs. */
export async function contestantNamed(
  runtime: BenchRuntime,
  name: string,
  rows: number,
  parallelism?: number,
): Promise<Contestant> {
  if (name === "ingest") return ingestContestant(runtime, rows);
  if (name === "latency") return latencyContestant(runtime, rows);
  if (name === "limit") return limitContestant(runtime, rows);
  if (windowNames.includes(name)) return windowContestant(runtime, name, rows);
  if (queryNames.some((query) => query === name)) return queryContestant(runtime, name, rows);
  const expected = talliesOf(rows);
  if (handWritten.includes(name)) return byHand(runtime, { name, rows, expected });
  if (name.endsWith("-topic")) await fillTopic(runtime, rows);
  const job = { name: name as CountingJob, rows, expected };
  return countingJob(runtime, parallelism === undefined ? job : { ...job, parallelism });
}
