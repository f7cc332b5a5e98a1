// Chance that is drawn from the number of an event alone (splitmix32, a counter-based generator).
//   C1. What is drawn depends on the event and the place of the draw, not on what was drawn before: any
//       field of any event can be made by itself, in any order, by anybody.
//   C2. Only operations that are exact, or rounded as IEEE 754 demands: the same bits on every machine.

const golden = 0x9e3779b9;
const range = 2 ** 32;

/** 32 bits that look drawn at random, the same for the same number. */
function mixed(bits: number): number {
  let z = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** From which the fields of an event are drawn. */
export const seedOf = (event: number): number =>
  mixed((event % range) + mixed(Math.floor(event / range)) + golden);

/** 32 bits; `place` tells the draws of an event apart. */
export const bitsOf = (seed: number, place: number): number =>
  mixed(seed + Math.imul(place + 1, golden));

/** A whole number from 0 to `n - 1`. */
export const below = (seed: number, place: number, n: number): number =>
  Math.floor((bitsOf(seed, place) * n) / range);

/** Letters a to z, of which any text can be cut out. */
const poolSize = 65_536;
const letters = 26;
const codeOfA = 97;
let pool: string | undefined;

function poolOfLetters(): string {
  const codes = Uint8Array.from({ length: poolSize }, (_, i) => codeOfA + below(0, i, letters));
  return new TextDecoder().decode(codes);
}

/** So many letters, at most a thousand. Made by cutting, as there are too many to draw each. */
export function lettersOf(seed: number, place: number, length: number): string {
  pool ??= poolOfLetters();
  const from = below(seed, place, poolSize - length);
  return pool.substring(from, from + length);
}

/** One in so many characters of a text is special. */
const specialOneIn = 13;

/** A text of 3 to `max - 1` characters, drawn from `place` on, trimmed. */
export function textOf(seed: number, place: number, max: number, special = " "): string {
  const length = 3 + below(seed, place, max - 3);
  let text = "";
  for (let i = 1; i <= length; i++) {
    const bits = bitsOf(seed, place + i);
    text +=
      bits % specialOneIn === 0 ? special : String.fromCharCode(codeOfA + ((bits >>> 8) % letters));
  }
  return text.trim();
}

/** Prices lie between 1 and this, in whole units of a hundred cents, evenly by their logarithm. */
const priceRange = 1e6;
const stepBits = 8;
const steps = 2 ** stepBits;
// The price is a product of three factors, one for each byte of the draw. Roots of the range, and
// products of them, are rounded exactly; a power might differ from one engine to the next (C2).
const [coarse, middle, fine] = factors();

function factors(): [Float64Array, Float64Array, Float64Array] {
  let root = priceRange;
  const table = (): Float64Array => {
    const roots = Array.from({ length: stepBits }, () => (root = Math.sqrt(root)));
    const product = (step: number): number =>
      roots.reduce((all, one, bit) => (step & (steps >> (bit + 1)) ? all * one : all), 1);
    return Float64Array.from({ length: steps }, (_, step) => product(step));
  };
  return [table(), table(), table()];
}

/** Cents: from 100 to 100 million, as often between 100 and 200 as between 1,000 and 2,000. */
export function priceOf(seed: number, place: number): number {
  const bits = bitsOf(seed, place);
  const factor =
    coarse[bits >>> 24]! * middle[(bits >>> 16) % steps]! * fine[(bits >>> 8) % steps]!;
  return Math.round(factor * 100);
}
