// How fast the counts of a subtask grow, by what it told at two times.
//   R1. Both reports are of one attempt, in which counts only grow. Nothing of this is persisted: a
//       coordinator that lost its memory knows no rate before it has heard twice.
//   R2. The two are not closer than `spanMin`: the answers to notifications come at any time, and a
//       rate over a few milliseconds says nothing.
//   R3. The times are those at which the answers came. They may be late, and overtake one another, so
//       no rate is below zero, and nobody was back-pressured for more than all of the time.

import type { Millis } from "../format/ids.ts";
import type { TaskRates } from "../format/job-status.ts";
import { heartbeatInterval } from "../format/limits.ts";
import type { TaskMetrics } from "../format/messages.ts";

/** Milliseconds. Half of what is between two heartbeats: one may be answered late, and the next early. */
const spanMin = heartbeatInterval / 2;

const second = 1_000;

/** What a subtask told, and when. */
export interface Report {
  readonly at: Millis;
  readonly metrics: TaskMetrics;
}

/** Undefined where they are too close to tell (R2). */
export function ratesBetween(from: Report, to: Report): TaskRates | undefined {
  const span = to.at - from.at;
  if (span < spanMin) return undefined;
  const perSecond = (of: (metrics: TaskMetrics) => number): number =>
    (Math.max(0, of(to.metrics) - of(from.metrics)) * second) / span;
  return {
    at: to.at,
    recordsIn: perSecond(({ recordsIn }) => recordsIn),
    recordsOut: perSecond(({ recordsOut }) => recordsOut),
    bytesIn: perSecond(({ bytesIn }) => bytesIn),
    bytesOut: perSecond(({ bytesOut }) => bytesOut),
    backPressured: Math.min(
      second,
      perSecond(({ backPressuredTime }) => backPressuredTime),
    ),
  };
}

/** Of a job that rests. */
export const noRates = (at: Millis): TaskRates => ({
  at,
  recordsIn: 0,
  recordsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  backPressured: 0,
});
