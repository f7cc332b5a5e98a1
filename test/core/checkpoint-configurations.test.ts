// Whole jobs on a virtual clock under checkpoint configurations other than the default: what shows in
// figures and messages. That results stay right under faults is for the simulator's worlds.

import { describe, expect, it } from "vitest";

import { count, defineJob, type JobDefinition, type JobOptions, sum, table, topic } from "tidemark";
import { Prng } from "../../sim/prng.ts";
import { Scenario, type ScenarioOptions } from "../../sim/scenario.ts";

interface Click {
  readonly user: string;
  readonly amount: number;
}

type Checkpointing = NonNullable<JobOptions["checkpointing"]>;

/** Two shuffles, so that subtasks have several inputs, and barriers some way to go. */
const shuffled = (
  checkpointing: Checkpointing,
  restart: JobOptions["restart"] = { strategy: "fixed-delay", attempts: 1_000_000, delay: 50 },
): JobDefinition =>
  defineJob(
    "shuffled",
    (env) => {
      env
        .from(topic<Click>("clicks", { partitions: 3 }), { uid: "clicks" })
        .rebalance()
        .map((click) => click, { uid: "step" })
        .keyBy((click) => click.user)
        .aggregate({ n: count(), total: sum((c) => c.amount) }, { uid: "by-user" })
        .to(table("users"), { uid: "out" });
    },
    {
      parallelism: 3,
      bufferTimeout: 0,
      checkpointing: { timeout: 5_000, tolerableFailures: 1_000, ...checkpointing },
      restart,
    },
  );

const faults = { crashSubtask: 0.0003, crashCoordinator: 0.002, crashAll: 0.1, cut: 0.005 };

/** Runs a stream of clicks to its end; what the table holds of it, and what it should. */
function counted(options: ScenarioOptions, most?: (scenario: Scenario) => void) {
  const scenario = new Scenario(options);
  const begin = scenario.now;
  const prng = new Prng(options.seed * 7919);
  const want = { n: 0, total: 0 };
  for (let batch = 0; batch < 120; batch++) {
    const rows = Array.from({ length: 1 + prng.below(30) }, () => ({
      user: `u${prng.below(17)}`,
      amount: 1 + prng.below(100),
    }));
    for (const { amount } of rows) {
      want.n++;
      want.total += amount;
    }
    scenario.append("clicks", prng.below(3), rows);
    for (let part = 0; part < 10; part++) {
      scenario.run(prng.below(20));
      most?.(scenario);
    }
  }
  scenario.heal();
  const got = (): typeof want => {
    const sums = { n: 0, total: 0 };
    for (const row of scenario.table("users", "out") as (typeof want)[]) {
      sums.n += row.n;
      sums.total += row.total;
    }
    return sums;
  };
  // Rows that are counted twice, at least once, do not tell that all were counted.
  const isExact = options.definition.graph.config.checkpointing.mode === "EXACTLY_ONCE";
  scenario.run(isExact ? 60_000 : 10_000, () => isExact && got().n >= want.n);
  return { scenario, record: scenario.record!, took: scenario.now - begin, got: got(), want };
}

describe("several checkpoints at once", () => {
  it.each(["EXACTLY_ONCE", "AT_LEAST_ONCE"] as const)("%s: they overlap, and complete", (mode) => {
    let open = 0;
    // One that fails, other than by being overtaken by a later one, would fail the attempt.
    const checkpointing = { interval: 10, maxConcurrent: 3, mode, tolerableFailures: 0 } as const;
    const { record, got, want } = counted(
      { seed: 1, definition: shuffled(checkpointing) },
      (scenario) => (open = Math.max(open, scenario.record?.checkpoints.open.length ?? 0)),
    );
    expect(open).toBe(3);
    expect(got).toEqual(want);
    expect(record.checkpoints.counts.completed).toBeGreaterThan(20);
    expect(record).toMatchObject({ phase: "RUNNING", attempt: 1, failures: [] });
  });

  it("one at a time, the same job takes fewer", () => {
    const completed = [1, 3].map((maxConcurrent) => {
      const definition = shuffled({ interval: 10, maxConcurrent });
      const { record, took } = counted({ seed: 1, definition });
      return record.checkpoints.counts.completed / took;
    });
    expect(completed[1]).toBeGreaterThan(1.5 * completed[0]!);
  });
});

describe("checkpoint storage inline", () => {
  it("refuses a snapshot beyond the limit, and says what to do", () => {
    const definition = defineJob(
      "large",
      (env) => {
        env
          .from(topic<{ key: string; text: string }>("texts", { partitions: 1 }), { uid: "texts" })
          .keyBy((row) => row.key)
          .reduce((_, row) => row, { uid: "last" })
          .to(table("last"), { uid: "out" });
      },
      {
        checkpointing: { interval: 100, storage: "inline", tolerableFailures: 2 },
        restart: { strategy: "none" },
      },
    );
    const scenario = new Scenario({ seed: 1, definition });
    for (let n = 0; n < 12; n++) {
      scenario.append("texts", 0, [{ key: `k${n}`, text: "x".repeat(500_000) }]);
    }
    scenario.run(60_000, () => scenario.record?.phase === "FAILED");
    const failures = scenario.record?.failures ?? [];
    expect(failures[0]).toMatchObject({ name: "CheckpointFailed" });
    expect(failures[0]?.message).toMatch(
      /Its snapshot is 6\d{6} bytes, and with checkpointing\.storage "inline" that of a subtask may be 5242880\. Set it to "r2"\./,
    );
    expect([...scenario.files.keys()]).toEqual([]);
  });
});

describe("without increments", () => {
  it("every checkpoint stands alone: it names files of its own folder only", () => {
    const checkpointing = { interval: 100, incremental: false, inlineThreshold: 0, retained: 3 };
    const { record, got, want } = counted({
      seed: 3,
      definition: shuffled(checkpointing),
      faults,
    });
    expect(got).toEqual(want);
    const { retained } = record.checkpoints;
    expect(retained).toHaveLength(3);
    for (const { id, files } of retained) {
      expect(files.filter((path) => !path.includes(`/chk-${id}/`))).toEqual([]);
    }
  });
});
