// The jobs that are measured.

import { count, defineJob, sum, table, topic } from "../../stream/index.ts";
import type { Purchase } from "../data.ts";

export const partitions = 4;

const purchases = topic<Purchase>("purchases", { partitions });

/** Functions on row objects, from a topic. */
export const keyedCountFromTopic = defineJob(
  "keyed-count-from-topic",
  (env) => {
    env
      .from(purchases, { uid: "purchases" })
      .keyBy((row) => row.user)
      .aggregate({ n: count(), total: sum((row) => row.amount) }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  { parallelism: 4, checkpointing: { interval: "1 s" } },
);

export const programs = [keyedCountFromTopic];
