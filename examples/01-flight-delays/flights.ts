// The flights of the file as bodies of requests, in the order in which it has them.

import { type FlightColumns, readFlights } from "../flights/parquet.ts";
import type { FlightBody } from "../flights/producer.ts";
import type { Flight } from "./job.ts";

/** The first `rows` flights as NDJSON. */
export async function* flightBodies(
  rows: number,
  { rowsPerBody }: { readonly rowsPerBody: number },
): AsyncGenerator<FlightBody> {
  let position = 0;
  const columns = ["date", "delay", "distance", "origin", "destination"] as const;
  for await (const flights of readFlights(rows, columns)) {
    for (let from = 0; from < flights.date.length; from += rowsPerBody) {
      const until = Math.min(from + rowsPerBody, flights.date.length);
      const ndjson = Buffer.from(linesOf(flights, { from, until }));
      yield { position, rows: until - from, ndjson };
      position += until - from;
    }
  }
}

function linesOf(
  { date, delay, distance, origin, destination }: FlightColumns,
  { from, until }: { readonly from: number; readonly until: number },
): string {
  let lines = "";
  for (let i = from; i < until; i++) {
    const flight: Flight = {
      date: date[i]!,
      delay: delay[i]!,
      distance: distance[i]!,
      origin: origin[i]!,
      destination: destination[i]!,
    };
    lines += JSON.stringify(flight) + "\n";
  }
  return lines;
}
