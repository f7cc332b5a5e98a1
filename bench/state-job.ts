// A job with a state of a given size, as a contestant: its state is built up first, and measured is what
// comes after.

import { setTimeout as sleep } from "node:timers/promises";

import { tableDifferences } from "./contestants.ts";
import { sampledTalliesOf, type StateShape } from "./data.ts";
import { KiB } from "../format/limits.ts";
import type { CheckpointOverview, CompletedCheckpoint } from "../format/job-status.ts";
import { type Contestant, millions } from "./harness.ts";
import type { BenchRuntime } from "./runtime.ts";

export interface StateJob {
  readonly name: string;
  readonly shape: StateShape;
  /** Rows that are measured. */
  readonly rows: number;
  readonly flink: Readonly<Record<string, string>>;
  readonly parallelism?: number;
  /** Bytes of text beside each tally; else as many as the program takes. */
  readonly note?: number;
  /** Rows that come after the state is built up and are not measured: who is cached then is as it stays. */
  readonly warmRows?: number;
  /** Keeps the default budget of memory. */
  readonly isBudgeted?: boolean;
  /** Its state takes minutes to build up: told how far it is, and not run to warm up. */
  readonly say?: ((text: string) => void) | undefined;
}

/** What a checkpoint of a run took. */
export interface CheckpointSizes {
  /** Bytes that it added. */
  readonly bytes: number;
  /** Bytes of all that it refers to. */
  readonly stateBytes: number;
  /** Milliseconds of alignment, of the subtask that took the longest. */
  readonly alignment: number;
  /** Files of subtasks. */
  readonly files: number;
}

export interface StateContestant extends Contestant {
  /** Of all measured rows, the last ten of each run. */
  readonly checkpoints: readonly CheckpointSizes[];
  /** Bytes that those of each run added, about; runs to warm up included. */
  readonly stored: readonly number[];
}

/** Bytes of a snapshot that needs no file, where the same few keys change each time. */
const inlineMax = 80 * KiB;

/** Rows that one request waits for. */
const rowsAwaited = 250_000;

/** Rows after which somebody who waits is told. */
const rowsSaid = 4 * rowsAwaited;

/** More than a state of the largest size takes: budgets are not what is measured. */
const memory = { "taskmanager.memory.managed.size": "1024 mb" };

export function stateJob(
  runtime: BenchRuntime,
  { name, shape, rows, flink, parallelism = 4, warmRows = 0, ...job }: StateJob,
): StateContestant {
  const takesCheckpoints = "execution.checkpointing.interval" in flink;
  const { keys, hot, isZipf = false } = shape;
  const { note, isBudgeted = false, say } = job;
  const all = keys + warmRows + rows;
  const expected = sampledTalliesOf(all, shape);
  const checkpoints: CheckpointSizes[] = [];
  const stored: number[] = [];
  let running = "";
  const asked = (least: number): Promise<number> =>
    runtime.ask("GET", `/bench/processed/${running}?uid=tallies&rows=${least}`);
  /**
   * Waits until so many rows are in the state, of which `from` are there, some at a time: a request may not
   * wait for minutes.
   */
  const taken = async (least: number, from = 0): Promise<number> => {
    let said = from;
    for (let some = from + rowsAwaited; some < least; some += rowsAwaited) {
      await asked(some);
      if (some - said < rowsSaid) continue;
      said = some;
      say?.(`${name}: ${millions(some)} M of ${millions(least)} M rows`);
    }
    return asked(least);
  };
  return {
    name,
    rows,
    isLong: say !== undefined,
    checkpoints,
    stored,
    run: async (begun) => {
      const submitted = await mark(runtime);
      running = await runtime.submit("keyed-state", {
        parallelism,
        flink: { ...(!isBudgeted && memory), ...flink },
        parameters: {
          keys,
          hot,
          zipf: isZipf ? 1 : 0,
          rows: all,
          ...(note !== undefined && { note }),
        },
      });
      await taken(keys + warmRows);
      const before = takesCheckpoints ? await firstCheckpoint(runtime, running) : 0;
      await begun?.();
      const loadedRows = await taken(0);
      const loaded = await mark(runtime);
      await taken(all, loadedRows);
      const done = await mark(runtime);
      // A run of few rows may be over before anybody could look.
      const isOver = loadedRows === all;
      const from = isOver ? submitted : loaded;
      const overview = await runtime.ask<CheckpointOverview>(
        "GET",
        `/bench/checkpoints/${running}`,
      );
      const listed = sizes(overview, from.at);
      checkpoints.push(...listed);
      // Ten are listed, and there may be more of them.
      const count = overview.counts.completed - (isOver ? 0 : before);
      const bytes = listed.reduce((sum, one) => sum + one.bytes, 0);
      stored.push((bytes * count) / Math.max(1, listed.length));
      const isKnown = from.cpu !== undefined && done.cpu !== undefined;
      return {
        rows: isOver ? all : all - loadedRows,
        seconds: (done.at - from.at) / 1_000,
        cpuSeconds: isKnown ? done.cpu - from.cpu : undefined,
      };
    },
    check: async () => {
      const wrong = await tableDifferences(runtime, running, expected);
      await runtime.cancel(running);
      return wrong;
    },
  };
}

/** Milliseconds for the first checkpoint, which holds all that was loaded. */
const firstTimeout = 600_000;

/** Takes it, and answers how many there are then: what is measured begins after it. */
async function firstCheckpoint(runtime: BenchRuntime, job: string): Promise<number> {
  const { "request-id": trigger } = await runtime.ask<{ readonly "request-id": string }>(
    "POST",
    `/jobs/${job}/checkpoints`,
    { checkpointType: "FULL" },
  );
  for (const deadline = Date.now() + firstTimeout; ; await sleep(50)) {
    const { status } = await runtime.ask<{ readonly status: { readonly id: string } }>(
      "GET",
      `/jobs/${job}/checkpoints/${trigger}`,
    );
    if (status.id === "COMPLETED") break;
    if (Date.now() > deadline)
      throw new Error(`Job ${job} has not completed its first checkpoint.`);
  }
  const { counts } = await runtime.ask<CheckpointOverview>("GET", `/bench/checkpoints/${job}`);
  return counts.completed;
}

const mark = async (
  runtime: BenchRuntime,
): Promise<{ readonly at: number; readonly cpu: number | undefined }> => {
  const cpu = await runtime.cpuSeconds();
  return { at: Date.now(), cpu };
};

const sizes = ({ history }: CheckpointOverview, since: number): CheckpointSizes[] =>
  history
    .filter(({ triggered }) => triggered >= since)
    .filter((one): one is CompletedCheckpoint => one.outcome.kind === "completed")
    .map(({ acks }) => ({
      bytes: acks.reduce((sum, { metrics }) => sum + metrics.bytes, 0),
      stateBytes: acks.reduce((sum, { metrics }) => sum + metrics.stateBytes, 0),
      alignment: Math.max(...acks.map(({ metrics }) => metrics.alignment)),
      files: acks.filter(({ metrics }) => metrics.bytes > inlineMax).length,
    }));
