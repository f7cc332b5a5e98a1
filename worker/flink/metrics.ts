// Metrics under Flink's names, as its REST API lists and aggregates them. Only what the coordinator
// and the dispatcher are told is here, and what follows from two times that they were.
//   G1. What is not known has no metric, rather than one of zero: a subtask that has not told anything
//       yet has no counts, and no rates until it has told them twice. How busy or idle it is nobody
//       can know: the clock stands still while code runs.

import { endOfTimeMetric } from "../../format/frame.ts";
import type {
  CheckpointOverview,
  CheckpointRecord,
  JobDetails,
  TaskRates,
  TaskStatus,
} from "../../format/job-status.ts";
import type { JobPhase, JobSummary, TaskMetrics } from "../../format/messages.ts";
import {
  type Aggregation,
  aggregations,
  type AggregatedMetrics,
  type MetricCollection,
} from "../contract/flink-schemas.ts";
import { clusterOverview } from "./deployment.ts";
import { checkpointSizes, notYet, sum } from "../flink-json.ts";

export type Metrics = ReadonlyMap<string, number | string>;

/** Of one subtask, in this attempt. */
export function taskMetrics({ metrics, rates }: TaskStatus): Metrics {
  return new Map([...(metrics ? countsOf(metrics) : []), ...(rates ? ratesOf(rates) : [])]);
}

const countsOf = (metrics: TaskMetrics): [string, number][] => [
  ["numRecordsIn", metrics.recordsIn],
  ["numRecordsOut", metrics.recordsOut],
  ["numBytesIn", metrics.bytesIn],
  ["numBytesOut", metrics.bytesOut],
  ...timesOf(metrics),
  ...pendingOf(metrics),
  // Ours.
  ["numRecordsDropped", metrics.recordsDropped],
  ["numRecordsDeadLettered", metrics.recordsDeadLettered],
];

/** Where there is no event time there is no such metric; that of a watermark tells it from 0. */
function timesOf(metrics: TaskMetrics): [string, number][] {
  const { inputWatermark, outputWatermark, watermarkLag, lateRecordsDropped = 0 } = metrics;
  const { watermarkAlignmentDrift: drift } = metrics;
  if (inputWatermark === undefined && outputWatermark === undefined) return [];
  return [
    ...(inputWatermark === undefined ? [] : [["currentInputWatermark", inputWatermark] as const]),
    ...(outputWatermark === undefined
      ? []
      : [["currentOutputWatermark", outputWatermark] as const]),
    ...(watermarkLag === undefined ? [] : [["watermarkLag", watermarkLag] as const]),
    ...(drift === undefined ? [] : [["watermarkAlignmentDrift", drift] as const]),
    ["numLateRecordsDropped", lateRecordsDropped] as const,
  ].map(([id, value]) => [id, value]);
}

/** Of a source that reads a topic. */
const pendingOf = ({ pendingRecords }: TaskMetrics): [string, number][] =>
  pendingRecords === undefined ? [] : [["pendingRecords", pendingRecords]];

/** Flink's last watermark is one that no number of JavaScript is. */
const timeText = (time: number): string =>
  time === endOfTimeMetric ? "9223372036854775807" : String(time);

/** Flink's answer about the watermarks of a vertex. */
export const vertexWatermarks = (tasks: readonly TaskStatus[]): MetricCollection =>
  tasks.flatMap(({ task, metrics }) =>
    metrics?.inputWatermark === undefined
      ? []
      : [{ id: `${task.index}.currentInputWatermark`, value: timeText(metrics.inputWatermark) }],
  );

const ratesOf = (rates: TaskRates): [string, number][] => [
  ["numRecordsInPerSecond", rates.recordsIn],
  ["numRecordsOutPerSecond", rates.recordsOut],
  ["numBytesInPerSecond", rates.bytesIn],
  ["numBytesOutPerSecond", rates.bytesOut],
  ["backPressuredTimeMsPerSecond", Math.round(rates.backPressured)],
];

/** Of a vertex: those of its subtasks, each after the subtask's index. */
export const vertexMetrics = (tasks: readonly TaskStatus[]): Metrics =>
  new Map(
    tasks.flatMap((task) =>
      [...taskMetrics(task)].map(([id, value]) => [`${task.task.index}.${id}`, value] as const),
    ),
  );

/** The phases in which Flink tells how long a job has been in it, 0 while it is in another. */
const timed = {
  initializingTime: "INITIALIZING",
  runningTime: "RUNNING",
  restartingTime: "RESTARTING",
  failingTime: "FAILING",
  cancellingTime: "CANCELLING",
} as const satisfies Readonly<Record<string, JobPhase>>;

/** Of a job, without what its subtasks have. */
export function jobMetrics(
  details: JobDetails,
  { counts, latest }: CheckpointOverview,
  now: number,
): Metrics {
  const { phase, endTime } = details.summary;
  const since = (one: JobPhase): number =>
    phase === one ? Math.max(0, now - (details.entered[one] ?? now)) : 0;
  const hasEnded = endTime !== notYet;
  const { completed, restored } = latest;
  return new Map<string, number | string>([
    ["numRestarts", details.attempt - 1],
    ["fullRestarts", details.attempt - 1],
    ["uptime", hasEnded ? notYet : since("RUNNING")],
    ["downtime", hasEnded ? notYet : since("RESTARTING")],
    ...Object.entries(timed).map(([id, one]) => [id, since(one)] as const),
    ["totalNumberOfCheckpoints", counts.completed + counts.failed + counts.pending],
    ["numberOfInProgressCheckpoints", counts.pending],
    ["numberOfCompletedCheckpoints", counts.completed],
    ["numberOfFailedCheckpoints", counts.failed],
    ["lastCheckpointRestoreTimestamp", restored?.at ?? notYet],
    ...(completed === undefined ? [] : lastCheckpoint(completed, completed.outcome.path)),
  ]);
}

function lastCheckpoint(checkpoint: CheckpointRecord, path: string): [string, number | string][] {
  const { duration, added, whole } = checkpointSizes(checkpoint);
  return [
    ["lastCompletedCheckpointId", checkpoint.id],
    ["lastCheckpointDuration", duration],
    ["lastCheckpointSize", added],
    ["lastCheckpointFullSize", whole],
    ["lastCheckpointExternalPath", path],
  ];
}

/** Of the deployment, as of a JobManager. */
export function deploymentMetrics(jobs: readonly JobSummary[]): Metrics {
  const overview = clusterOverview(jobs);
  return new Map([
    ["numRunningJobs", overview["jobs-running"]],
    ["numRegisteredTaskManagers", overview.taskmanagers],
    ["taskSlotsTotal", overview["slots-total"]],
    ["taskSlotsAvailable", overview["slots-available"]],
  ]);
}

/** Without `get` the names there are; with it the values of those that there are. */
export function collected(metrics: Metrics, get: readonly string[] | undefined): MetricCollection {
  if (get === undefined || get.length === 0) return [...metrics.keys()].map((id) => ({ id }));
  return [...new Set(get)].flatMap((id) => {
    const value = metrics.get(id);
    return value === undefined ? [] : [{ id, value: String(value) }];
  });
}

export interface Asked {
  readonly get?: readonly string[] | undefined;
  readonly agg?: readonly Aggregation[] | undefined;
}

/** Without `get` the names that any of `all` has; with it, those that are numbers, as aggregates. */
export function aggregated(
  all: readonly Metrics[],
  { get = [], agg = aggregations }: Asked,
): AggregatedMetrics {
  if (get.length === 0) {
    return [...new Set(all.flatMap((metrics) => [...metrics.keys()]))].map((id) => ({ id }));
  }
  return [...new Set(get)].flatMap((id) => {
    const values = all
      .map((metrics) => metrics.get(id))
      .filter((value) => typeof value === "number");
    if (values.length === 0) return [];
    const computed = aggregates(values);
    return [{ id, ...Object.fromEntries(agg.map((name) => [name, computed[name]])) }];
  });
}

function aggregates(values: readonly number[]): Record<Aggregation, number> {
  const total = sum(values);
  const avg = total / values.length;
  const deviation = sum(values.map((value) => Math.abs(value - avg))) / values.length;
  return {
    min: Math.min(...values),
    max: Math.max(...values),
    avg,
    sum: total,
    // Flink's measure: the mean deviation as a percentage of the mean, and no more than all of it.
    skew: avg === 0 ? 0 : Math.min(100, (deviation / avg) * 100),
  };
}
