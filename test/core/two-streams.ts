// Two streams with event times into one operator, on a cluster that is lost and restored, at other
// parallelisms, until both have ended: what it made of them, and what it still holds.

import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  boundedOutOfOrderness,
  type DataStream,
  defineJob,
  type JobDefinition,
  table,
  topic,
  type Topic,
} from "tidemark";
import { Cluster, World } from "../../testing/cluster.ts";

/** A row of either stream. */
export interface Event {
  readonly id: number;
  readonly key: string;
  readonly at: number;
}

/** What the operator makes: rows with a key each, so that none hides another. */
export interface Made {
  readonly key: string;
}

const partitions = 2;
const bound = 40;
/** Of the rows that bring both streams to their end; they get no further than that. */
const theEnd = 1_000_000;

const left = topic<Event>("left", { partitions });
const right = topic<Event>("right", { partitions });

/** The job that puts both streams through `build`, whose operator has the uid "both". */
export const jobOf = (
  build: (left: DataStream<Event>, right: DataStream<Event>) => DataStream<Made>,
  unaligned = false,
): JobDefinition =>
  defineJob(
    "two-streams",
    (env) => {
      const streamOf = (of: Topic<Event>): DataStream<Event> =>
        env
          .from(of, {
            uid: of.name,
            watermarks: boundedOutOfOrderness(bound, { timestamp: "at" }),
          })
          .filter(({ at }) => at < theEnd, { uid: `${of.name}-rows` });
      build(streamOf(left), streamOf(right)).to(table("made"), { uid: "out" });
    },
    {
      parallelism: 2,
      bufferTimeout: 5,
      checkpointing: { interval: 100, unaligned, inlineThreshold: 1_000 },
    },
  );

/** What came of a run: the rows that went in, and the cluster once there is nothing left to do. */
export interface Run {
  readonly left: readonly Event[];
  readonly right: readonly Event[];
  readonly cluster: Cluster;
}

const rounds = 4;

/** Runs the job from one failure to the next. `step`: between two rows of a partition. */
export function runThrough(
  definition: JobDefinition,
  { seed, step = 8 }: { readonly seed: number; readonly step?: number },
): Run {
  const prng = new Prng(seed);
  const world = new World();
  const rows = { left: [] as Event[], right: [] as Event[] };
  const append = (of: "left" | "right", from: number, to: number): void => {
    for (let partition = 0; partition < partitions; partition++) {
      for (let time = from; time < to; time += step) {
        const at = Math.max(0, time - prng.below(bound));
        const row = { id: rows[of].length, key: `k${prng.below(6)}`, at };
        rows[of].push(row);
        world.append(of, partition, [row]);
      }
    }
  };
  let restore: Manifest | undefined;
  for (let round = 0; ; round++) {
    append("left", round * 200, (round + 1) * 200);
    append("right", round * 200, (round + 1) * 200);
    const cluster = new Cluster(world, {
      definition,
      parallelism: 1 + prng.below(4),
      seed: seed * 100 + round,
      ...(restore && { restore }),
    });
    cluster.run(prng.below(200));
    if (prng.chance(0.8)) restore = cluster.checkpoint();
    cluster.run(prng.below(150));
    if (round < rounds - 1) continue;
    for (const of of [left.name, right.name]) {
      for (let partition = 0; partition < partitions; partition++) {
        world.append(of, partition, [{ id: -1, key: "end", at: theEnd }]);
      }
    }
    return { ...rows, cluster: cluster.settle() };
  }
}

/** Entries of keyed state that the operator holds. */
export const held = (cluster: Cluster, uid = "both"): number =>
  cluster
    .subtasksOf(uid)
    .flatMap((task) => {
      const answer = task.readState({ uid, limit: 0 });
      return answer.kind === "states" ? answer.states : [];
    })
    .filter(({ kind }) => kind === "keyed")
    .reduce((sum, { entries }) => sum + entries, 0);

/** What was made, by key, in order. */
export const madeBy = (cluster: Cluster): string[] =>
  (cluster.table("made") as Made[]).map((row) => JSON.stringify(row)).toSorted();
