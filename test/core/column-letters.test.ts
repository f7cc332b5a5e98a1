// Rows in columns that code throws on: each is a letter once, with the record it comes from where that is
// known, and the rows beside it go on.

import { expect, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import { Prng } from "../../sim/prng.ts";
import { count, type DeadLetter, deadLetter, defineJob, sum, table, topic } from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

interface Sale {
  readonly user: string;
  readonly n: number;
}

const partitions = 2;

const definition = defineJob(
  "sales",
  (env) => {
    env
      .from(topic<Sale>("sales", { partitions }), { uid: "in" })
      .keyBy("user")
      .aggregate({ rows: count(), total: sum("n") }, { uid: "by-user" })
      .to(table("totals"), { uid: "out" });
  },
  {
    parallelism: 2,
    bufferTimeout: 0,
    checkpointing: { interval: 100, unaligned: true },
    onError: deadLetter(topic<DeadLetter<Sale>>("letters", { partitions: 1 })),
  },
);

/** The key of a row is asked for beside its source, which knows the record; its number is not. */
const letterOf = (value: unknown, record: string): string =>
  `${JSON.stringify(value)} of ${record}`;

test("letters of rows in columns are those of the rows, through restores and other layouts", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const prng = new Prng(seed);
    const world = new World();
    const offsets = Array.from({ length: partitions }, () => 0);
    const wanted: string[] = [];
    let sold = 0;
    const feed = (): void => {
      for (let batch = 0; batch < 8; batch++) {
        const partition = prng.below(partitions);
        const rows = Array.from({ length: prng.pick([1, 3, 20, 60]) }, () => ({
          user: prng.chance(0.1) ? null : `u${prng.below(6)}`,
          n: prng.chance(0.1) ? "one" : 1,
        }));
        world.append("sales", partition, rows);
        for (const row of rows) {
          const record = `${partition} ${offsets[partition]!++}`;
          if (row.user === null) wanted.push(letterOf(row, record));
          else if (row.n === "one") wanted.push(letterOf(row, "nobody"));
          else sold++;
        }
      }
    };
    feed();
    let cluster = new Cluster(world, { definition, parallelism: 2, seed });
    for (let hop = 0; hop < 3; hop++) {
      const restore = cluster.run(prng.below(80)).checkpoint();
      if (prng.chance(0.5)) cluster.complete(restore);
      feed();
      const parallelism = prng.pick([1, 2, 3]);
      cluster = new Cluster(world, { definition, parallelism, seed: seed + hop, restore });
    }
    cluster.settle();
    cluster.complete(cluster.checkpoint()).settle();

    const letters = world
      .batches("letters", 0)
      .flatMap(({ bytes }) => decodeRows(bytes) as DeadLetter<Sale>[])
      .map(({ value, source: from }) =>
        letterOf(value, from === null ? "nobody" : `${from.partition} ${from.offset}`),
      );
    expect(letters.toSorted()).toEqual(wanted.toSorted());
    const totals = cluster.table("totals") as { total: number }[];
    expect(totals.reduce((all, { total }) => all + total, 0)).toBe(sold);
  }
});
