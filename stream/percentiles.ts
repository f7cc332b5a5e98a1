// Percentiles of numbers without keeping them, by DDSketch: Masson, Rim, Lee, "DDSketch: a fast and
// fully-mergeable quantile sketch with relative-error guarantees" (2019). A number is counted in a bucket
// whose bounds are a constant factor apart, so that every answer is within a share of the true one.
// It is our own because what there is does not fit state that is a plain value and comes to the same after
// every failure: @datadog/sketches-js (2.1.1) keeps instances of classes and needs protobufjs without
// declaring it, tdigest shuffles by Math.random. What is needed of the paper is this file.
//   P1. The same rows give the same answer, in any order and however they were divided.

import type { Aggregate } from "./aggregates.ts";
import { GraphError } from "./errors.ts";
import { valueReader } from "./field-values.ts";
import type { WithNumber } from "./fields.ts";
import { shown } from "./names.ts";

/** How many numbers there are in each bucket: of the positive ones, of the negative ones, and zeros. */
interface Sketch {
  readonly positive: Map<number, number>;
  readonly negative: Map<number, number>;
  zeros: number;
  count: number;
}

/** How percentiles are taken. */
export interface PercentileOptions {
  /** How far an answer may be from the true one, as a share of it: 0.01 where absent. */
  readonly relativeError?: number;
}

/**
 * Percentiles of a number over the rows, in the order asked for: `[0.5, 0.99]` gives the median and that
 * below which are 99 % of the rows. Each is within `relativeError` of a true one. State grows with the
 * logarithm of the range of the numbers: about 2,000 buckets at most from a millionth to a billion.
 *
 * @example
 * requests.keyBy("route").aggregate({ latency: percentiles([0.5, 0.99], "millis") }, { uid: "latency" })
 */
export function percentiles<T>(
  shares: readonly number[],
  value: (row: T) => number,
  options?: PercentileOptions,
): Aggregate<T, Sketch, readonly number[]>;
export function percentiles<const F extends string>(
  shares: readonly number[],
  field: F,
  options?: PercentileOptions,
): Aggregate<WithNumber<F>, Sketch, readonly number[]>;
export function percentiles(
  shares: readonly number[],
  value: ((row: never) => number) | string,
  { relativeError = 0.01 }: PercentileOptions = {},
): Aggregate<never, Sketch, readonly number[]> {
  const read = valueReader("percentiles", value);
  const asked = checkedShares(shares);
  if (!(typeof relativeError === "number" && relativeError > 0 && relativeError < 1)) {
    const given = shown(relativeError);
    throw refusal(`has the relativeError ${given}`, "a number above 0 and below 1");
  }
  const gamma = (1 + relativeError) / (1 - relativeError);
  const width = Math.log(gamma);
  const bucketOf = (magnitude: number): number => Math.ceil(Math.log(magnitude) / width);
  // From the lower bound, which is less than a number that was counted. What is within the error of the
  // largest there is may be beyond it.
  const middleOf = (bucket: number): number =>
    Math.min(Math.exp((bucket - 1) * width) * ((2 * gamma) / (1 + gamma)), Number.MAX_VALUE);
  return {
    create: () => ({ positive: new Map(), negative: new Map(), zeros: 0, count: 0 }),
    add(sketch, row) {
      const number = read(row);
      if (typeof number !== "number" || !Number.isFinite(number)) {
        throw new TypeError(
          `percentiles needs a finite number from every row, got ${shown(number)}`,
        );
      }
      sketch.count++;
      if (number === 0) sketch.zeros++;
      else if (number > 0) more(sketch.positive, bucketOf(number), 1);
      else more(sketch.negative, bucketOf(-number), 1);
      return sketch;
    },
    merge(left, right) {
      for (const [bucket, count] of right.positive) more(left.positive, bucket, count);
      for (const [bucket, count] of right.negative) more(left.negative, bucket, count);
      left.zeros += right.zeros;
      left.count += right.count;
      return left;
    },
    result(sketch) {
      const counted = ascending(sketch, middleOf);
      return asked.map((share) => atRank(counted, share * (sketch.count - 1)));
    },
  };
}

function more(counts: Map<number, number>, bucket: number, count: number): void {
  counts.set(bucket, (counts.get(bucket) ?? 0) + count);
}

type Counted = readonly { readonly value: number; readonly count: number }[];

function ascending(
  { positive, negative, zeros }: Sketch,
  middleOf: (b: number) => number,
): Counted {
  const by = (counts: Map<number, number>): [number, number][] =>
    [...counts].sort(([left], [right]) => left - right);
  return [
    ...by(negative)
      .toReversed()
      .map(([bucket, count]) => ({ value: -middleOf(bucket), count })),
    ...(zeros > 0 ? [{ value: 0, count: zeros }] : []),
    ...by(positive).map(([bucket, count]) => ({ value: middleOf(bucket), count })),
  ];
}

function atRank(counted: Counted, rank: number): number {
  let before = 0;
  for (const { value, count } of counted) {
    before += count;
    if (before > rank) return value;
  }
  return counted.at(-1)!.value;
}

function checkedShares(shares: unknown): readonly number[] {
  const allowed = "a list of numbers from 0 to 1, such as [0.5, 0.99]";
  if (!Array.isArray(shares)) throw refusal(`was given ${shown(shares)}`, allowed);
  if (shares.length === 0) throw refusal("was given an empty list", allowed);
  for (const share of shares as readonly unknown[]) {
    if (typeof share === "number" && share >= 0 && share <= 1) continue;
    throw refusal(`was given ${shown(share)} in its list`, allowed);
  }
  return [...(shares as number[])];
}

const refusal = (found: string, allowed: string): GraphError =>
  new GraphError("BAD_ARGUMENT", `percentiles ${found}. Allowed: ${allowed}.`);
