// Unaligned checkpoints with rows in channels, restored in another layout: no row is lost, doubled or
// out of its order, whatever way it goes and however often the layout changes.

import { describe, expect, test } from "vitest";

import type { Manifest } from "../../format/manifest.ts";
import { decodeElements } from "../../format/operator-state.ts";
import { Prng } from "../../sim/prng.ts";
import { channelsOf } from "../../task/former-rows.ts";
import {
  count,
  countIf,
  type DeadLetter,
  deadLetter,
  defineJob,
  type JobDefinition,
  type JobOptions,
  mapState,
  max,
  rows,
  sum,
  table,
  topic,
  valueState,
} from "tidemark";
import { Cluster, onTheirWay, World } from "../../testing/cluster.ts";

interface Tick {
  readonly user: string;
  readonly n: number;
}

interface Run extends Tick {
  /** Whether every tick so far came right after the one before it. */
  readonly inOrder: boolean;
}

const options: JobOptions = {
  parallelism: 2,
  bufferTimeout: 0,
  checkpointing: { interval: 100, unaligned: true, inlineThreshold: 1_000 },
};

const users = 13;
const partitions = 3;
const ticks = topic<Tick>("ticks", { partitions });
const tally = {
  n: count(),
  sum: sum((tick: Tick) => tick.n),
  squares: sum((tick: Tick) => tick.n ** 2),
};

const follow = (before: Run, { user, n, inOrder }: Run): Run => ({
  user,
  n,
  inOrder: inOrder && before.inOrder && n === before.n + 1,
});

/** UnalignedCheckpointRescaleITCase, PIPELINE and KEYED: by key, and in order. */
const byKey = defineJob(
  "by-key",
  (env) => {
    env
      .from(ticks, { uid: "ticks" })
      .map(({ user, n }): Run => ({ user, n, inOrder: true }), { uid: "begin" })
      .keyBy((run) => run.user)
      .reduce(follow, { uid: "follow" })
      .keyBy((run) => run.user)
      .aggregate(
        { n: count(), last: max((run) => run.n), broken: countIf((run) => !run.inOrder) },
        { uid: "by-user" },
      )
      .to(table("result"), { uid: "out" });
  },
  options,
);

/** In turn. */
const inTurn = defineJob(
  "in-turn",
  (env) => {
    env
      .from(ticks, { uid: "ticks" })
      .rebalance()
      .map((tick) => tick, { uid: "step" })
      .rebalance()
      .flatMap((tick) => [tick], { uid: "again" })
      .keyBy((tick) => tick.user)
      .aggregate(tally, { uid: "tally" })
      .to(table("result"), { uid: "out" });
  },
  options,
);

/** MULTI_INPUT, UNION: forward edges that are channels, as the operator behind them has two. */
const pointwise = defineJob(
  "pointwise",
  (env) => {
    const all = env.from(ticks, { uid: "ticks" });
    all
      .map((tick) => tick, { uid: "left" })
      .union(all.flatMap((tick) => [tick, tick], { uid: "right" }))
      .map((tick) => tick, { uid: "both" })
      .keyBy((tick) => tick.user)
      .aggregate(tally, { uid: "tally" })
      .to(table("result"), { uid: "out" });
  },
  options,
);

/** Operators of two subtasks whatever the others have: in a chain with them at two, apart at all else. */
const chained = defineJob(
  "chained",
  (env) => {
    env
      .from(ticks, { uid: "ticks" })
      .map(({ user }) => ({ user, n: 1 }), { uid: "step", parallelism: 2 })
      .keyBy((tick) => tick.user)
      .reduce(({ user, n }) => ({ user, n: n + 1 }), { uid: "latest" })
      .filter(() => true, { uid: "pass", parallelism: 2 })
      .keyBy((tick) => tick.user)
      .aggregate(tally, { uid: "tally" })
      .to(table("result"), { uid: "out", parallelism: 2 });
  },
  options,
);

interface Rule {
  readonly name: string;
  readonly weight: number;
}

/** BROADCAST and KEYED_BROADCAST: every copy must have every rule, once. */
const broadcast = defineJob(
  "broadcast",
  (env) => {
    const rules = env.from(topic<Rule>("rules", { partitions: 2 }), { uid: "rules" });
    env
      .from(ticks, { uid: "ticks" })
      .keyBy((tick) => tick.user)
      .connect(rules.broadcast({ weights: mapState<string, number>() }))
      .process(
        {
          state: { n: valueState({ default: 0 }) },
          emits: rows<{ key: string; n: number }>(),
          process(_, ctx) {
            ctx.state.n.set(ctx.state.n.get() + 1);
            ctx.emit({ key: ctx.key, n: ctx.state.n.get() });
          },
          processBroadcast({ name, weight }, { broadcast: { weights } }) {
            weights.set(name, (weights.get(name) ?? 0) + weight);
          },
        },
        { uid: "both" },
      )
      .to(table("result"), { uid: "out" });
  },
  options,
);

/** Appends some ticks, each user's in one partition and numbered from 0, and some rules. */
class Feed {
  readonly world = new World();
  readonly #prng: Prng;
  readonly #next = Array.from({ length: users }, () => 0);
  readonly ruleWeights = new Map<string, number>();

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  some(appends: number): void {
    for (let at = 0; at < appends; at++) {
      const partition = this.#prng.below(partitions);
      const rows = Array.from({ length: this.#prng.between(1, 6) }, () => {
        const user = partition + partitions * this.#prng.below(Math.floor(users / partitions));
        return { user: `u${user}`, n: this.#next[user]!++ };
      });
      this.world.append("ticks", partition, rows);
      if (!this.#prng.chance(0.3)) continue;
      const name = `r${this.#prng.below(5)}`;
      this.ruleWeights.set(name, (this.ruleWeights.get(name) ?? 0) + 1);
      this.world.append("rules", this.#prng.below(2), [{ name, weight: 1 }]);
    }
  }

  /** Of each user how many ticks there were. */
  get counts(): { key: string; n: number }[] {
    return this.#next.flatMap((n, user) => (n === 0 ? [] : [{ key: `u${user}`, n }]));
  }
}

const sorted = (all: readonly unknown[]): unknown[] =>
  (all as { key: string }[]).toSorted((left, right) => (left.key < right.key ? -1 : 1));

/** What a job shows that was never stopped, aligned and with one subtask each. */
function straight(definition: JobDefinition, { world }: Feed): unknown[] {
  const alone = new World();
  for (const name of ["ticks", "rules"]) {
    for (let partition = 0; partition < partitions; partition++) {
      for (const { count: n, bytes } of world.batches(name, partition)) {
        alone.commit(
          `${name} ${partition} ${alone.batches(name, partition).length}`,
          name,
          partition,
          [{ rows: n, bytes }],
        );
      }
    }
  }
  const checkpointing = { unaligned: false };
  const cluster = new Cluster(alone, { definition, parallelism: 1, checkpointing }).settle();
  return sorted(cluster.table("result"));
}

/** What was on its way in all checkpoints that a test has taken. */
const seen: Record<string, number> = {};

function pressed(cluster: Cluster, feed: Feed, appends: number): Manifest {
  feed.some(appends);
  cluster.run(appends * 12, false).run(appends, true);
  const manifest = cluster.checkpoint({ ticks: false });
  for (const [name, channels] of Object.entries(onTheirWay(manifest))) {
    seen[name] = (seen[name] ?? 0) + channels;
  }
  return manifest;
}

/** Runs through the parallelisms; every change takes the last unaligned checkpoint. */
function through(definition: JobDefinition, sizes: readonly number[], seed: number): Cluster {
  const feed = new Feed(seed);
  let cluster = new Cluster(feed.world, { definition, parallelism: sizes[0]!, seed });
  for (const parallelism of sizes.slice(1)) {
    const restore = pressed(cluster, feed, 25);
    cluster = new Cluster(feed.world, {
      definition,
      parallelism,
      seed: seed + parallelism,
      restore,
    });
  }
  // What comes later may hide what came in the wrong order.
  if (seed % 2 === 0) feed.some(10);
  cluster.settle();
  expect(sorted(cluster.table("result"))).toEqual(straight(definition, feed));
  if (definition === byKey) {
    const wanted = feed.counts.map(({ key, n }) => ({ key, n, last: n - 1, broken: 0 }));
    expect(sorted(cluster.table("result"))).toEqual(sorted(wanted));
  }
  if (definition === broadcast) expect(copiesOf(cluster)).toEqual(wantedCopies(cluster, feed));
  return cluster;
}

const copiesOf = (cluster: Cluster): unknown[] => {
  const { tasks } = cluster.checkpoint({ savepoint: { folder: "savepoints/s", stops: false } });
  return tasks.flatMap(({ state: { operator } }) =>
    operator.flatMap(({ state, bytes }) => {
      if (state !== "weights" || bytes.kind !== "inline") return [];
      return [Object.fromEntries(decodeElements(bytes.bytes) as [string, number][])];
    }),
  );
};

const wantedCopies = (cluster: Cluster, feed: Feed): unknown[] =>
  cluster.subtasksOf("both").map(() => Object.fromEntries(feed.ruleWeights));

const changes = [
  [1, 3],
  [3, 2],
  [4, 1],
  [2, 8],
] as const;

// UnalignedCheckpointRescaleITCase, MappingBasedRepartitionerTest, RescaleMappingsTest,
// InflightDataRescalingDescriptorTest
describe("rows on their way follow their keys to another parallelism", () => {
  for (const definition of [byKey, inTurn, pointwise, chained, broadcast]) {
    test.each(changes)(`${definition.name}: %i to %i`, (before, after) => {
      for (let seed = 1; seed <= 5; seed++) through(definition, [before, after], seed * 31);
    });

    test(`${definition.name}: again and again, before what was restored is processed`, () => {
      for (let seed = 1; seed <= 4; seed++) {
        through(definition, [1, 3, 3, 2, 4, 1, 2, 8, 2], seed * 17);
      }
    });
  }

  test("what is further down a chain comes first", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = new World();
      for (let n = 0; n < 40; n++) world.append("ticks", 0, [{ user: "u0", n }]);
      const before = new Cluster(world, { definition: chained, parallelism: 3, seed });
      const restore = before
        .run(20 * seed, true)
        .run(30, false)
        .checkpoint({ ticks: false });
      const after = new Cluster(world, { definition: chained, parallelism: 2, seed, restore });
      expect(after.settle().table("result")).toMatchObject([{ key: "u0", n: 40 }]);
    }
  });

  test("there were such rows on every edge, of every end", () => {
    for (const edge of ["begin>follow", "follow>by-user", "ticks>step", "step>again"]) {
      for (const end of ["input", "output", "restored"]) {
        expect(seen[`${edge} ${end}`] ?? 0, `${edge} ${end}`).toBeGreaterThan(0);
      }
    }
    for (const edge of ["left>both", "right>both", "rules>both", "ticks>both", "pass>tally"]) {
      for (const end of ["input", "restored"]) {
        expect(seen[`${edge} ${end}`] ?? 0, `${edge} ${end}`).toBeGreaterThan(0);
      }
    }
  });
});

describe("right after such a restore", () => {
  const savepoint = { folder: "savepoints/s", stops: false };

  test.each(changes)(
    "a savepoint holds what was restored, and no rows: %i to %i",
    (before, after) => {
      for (const definition of [byKey, chained]) {
        for (let seed = 1; seed <= 3; seed++) {
          const feed = new Feed(seed);
          const first = new Cluster(feed.world, { definition, parallelism: before, seed });
          const restore = pressed(first, feed, 25);
          const second = new Cluster(feed.world, { definition, parallelism: after, seed, restore });
          const taken = second.checkpoint({ savepoint });
          expect(onTheirWay(taken)).toEqual({});
          const third = new Cluster(feed.world, {
            definition,
            parallelism: before,
            restore: taken,
          });
          expect(sorted(third.settle().table("result"))).toEqual(straight(definition, feed));
        }
      }
    },
  );

  test("a job of aligned checkpoints goes on from it as well", () => {
    const feed = new Feed(5);
    const first = new Cluster(feed.world, { definition: byKey, parallelism: 3 });
    const restore = pressed(first, feed, 25);
    for (const mode of ["EXACTLY_ONCE", "AT_LEAST_ONCE"] as const) {
      const checkpointing = { unaligned: false, mode };
      const options = { definition: byKey, parallelism: 2, checkpointing, restore };
      const second = new Cluster(feed.world, options);
      const taken = second.checkpoint();
      expect(onTheirWay(taken)).toEqual({});
      expect(sorted(second.settle().table("result"))).toEqual(straight(byKey, feed));
    }
  });
});

// Versions of one program: keys that change or cannot be told, operators that come and go.

interface Version {
  /** A step before the key, or none. */
  readonly step?: string;
  readonly filter?: boolean;
  readonly key?: (tick: Tick) => string;
}

const letters = topic<DeadLetter<Tick>>("letters", { partitions: 1 });

const versionOf = ({ step = "step", filter, key = ({ user }) => user }: Version): JobDefinition =>
  defineJob(
    "versions",
    (env) => {
      const all = env.from(ticks, { uid: "ticks" }).rebalance();
      const tallied = (step === "" ? all : all.map((tick) => tick, { uid: step }))
        .keyBy(key)
        .aggregate(tally, { uid: "tally" });
      (filter ? tallied.filter(() => true, { uid: "pass" }) : tallied).to(table("result"), {
        uid: "out",
      });
    },
    { ...options, onError: deadLetter(letters) },
  );

const first = versionOf({});

/** A checkpoint of the first version, and how many rows there are. */
function taken(seed: number): { feed: Feed; restore: Manifest } {
  const feed = new Feed(seed);
  return {
    feed,
    restore: pressed(
      new Cluster(feed.world, { definition: first, parallelism: 3, seed }),
      feed,
      25,
    ),
  };
}

const total = (feed: Feed): number => feed.counts.reduce((sum, { n }) => sum + n, 0);
const shown = (cluster: Cluster): number =>
  (cluster.table("result") as { n: number }[]).reduce((sum, { n }) => sum + n, 0);

describe("in another version of the program", () => {
  test("goes on where other operators came", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { feed, restore } = taken(seed);
      const definition = versionOf({ filter: true });
      const cluster = new Cluster(feed.world, { definition, parallelism: 2, restore }).settle();
      expect(sorted(cluster.table("result"))).toEqual(straight(first, feed));
    }
  });

  test.each([false, true])(
    "every row is somebody's, whatever became of the keys, with other operators: %s",
    (filter) => {
      for (let seed = 1; seed <= 5; seed++) {
        const { feed, restore } = taken(seed);
        const key = ({ user, n }: Tick): string => {
          if (user === "u3") throw new RangeError("no key");
          return n % 2 === 0 ? user : "odd";
        };
        const definition = versionOf({ key, filter });
        for (const parallelism of [2, 4]) {
          const { world } = feed;
          const before = world.batches("letters", 0).reduce((sum, { count: n }) => sum + n, 0);
          const cluster = new Cluster(world, { definition, parallelism, restore }).settle();
          cluster.complete(cluster.checkpoint());
          const left = world.batches("letters", 0).reduce((sum, { count: n }) => sum + n, -before);
          expect(left).toBeGreaterThan(0);
          expect(shown(cluster) + left).toBe(total(feed));
        }
      }
    },
  );

  test("is refused where the edge is gone; the sentence names it", () => {
    const { feed, restore } = taken(2);
    const definition = versionOf({ step: "" });
    const options = { definition, parallelism: 3, restore };
    expect(() => new Cluster(feed.world, options)).toThrow(
      /^Rows were on their way from "ticks" to "step" in checkpoint 1, and the program has no such edge\. Rows .* from "step" to "tally" in checkpoint 1, and the program has no such edge\.$/,
    );
    const cluster = new Cluster(feed.world, { ...options, allowNonRestoredState: true }).settle();
    expect(shown(cluster)).toBeLessThan(total(feed));
  });

  test("is refused where what was dealt out is broadcast now, or the other way round", () => {
    const feed = new Feed(3);
    const from = pressed(
      new Cluster(feed.world, { definition: broadcast, parallelism: 2 }),
      feed,
      25,
    );
    const edges = from.edges!.map((edge) =>
      edge.partitioning === "broadcast" ? { ...edge, partitioning: "hash" as const } : edge,
    );
    const restore = { ...from, edges };
    expect(
      () => new Cluster(feed.world, { definition: broadcast, parallelism: 3, restore }),
    ).toThrow(
      'Rows were on their way from "rules" to "both" in checkpoint 1, which was no broadcast, and is one in the program.',
    );
  });
});

describe("a subtask that takes over rows", () => {
  // RecoveredStateFilteringLargeRecordITCase
  test("is given large ones as they were", () => {
    const world = new World();
    const long = "x".repeat(3_000_000);
    for (let n = 0; n < 12; n++) {
      world.append("ticks", 0, [
        { user: `u${n % 3}`, n },
        { user: `${long}${n % 3}`, n },
      ]);
    }
    const cluster = new Cluster(world, { definition: inTurn, parallelism: 1 }).run(60, false);
    const restore = cluster.checkpoint({ ticks: false });
    expect(onTheirWay(restore)).not.toEqual({});
    const after = new Cluster(world, { definition: inTurn, parallelism: 3, restore }).settle();
    expect(after.table("result")).toHaveLength(6);
    expect(shown(after)).toBe(24);
  });

  test("reads no channel of others", () => {
    const { feed, restore } = taken(7);
    for (const parallelism of [3, 6]) {
      const cluster = new Cluster(feed.world, { definition: first, parallelism, restore });
      for (const [uid, most] of [
        ["step", 1],
        ["tally", 1],
      ] as const) {
        for (const { deployment } of cluster.subtasksOf(uid)) {
          const receivers = new Set(channelsOf(deployment).map(({ edge, to }) => `${edge} ${to}`));
          expect(receivers.size).toBeLessThanOrEqual(most);
        }
      }
    }
  });

  test("says that it is busy with them", () => {
    const { feed, restore } = taken(9);
    const cluster = new Cluster(feed.world, { definition: first, parallelism: 2, restore });
    const waits = cluster.subtasksOf("tally").map((task) => task.position(0).waitsFor);
    expect(waits).toContain("restored");
  });
});
