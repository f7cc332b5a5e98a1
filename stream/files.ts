// Files: a sink that writes rows as NDJSON objects to the bucket, in folders by partition.

import { GraphError } from "./errors.ts";
import { checkedName, isAsync, shown } from "./names.ts";

/** The folder of a row: levels of a name and a value each, or the path as a text; "" for none. */
export type FilePartition = string | readonly (readonly [name: string, value: string | number])[];

/** Files as a job refers to them. */
export interface FilesSink<in T> {
  readonly kind: "files";
  readonly name: string;
  readonly partition?: (row: T) => FilePartition;
}

/**
 * Declares files, to write to with `.to`: each row is one line of JSON in an object of the bucket,
 * `files/<job id>/<name>/<partition>/part-<subtask>-<checkpoint>-<n>.ndjson`. Rows are in a file once,
 * whatever fails: an object appears when the checkpoint that holds its rows has completed, and never
 * changes. Until then the rows are in memory and in checkpoints, and count against `state.memoryBudget`.
 * In a job without checkpoints each step of a subtask makes files of its own, and a failure may lose or
 * repeat rows.
 *
 * `partition` must be deterministic. Values are escaped as Flink's are: `12:34` becomes `12%3A34`. A row
 * that JSON cannot stand for, or whose partition is none, is one that the operator throws on (`onError`).
 *
 * @example
 * interface Bid { auction: number; day: string; minute: string }
 * const byMinute = files("bids", {
 *   partition: ({ day, minute }: Bid) => [["dt", day], ["hm", minute]],
 * });
 */
export function files<T>(
  name: string,
  options: { readonly partition?: (row: T) => FilePartition } = {},
): FilesSink<T> {
  checkedName("set of files", name);
  const { partition } = options;
  if (partition === undefined) return { kind: "files", name };
  if (typeof partition === "function" && !isAsync(partition)) {
    return { kind: "files", name, partition };
  }
  throw new GraphError(
    "BAD_ARGUMENT",
    `The partition of files "${name}" is ${shown(partition)}. Allowed: a function from a row to ` +
      `[["name", value], …] or to a text such as "dt=2026-01-31/hm=12", that returns at once.`,
  );
}

/** Characters of a partition's path: with all else a key of R2 has at most 1,024 bytes. */
const partitionMax = 512;

/** What Flink's PartitionPathUtils escapes, and the other control characters. */
const escaped = /[\p{Cc}"#%'*/:=?\\{[\]^]/gu;

const hex = (character: string): string =>
  `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;

const escapedName = (text: string): string => text.replace(escaped, hex);

/** The path of a partition, without a slash at its ends. @throws where there is none */
export function filePartition(partition: FilePartition): string {
  const path =
    typeof partition === "string"
      ? partition
      : partition.map(([name, value]) => `${escapedName(name)}=${valueName(value)}`).join("/");
  const isPath =
    path === "" ||
    (path.length <= partitionMax &&
      path.split("/").every((level) => level !== "" && level !== "." && level !== ".."));
  if (isPath) return path;
  throw new RangeError(
    `A row has the partition ${shown(path)}. Allowed: levels of a text each, not "." or "..", with a ` +
      `slash between them, ${partitionMax} characters in all.`,
  );
}

const valueName = (value: unknown): string => {
  const text = value === undefined || value === null ? "" : String(value as string | number);
  return text === "" ? "__DEFAULT_PARTITION__" : escapedName(text);
};
