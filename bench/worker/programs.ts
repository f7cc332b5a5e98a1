// The jobs that are measured. All are told by parameters what they are to make of it.

import {
  count,
  defineJob,
  generate,
  type JobOptions,
  rows,
  sum,
  table,
  topic,
  valueState,
} from "../../stream/index.ts";
import { type Purchase, purchaseAt, scrambled } from "../data.ts";

export const partitions = 4;

const options: JobOptions = { parallelism: 4, checkpointing: { interval: "1 s" } };

/** Rows made by the source; functions on row objects. */
const keyedCount = defineJob(
  "keyed-count",
  (env) => {
    env
      .from(generate(purchaseAt, { rows: env.parameters.getInt("rows", 0) }), { uid: "purchases" })
      .keyBy((row) => row.user)
      .aggregate({ n: count(), total: sum((row) => row.amount) }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** The same from a topic. */
const keyedCountFromTopic = defineJob(
  "keyed-count-from-topic",
  (env) => {
    env
      .from(topic<Purchase>("purchases", { partitions }), { uid: "purchases" })
      .keyBy((row) => row.user)
      .aggregate({ n: count(), total: sum((row) => row.amount) }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** Bytes of text beside each tally, so that a state of some size has not too many keys. */
const noteBytes = 64;

interface Held {
  readonly n: number;
  readonly total: number;
  readonly note: string;
}

/**
 * A state of `keys` keys with some 100 bytes each, built up by the first `keys` rows. The rows after
 * them are of the first `hot` keys, in no order. Nothing is emitted: the state is all there is.
 */
const keyedState = defineJob(
  "keyed-state",
  (env) => {
    const keys = env.parameters.getInt("keys", 1);
    const hot = env.parameters.getInt("hot", keys);
    const keyAt = (i: number): number => (i < keys ? i : scrambled(i) % hot);
    const row = (i: number) => ({ user: `user-${keyAt(i)}`, amount: 1 + (i % 100) });
    env
      .from(generate(row, { rows: env.parameters.getInt("rows", 0) }), { uid: "purchases" })
      .keyBy(({ user }) => user)
      .process(
        {
          state: { tally: valueState<Held>() },
          emits: rows<{ key: string }>(),
          process({ amount }, { key, state }) {
            const { n, total, note } = state.tally.get() ?? { n: 0, total: 0, note: noteOf(key) };
            state.tally.set({ n: n + 1, total: total + amount, note });
          },
        },
        { uid: "tallies" },
      )
      .to(table("none"), { uid: "out" });
  },
  options,
);

const noteOf = (key: string): string => key.padEnd(noteBytes, ".");

export const programs = [keyedCount, keyedCountFromTopic, keyedState];
