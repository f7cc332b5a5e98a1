// Event times of rows that come from other rows.

/** Of rows that come from these rows, in this order; undefined where none has one. */
export function timestampsAt(
  timestamps: Float64Array | undefined,
  rows: ArrayLike<number>,
): Float64Array | undefined {
  if (timestamps === undefined) return undefined;
  const of = new Float64Array(rows.length);
  for (let i = 0; i < of.length; i++) of[i] = timestamps[rows[i]!]!;
  return of;
}

/** Of one row; undefined where it has none. */
export function timeOf(timestamps: Float64Array | undefined, row: number): number | undefined {
  const time = timestamps?.[row];
  return time === time ? time : undefined;
}

/** The later of two event times, of which NaN is none. */
export const latest = (left: number, right: number): number =>
  right > left || left !== left ? right : left;

/** A row has none, and something goes by it. */
export const noEventTime = (): TypeError =>
  new TypeError(
    "the row has no event time, and its windows go by that: give every source of the operator " +
      'watermarks, or let the windows go by the clock, with { time: "processing" }',
  );
