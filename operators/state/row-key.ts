// The keys of rows on `sqlite`: the key group (2 bytes), the hash of the key (4), the key's bytes; of pairs,
// group and hash are those of the first half.
//   O1. Rows in the order of their keys' bytes are in the order of key groups, which segments need, and the
//       pairs of one first half lie beside one another.
//   O2. Within a group the order is that of the hashes: a few bytes tell most keys apart, and sort them.

import { keyBytes, keyOfBytes, pairPrefix, type Key } from "../../format/key.ts";
import { hashOfKey, type KeyGroup } from "../../format/key-groups.ts";
import { compareBytes, type Row } from "./run-block.ts";

const headBytes = 6;

/** `first`: the key itself, of a pair its first half. */
export const rowKey = (key: Key, first: Key, maxParallelism: number): Uint8Array =>
  headed(first, keyBytes(key), maxParallelism);

/** What the keys of all pairs that begin with `first` begin with. */
export const pairKey = (first: Key, maxParallelism: number): Uint8Array =>
  headed(first, pairPrefix(first), maxParallelism);

export const groupOfRow = (k: Uint8Array): KeyGroup => ((k[0]! << 8) | k[1]!) as KeyGroup;

export const keyOfRow = (k: Uint8Array): Key => keyOfBytes(k.subarray(headBytes));

function headed(first: Key, bytes: Uint8Array, maxParallelism: number): Uint8Array {
  const hash = hashOfKey(first);
  const group = hash % maxParallelism;
  const { length } = bytes;
  const k = new Uint8Array(headBytes + length);
  k[0] = group >> 8;
  k[1] = group & 255;
  k[2] = hash >>> 24;
  k[3] = (hash >>> 16) & 255;
  k[4] = (hash >>> 8) & 255;
  k[5] = hash & 255;
  for (let i = 0; i < length; i++) k[headBytes + i] = bytes[i]!;
  return k;
}

/** Fewer rows are sorted by comparing them. */
const countedMin = 64;
/** Positions that a number has room for beside 32 bits of a hash. */
const positions = 2 ** 21;

/** Rows in the order of their keys; where a key comes twice, in the order they were in. */
export function inOrder<R extends Row>(rows: readonly R[]): R[] {
  if (rows.length < countedMin || rows.length > positions) {
    return rows.toSorted((a, b) => compareBytes(a.k, b.k));
  }
  const ends = new Uint32Array(2 ** 16 + 1);
  for (const { k } of rows) ends[groupOfRow(k) + 1]!++;
  for (let group = 1; group < ends.length; group++) ends[group]! += ends[group - 1]!;
  const starts = ends.slice();
  // Hash and position in one number: typed arrays are sorted without calling back.
  const places = new Float64Array(rows.length);
  for (const [at, { k }] of rows.entries()) {
    const hash = ((k[2]! << 24) | (k[3]! << 16) | (k[4]! << 8) | k[5]!) >>> 0;
    places[ends[groupOfRow(k)]!++] = hash * positions + at;
  }
  const ordered: R[] = [];
  for (let group = 0; group < 2 ** 16; group++) {
    const [from, to] = [starts[group]!, ends[group]!];
    if (from === to) continue;
    for (const place of places.subarray(from, to).sort()) ordered.push(rows[place % positions]!);
  }
  sortTies(ordered);
  return ordered;
}

/** Puts rows of the same hash in order, which lie beside one another. */
function sortTies(rows: Row[]): void {
  for (let at = 1; at < rows.length; at++) {
    const row = rows[at]!;
    let to = at;
    for (; to > 0 && compareBytes(rows[to - 1]!.k, row.k) > 0; to--) rows[to] = rows[to - 1]!;
    rows[to] = row;
  }
}
