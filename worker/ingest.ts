// From rows to what each partition is asked to append. Pure; the route (`routes/topics.ts`) sends.
//   N1. Records of one partition keep the order of the request.
//   N2. Where a request goes depends on its rows and its idempotency key alone, so its repetition
//       goes to the same partitions, cut into the same batches.

import { encodeRows } from "../format/batch.ts";
import { type Key, keyProblem } from "../format/key.ts";
import { keyGroupOf } from "../format/key-groups.ts";
import { batchRowsMax, frameBytesMax } from "../format/limits.ts";
import type { TopicAppend } from "../format/messages.ts";
import type { Records } from "../format/records.ts";

export type Batches = TopicAppend["batches"];

/** How a topic spreads its records, as far as ingestion needs to know. */
export interface TopicSpread {
  readonly partitions: number;
  readonly key?: ((row: never) => Key) | undefined;
}

export type SpreadOutcome =
  | { readonly kind: "spread"; readonly byPartition: ReadonlyMap<number, Batches> }
  | { readonly kind: "refused"; readonly reason: string };

/** The partition of a key: of a record's, or of a whole request's. */
export const partitionOf = (key: Key, partitions: number): number => keyGroupOf(key, partitions);

/** Batches by partition. Records of a topic without a key all go to partition `unkeyed`. */
export function spread(records: Records, topic: TopicSpread, unkeyed: number): SpreadOutcome {
  const byPartition = new Map<number, Batches>();
  const split =
    topic.key === undefined ? undefined : splitByKey(records, topic.key, topic.partitions);
  if (split?.kind === "refused") return split;
  for (const [partition, rows] of split?.rows ?? [[unkeyed, records.rows] as const]) {
    const batches = encodeBatches(rows);
    if (batches.kind === "refused") {
      const place = records.placeOf(records.rows.indexOf(batches.row));
      return { kind: "refused", reason: `${place} ${batches.reason}` };
    }
    byPartition.set(partition, batches.batches);
  }
  return { kind: "spread", byPartition };
}

type SplitOutcome =
  | { readonly kind: "split"; readonly rows: ReadonlyMap<number, readonly unknown[]> }
  | { readonly kind: "refused"; readonly reason: string };

function splitByKey(
  records: Records,
  keyOf: (row: never) => Key,
  partitions: number,
): SplitOutcome {
  const split = new Map<number, unknown[]>();
  for (const [index, row] of records.rows.entries()) {
    const refused = (reason: string): SplitOutcome => ({
      kind: "refused",
      reason: `${records.placeOf(index)}: the topic's key ${reason}`,
    });
    let key: unknown;
    try {
      key = keyOf(row as never);
    } catch (error) {
      return refused(`function threw ${String(error)}`);
    }
    const problem = keyProblem(key);
    if (problem !== undefined) return refused(problem);
    const partition = partitionOf(key as Key, partitions);
    const rows = split.get(partition);
    if (rows === undefined) split.set(partition, [row]);
    else rows.push(row);
  }
  return { kind: "split", rows: split };
}

type EncodeOutcome =
  | { readonly kind: "batches"; readonly batches: Batches }
  | { readonly kind: "refused"; readonly row: unknown; readonly reason: string };

/** `rows` in batches within both limits; a batch that is too large is halved until it fits. */
function encodeBatches(rows: readonly unknown[]): EncodeOutcome {
  const batches: { rows: number; bytes: Uint8Array }[] = [];
  const open = slices(rows, batchRowsMax);
  for (let slice = open.shift(); slice !== undefined; slice = open.shift()) {
    const bytes = encoded(slice);
    if (bytes instanceof Uint8Array && bytes.length <= frameBytesMax) {
      batches.push({ rows: slice.length, bytes });
    } else if (slice.length > 1) {
      open.unshift(...slices(slice, Math.ceil(slice.length / 2)));
    } else {
      const reason =
        bytes instanceof Uint8Array
          ? `takes ${bytes.length} bytes encoded, and at most ${frameBytesMax} fit (frameBytesMax).`
          : `cannot be stored: ${bytes.message}`;
      return { kind: "refused", row: slice[0], reason };
    }
  }
  return { kind: "batches", batches };
}

// A value that cannot be encoded is found by halving too, which ends at the row that holds it.
function encoded(rows: readonly unknown[]): Uint8Array | Error {
  try {
    return encodeRows(rows);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const slices = <T>(rows: readonly T[], size: number): (readonly T[])[] =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, i) =>
    rows.slice(i * size, (i + 1) * size),
  );
