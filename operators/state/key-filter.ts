// Which keys a sorted run may have: a split-block Bloom filter, as Apache Parquet specifies it. Looking
// for a key that a run does not have costs one line of memory, and nearly never a read.
//   F1. A key that was added is never denied.

/** Bits for a key; some 7 in 1,000 of the keys that were not added are taken for one. */
const bitsPerKey = 12;
const wordsPerBlock = 8;

// Odd numbers, one for each word of a block: those of Parquet's specification.
const salts = new Int32Array([
  0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
]);

/** A hash of bytes `from` to `to`: FNV-1a, with the finaliser of murmur3. */
export function hashOf(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return mixed(hash);
}

function mixed(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export class KeyFilter {
  readonly words: Int32Array;
  readonly #blocks: number;

  private constructor(words: Int32Array) {
    this.words = words;
    this.#blocks = words.length / wordsPerBlock;
  }

  /** Of so many keys, at most. */
  static for(keys: number): KeyFilter {
    const blocks = Math.max(1, Math.ceil((keys * bitsPerKey) / (32 * wordsPerBlock)));
    return new KeyFilter(new Int32Array(blocks * wordsPerBlock));
  }

  /** With the words of another. */
  static of(words: Int32Array): KeyFilter {
    return new KeyFilter(words);
  }

  add(hash: number): void {
    const { words } = this;
    const at = this.#blockOf(hash);
    const bits = mixed(hash);
    for (let i = 0; i < wordsPerBlock; i++) {
      words[at + i]! |= 1 << (Math.imul(bits, salts[i]!) >>> 27);
    }
  }

  mayHave(hash: number): boolean {
    const { words } = this;
    const at = this.#blockOf(hash);
    const bits = mixed(hash);
    for (let i = 0; i < wordsPerBlock; i++) {
      if ((words[at + i]! & (1 << (Math.imul(bits, salts[i]!) >>> 27))) === 0) return false;
    }
    return true;
  }

  #blockOf(hash: number): number {
    return Math.floor((hash / 2 ** 32) * this.#blocks) * wordsPerBlock;
  }
}
