// Hours of airports: what left each airport in every hour, the ten worst airports of every six
// hours, and the sessions of delays on each route, by the times the flights were scheduled for.
//   E1. A flight is reported when its delay is known, so it comes that much out of order. Event time
//       is twelve hours behind the latest scheduled departure that was reported, in whole hours.
//   E2. A flight is late when its hour is over. As event time goes in whole hours and stands right
//       behind the flight that raised it, which ones are late follows from the order of the reports.

import {
  avg,
  count,
  countIf,
  defineJob,
  max,
  outputTag,
  rows,
  session,
  sliding,
  table,
  topic,
  tumbling,
  watermarks,
} from "tidemark";

/** A domestic flight of the United States, when its delay is known. */
export interface Flight {
  readonly id: number;
  /** Scheduled departure, in milliseconds since the Unix epoch. */
  readonly date: number;
  /** Minutes late; negative where early. */
  readonly delay: number;
  /** Airports by IATA code. */
  readonly origin: string;
  readonly destination: string;
}

/** Flights of six hours that an airport needs to be among the worst. */
const busyMin = 20;
const worstShown = 10;

/** Minutes from which on a flight counts as delayed. */
const delayMin = 15;

const hour = 3_600_000;

/** Twelve hours behind the latest departure, in whole hours (E1). */
const behindReports = watermarks({
  timestamp: (flight: Flight) => flight.date,
  create: () => 0,
  onRow: (latest: number, date) => Math.max(latest, date),
  watermark: (latest) => latest - (latest % hour) - 12 * hour - 1,
  punctuated: true,
});

const late = outputTag<Flight>("late");

// What is three hours behind the flight before it begins a session, as departures are at whole minutes:
// whether one that merely touches a session joins it would depend on whether that is over by then.
const quiet = 3 * hour - 1;

export const airportHours = defineJob(
  "airport-hours",
  (env) => {
    // One partition, read by one subtask: the reports stay in their order (E2).
    const reports = topic<Flight>("reports", { partitions: 1 });
    const flights = env.from(reports, {
      uid: "reports",
      parallelism: 1,
      watermarks: behindReports,
    });
    const byAirport = flights.keyBy("origin");

    const hours = byAirport
      .window(tumbling("1h"))
      .lateOutput(late)
      .aggregate(
        {
          flights: count(),
          delayed: countIf((flight) => flight.delay >= delayMin),
          meanDelay: avg("delay"),
          worst: max("delay"),
        },
        { uid: "hours" },
      );
    hours.to(table("airport-hours", { key: (row) => [row.key, row.windowStart] }), {
      uid: "airport-hours",
    });
    hours.sideOutput(late).to(table("late-flights", { key: ({ id }) => id }), {
      uid: "late-flights",
    });

    byAirport
      .window(sliding("6h", "1h"))
      .aggregate({ flights: count(), meanDelay: avg("delay") }, { uid: "six-hours" })
      .filter(({ flights }) => flights >= busyMin, { uid: "busy" })
      .keyBy("windowStart")
      .window(tumbling("1h"))
      .process(
        {
          emits: rows<WorstAirport>(),
          process({ key: windowStart, emit }, airports) {
            airports
              .toSorted((a, b) => b.meanDelay - a.meanDelay || (a.key < b.key ? -1 : 1))
              .slice(0, worstShown)
              .forEach(({ key: airport, flights, meanDelay }, at) => {
                emit({ windowStart, rank: at + 1, airport, flights, meanDelay });
              });
          },
        },
        { uid: "worst" },
      )
      .to(table("worst-airports", { key: (row) => [row.windowStart, row.rank] }), {
        uid: "worst-airports",
      });

    // A flight that comes when its session was told would begin a second one in the same hours.
    flights
      .keyBy("origin", "destination")
      .process(
        {
          state: {},
          emits: rows<Flight>(),
          process(flight, { timers, emit }) {
            if (flight.delay >= delayMin && flight.date > timers.currentWatermark()) emit(flight);
          },
        },
        { uid: "delayed" },
      )
      .keyBy("origin", "destination")
      .window(session(quiet))
      .aggregate(
        { flights: count(), meanDelay: avg("delay"), worst: max("delay") },
        { uid: "sessions" },
      )
      .to(table("delayed-sessions", { key: (row) => [...row.key, row.windowStart] }), {
        uid: "delayed-sessions",
      });
  },
  { parallelism: 4, checkpointing: { interval: "1s" } },
);

/** One of the ten airports with the greatest mean delay in six hours. */
export interface WorstAirport {
  /** The six hours begin then. */
  readonly windowStart: number;
  readonly rank: number;
  readonly airport: string;
  readonly flights: number;
  readonly meanDelay: number;
}
