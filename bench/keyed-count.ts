// Rows counted and summed by key, with exactly-once state and a checkpoint every second; beside it what
// a developer would take instead.

import type { Benchmark } from "./benchmark.ts";
import { byHand, countingJob, countingJobs, fillTopic, limitContestant } from "./contestants.ts";
import { talliesOf } from "./data.ts";
import { type Contestant, compete, cpuRatio, rateOf, type Rounds, speedRatio } from "./harness.ts";
import { inMemory, InMemory } from "./in-memory/in-memory.ts";
import { BenchRuntime } from "./runtime.ts";
import { type Summary, summaryOf } from "./statistics.ts";

/** Those that are slower by orders of magnitude count fewer rows; a rate stays a rate. */
const share = { objectPerKey: 1 / 2_500, shardedSqlite: 1 / 10, d2ts: 1 / 100 } as const;

export const keyedCount: Benchmark = {
  name: "keyed-count",
  summary: "count and sum by key, exactly-once, beside what it could be replaced by",
  async run({ rows, only, ...rounds }) {
    const runtime = await BenchRuntime.start();
    const memory = new InMemory();
    try {
      const isMeasured = (name: string): boolean => only.length === 0 || only.includes(name);
      if (countingJobs.some((name) => name.endsWith("-topic") && isMeasured(name))) {
        await fillTopic(runtime, rows);
      }
      const expected = talliesOf(rows);
      const part = (of: number): number => Math.max(1_000, Math.round(rows * of));
      const written = (name: string, rows: number): Contestant =>
        byHand(runtime, { name, rows, expected: talliesOf(rows) });
      const jobs = countingJobs
        .filter(isMeasured)
        .map((name) => countingJob(runtime, { name, rows, expected }));
      const all: Contestant[] = [
        limitContestant(runtime, rows),
        ...jobs,
        written("sharded-sqlite", part(share.shardedSqlite)),
        written("sharded-log", rows),
        written("object-per-key", part(share.objectPerKey)),
        inMemory(memory, "d2ts", part(share.d2ts)),
        inMemory(memory, "rxjs", rows),
      ];
      const contestants = all.filter(({ name }) => isMeasured(name));
      const unknown = only.find((name) => contestants.every((one) => one.name !== name));
      if (unknown !== undefined) {
        const known = [...new Set(Object.values(pairs).flat())].join(", ");
        throw new RangeError(`keyed-count has no contestant "${unknown}"; it has ${known}.`);
      }
      const measured = await compete(contestants, rounds);
      const figures = contestants.map(({ name }) => {
        return [name, { unit: "rows/s", ...rateOf(measured, name) }] as const;
      });
      const checkpoints = jobs.map(({ name, completed }) => {
        return [`${name} checkpoints`, { unit: "a run", ...summaryOf(completed) }] as const;
      });
      return {
        figures: Object.fromEntries([...figures, ...checkpoints]),
        ratios: mapped(measured, (ours, theirs) => speedRatio(measured, ours, theirs)),
        cpuRatios: mapped(measured, (ours, theirs) => cpuRatio(measured, ours, theirs)),
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
  measured: Rounds,
  ratio: (ours: string, theirs: string) => Summary | undefined,
): Record<string, Summary> {
  const known = Object.entries(pairs).flatMap(([name, [ours, theirs]]) => {
    const summary = measured.has(ours) && measured.has(theirs) ? ratio(ours, theirs) : undefined;
    return summary === undefined ? [] : [[name, summary] as const];
  });
  return Object.fromEntries(known);
}
