// The jobs that are measured. All are told by parameters what they are to make of it.

import {
  boundedOutOfOrderness,
  count,
  defineJob,
  generate,
  generateColumns,
  type JobOptions,
  rows,
  sliding,
  sum,
  table,
  topic,
  valueState,
} from "../../stream/index.ts";
import { queries as nexmarkQueries } from "../../examples/nexmark/queries/queries.ts";
import {
  fillPurchases,
  fillReadings,
  type Purchase,
  purchaseAt,
  sampledKeys,
  stateAmountAt,
  stateKeyAt,
  type Tally,
  userNames,
} from "../data.ts";

export const partitions = 4;

// Without checkpoints unless a job is started with an interval.
const options: JobOptions = { parallelism: 4 };

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

/** Columns made by the source; fields by their names. */
const keyedCountColumns = defineJob(
  "keyed-count-columns",
  (env) => {
    const options = { rows: env.parameters.getInt("rows", 0) };
    const fields = { user: userNames, amount: "int32", ts: "float64" } as const;
    env
      .from(generateColumns(fields, fillPurchases, options), { uid: "purchases" })
      .keyBy("user")
      .aggregate({ n: count(), total: sum("amount") }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** Fields by their names, from a topic. */
const keyedCountColumnsFromTopic = defineJob(
  "keyed-count-columns-from-topic",
  (env) => {
    env
      .from(topic<Purchase>("purchases", { partitions }), { uid: "purchases" })
      .keyBy("user")
      .aggregate({ n: count(), total: sum("amount") }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** The rows of all windows by key, so each as often as it is in a window. */
const windowedCount = defineJob(
  "windowed-count",
  (env) => {
    const { parameters } = env;
    const options = { rows: parameters.getInt("rows", 0) };
    const fields = { user: userNames, amount: "int32", ts: "float64" } as const;
    const watermarks = boundedOutOfOrderness("1s", { timestamp: "ts" });
    env
      .from(generateColumns(fields, fillReadings, options), { uid: "readings", watermarks })
      .keyBy("user")
      .window(sliding(parameters.getInt("size", 60_000), parameters.getInt("slide", 60_000)))
      .aggregate({ rows: count(), amount: sum("amount") }, { uid: "windows" })
      .keyBy("key")
      .aggregate({ n: sum("rows"), total: sum("amount") }, { uid: "tallies" })
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** Bytes of text beside each tally where none are asked for, so that a state of some size has not too many keys. */
const noteBytes = 64;

interface Held {
  readonly n: number;
  readonly total: number;
  readonly note?: string;
}

/**
 * A state of `keys` keys with a tally each, and a text unless it is to have no bytes. Only the tallies of a
 * few are emitted, to be checked: the state is all there is.
 */
const keyedState = defineJob(
  "keyed-state",
  (env) => {
    const keys = env.parameters.getInt("keys", 1);
    const isZipf = env.parameters.getInt("zipf", 0) === 1;
    const shape = { keys, hot: env.parameters.getInt("hot", keys), isZipf };
    const bytes = env.parameters.getInt("note", noteBytes);
    const row = (i: number) => {
      const key = stateKeyAt(i, shape);
      return { user: `user-${key}`, amount: stateAmountAt(i), isSampled: key < sampledKeys };
    };
    // Without it the job would end when all rows are there, and nothing could be done to it any more.
    const open = env.from(topic<ReturnType<typeof row>>("no-end", { partitions: 1 }), {
      uid: "no-end",
    });
    env
      .from(generate(row, { rows: env.parameters.getInt("rows", 0) }), { uid: "purchases" })
      .union(open)
      .keyBy(({ user }) => user)
      .process(
        {
          state: { tally: valueState<Held>() },
          emits: rows<{ key: string } & Tally>(),
          process({ amount, isSampled }, { key, state, emit }) {
            const held = state.tally.get();
            const n = (held?.n ?? 0) + 1;
            const total = (held?.total ?? 0) + amount;
            const note = held?.note ?? (bytes > 0 ? key.padEnd(bytes, ".") : undefined);
            state.tally.set(note === undefined ? { n, total } : { n, total, note });
            if (isSampled) emit({ key, n, total });
          },
        },
        { uid: "tallies" },
      )
      .to(table("tallies"), { uid: "out" });
  },
  options,
);

/** When something was sent, by the clock of whoever sent it. */
export interface Probe {
  readonly probe: number;
  readonly sent: number;
}

/**
 * `keyed-count` under a load of `rate` rows a second, with probes among its rows: what is known of each is
 * how many milliseconds after it was sent its operator has come to it.
 */
const probed = defineJob(
  "probed",
  (env) => {
    const rowsPerSecond = env.parameters.getInt("rate", 1_000);
    const load = env
      .from(generate(purchaseAt, { rowsPerSecond }), { uid: "load" })
      .map(({ user, amount }) => ({ key: user, amount, probe: -1, sent: 0 }), { uid: "as-load" });
    const probes = env
      .from(topic<Probe>("probes", { partitions: 1 }), { uid: "probes" })
      .map(({ probe, sent }) => ({ key: `probe-${probe}`, amount: 0, probe, sent }), {
        uid: "as-probes",
      });
    load
      .union(probes)
      .keyBy(({ key }) => key)
      .process(
        {
          state: { total: valueState({ default: 0 }) },
          emits: rows<{ key: string; latency: number }>(),
          process({ key, amount, probe, sent }, { state, emit }) {
            state.total.set(state.total.get() + amount);
            if (probe >= 0) emit({ key, latency: Date.now() - sent });
          },
        },
        { uid: "tallies" },
      )
      .to(table("latencies"), { uid: "out" });
  },
  { parallelism: 4, bufferTimeout: 10 },
);

/** What rows are sent to over HTTP; no job reads it. */
export const ingested = topic<Purchase>("ingested", { partitions });

export const programs = [
  ...nexmarkQueries,
  keyedCount,
  keyedCountColumns,
  keyedCountFromTopic,
  keyedCountColumnsFromTopic,
  keyedState,
  probed,
  windowedCount,
];
