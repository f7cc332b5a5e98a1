// The flights of vega-datasets' flights-3m.parquet, a row group at a time so that memory holds a
// tenth of them.

import { fileURLToPath } from "node:url";

import { openParquet } from "../../cli/ingest/parquet.ts";

// The package exports its module alone; the data is beside it.
const path = new URL("../data/flights-3m.parquet", import.meta.resolve("vega-datasets"));

export const flightsPath = fileURLToPath(path);

/** Flights in the file. */
export const flightsMax = 3_000_000;

/** A domestic flight of the United States in the first half of 2001, as the file has it. */
interface Flight {
  /** Scheduled departure, in milliseconds since the Unix epoch. */
  readonly date: number;
  /** Minutes late; negative where early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  /** Airports by IATA code. */
  readonly origin: string;
  readonly destination: string;
}

export type FlightColumns = { readonly [Name in keyof Flight]: ArrayLike<Flight[Name]> };

/** The named columns of the first `rows` flights, in pieces of equal length. */
export async function* readFlights<Name extends keyof Flight>(
  rows: number,
  names: readonly Name[],
): AsyncGenerator<Pick<FlightColumns, Name>> {
  const file = await openParquet(flightsPath, { columns: names, rows });
  for await (const { columns } of file.pieces) {
    yield Object.fromEntries(columns) as Pick<FlightColumns, Name>;
  }
}
