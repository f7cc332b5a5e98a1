// The side input of q13, as it is in the queries for Flink: the numbers from 0 to 9,999 with a text each.

/** How many rows there are. */
export const sideRows = 10_000;

const values: ReadonlyMap<number, string> = new Map(
  Array.from({ length: sideRows }, (_, key) => [key, String(key)]),
);

/** What there is under some keys, as a store answers. */
export const lookUp = async (keys: readonly number[]): Promise<(string | undefined)[]> =>
  keys.map((key) => values.get(key));
