// One run of a query on a local runtime of its own, from its submission until it has finished.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { pageText, type TablePage, wholeTable } from "../../cli/whole-table.ts";
import { startRuntime } from "../../local/runtime.ts";
import { bidsIn } from "./generator/stream.ts";
import type { Options } from "./options.ts";

const config = fileURLToPath(new URL("wrangler.toml", import.meta.url));
const home = fileURLToPath(new URL("../../.tidemark/", import.meta.url));

/** Milliseconds after the last row in which a query that goes by the clock has told all of its windows. */
const clockPatience = 60_000;

/** Milliseconds between two looks at the job: each is some calls, and costs it time. */
const lookEvery = 200;

export interface QueryRun {
  /** Rows that the sources made. */
  readonly rows: number;
  readonly seconds: number;
  readonly checkpointsCompleted: number;
  /** The most state that a checkpoint held. */
  readonly stateBytes: number;
  /** The table of results, where one was asked for. */
  readonly results: readonly object[];
}

interface JobDetails {
  readonly state: string;
  readonly vertices: readonly {
    readonly name: string;
    readonly metrics: { readonly "read-records": number };
  }[];
}

interface Checkpoints {
  readonly counts: { readonly completed: number };
  readonly summary: { readonly state_size: { readonly max: number } };
}

/**
 * @param results what becomes of the query's rows
 * @param isDone of a query that does not end with its rows: whether these are all of its results
 * @param made told how many rows the sources have made so far
 */
export async function runQuery(
  { query, events, rate, parallelism }: Options,
  results: "discard" | "digest",
  isDone: ((results: readonly object[]) => boolean) | undefined,
  made: (rows: number) => void,
  signal: AbortSignal,
): Promise<QueryRun> {
  await mkdir(home, { recursive: true });
  const directory = await mkdtemp(join(home, "nexmark-"));
  const runtime = await startRuntime({ config, directory });
  try {
    const ask = async <T>(path: string, body?: object): Promise<T> => {
      const response = await fetch(runtime.url + path, {
        ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
        signal,
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
      return JSON.parse(text) as T;
    };
    const args = { events, rate, results };
    const programArgsList = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
    const begunAt = performance.now();
    const { jobid } = await ask<{ jobid: string }>(`/jars/${query}/run`, {
      parallelism,
      programArgsList,
    });
    const reason = async (): Promise<string> =>
      (await ask<{ "root-exception": string }>(`/jobs/${jobid}/exceptions`))["root-exception"];
    const look = (): Promise<JobDetails> => ask<JobDetails>(`/jobs/${jobid}`);
    const resultRows = async (): Promise<readonly object[]> => {
      const path = `/jobs/${jobid}/tables/results?read=latest`;
      const table = await wholeTable((page) => ask<TablePage<object>>(`${path}&${pageText(page)}`));
      return table!.rows;
    };
    const isOver = ({ state }: JobDetails, made: number): boolean =>
      isDone === undefined ? state === "FINISHED" : made === bidsIn(events);
    const rows = await finished({ look, isOver, reason, made, signal });
    const seconds = (performance.now() - begunAt) / 1_000;
    if (isDone !== undefined) {
      for (const until = performance.now() + clockPatience; performance.now() < until;) {
        if (isDone(await resultRows())) break;
        await sleep(lookEvery, undefined, { signal });
      }
    }
    const { counts, summary } = await ask<Checkpoints>(`/jobs/${jobid}/checkpoints`);
    return {
      rows,
      seconds,
      checkpointsCompleted: counts.completed,
      stateBytes: summary.state_size.max,
      results: results === "discard" ? [] : await resultRows(),
    };
  } finally {
    await runtime.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

interface Watch {
  readonly look: () => Promise<JobDetails>;
  readonly isOver: (job: JobDetails, made: number) => boolean;
  readonly reason: () => Promise<string>;
  readonly made: (rows: number) => void;
  readonly signal: AbortSignal;
}

/** Waits until the job is over; how many rows its sources have made. */
async function finished({ look, isOver, reason, made, signal }: Watch): Promise<number> {
  for (;;) {
    const job = await look();
    const { state, vertices } = job;
    const sources = vertices.filter(({ name }) => name.startsWith("Source: "));
    const rows = sources.reduce((sum, { metrics }) => sum + metrics["read-records"], 0);
    made(rows);
    if (isOver(job, rows)) return rows;
    // One that fails once would go on to fail, as a rule, or at least take longer than it needs.
    if (["RESTARTING", "FAILING", "FAILED", "CANCELED"].includes(state)) {
      throw new Error(`The job is ${state}: ${await reason()}`);
    }
    await sleep(lookEvery, undefined, { signal });
  }
}
