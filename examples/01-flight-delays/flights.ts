// The flights of vega-datasets' flights-3m.parquet, a row group at a time so that memory holds a
// tenth of them.

import { fileURLToPath } from "node:url";

import { openParquet } from "../../cli/ingest/parquet.ts";
import type { Flight } from "./job.ts";

// The package exports its module alone; the data is beside it.
const path = new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets"));

/** Flights in the file. */
export const flightsMax = 3_000_000;

type FlightColumns = { readonly [Name in keyof Flight]: ArrayLike<Flight[Name]> };

/** Part of the stream: the body of one request. */
export interface FlightBody {
  /** Of the first flight, from 0. */
  readonly position: number;
  readonly rows: number;
  readonly ndjson: Buffer<ArrayBuffer>;
}

/** The named columns of the first `rows` flights, in pieces of equal length. */
export async function* readFlights<Name extends keyof Flight>(
  rows: number,
  names: readonly Name[],
): AsyncGenerator<Pick<FlightColumns, Name>> {
  const file = await openParquet(fileURLToPath(path), { columns: names, rows });
  for await (const { columns } of file.pieces) {
    yield Object.fromEntries(columns) as Pick<FlightColumns, Name>;
  }
}

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
