// Jobs whose last operator is slower than their source, on the virtual clock: how long checkpoints take
// while every window and inbox is full, and for how much of the time the source is held up.

import { describe, expect, it } from "vitest";
import type { TaskRates } from "../../format/job-status.ts";
import { channelWindow } from "../../format/limits.ts";
import { count, defineJob, table, topic } from "../../stream/index.ts";
import { Prng } from "../../sim/prng.ts";
import { Scenario } from "../../sim/scenario.ts";

interface Tick {
  readonly user: string;
}

const sourceCost = 0.1;
const sinkCost = 20 * sourceCost;
const batches = 400;
const rowsPerBatch = 40;

type Checkpointing = { readonly unaligned?: boolean; readonly alignedTimeout?: number };

/** Durations, in virtual ms, of the checkpoints that completed while the source had input left. */
function durations(checkpointing: Checkpointing): number[] {
  const definition = defineJob(
    "pressed",
    (env) => {
      env
        .from(topic<Tick>("ticks", { partitions: 2 }), { uid: "ticks" })
        .rebalance()
        .map((tick) => tick, { uid: "relay" })
        .keyBy((tick) => tick.user)
        .aggregate({ n: count() }, { uid: "slow" })
        .to(table("users"), { uid: "out" });
    },
    {
      parallelism: 2,
      bufferTimeout: 0,
      checkpointing: { interval: 100, timeout: "1 h", retained: 1, ...checkpointing },
    },
  );
  const scenario = new Scenario({
    seed: 1,
    definition,
    rowCost: { ticks: sourceCost, slow: sinkCost },
  });
  const prng = new Prng(1);
  for (let at = 0; at < batches; at++) {
    const rows = Array.from({ length: rowsPerBatch }, () => ({ user: `u${prng.below(50)}` }));
    scenario.append("ticks", at % 2, rows);
  }
  const counted = (): number =>
    scenario
      .table("users", "out", "latest")
      .reduce((sum: number, row) => sum + (row as { n: number }).n, 0);
  const taken = new Map<number, number>();
  while (counted() < 0.8 * batches * rowsPerBatch) {
    scenario.run(500);
    for (const { id, triggered, acks, outcome } of scenario.history) {
      if (outcome.kind !== "completed") continue;
      taken.set(id, Math.max(...acks.map((ack) => ack.at)) - triggered);
    }
  }
  return [...taken.values()];
}

const mean = (numbers: readonly number[]): number =>
  numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

const shown = (name: string, all: readonly number[]): string =>
  `${name}: ${all.length} checkpoints, mean ${Math.round(mean(all))} ms, longest ${Math.max(...all)} ms`;

describe("checkpoints under back pressure, sink 20 times slower than the source", () => {
  const aligned = durations({});
  const unaligned = durations({ unaligned: true });
  const switching = durations({ unaligned: true, alignedTimeout: 100 });

  it("unaligned ones take bounded time while aligned ones wait for the rows before them", () => {
    console.log([shown("aligned", aligned), shown("unaligned", unaligned)].join("\n"));
    expect(mean(aligned)).toBeGreaterThan(3 * mean(unaligned));
    expect(unaligned.length).toBeGreaterThan(3 * aligned.length);
  });

  it("aligned ones that switch take little longer than their timeout", () => {
    console.log(shown("aligned for 100 ms", switching));
    expect(Math.max(...switching)).toBeLessThan(100 + 2 * Math.max(...unaligned));
    expect(mean(aligned)).toBeGreaterThan(3 * mean(switching));
  });
});

describe("a source whose receiver takes 40 ms for each of its batches", () => {
  const rowsInBatch = 10;

  /** What the source is said to do per second, while it is given batches once a second. */
  function ratesWith(batchesPerSecond: number): (TaskRates | undefined)[] {
    const definition = defineJob(
      "bursts",
      (env) => {
        env
          .from(topic<Tick>("ticks", { partitions: 1 }), { uid: "ticks" })
          .keyBy((tick) => tick.user)
          .aggregate({ n: count() }, { uid: "slow" })
          .to(table("users"), { uid: "out" });
      },
      { parallelism: 1, bufferTimeout: 0, checkpointing: { interval: 10_000 } },
    );
    const scenario = new Scenario({ seed: 1, definition, rowCost: { slow: 40 / rowsInBatch } });
    scenario.run(2_000);
    const seen = new Map<number, TaskRates>();
    for (let second = 0; second < 30; second++) {
      for (let at = 0; at < batchesPerSecond; at++) {
        scenario.append("ticks", 0, Array<Tick>(rowsInBatch).fill({ user: "u" }));
      }
      scenario.run(1_000);
      const { rates } = scenario.details!.tasks[0]!;
      if (rates !== undefined) seen.set(rates.at, rates);
    }
    // The first is about a time in which there was nothing to do yet.
    return [...seen.values()].slice(1);
  }

  const timeOf = (rates: TaskRates | undefined): number => rates!.backPressured;

  it("is held up until the window has room for the last of them", () => {
    const batchesPerSecond = 20;
    const rates = ratesWith(batchesPerSecond);
    expect(rates.length).toBeGreaterThan(3);
    // The last batch is taken when the one before it leaves: with it, one more than fits is there.
    const expected = (batchesPerSecond - channelWindow - 1) * 40;
    for (const each of rates) {
      expect(Math.abs(timeOf(each) - expected)).toBeLessThan(0.05 * expected);
      expect(Math.abs(each!.recordsOut - batchesPerSecond * rowsInBatch)).toBeLessThan(10);
      expect(each!.recordsIn).toBe(each!.recordsOut);
    }
  });

  it("is not where all of them fit, and all the time where there is no end of them", () => {
    const few = ratesWith(channelWindow);
    expect(few.length).toBeGreaterThan(3);
    expect(few.map(timeOf)).toEqual(few.map(() => 0));
    expect(ratesWith(50).map(timeOf).at(-1)).toBeGreaterThan(980);
  });
});
