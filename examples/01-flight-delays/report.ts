// What the demo says: how far it is while it runs, and a page at the end.

import { fixed, megabytes, whole } from "../flights/figures.ts";
import type { Recovery, Rescaled } from "../flights/local-job.ts";
import type { DelaysRow } from "./reference.ts";
import type { Watch } from "./watch.ts";

/** What is said of it beside the rows that were sent. */
export const progressOf = ({ lastCompleted: checkpoint, counted }: Watch): string =>
  checkpoint === undefined
    ? "no checkpoint yet"
    : `checkpoint ${checkpoint}: ${whole(counted)} counted`;

/** What a run came to. */
export interface Result {
  readonly rows: number;
  /** From the first row sent until every row was in a completed checkpoint. */
  readonly seconds: number;
  readonly checkpointsCompleted: number;
  readonly checkpointBytes: number;
  readonly sentBytes: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly recoveries: readonly Recovery[];
  readonly rescales: readonly Rescaled[];
  readonly table: readonly DelaysRow[];
  /** Nothing where the job counted exactly what the file holds. */
  readonly differences: readonly string[];
}

const differencesShown = 10;
const worstShown = 10;

/** Airports with fewer of all flights are not among the worst: a mean of few says little. */
const worstShareMin = 1 / 10_000;

export function page(result: Result): string {
  const { rows, seconds, recoveries, rescales, differences } = result;
  const lines = [
    "",
    ...worstAirports(result),
    "",
    `rows         ${whole(rows)} in ${fixed(seconds)} s: ${whole(rows / seconds)} rows/s`,
    `sent         ${megabytes(result.sentBytes)} of NDJSON; ${whole(result.repeated)} requests repeated, ` +
      `${whole(result.duplicates)} of them recognised as kept already`,
    `checkpoints  ${whole(result.checkpointsCompleted)} completed, ${megabytes(result.checkpointBytes)} of state written`,
    ...recoveries.map(
      ({ seconds: took, restored, completed }) =>
        `recovery     ${fixed(took)} s from SIGKILL, by way of checkpoint ${restored}, to checkpoint ${completed} completed`,
    ),
    ...rescales.map(
      ({ seconds: took, parallelism }) =>
        `rescaled     to parallelism ${parallelism} in ${fixed(took)} s, from the request until all of it ran`,
    ),
  ];
  return [...lines, ...verdict(differences)].join("\n");
}

/** Whether it was exactly once, and otherwise what differs, as lines. */
export function verdict(differences: readonly string[]): string[] {
  if (differences.length === 0) return ["exactly once: yes"];
  const shown = differences.slice(0, differencesShown).map((difference) => `  ${difference}`);
  const more = differences.length - shown.length;
  const heading = `exactly once: no, ${whole(differences.length)} differences`;
  return [heading, ...shown, ...(more > 0 ? [`  and ${more} more`] : [])];
}

function worstAirports({ rows, table }: Result): string[] {
  const flightsMin = Math.ceil(rows * worstShareMin);
  const worst = table
    .filter(({ flights }) => flights >= flightsMin)
    .sort((a, b) => b.meanDelay - a.meanDelay)
    .slice(0, worstShown)
    .map(({ key, meanDelay, flights, delayed, worst }) =>
      [
        key.padEnd(8),
        fixed(meanDelay).padStart(10),
        whole(flights).padStart(9),
        `${Math.round((100 * delayed) / flights)} %`.padStart(8),
        `${whole(worst)} min`.padStart(10),
      ].join(" "),
    );
  return [
    `The ten worst airports by mean delay, of those with ${flightsMin} flights or more`,
    "airport  mean delay   flights  delayed      worst",
    ...worst,
  ];
}

/** The object of `--json`. */
export function summary({ rows, seconds, recoveries, rescales, ...result }: Result): object {
  return {
    exact: result.differences.length === 0,
    rows,
    seconds: Number(seconds.toFixed(3)),
    rowsPerSecond: Math.round(rows / seconds),
    checkpointsCompleted: result.checkpointsCompleted,
    kills: recoveries.length,
    recoverySeconds:
      recoveries.length === 0 ? null : Math.max(...recoveries.map((recovery) => recovery.seconds)),
    ...(rescales.length > 0 && {
      parallelisms: rescales.map(({ parallelism }) => parallelism),
      rescaleSeconds: Math.max(...rescales.map((rescale) => rescale.seconds)),
    }),
  };
}
