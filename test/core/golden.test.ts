// Golden pipelines in clusters of tasks, without a coordinator: the whole matrix in seconds. What
// happens is written in the input; test/workerd/golden.test.ts has some of it on the real runtime.

import { describe, expect, test } from "vitest";

import { decodeRows } from "../../format/batch.ts";
import type { Manifest } from "../../format/manifest.ts";
import {
  eventPartitions,
  Fed,
  goldenJob,
  inOrder,
  rulePartitions,
  tables,
} from "../golden/pipelines.ts";
import { inputs, type Step } from "../golden/inputs.ts";
import { Cluster, World } from "../../testing/cluster.ts";

/** With GOLDEN=full all of the matrix, else its diagonal (`npm run golden`). */
const isFull = process.env["GOLDEN"] === "full";

function run(steps: readonly Step[], backend: "memory" | "sqlite", unaligned: boolean): void {
  const world = new World();
  const fed = new Fed();
  let definition = goldenJob("golden", "golden");
  let cluster: Cluster;
  let parallelism = 1;
  let last: Manifest | undefined;
  let seed = 1;
  const begin = (restore: Manifest | undefined): void => {
    const options = { definition, parallelism, seed: ++seed, state: { backend } };
    const checkpointing = { unaligned };
    cluster = new Cluster(world, { ...options, checkpointing, ...(restore && { restore }) });
  };
  const feed = (rows: ReturnType<Fed["events"]>): void => {
    const byPartition = Map.groupBy(
      rows,
      ({ key }) => Number(/\d+/.exec(key)![0]) % eventPartitions,
    );
    for (const [partition, some] of byPartition) world.append("golden-events", partition, some);
  };
  const savepoint = (): Manifest =>
    cluster.checkpoint({ savepoint: { folder: `savepoints/${++seed}`, stops: false } });
  begin(undefined);
  for (const step of steps) {
    if (step === "crash") {
      begin(last);
    } else if (step === "savepoint") {
      savepoint();
    } else if ("rows" in step) {
      // In small batches, so that they are in many places at once.
      for (let sent = 0; sent < step.rows; sent += 5) feed(fed.events(5));
      world.append("golden-rules", seed % rulePartitions, [fed.rule()]);
      cluster!.run(150, false).run(30);
      last = cluster!.checkpoint({ ticks: false });
      cluster!.complete(last).run(60);
    } else if ("rescale" in step) {
      parallelism = step.rescale;
      begin(last);
    } else {
      last = savepoint();
      cluster!.complete(last);
      if ("upgradeAt" in step) definition = goldenJob("golden", "golden", 2);
      parallelism = "upgradeAt" in step ? step.upgradeAt : step.stopAndStartAt;
      begin(last);
    }
  }
  cluster!.settle();
  feed(fed.questions());
  cluster!.settle();
  cluster!.complete(cluster!.checkpoint()).settle();
  const { expected } = fed;
  for (const name of tables) {
    expect(inOrder(cluster!.table(name, "committed")), `table ${name}`).toEqual(expected[name]);
  }
  const letters = world.batches("golden-letters", 0).flatMap(({ bytes }) => decodeRows(bytes));
  const values = letters.map((letter) => (letter as { value: { n: number } }).value.n);
  expect(values.sort((left, right) => left - right)).toEqual(fed.letters);
}

for (const backend of ["memory", "sqlite"] as const) {
  for (const unaligned of [false, true]) {
    if (!isFull && (backend === "sqlite") === unaligned) continue;
    describe(`on ${backend}, ${unaligned ? "unaligned" : "aligned"}`, () => {
      test.each(inputs)("%s", (_, steps) => run(steps, backend, unaligned));
    });
  }
}
