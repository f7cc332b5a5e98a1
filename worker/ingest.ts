// From rows to what each partition is asked to append. Pure; the route (`routes/topics.ts`) sends.
//   N1. Records of one partition keep the order of the request.
//   N2. Where a request goes depends on its rows and its idempotency key alone, so its repetition
//       goes to the same partitions, cut into the same batches.
//   N3. Of records that are columns no row is made, unless a function is to find the key of each.

import { type Column, encodeColumns, encodeRows } from "../format/batch.ts";
import { type Key, keyProblem } from "../format/key.ts";
import { keyGroupOf } from "../format/key-groups.ts";
import { batchRowsMax, frameBytesMax } from "../format/limits.ts";
import type { TopicAppend } from "../format/messages.ts";
import type { Records } from "../format/records.ts";
import { ColumnBatch } from "../operators/column-batch.ts";
import { isColumnar, type RecordBatch } from "../operators/operator.ts";
import { RowBatch } from "../operators/row-batch.ts";
import { fieldOf } from "../stream/fields.ts";
import type { KeySelector } from "../stream/graph.ts";
import { type Share, sharesOf } from "../task/partitioner.ts";

export type Batches = TopicAppend["batches"];

/** How a topic spreads its records, as far as ingestion needs to know. */
export interface TopicSpread {
  readonly partitions: number;
  readonly key?: KeySelector | undefined;
}

export type SpreadOutcome =
  | {
      readonly kind: "spread";
      readonly records: number;
      readonly byPartition: ReadonlyMap<number, Batches>;
    }
  | { readonly kind: "refused"; readonly reason: string };

/** The partition of a key: of a record's, or of a whole request's. */
export const partitionOf = (key: Key, partitions: number): number => keyGroupOf(key, partitions);

/** Batches by partition. Records of a topic without a key all go to partition `unkeyed`. */
export function spread(records: Records, topic: TopicSpread, unkeyed: number): SpreadOutcome {
  const batch = batchOf(records);
  const { length } = batch;
  const split =
    topic.key === undefined
      ? {
          kind: "split" as const,
          shares: [{ receiver: unkeyed, select: undefined, count: length }],
        }
      : splitByKey(batch, topic.key, topic.partitions);
  if (split.kind === "refused") {
    const place = records.placeOf(split.index);
    return { kind: "refused", reason: `${place}: the topic's key ${split.reason}` };
  }
  const byPartition = new Map<number, Batches>();
  for (const share of split.shares) {
    const batches = encodeBatches(batch, share);
    if (batches.kind === "refused") {
      const place = records.placeOf(batches.index);
      return { kind: "refused", reason: `${place} ${batches.reason}` };
    }
    byPartition.set(share.receiver, batches.batches);
  }
  return { kind: "spread", records: length, byPartition };
}

function batchOf(records: Records): RecordBatch {
  if (records.kind === "rows") return new RowBatch(records.rows);
  const { rows, fields, columns } = records.columns;
  return new ColumnBatch(rows, fields, columns);
}

/** A record that is refused, and why. */
interface Refused {
  readonly kind: "refused";
  readonly index: number;
  readonly reason: string;
}

type SplitOutcome = { readonly kind: "split"; readonly shares: readonly Share[] } | Refused;

function splitByKey(batch: RecordBatch, keyOf: KeySelector, partitions: number): SplitOutcome {
  const field = fieldOf(keyOf);
  const column =
    field !== undefined && isColumnar(batch) && batch.fields.includes(field)
      ? batch.column(field)
      : undefined;
  const partitionOfRow = new Int32Array(batch.length);
  const refused =
    column === undefined
      ? partitionRows(partitionOfRow, { rows: batch.rows(), keyOf, partitions })
      : partitionColumn(partitionOfRow, column, partitions);
  return refused ?? { kind: "split", shares: sharesOf(partitionOfRow, partitions) };
}

function partitionRows(
  into: Int32Array,
  {
    rows,
    keyOf,
    partitions,
  }: {
    readonly rows: readonly unknown[];
    readonly keyOf: KeySelector;
    readonly partitions: number;
  },
): Refused | undefined {
  for (let index = 0; index < rows.length; index++) {
    let key: unknown;
    try {
      key = keyOf(rows[index] as never);
    } catch (error) {
      return { kind: "refused", index, reason: `function threw ${String(error)}` };
    }
    const reason = keyProblem(key);
    if (reason !== undefined) return { kind: "refused", index, reason };
    into[index] = partitionOf(key as Key, partitions);
  }
  return undefined;
}

function partitionColumn(
  into: Int32Array,
  column: Column,
  partitions: number,
): Refused | undefined {
  if (column.kind === "string" && column.dictionary !== undefined) {
    const { entries, codes } = column.dictionary;
    const ofEntry = entries.map((entry) => partitionOf(entry, partitions));
    for (let i = 0; i < codes.length; i++) into[i] = ofEntry[codes[i]!]!;
    return undefined;
  }
  return partitionRows(into, {
    rows: Array.from<unknown>(column.values),
    keyOf: (key: Key) => key,
    partitions,
  });
}

type EncodeOutcome = { readonly kind: "batches"; readonly batches: Batches } | Refused;

/** Some records of a share, from its `from`-th on. */
interface Slice {
  readonly from: number;
  readonly count: number;
}

/** The share in batches within both limits; a batch that is too large is halved until it fits. */
function encodeBatches(batch: RecordBatch, share: Share): EncodeOutcome {
  const batches: { rows: number; bytes: Uint8Array }[] = [];
  const open = slices({ from: 0, count: share.count }, batchRowsMax);
  for (let slice = open.shift(); slice !== undefined; slice = open.shift()) {
    const { from, count } = slice;
    const bytes = encoded(batch, share, slice);
    if (bytes instanceof Uint8Array && bytes.length <= frameBytesMax) {
      batches.push({ rows: count, bytes });
    } else if (count > 1) {
      open.unshift(...slices(slice, Math.ceil(count / 2)));
    } else {
      const reason =
        bytes instanceof Uint8Array
          ? `takes ${bytes.length} bytes encoded, and at most ${frameBytesMax} fit (frameBytesMax).`
          : `cannot be stored: ${bytes.message}`;
      return { kind: "refused", index: share.select?.[from] ?? from, reason };
    }
  }
  return { kind: "batches", batches };
}

// A value that cannot be encoded is found by halving too, which ends at the row that holds it.
function encoded(
  batch: RecordBatch,
  { select }: Share,
  { from, count }: Slice,
): Uint8Array | Error {
  try {
    if (isColumnar(batch)) {
      return encodeColumns(batch.fields, [{ batch, select, from, count }]);
    }
    const rows = batch.rows();
    return select === undefined
      ? encodeRows(rows.slice(from, from + count))
      : encodeRows(rows, { select: select.subarray(from, from + count) });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

const slices = ({ from, count }: Slice, size: number): Slice[] =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    from: from + i * size,
    count: Math.min(size, count - i * size),
  }));
