// What is made of measured rounds. Pure.
//   S1. A ratio is one of two measurements of the same round, never of two medians: what slows down a
//       machine for a while slows down both.

/** Of several rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError without values */
export function summaryOf(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError("There is nothing to summarise.");
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0]!, max: sorted.at(-1)! };
}

/** Of ascending values; between two of them, by their distance. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const [low, high] = [sorted[below]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - below);
}

/** Round by round (S1). @throws RangeError where the rounds are not as many */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Summary {
  if (ours.length !== theirs.length) {
    throw new RangeError(`${ours.length} rounds cannot be compared with ${theirs.length}.`);
  }
  return summaryOf(ours.map((value, round) => value / theirs[round]!));
}

/** The order in which contestants run in a round: each is first as often as the others. */
export function orderOf<T>(contestants: readonly T[], round: number): T[] {
  const first = round % contestants.length;
  return [...contestants.slice(first), ...contestants.slice(0, first)];
}
