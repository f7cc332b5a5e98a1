// How many different values there are among the rows: exactly, at the cost of keeping them, or about, in
// a few kilobytes however many there are.
//
// HyperLogLog is our own because what there is does not fit state that is a plain value: bloom-filters makes a
// text of 64 digits of every value, hyperlolo keeps its registers in an object of its own, and others have not
// been published for years. What is needed of the paper is the end of this file.

import { keyBytes } from "../format/key.ts";
import { murmur3 } from "../format/murmur3.ts";
import type { Aggregate } from "./aggregates.ts";
import { valueReader, wholeNumber, type FieldOf, type WithField } from "./field-values.ts";

/** A value that can be told from others. */
export type Distinct = string | number | boolean;

/** A value that is counted, or what stands for none. */
type Countable = Distinct | null | undefined;

/**
 * How many different values there are of a field, or of what a function makes of each row. `undefined` and
 * null are not counted: not rows that lack the field, nor those that a function leaves out. Exact: the state has every value once; where
 * there are many, `approxCountDistinct` is smaller.
 *
 * @example
 * bids.keyBy("auction").aggregate({ bidders: countDistinct("bidder") }, { uid: "bidders" })
 */
export function countDistinct<T>(value: (row: T) => Countable): Aggregate<T, Set<Distinct>, number>;
export function countDistinct<const F extends FieldOf<T, Countable>, T = WithField<F, Countable>>(
  field: F,
): Aggregate<T, Set<Distinct>, number>;
export function countDistinct(
  value: ((row: never) => unknown) | string,
): Aggregate<never, Set<Distinct>, number> {
  const read = valueReader("countDistinct", value);
  return {
    create: () => new Set(),
    add(values, row) {
      const seen = distinct("countDistinct", read(row));
      if (seen !== undefined) values.add(seen);
      return values;
    },
    merge(left, right) {
      for (const seen of right) left.add(seen);
      return left;
    },
    result: (values) => values.size,
  };
}

/**
 * About how many different values there are, by HyperLogLog: 2^`precision` bytes of state for each key (4 KiB
 * by default), and a standard error of 1.04 / sqrt(2^precision) (1.6 % by default).
 *
 * @example
 * clicks.keyBy("page").aggregate({ visitors: approxCountDistinct("visitor") }, { uid: "visitors" })
 */
export function approxCountDistinct<T>(
  value: (row: T) => Countable,
  options?: { readonly precision?: number },
): Aggregate<T, Uint8Array, number>;
export function approxCountDistinct<
  const F extends FieldOf<T, Countable>,
  T = WithField<F, Countable>,
>(field: F, options?: { readonly precision?: number }): Aggregate<T, Uint8Array, number>;
export function approxCountDistinct(
  value: ((row: never) => unknown) | string,
  { precision: given = 12 }: { readonly precision?: number } = {},
): Aggregate<never, Uint8Array, number> {
  const read = valueReader("approxCountDistinct", value);
  const precision = wholeNumber("The precision of approxCountDistinct", given, 4, 16);
  return {
    create: () => new Uint8Array(2 ** precision),
    add(registers, row) {
      const seen = distinct("approxCountDistinct", read(row));
      if (seen !== undefined) count(registers, precision, seen);
      return registers;
    },
    merge(left, right) {
      for (let i = 0; i < left.length; i++) left[i] = Math.max(left[i]!, right[i]!);
      return left;
    },
    result: estimate,
  };
}

function distinct(aggregate: string, value: unknown): Distinct | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  throw new TypeError(`${aggregate} needs a text, a number or a boolean, got ${typeof value}`);
}

// HyperLogLog as in Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal
// cardinality estimation algorithm" (2007), with two hashes of 32 bits: one picks the register, the other
// is as long as any count needs. The registers are the state, so they are a plain array.

function count(registers: Uint8Array, precision: number, value: Distinct): void {
  const bytes = keyBytes(value);
  const at = murmur3(bytes) >>> (32 - precision);
  const rank = Math.clz32(murmur3(bytes, 0x9747b28c)) + 1;
  if (rank > registers[at]!) registers[at] = rank;
}

function estimate(registers: Uint8Array): number {
  const m = registers.length;
  let sum = 0;
  let empty = 0;
  for (const rank of registers) {
    sum += 2 ** -rank;
    if (rank === 0) empty++;
  }
  const alpha = m >= 128 ? 0.7213 / (1 + 1.079 / m) : m === 64 ? 0.709 : m === 32 ? 0.697 : 0.673;
  const raw = (alpha * m * m) / sum;
  // Few values: the empty registers tell more (linear counting).
  return Math.round(raw <= 2.5 * m && empty > 0 ? m * Math.log(m / empty) : raw);
}
