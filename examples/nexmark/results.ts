// Where the rows of a query go, by the parameter `results`:
//   discard  nowhere, as in the queries for Flink: what is measured is the query
//   rows     all of them to a table
//   digest   how many there are and the sum of their hashes to a table, whatever the query came to
// The uid of what ends a query is "out" in each case.

import {
  count,
  type DataStream,
  discard,
  type JobEnvironment,
  type Key,
  rows as emits,
  sum,
  table,
  valueState,
} from "tidemark";

import { hashOf, textOf } from "./row-text.ts";

const modes = ["discard", "rows", "digest"] as const;
type Mode = (typeof modes)[number];

/** By which digests are divided, so that no subtask has to take all of them. */
const buckets = 64;

function modeOf({ parameters }: JobEnvironment): Mode {
  const given = parameters.get("results", "discard");
  const mode = modes.find((one) => one === given);
  if (mode !== undefined) return mode;
  throw new RangeError(`The parameter results is "${given}"; it must be ${modes.join(" or ")}.`);
}

/** Whether what the query comes to is compared with a plain loop. */
export const isChecked = (env: JobEnvironment): boolean => modeOf(env) === "digest";

/** Ends a query whose rows stay as they are: in the table is how often there is each. */
export function insert<T extends object>(env: JobEnvironment, rows: DataStream<T>): void {
  switch (modeOf(env)) {
    case "discard":
      return rows.to(discard(), { uid: "out" });
    case "rows":
      return rows
        .map((row) => ({ text: textOf(row) }), { uid: "result-texts" })
        .keyBy("text")
        .aggregate({ rows: count() }, { uid: "result-counts" })
        .to(table("results"), { uid: "out" });
    case "digest":
      return rows
        .map((row) => digestOf(hashOf(textOf(row))), { uid: "result-hashes" })
        .keyBy("bucket")
        .aggregate({ rows: count(), hash: sum("hash") }, { uid: "result-digests" })
        .to(table("results"), { uid: "out" });
  }
}

/** Ends a query whose rows replace those with the same key that came before: the last of each is left. */
export function upsert<T extends object>(
  env: JobEnvironment,
  rows: DataStream<T>,
  key: (row: T) => Key,
): void {
  switch (modeOf(env)) {
    case "discard":
      return rows.to(discard(), { uid: "out" });
    case "rows":
      return rows.to(table("results", { key }), { uid: "out" });
    case "digest":
      return rows
        .keyBy(key)
        .process(
          {
            state: { hash: valueState<number>() },
            emits: emits<{ bucket: number; rows: number; hash: number }>(),
            process(row, { key: of, state, emit }) {
              const before = state.hash.get();
              const { hash } = digestOf(hashOf(textOf(row)));
              state.hash.set(hash);
              const { bucket } = digestOf(hashOf(JSON.stringify(of)));
              emit({ bucket, rows: before === undefined ? 1 : 0, hash: hash - (before ?? 0) });
            },
          },
          { uid: "result-hashes" },
        )
        .keyBy("bucket")
        .aggregate({ rows: sum("rows"), hash: sum("hash") }, { uid: "result-digests" })
        .to(table("results"), { uid: "out" });
  }
}

const digestOf = (hash: number): { readonly bucket: number; readonly hash: number } => ({
  bucket: hash % buckets,
  hash,
});
