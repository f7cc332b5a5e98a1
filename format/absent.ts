// Which rows of a column have no value, as bit sets: one bit per row, the lowest of each byte first.
//   A1. A row without a value is undefined where the second set has its bit, and null where not.
//   A2. Bits behind the last row mean nothing.

import type { ByteReader, ByteWriter } from "./bytes.ts";

/** Rows without a value. */
export interface Absent {
  readonly bits: Uint8Array;
  /** Those of them that are undefined; absent where all are null. */
  readonly undefineds: Uint8Array | undefined;
}

/** Bytes of a set of so many rows. */
const bytesOf = (rows: number): number => (rows + 7) >> 3;

export const hasBit = (bits: Uint8Array, row: number): boolean =>
  ((bits[row >> 3]! >> (row & 7)) & 1) === 1;

export function setBit(bits: Uint8Array, row: number): void {
  bits[row >> 3]! |= 1 << (row & 7);
}

/** A set without rows. */
export const noBits = (rows: number): Uint8Array => new Uint8Array(bytesOf(rows));

/** How many of the first `rows` rows are in the set. */
export function countBits(bits: Uint8Array, rows: number): number {
  let count = 0;
  for (let row = 0; row < rows; row++) count += (bits[row >> 3]! >> (row & 7)) & 1;
  return count;
}

/** The rows of which nothing is there; undefined where all have a value. */
export function absentOf(values: readonly unknown[]): Absent | undefined {
  let bits: Uint8Array | undefined;
  let undefineds: Uint8Array | undefined;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (value !== null && value !== undefined) continue;
    setBit((bits ??= noBits(values.length)), row);
    if (value === undefined) setBit((undefineds ??= noBits(values.length)), row);
  }
  return bits && { bits, undefineds };
}

/** What a row without a value has. */
export const absentValue = ({ undefineds }: Absent, row: number): null | undefined =>
  undefineds !== undefined && hasBit(undefineds, row) ? undefined : null;

/** Values of rows that have one, one after the other, at their rows, and what the others have. */
export function spread(dense: ArrayLike<unknown>, absent: Absent, rows: number): unknown[] {
  const values = new Array<unknown>(rows);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    values[row] = hasBit(absent.bits, row) ? absentValue(absent, row) : dense[at++];
  }
  return values;
}

export function writeAbsent(out: ByteWriter, { bits, undefineds }: Absent): void {
  out.bytes(bits);
  if (undefineds !== undefined) out.bytes(undefineds);
}

export function readAbsent(input: ByteReader, rows: number, hasUndefineds: boolean): Absent {
  const bits = input.bytes(bytesOf(rows));
  return { bits, undefineds: hasUndefineds ? input.bytes(bytesOf(rows)) : undefined };
}
