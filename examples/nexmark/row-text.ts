// Rows as texts, and texts as numbers, so that results can be compared: the same for the same row.

/** Equal for rows with equal fields, in whatever order. */
export function textOf(row: object): string {
  const fields = Object.entries(row).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify(fields);
}

/** 32 bits (FNV-1a, by UTF-16 units, finished as murmur3 is). */
export function hashOf(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** What a result comes to: how many rows, and the sum of their hashes. */
export interface Digest {
  readonly rows: number;
  readonly hash: bigint;
}

/** A row of the table that `--results=digest` writes: part of a digest. */
export interface DigestPart {
  readonly rows: number;
  readonly hash: number;
}

export const sumOf = (parts: readonly DigestPart[]): Digest => ({
  rows: parts.reduce((sum, { rows }) => sum + rows, 0),
  hash: parts.reduce((sum, { hash }) => sum + BigInt(hash), 0n),
});

export function digestOf(rows: Iterable<object>): Digest {
  let count = 0;
  let hash = 0n;
  for (const row of rows) {
    count++;
    hash += BigInt(hashOf(textOf(row)));
  }
  return { rows: count, hash };
}
