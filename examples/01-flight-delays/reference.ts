// What the job must come to: the same table in one plain loop over the file. Shares no code with
// the engine, nor with the job.

import { readFlights } from "../flights/parquet.ts";

/** A row of `delays-by-origin`; `key` is the airport. */
export interface DelaysRow {
  readonly key: string;
  readonly flights: number;
  readonly delayed: number;
  readonly meanDelay: number;
  readonly worst: number;
}

export async function delaysByOrigin(rows: number): Promise<DelaysRow[]> {
  const airports = new Map<
    string,
    { flights: number; delayed: number; sum: number; worst: number }
  >();
  for await (const piece of readFlights(rows, ["origin", "destination", "delay"])) {
    const { origin, destination, delay } = piece;
    for (let i = 0; i < origin.length; i++) {
      if (origin[i] === destination[i]) continue;
      const minutes = delay[i]!;
      const airport = airports.get(origin[i]!);
      if (airport === undefined) {
        const delayed = minutes > 15 ? 1 : 0;
        airports.set(origin[i]!, { flights: 1, delayed, sum: minutes, worst: minutes });
        continue;
      }
      airport.flights += 1;
      if (minutes > 15) airport.delayed += 1;
      airport.sum += minutes;
      if (minutes > airport.worst) airport.worst = minutes;
    }
  }
  return [...airports].map(([key, { flights, delayed, sum, worst }]) => ({
    key,
    flights,
    delayed,
    meanDelay: sum / flights,
    worst,
  }));
}

export const flightsIn = (rows: readonly DelaysRow[]): number =>
  rows.reduce((total, { flights }) => total + flights, 0);

/** Every cell in which the tables differ, as a sentence; none where they are equal. */
export function differences(
  expected: readonly DelaysRow[],
  actual: readonly DelaysRow[],
): string[] {
  const counted = Map.groupBy(actual, ({ key }) => key);
  const differing = expected.flatMap((row) => {
    const [found, ...others] = counted.get(row.key) ?? [];
    counted.delete(row.key);
    if (found === undefined) return [`${row.key} is missing`];
    if (others.length > 0) return [`${row.key} has ${others.length + 1} rows`];
    return (["flights", "delayed", "meanDelay", "worst"] as const)
      .filter((field) => found[field] !== row[field])
      .map((field) => `${row.key}: ${field} is ${found[field]}, and should be ${row[field]}`);
  });
  return [...differing, ...[...counted.keys()].map((key) => `${key} should not be there`)];
}
