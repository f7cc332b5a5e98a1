// MurmurHash3, the x86 32-bit variant (Austin Appleby, public domain): spreads keys over key groups.
//
// The result is part of the state format: a key's group follows from it, and state is stored by
// group. It must therefore never change.
//   M1. Same bytes and seed, same hash, on every machine: blocks are read little-endian.
//   M2. The result is an unsigned 32-bit integer.

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** Hashes `bytes[0, length)`. `length` lets a caller hash the front of a reused buffer. */
export function murmur3(bytes: Uint8Array, seed = 0, length = bytes.length): number {
  const blocks = length & ~3;
  let hash = seed | 0;
  for (let at = 0; at < blocks; at += 4) {
    const block =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash ^= scramble(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }

  let tail = 0;
  for (let at = length - 1; at >= blocks; at--) tail = (tail << 8) | bytes[at]!;
  hash ^= scramble(tail); // scramble(0) is 0, so an empty tail changes nothing

  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const mixed = Math.imul(block, C1);
  return Math.imul((mixed << 15) | (mixed >>> 17), C2);
}
