// Delays by airport: how many flights left each, how many late, and how late on average and at
// worst. The first job to read: one topic, one filter, one keyed aggregate, one table.

import { avg, count, countIf, defineJob, max, table, topic } from "tidemark";

/** A domestic flight of the United States, as in vega-datasets' flights-3m.parquet. */
export interface Flight {
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

// prettier-ignore
export const flightDelays = defineJob("flight-delays", (env) => {
  env.from(topic<Flight>("flights"), { uid: "flights" })
    .filter((f) => f.origin !== f.destination, { uid: "real-flights" })
    .keyBy((f) => f.origin)
    .aggregate({
      flights: count(),
      delayed: countIf((f) => f.delay > 15),
      meanDelay: avg((f) => f.delay),
      worst: max((f) => f.delay),
    }, { uid: "by-origin" })
    .to(table("delays-by-origin"), { uid: "out" });
}, { parallelism: 4, checkpointing: { interval: "1s" } });
