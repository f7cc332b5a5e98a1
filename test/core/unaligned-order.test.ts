// What the simulator's worlds do not look at, because no result of theirs depends on it: the order of
// rows on a channel, across restores of rows that were on their way.

import { expect, it } from "vitest";
import { count, countIf, defineJob, max, table, topic } from "../../stream/index.ts";
import type { JobDefinition } from "../../stream/job.ts";
import { Prng } from "../../sim/prng.ts";
import { Scenario } from "../../sim/scenario.ts";

interface Tick {
  readonly user: string;
  readonly n: number;
}

interface Run extends Tick {
  /** Whether every tick so far came right after the one before it. */
  readonly inOrder: boolean;
}

const follow = (before: Run, { user, n, inOrder }: Run): Run => ({
  user,
  n,
  inOrder: inOrder && before.inOrder && n === before.n + 1,
});

/** Two shuffles that keep the order of each user's ticks, behind operators that are slow. */
const pressed = (options: {
  readonly parallelism: number;
  readonly alignedTimeout: number;
  readonly inlineThreshold: number;
}): JobDefinition =>
  defineJob(
    "pressed",
    (env) => {
      env
        .from(topic<Tick>("ticks", { partitions: 3 }), { uid: "ticks" })
        .map(({ user, n }): Run => ({ user, n, inOrder: true }), { uid: "begin" })
        .keyBy((run) => run.user)
        .reduce(follow, { uid: "relay" })
        .keyBy((run) => run.user)
        .reduce(follow, { uid: "slow" })
        .keyBy((run) => run.user)
        .aggregate(
          { n: count(), last: max((run) => run.n), broken: countIf((run) => !run.inOrder) },
          { uid: "by-user" },
        )
        .to(table("users"), { uid: "out" });
    },
    {
      parallelism: options.parallelism,
      bufferTimeout: 0,
      checkpointing: {
        interval: 150,
        unaligned: true,
        alignedTimeout: options.alignedTimeout,
        inlineThreshold: options.inlineThreshold,
        timeout: 2_000,
        tolerableFailures: 1_000,
        retained: 2,
      },
      restart: { strategy: "fixed-delay", attempts: 1_000_000, delay: 50 },
    },
  );

const faults = {
  crashSubtask: 0.0003,
  crashCoordinator: 0.001,
  crashAll: 0.3,
  cut: 0.01,
  bucketError: 0.02,
  slow: 0.05,
};

const users = 11;
const worlds = { taken: 0, restored: 0, all: 0 };

// UnalignedCheckpointITCase and UnalignedCheckpointStressITCase: failures at any time, and no row is
// lost, doubled or out of its order; with a timeout the barriers switch on their way.
it.each(
  [0, 40].flatMap((alignedTimeout) =>
    Array.from({ length: 12 }, (_, at) => ({ alignedTimeout, seed: at + 1 })),
  ),
)("aligned for $alignedTimeout ms, under faults, seed $seed", ({ alignedTimeout, seed }) => {
  const scenario = new Scenario({
    seed,
    definition: pressed({
      parallelism: 1 + (seed % 3),
      alignedTimeout,
      inlineThreshold: seed % 2 === 0 ? 0 : 2_000,
    }),
    faults,
    rowCost: { relay: seed % 4 === 0 ? 0 : 0.2, slow: 1 + (seed % 3) },
  });
  const prng = new Prng(seed * 7919);
  const ticks = Array.from({ length: users }, () => 0);
  for (let at = 0; at < 60; at++) {
    const rows = Array.from({ length: 1 + prng.below(25) }, () => {
      const user = prng.below(users);
      return { user, tick: { user: `u${user}`, n: ticks[user]!++ } };
    });
    for (let partition = 0; partition < 3; partition++) {
      const own = rows.filter(({ user }) => user % 3 === partition).map(({ tick }) => tick);
      if (own.length > 0) scenario.append("ticks", partition, own);
    }
    if (prng.chance(0.2)) scenario.run(prng.below(400));
  }
  scenario.run(2_000);
  scenario.heal();
  const total = ticks.reduce((sum, n) => sum + n, 0);
  const shown = (): { readonly key: string; readonly n: number }[] =>
    scenario.table("users", "out") as { key: string; n: number }[];
  scenario.run(120_000, () => shown().reduce((sum, { n }) => sum + n, 0) >= total);
  const want = ticks.map((n, user) => ({ key: `u${user}`, n, last: n - 1, broken: 0 }));
  const byKey = (left: { key: string }, right: { key: string }): number =>
    left.key < right.key ? -1 : 1;
  expect(shown().toSorted(byKey)).toEqual(want.toSorted(byKey));
  const { taken, restored } = scenario.withChannels;
  worlds.all++;
  if (taken > 0) worlds.taken++;
  if (restored > 0) worlds.restored++;
});

it("rows on their way were really in checkpoints, and in some that were gone back to", () => {
  console.log(
    `rows in channels: taken in ${worlds.taken}, restored in ${worlds.restored} of ${worlds.all} worlds`,
  );
  expect(worlds.taken).toBeGreaterThan(0.9 * worlds.all);
  expect(worlds.restored).toBeGreaterThan(0.3 * worlds.all);
});
