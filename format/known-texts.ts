// Texts that come again and again in batch after batch, found by their bytes: no string is made of one
// that is known, and whoever keeps something for each text finds it by a number.
//   T1. Two texts have the same number, in the same `texts`, exactly when they are equal.
//   T2. What is kept is bounded. When it is full it begins anew, with other `texts`; where most of what it
//       held came once only it is given up, for good.

/** Texts by their numbers. They are added to and never changed. */
export type Texts = readonly string[];

/** Some texts by their numbers. */
export interface KnownTexts {
  /** All that are known, and who they are: numbers of others are others. */
  readonly of: Texts;
  readonly numbers: Int32Array;
}

const textsMax = 32_768;
const bytesMax = 1 << 20;
/** Longer ones take more time to compare than to be made. */
const textBytesMax = 48;
/** How often a text has to come on average until they are full. */
const timesMin = 3;

export class TextMemory {
  #texts: string[] = [];
  #hashes = new Int32Array(0);
  /** Where the bytes of each text end. */
  #ends = new Int32Array(0);
  #bytes = new Uint8Array(0);
  #bytesTaken = 0;
  /** By hash, open addressing: the number of a text, plus one. */
  #places = new Int32Array(0);
  #asked = 0;
  #isGivenUp = false;

  /**
   * The numbers of texts that stand one after the other; undefined where they are not all ASCII and
   * short, or nothing is kept any more.
   */
  numbersOf(bytes: Uint8Array, lengths: ArrayLike<number>): KnownTexts | undefined {
    if (this.#isGivenUp || !isShort(bytes, lengths)) return undefined;
    if (!this.#makeRoom(lengths.length, bytes.length)) return undefined;
    const numbers = new Int32Array(lengths.length);
    let from = 0;
    for (let i = 0; i < lengths.length; i++) {
      const end = from + lengths[i]!;
      numbers[i] = this.#numberOf(bytes, from, end);
      from = end;
    }
    this.#asked += lengths.length;
    return { of: this.#texts, numbers };
  }

  #numberOf(bytes: Uint8Array, from: number, end: number): number {
    let hash = 0;
    for (let i = from; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    hash ^= hash >>> 15;
    const places = this.#places;
    const mask = places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const number = places[place]! - 1;
      if (number < 0) return this.#add(place, hash, bytes.subarray(from, end));
      if (this.#hashes[number] === hash && this.#isAt(number, bytes, from, end)) return number;
    }
  }

  #isAt(number: number, bytes: Uint8Array, from: number, end: number): boolean {
    const start = number === 0 ? 0 : this.#ends[number - 1]!;
    if (this.#ends[number]! - start !== end - from) return false;
    const own = this.#bytes;
    for (let i = from, at = start; i < end; i++, at++) if (own[at] !== bytes[i]) return false;
    return true;
  }

  #add(place: number, hash: number, bytes: Uint8Array): number {
    const number = this.#texts.length;
    // All are ASCII. No string of the batch's is kept with it.
    this.#texts.push(String.fromCharCode.apply(null, bytes as unknown as number[]));
    this.#bytes.set(bytes, this.#bytesTaken);
    this.#bytesTaken += bytes.length;
    this.#ends[number] = this.#bytesTaken;
    this.#hashes[number] = hash;
    this.#places[place] = number + 1;
    return number;
  }

  /** Room for so many more, if all of them are new. */
  #makeRoom(texts: number, bytes: number): boolean {
    if (texts > textsMax || bytes > bytesMax) return false;
    if (this.#texts.length + texts > textsMax || this.#bytesTaken + bytes > bytesMax) {
      this.#isGivenUp = this.#asked < timesMin * this.#texts.length;
      this.#clear();
      if (this.#isGivenUp) return false;
    }
    const textsNeeded = this.#texts.length + texts;
    if (textsNeeded > this.#hashes.length) {
      this.#hashes = grown(this.#hashes, 2 * textsNeeded);
      this.#ends = grown(this.#ends, 2 * textsNeeded);
      this.#rehash(2 * textsNeeded);
    }
    const bytesNeeded = this.#bytesTaken + bytes;
    if (bytesNeeded > this.#bytes.length) {
      const more = new Uint8Array(2 * bytesNeeded);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    return true;
  }

  #rehash(texts: number): void {
    let size = 64;
    while (size < 2 * texts) size *= 2;
    const places = new Int32Array(size);
    for (let number = 0; number < this.#texts.length; number++) {
      let place = this.#hashes[number]! & (size - 1);
      while (places[place] !== 0) place = (place + 1) & (size - 1);
      places[place] = number + 1;
    }
    this.#places = places;
  }

  #clear(): void {
    this.#texts = [];
    this.#asked = 0;
    this.#bytesTaken = 0;
    this.#places.fill(0);
    if (!this.#isGivenUp) return;
    this.#hashes = this.#ends = this.#places = new Int32Array(0);
    this.#bytes = new Uint8Array(0);
  }
}

function grown(numbers: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const more = new Int32Array(length);
  more.set(numbers);
  return more;
}

/** Whether texts of these lengths are the bytes, all of them ASCII. */
function isShort(bytes: Uint8Array, lengths: ArrayLike<number>): boolean {
  let units = 0;
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!;
    if (length > textBytesMax) return false;
    units += length;
  }
  if (units !== bytes.length) return false;
  let all = 0;
  for (let i = 0; i < bytes.length; i++) all |= bytes[i]!;
  return all < 0x80;
}
