// Whole jobs on a virtual clock under checkpoint and restart configurations other than the default.

import { describe, expect, it } from "vitest";

import { count, defineJob, type JobDefinition, type JobOptions, sum, table, topic } from "tidemark";
import { Prng } from "../../sim/prng.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";

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

const faults = { crashSubtask: 0.15, crashCoordinator: 0.2, crashAll: 0.05, cutSession: 2 };

/** Runs a stream of clicks to its end; what the table holds of it, and what it should. */
function counted(options: ClusterOptions, most?: (cluster: Cluster) => void) {
  const cluster = new Cluster(options);
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
    cluster.append("clicks", prng.below(3), rows);
    for (let part = 0; part < 10; part++) {
      cluster.run(prng.below(20));
      most?.(cluster);
    }
  }
  cluster.faultsOn = false;
  const got = (): typeof want => {
    const sums = { n: 0, total: 0 };
    for (const row of cluster.table("users") as (typeof want)[]) {
      sums.n += row.n;
      sums.total += row.total;
    }
    return sums;
  };
  // Rows that are counted twice, at least once, do not tell that all were counted.
  const isExact = options.definition.graph.config.checkpointing.mode === "EXACTLY_ONCE";
  cluster.run(isExact ? 60_000 : 10_000, () => isExact && got().n >= want.n);
  return { cluster, got: got(), want };
}

describe("several checkpoints at once", () => {
  it.each(["EXACTLY_ONCE", "AT_LEAST_ONCE"] as const)("%s: they overlap, and complete", (mode) => {
    let open = 0;
    // One that fails, other than by being overtaken by a later one, would fail the attempt.
    const checkpointing = { interval: 10, maxConcurrent: 3, mode, tolerableFailures: 0 } as const;
    const { cluster, got, want } = counted(
      { seed: 1, definition: shuffled(checkpointing) },
      ({ record }) => (open = Math.max(open, record.checkpoints.open.length)),
    );
    expect(open).toBe(3);
    expect(got).toEqual(want);
    expect(cluster.record.checkpoints.counts.completed).toBeGreaterThan(20);
    expect(cluster.record).toMatchObject({ phase: "RUNNING", attempt: 1, failures: [] });
  });

  it("one at a time, the same job takes fewer", () => {
    const completed = [1, 3].map((maxConcurrent) => {
      const definition = shuffled({ interval: 10, maxConcurrent });
      const { cluster } = counted({ seed: 1, definition });
      return cluster.record.checkpoints.counts.completed / cluster.now;
    });
    expect(completed[1]).toBeGreaterThan(1.5 * completed[0]!);
  });

  for (let seed = 1; seed <= 10; seed++) {
    it(`counts exactly under faults, seed ${seed}`, () => {
      const definition = shuffled({
        interval: 20,
        maxConcurrent: 2 + (seed % 3),
        retained: 1 + (seed % 2),
        inlineThreshold: seed % 2 === 0 ? 0 : "20 kb",
      });
      const { cluster, got, want } = counted({ seed, definition, faults });
      expect(got).toEqual(want);
      expect(cluster.phase).toBe("RUNNING");
    });

    it(`at least once: loses nothing under faults, seed ${seed}`, () => {
      const definition = shuffled({ interval: 20, maxConcurrent: 3, mode: "AT_LEAST_ONCE" });
      const { got, want } = counted({ seed, definition, faults });
      expect(got.n).toBeGreaterThanOrEqual(want.n);
      expect(got.total).toBeGreaterThanOrEqual(want.total);
    });
  }
});

describe("checkpoint storage inline", () => {
  for (let seed = 1; seed <= 6; seed++) {
    it(`counts exactly under faults, and no subtask writes a file, seed ${seed}`, () => {
      const storage = "inline";
      const definition = shuffled({ interval: 100, storage, inlineThreshold: seed % 2 });
      const { cluster, got, want } = counted({ seed, definition, faults });
      expect(got).toEqual(want);
      const files = [...cluster.files.keys()];
      expect(files.filter((path) => !path.endsWith("/_metadata"))).toEqual([]);
      expect(files).toEqual(cluster.record.checkpoints.retained.map(({ path }) => path));
    });
  }

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
    const cluster = new Cluster({ seed: 1, definition });
    for (let n = 0; n < 12; n++) {
      cluster.append("texts", 0, [{ key: `k${n}`, text: "x".repeat(500_000) }]);
    }
    cluster.run(60_000, () => cluster.phase === "FAILED");
    expect(cluster.record.failures[0]).toMatchObject({ name: "CheckpointFailed" });
    expect(cluster.record.failures[0]?.message).toMatch(
      /Its snapshot is 6\d{6} bytes, and with checkpointing\.storage "inline" that of a subtask may be 5242880\. Set it to "r2"\./,
    );
    expect([...cluster.files.keys()]).toEqual([]);
  });
});

describe("without increments", () => {
  it("every checkpoint stands alone: it names files of its own folder only", () => {
    const checkpointing = { interval: 100, incremental: false, inlineThreshold: 0, retained: 3 };
    const { cluster, got, want } = counted({
      seed: 3,
      definition: shuffled(checkpointing),
      faults,
    });
    expect(got).toEqual(want);
    const { retained } = cluster.record.checkpoints;
    expect(retained).toHaveLength(3);
    for (const { id, files } of retained) {
      expect(files.filter((path) => !path.includes(`/chk-${id}/`))).toEqual([]);
    }
  });
});

describe("restart strategies (SimpleRecoveryITCase)", () => {
  it.each([
    { strategy: "exponential-delay", initialBackoff: 50, maxBackoff: 400, jitter: 0.5 },
    { strategy: "failure-rate", maxFailures: 100, interval: "1 min", delay: 50 },
    { strategy: "fixed-delay", attempts: 1_000, delay: 50 },
  ] as const)("$strategy: a job that keeps failing counts exactly in the end", (restart) => {
    for (let seed = 1; seed <= 5; seed++) {
      const definition = shuffled({ interval: 100 }, restart);
      const { cluster, got, want } = counted({ seed, definition, faults });
      expect(got).toEqual(want);
      expect(cluster.record.restartHistory.restarts).toBe(cluster.record.failures.length);
    }
  });
});
