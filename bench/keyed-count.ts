// Rows counted and summed by key, with exactly-once state and a checkpoint every second; beside it what
// a developer would take instead.

import type { Benchmark } from "./benchmark.ts";
import { byHand, countingJob, countingJobs, fillTopic, limitContestant } from "./contestants.ts";
import { talliesOf } from "./data.ts";
import { type Contestant, compete, cpuRatio, rateOf, speedRatio } from "./harness.ts";
import { inMemory, InMemory } from "./in-memory/in-memory.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Those that are slower by orders of magnitude count fewer rows; a rate stays a rate. */
const share = { objectPerKey: 1 / 2_500, shardedSqlite: 1 / 10, d2ts: 1 / 100 } as const;

export const keyedCount: Benchmark = {
  name: "keyed-count",
  summary: "count and sum by key, exactly-once, beside what it could be replaced by",
  async run({ rows, ...rounds }) {
    const runtime = await BenchRuntime.start();
    const memory = new InMemory();
    try {
      await fillTopic(runtime, rows);
      const expected = talliesOf(rows);
      const part = (of: number): number => Math.max(1_000, Math.round(rows * of));
      const written = (name: string, rows: number): Contestant =>
        byHand(runtime, { name, rows, expected: talliesOf(rows) });
      const jobs = countingJobs.map((name) => countingJob(runtime, { name, rows, expected }));
      const contestants: Contestant[] = [
        limitContestant(runtime, rows),
        ...jobs,
        written("sharded-sqlite", part(share.shardedSqlite)),
        written("sharded-log", rows),
        written("object-per-key", part(share.objectPerKey)),
        inMemory(memory, "d2ts", part(share.d2ts)),
        inMemory(memory, "rxjs", rows),
      ];
      const measured = await compete(contestants, rounds);
      const figures = contestants.map(({ name }) => {
        return [name, { unit: "rows/s", ...rateOf(measured, name) }] as const;
      });
      const checkpoints = jobs.map(({ name, completed }) => {
        return [`${name} checkpoints`, { unit: "a run", ...summaryOf(completed) }] as const;
      });
      return {
        figures: Object.fromEntries([...figures, ...checkpoints]),
        ratios: mapped((ours, theirs) => speedRatio(measured, ours, theirs)),
        cpuRatios: mapped((ours, theirs) => cpuRatio(measured, ours, theirs)),
      };
    } finally {
      memory.stop();
      await runtime.stop();
    }
  },
};

const pairs = {
  vsLimit: ["rows", "limit"],
  columnsVsLimit: ["columns", "limit"],
  rowsTopicVsLimit: ["rows-topic", "limit"],
  columnsTopicVsLimit: ["columns-topic", "limit"],
  vsShardedSqlite: ["columns", "sharded-sqlite"],
  vsShardedLog: ["columns", "sharded-log"],
  vsObjectPerKey: ["columns", "object-per-key"],
  vsD2ts: ["columns", "d2ts"],
  vsRxjs: ["columns", "rxjs"],
  rowsVsShardedLog: ["rows", "sharded-log"],
  rowsVsRxjs: ["rows", "rxjs"],
} as const;

function mapped(
  ratio: (ours: string, theirs: string) => Summary | undefined,
): Record<string, Summary> {
  const known = Object.entries(pairs).flatMap(([name, [ours, theirs]]) => {
    const summary = ratio(ours, theirs);
    return summary === undefined ? [] : [[name, summary] as const];
  });
  return Object.fromEntries(known);
}
