// The flights as bodies of requests, in the order in which their delays were known: a flight is
// reported at the time it was scheduled for and the minutes that it was late. Of those reported at the
// same minute, the one that is first in the file is first.

import { readFlights } from "../flights/parquet.ts";
import type { FlightBody } from "../flights/producer.ts";
import type { Flight } from "./job.ts";

const minute = 60_000;

/** Of the first flights of the file; the place in the arrays is the place in the file. */
interface Flights {
  readonly date: Float64Array;
  readonly delay: Int32Array;
  readonly origin: string[];
  readonly destination: string[];
}

/** The first `rows` flights of the file as NDJSON, from the first report to the last. */
export async function* reportBodies(
  rows: number,
  { rowsPerBody }: { readonly rowsPerBody: number },
): AsyncGenerator<FlightBody> {
  const flights = await firstFlights(rows);
  const order = reported(flights);
  for (let position = 0; position < rows; position += rowsPerBody) {
    const ids = order.subarray(position, position + rowsPerBody);
    let lines = "";
    for (const id of ids) lines += JSON.stringify(flightAt(flights, id)) + "\n";
    yield { position, rows: ids.length, ndjson: Buffer.from(lines) };
  }
}

async function firstFlights(rows: number): Promise<Flights> {
  const flights: Flights = {
    date: new Float64Array(rows),
    delay: new Int32Array(rows),
    origin: [],
    destination: [],
  };
  for await (const piece of readFlights(rows, ["date", "delay", "origin", "destination"])) {
    const from = flights.origin.length;
    flights.date.set(piece.date, from);
    flights.delay.set(piece.delay, from);
    for (let i = 0; i < piece.date.length; i++) {
      flights.origin.push(piece.origin[i]!);
      flights.destination.push(piece.destination[i]!);
    }
  }
  return flights;
}

const flightAt = ({ date, delay, origin, destination }: Flights, id: number): Flight => ({
  id,
  date: date[id]!,
  delay: delay[id]!,
  origin: origin[id]!,
  destination: destination[id]!,
});

/** The places of the flights in the file, in the order of the reports: sorted by counting minutes. */
function reported({ date, delay }: Flights): Uint32Array {
  const minutes = Int32Array.from(date, (at, id) => at / minute + delay[id]!);
  const least = minutes.reduce((a, b) => Math.min(a, b));
  const most = minutes.reduce((a, b) => Math.max(a, b));
  // Of each minute, where in the order the next of its reports goes.
  const next = new Uint32Array(most - least + 2);
  for (const at of minutes) next[at - least + 1]!++;
  for (let at = 1; at < next.length; at++) next[at]! += next[at - 1]!;
  const order = new Uint32Array(minutes.length);
  minutes.forEach((at, id) => (order[next[at - least]!++] = id));
  return order;
}
