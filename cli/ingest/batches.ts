// Records in batches, one request each.
//   B1. A batch is cut by the places of the file alone: after so many entries, bad ones counted, or so
//       many bytes. The same file in the same way is the same batches, whatever was skipped or sent.
//   B2. A batch leaves only when every record before its end was read and found good, or skipped. So a
//       file with a bad record is sent up to the batch before it, and not beyond.

import { readRecords } from "../../format/records.ts";
import { MiB } from "../../format/limits.ts";
import type { Entries } from "./entries.ts";

/** Bytes of a batch, about: a quarter of what a request may have. */
const batchBytesMax = 4 * MiB;

export interface Batch {
  /** Entries before it in the file. */
  readonly position: number;
  readonly lines: readonly string[];
  /** Of each line in the file. */
  readonly places: readonly number[];
}

export interface BadRecord {
  readonly place: number;
  readonly reason: string;
}

/** Batches of `rows` entries. `onBad` throws where a record may not be skipped. */
export async function* batchesOf(
  entries: Entries,
  { rows, onBad }: { readonly rows: number; readonly onBad: (bad: BadRecord) => void },
): AsyncGenerator<Batch> {
  let position = 0;
  let count = 0;
  let bytes = 0;
  let lines: string[] = [];
  let places: number[] = [];
  const cut = (): Batch | undefined => {
    const batch = withoutBad({ position, lines, places }, onBad);
    position += count;
    [count, bytes, lines, places] = [0, 0, [], []];
    return batch.lines.length > 0 ? batch : undefined;
  };
  for await (const some of entries) {
    for (const entry of some) {
      count += 1;
      if (entry.kind === "bad") onBad(entry);
      else {
        lines.push(entry.json);
        places.push(entry.place);
        bytes += entry.json.length;
      }
      if (count < rows && bytes < batchBytesMax) continue;
      const batch = cut();
      if (batch !== undefined) yield batch;
    }
  }
  const last = count > 0 ? cut() : undefined;
  if (last !== undefined) yield last;
}

export const bodyOf = ({ lines }: Batch): Buffer<ArrayBuffer> =>
  Buffer.from(`${lines.join("\n")}\n`);

/** `batch` without the lines that the deployment would refuse, by the rules it has itself. */
function withoutBad(batch: Batch, onBad: (bad: BadRecord) => void): Batch {
  let left = batch;
  while (left.lines.length > 0) {
    const read = readRecords(bodyOf(left), "lines");
    if (read.kind === "records") return left;
    const bad = badLine(left, read.reason);
    // `lines` hold one record each, so a refusal always names one.
    if (bad === undefined) throw new Error(read.reason);
    onBad(bad);
    left = without(left, bad);
  }
  return left;
}

/** The record that a refusal of the batch's body names by its line. */
export function badLine({ places }: Batch, refusal: string): BadRecord | undefined {
  const [, line, reason] = /^Line (\d+):? (.*)$/s.exec(refusal) ?? [];
  const place = places[Number(line) - 1];
  return place === undefined || reason === undefined ? undefined : { place, reason };
}

export function without({ position, lines, places }: Batch, { place }: BadRecord): Batch {
  const at = places.indexOf(place);
  return { position, lines: lines.toSpliced(at, 1), places: places.toSpliced(at, 1) };
}
