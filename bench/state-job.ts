// A job with a state of a given size, as a contestant: its state is built up first, and measured is what
// comes after.

import { tableDifferences } from "./contestants.ts";
import { sampledTalliesOf, type StateShape } from "./data.ts";
import type { CheckpointOverview, CompletedCheckpoint } from "../format/job-status.ts";
import type { Contestant } from "./harness.ts";
import type { BenchRuntime } from "./runtime.ts";

export interface StateJob {
  readonly name: string;
  readonly shape: StateShape;
  /** Rows that are measured. */
  readonly rows: number;
  readonly flink: Readonly<Record<string, string>>;
  readonly parallelism?: number;
  /** Keeps the default budget of memory. */
  readonly isBudgeted?: boolean;
}

/** What a checkpoint of a run took. */
export interface CheckpointSizes {
  /** Bytes that it added. */
  readonly bytes: number;
  /** Bytes of all that it refers to. */
  readonly stateBytes: number;
  /** Milliseconds of alignment, of the subtask that took the longest. */
  readonly alignment: number;
}

export interface StateContestant extends Contestant {
  /** Of all measured rows, the last ten of each run. */
  readonly checkpoints: readonly CheckpointSizes[];
}

/** More than a state of the largest size takes: budgets are not what is measured. */
const memory = { "taskmanager.memory.managed.size": "1024 mb" };

export function stateJob(
  runtime: BenchRuntime,
  { name, shape, rows, flink, parallelism = 4, isBudgeted = false }: StateJob,
): StateContestant {
  const all = shape.keys + rows;
  const expected = sampledTalliesOf(all, shape);
  const checkpoints: CheckpointSizes[] = [];
  let running = "";
  const taken = (least: number): Promise<number> =>
    runtime.ask("GET", `/bench/processed/${running}?uid=tallies&rows=${least}`);
  return {
    name,
    rows,
    checkpoints,
    run: async () => {
      const submitted = await mark(runtime);
      running = await runtime.submit("keyed-state", {
        parallelism,
        flink: { ...(!isBudgeted && memory), ...flink },
        parameters: { ...shape, rows: all },
      });
      const loadedRows = await taken(shape.keys);
      const loaded = await mark(runtime);
      await taken(all);
      const done = await mark(runtime);
      // A run of few rows may be over before anybody could look.
      const isOver = loadedRows === all;
      const from = isOver ? submitted : loaded;
      checkpoints.push(...(await sizes(runtime, running, from.at)));
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

const mark = async (
  runtime: BenchRuntime,
): Promise<{ readonly at: number; readonly cpu: number | undefined }> => {
  const cpu = await runtime.cpuSeconds();
  return { at: Date.now(), cpu };
};

async function sizes(
  runtime: BenchRuntime,
  job: string,
  since: number,
): Promise<CheckpointSizes[]> {
  const { history } = await runtime.ask<CheckpointOverview>("GET", `/bench/checkpoints/${job}`);
  return history
    .filter(({ triggered }) => triggered >= since)
    .filter((one): one is CompletedCheckpoint => one.outcome.kind === "completed")
    .map(({ acks }) => ({
      bytes: acks.reduce((sum, { metrics }) => sum + metrics.bytes, 0),
      stateBytes: acks.reduce((sum, { metrics }) => sum + metrics.stateBytes, 0),
      alignment: Math.max(...acks.map(({ metrics }) => metrics.alignment)),
    }));
}
