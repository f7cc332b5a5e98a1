// Short stable names for things of any size.

import { murmur3 } from "./murmur3.ts";

/** 128 bits of `text` as 32 hex digits: four murmur3 hashes under different seeds. No secret. */
export function hex128(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return [0, 1, 2, 3].map((seed) => murmur3(bytes, seed).toString(16).padStart(8, "0")).join("");
}
