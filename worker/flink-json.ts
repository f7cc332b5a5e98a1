// Jobs and checkpoints in the words of Flink's REST API: pure, from the facts of
// `format/job-status.ts`.
//   F1. Every numeric and boolean field of a schema is present; -1 stands for "not yet", 0 in a map
//       of timestamps. Flink's clients refuse a missing one.
//   F2. `health` is the one field that Flink does not have.
//   F3. Fields for what does not exist here (buffered alignment bytes, savepoint formats …) carry
//       the value by which Flink says "none"; those for what nobody measures, the one by which it
//       says "not known".

import { percentilesOf } from "../coordinator/checkpoint-totals.ts";
import type { JobConfig } from "../format/config.ts";
import { taskKey } from "../format/ids.ts";
import {
  type CheckpointOverview,
  type CheckpointRecord,
  type CompletedCheckpoint as CompletedRecord,
  type FailedCheckpoint as FailedRecord,
  type JobDetails,
  type JobHealth,
  jobStatuses,
  type TaskPhase,
  taskPhases,
  type TaskStatus,
  type Total,
} from "../format/job-status.ts";
import type { JobPhase, JobSummary } from "../format/messages.ts";
import { isInSavepoint } from "../format/paths.ts";
import { type ExecutionPlan, tasksOf, type VertexPlan } from "../format/plan.ts";
import type {
  Checkpoint,
  CheckpointingStatistics,
  CompletedCheckpoint,
  Exceptions,
  FailedCheckpoint,
  Health,
  IoMetrics,
  JobDetailsInfo,
  JobOverviewItem,
  Plan,
  Statistics,
  TaskCheckpoint,
} from "./contract/flink-schemas.ts";

export const notYet = -1;
/** Of numbers that nobody here measures. */
export const notKnown = -1;

/** What the subtasks of a job are that are not running, as far as its phase tells. */
const phaseOfOthers = {
  INITIALIZING: "CREATED",
  RUNNING: "INITIALIZING",
  RESTARTING: "CREATED",
  FAILING: "CANCELING",
  FAILED: "FAILED",
  CANCELLING: "CANCELING",
  CANCELED: "CANCELED",
  FINISHED: "FINISHED",
} as const satisfies Record<JobPhase, TaskPhase>;

// ---- Jobs

/** An element of `GET /jobs/overview`. `health`: absent where the coordinator did not answer. */
export function jobOverview(
  summary: JobSummary,
  health: JobHealth | undefined,
  now: number,
): JobOverviewItem {
  const { total, running } = summary.tasks;
  const tasks: Record<string, number> = Object.fromEntries(
    taskPhases.map((phase) => [phase.toLowerCase(), 0]),
  );
  tasks["running"] = running;
  const others = phaseOfOthers[summary.phase].toLowerCase();
  tasks[others] = (tasks[others] ?? 0) + total - running;
  return {
    jid: summary.job,
    name: summary.program,
    "start-time": summary.startTime,
    "end-time": summary.endTime,
    duration: durationOf(summary.startTime, summary.endTime, now),
    state: summary.phase,
    "last-modification": summary.lastModification,
    tasks: { ...tasks, total },
    health: healthInfo(health, now),
    "pending-operators": 0,
    jobType: "STREAMING",
    schedulerType: "Default",
  };
}

/** `GET /jobs/:jobid`. */
export function jobDetailsInfo(details: JobDetails, now: number): JobDetailsInfo {
  const { summary, plan } = details;
  const vertices = plan.vertices.map((vertex) => ({
    vertex,
    tasks: details.tasks.filter(({ task }) => task.vertex === vertex.id),
  }));
  return {
    jid: summary.job,
    name: summary.program,
    // Each run is an application of its own (applications.ts), under the job's id.
    "application-id": summary.job,
    isStoppable: false,
    state: summary.phase,
    "job-type": "STREAMING",
    schedulerType: "Default",
    "start-time": summary.startTime,
    "end-time": summary.endTime,
    duration: durationOf(summary.startTime, summary.endTime, now),
    maxParallelism: plan.maxParallelism,
    now,
    timestamps: timestampsOf(details),
    vertices: vertices.map(({ vertex, tasks }) => vertexInfo(vertex, tasks, plan, now)),
    "status-counts": countPhases(vertices.map(({ tasks }) => vertexPhase(tasks))),
    plan: planInfo(summary.job, plan),
    health: healthInfo(details.health, now),
    "pending-operators": 0,
    // Ours; Flink's clients skip it.
    attempt: details.attempt,
  };
}

/** When each status was last entered; 0 where it never was. */
export function timestampsOf({ entered }: JobDetails): JobDetailsInfo["timestamps"] {
  const times: Readonly<Record<string, number>> = entered;
  return mapOf(jobStatuses, (status) => times[status] ?? 0);
}

/**
 * Ours, in the manner of Flink's. `healthy`: the next checkpoint is not overdue. `late`: it is.
 * `idle`: the job rests, with all it has done saved. `none`: nobody expects checkpoints, as they are
 * not periodic or the job has ended. `unknown`: its coordinator did not answer.
 */
export function healthInfo(health: JobHealth | undefined, now: number): Health {
  const { lastCheckpoint, dueBy } = health ?? {};
  return {
    status: health === undefined ? "unknown" : healthStatus(health, now),
    "last-checkpoint-age": lastCheckpoint === undefined ? null : Math.max(0, now - lastCheckpoint),
    "late-in": dueBy === undefined ? null : dueBy - now,
  };
}

function healthStatus({ isResting, dueBy }: JobHealth, now: number): Health["status"] {
  if (isResting) return "idle";
  if (dueBy === undefined) return "none";
  return now > dueBy ? "late" : "healthy";
}

/** What a summary alone tells; undefined where only the coordinator knows. */
export function healthOfSummary(summary: JobSummary): JobHealth | undefined {
  const { isResting, endTime, lastCheckpoint } = summary;
  if (!isResting && endTime === notYet) return undefined;
  return {
    ...(isResting && { isResting }),
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
  };
}

/** Failures shown where a request does not say how many. */
const exceptionsShown = 20;

/** `GET /jobs/:jobid/exceptions`, newest first. */
export function jobExceptionsInfo(
  { plan, failures }: JobDetails,
  most: number = exceptionsShown,
): Exceptions {
  const names = new Map(
    plan.vertices.map(({ id, name, parallelism }) => [id, { name, parallelism }]),
  );
  const entries = failures.slice(0, most).map(({ at, task, name, message, stack }) => {
    const vertex = task && names.get(task.vertex);
    return {
      timestamp: at,
      exceptionName: name,
      stacktrace: stack ?? `${name}: ${message}`,
      taskName: vertex ? `${vertex.name} (${task.index + 1}/${vertex.parallelism})` : null,
      endpoint: null,
      taskManagerId: null,
      failureLabels: {},
      concurrentExceptions: [],
    };
  });
  return { exceptionHistory: { entries, truncated: failures.length > most } };
}

function vertexInfo(
  vertex: VertexPlan,
  tasks: readonly TaskStatus[],
  plan: ExecutionPlan,
  now: number,
): JobDetailsInfo["vertices"][number] {
  const { start, end } = spanOf(tasks);
  return {
    id: vertex.id,
    // No two subtasks share a slot: each is an object of its own.
    slotSharingGroupId: vertex.id,
    name: vertex.name,
    maxParallelism: plan.maxParallelism,
    parallelism: vertex.parallelism,
    status: vertexPhase(tasks),
    "start-time": start,
    "end-time": end,
    duration: durationOf(start, end, now),
    tasks: countPhases(tasks.map(({ phase }) => phase)),
    metrics: ioMetrics(tasks),
  };
}

/** From the first start to the last end, of subtasks that have all ended. */
export function spanOf(tasks: readonly TaskStatus[]): {
  readonly start: number;
  readonly end: number;
} {
  const starts = tasks.flatMap(({ started }) => started ?? []);
  const ends = tasks.flatMap(({ ended }) => ended ?? []);
  return {
    start: starts.length > 0 ? Math.min(...starts) : notYet,
    end: ends.length > 0 && ends.length === tasks.length ? Math.max(...ends) : notYet,
  };
}

export function ioMetrics(tasks: readonly TaskStatus[]): IoMetrics {
  const known = tasks.flatMap(({ metrics }) => metrics ?? []);
  const complete = known.length === tasks.length;
  return {
    "read-bytes": sum(known.map(({ bytesIn }) => bytesIn)),
    "read-bytes-complete": complete,
    "write-bytes": sum(known.map(({ bytesOut }) => bytesOut)),
    "write-bytes-complete": complete,
    "read-records": sum(known.map(({ recordsIn }) => recordsIn)),
    "read-records-complete": complete,
    "write-records": sum(known.map(({ recordsOut }) => recordsOut)),
    "write-records-complete": complete,
    // Not of Flink's schema: rows that user code threw on, where that does not fail the job.
    "dropped-records": sum(known.map(({ recordsDropped }) => recordsDropped)),
    "dead-letter-records": sum(known.map(({ recordsDeadLettered }) => recordsDeadLettered)),
    "accumulated-backpressured-time": sum(known.map((one) => one.backPressuredTime)),
    "accumulated-idle-time": 0,
    "accumulated-busy-time": 0,
  };
}

/** One state for all subtasks of a vertex: the first of these that any has, as Flink has it. */
export function vertexPhase(tasks: readonly TaskStatus[]): TaskPhase {
  const phases = new Set(tasks.map(({ phase }) => phase));
  const telling = ["FAILED", "CANCELING", "CANCELED", "INITIALIZING", "RUNNING"] as const;
  const found = telling.find((phase) => phases.has(phase));
  if (found !== undefined) return found;
  if (phases.has("FINISHED")) return phases.size === 1 ? "FINISHED" : "RUNNING";
  return phases.has("DEPLOYING") ? "DEPLOYING" : "CREATED";
}

export const countPhases = (phases: readonly TaskPhase[]): Record<TaskPhase, number> =>
  mapOf(taskPhases, (phase) => phases.filter((one) => one === phase).length);

export function planInfo(jid: string, plan: ExecutionPlan): Plan {
  return {
    jid,
    name: plan.program,
    type: "STREAMING",
    nodes: plan.vertices.map((vertex) => ({
      id: vertex.id,
      parallelism: vertex.parallelism,
      operator: "",
      operator_strategy: "",
      description: escapeHtml(vertex.name),
      optimizer_properties: {},
      inputs: plan.edges
        .filter((edge) => edge.to === vertex.id)
        .map((edge, num) => ({
          num,
          id: edge.from,
          ship_strategy: edge.partitioning.toUpperCase(),
          exchange: "pipelined_bounded",
          // Not of Flink's schema.
          ...(edge.tag !== undefined && { side_output: edge.tag }),
        })),
    })),
  };
}

// ---- Checkpoints

/** `GET /jobs/:jobid/checkpoints`. */
export function checkpointingStatistics(overview: CheckpointOverview): CheckpointingStatistics {
  const { counts, latest, history } = overview;
  return {
    counts: {
      restored: counts.restored,
      total: counts.completed + counts.failed + counts.pending,
      in_progress: counts.pending,
      completed: counts.completed,
      failed: counts.failed,
    },
    summary: summaryOf(overview),
    latest: {
      completed: latest.completed === undefined ? null : completed(latest.completed, overview),
      savepoint: latest.savepoint === undefined ? null : completed(latest.savepoint, overview),
      failed: latest.failed === undefined ? null : failed(latest.failed, overview),
      restored:
        latest.restored === undefined
          ? null
          : {
              id: latest.restored.id,
              restore_timestamp: latest.restored.at,
              is_savepoint: isInSavepoint(latest.restored.path),
              external_path: latest.restored.path,
            },
    },
    history: history.map((checkpoint) => checkpointStatistics(checkpoint, overview)),
  };
}

/** One checkpoint, as the history shows it: without what became of it in each vertex. */
export function checkpointStatistics(
  checkpoint: CheckpointRecord,
  overview: CheckpointOverview,
): Checkpoint {
  if (isCompleted(checkpoint)) return completed(checkpoint, overview);
  if (isFailed(checkpoint)) return failed(checkpoint, overview);
  return { className: "in_progress", ...commonOf(checkpoint, overview) };
}

const isCompleted = (record: CheckpointRecord): record is CompletedRecord =>
  record.outcome.kind === "completed";

const isFailed = (record: CheckpointRecord): record is FailedRecord =>
  record.outcome.kind === "failed";

function completed(checkpoint: CompletedRecord, overview: CheckpointOverview): CompletedCheckpoint {
  const { path, discarded } = checkpoint.outcome;
  const common = commonOf(checkpoint, overview);
  return { className: "completed", ...common, external_path: path, discarded };
}

function failed(checkpoint: FailedRecord, overview: CheckpointOverview): FailedCheckpoint {
  const { at, message } = checkpoint.outcome;
  const common = commonOf(checkpoint, overview);
  return { className: "failed", ...common, failure_timestamp: at, failure_message: message };
}

const commonOf = (
  checkpoint: CheckpointRecord,
  { plan, config }: CheckpointOverview,
): Omit<Extract<Checkpoint, { className: "in_progress" }>, "className"> => ({
  ...taskCheckpoint(checkpoint, tasksOf(plan).length),
  is_savepoint: checkpoint.isSavepoint === true,
  savepointFormat: checkpoint.isSavepoint === true ? "CANONICAL" : null,
  trigger_timestamp: checkpoint.triggered,
  checkpoint_type: typeOf(checkpoint, config),
  tasks: {},
});

// A savepoint's barriers never overtake.
function typeOf({ isSavepoint }: CheckpointRecord, { checkpointing }: JobConfig) {
  if (isSavepoint === true) return "SAVEPOINT";
  return checkpointing.unaligned ? "UNALIGNED_CHECKPOINT" : "CHECKPOINT";
}

const statuses = { pending: "IN_PROGRESS", completed: "COMPLETED", failed: "FAILED" } as const;

/** What is said alike of a checkpoint and of one vertex' part in it: the acknowledgements tell. */
export function taskCheckpoint(checkpoint: CheckpointRecord, subtasks: number): TaskCheckpoint {
  return {
    id: checkpoint.id,
    status: statuses[checkpoint.outcome.kind],
    latest_ack_timestamp: latestAck(checkpoint),
    checkpointed_size: checkpointedSize(checkpoint),
    state_size: stateSize(checkpoint),
    end_to_end_duration: endToEndDuration(checkpoint),
    alignment_buffered: 0,
    processed_data: notKnown,
    persisted_data: notKnown,
    num_subtasks: subtasks,
    num_acknowledged_subtasks: new Set(checkpoint.acks.map(({ task }) => taskKey(task))).size,
  };
}

const latestAck = ({ acks }: CheckpointRecord): number =>
  Math.max(notYet, ...acks.map(({ at }) => at));

const checkpointedSize = ({ acks }: CheckpointRecord): number =>
  sum(acks.map(({ metrics }) => metrics.bytes));

const stateSize = ({ acks }: CheckpointRecord): number =>
  sum(acks.map(({ metrics }) => metrics.stateBytes));

function endToEndDuration(checkpoint: CheckpointRecord): number {
  const { outcome, triggered } = checkpoint;
  const end = outcome.kind === "failed" ? outcome.at : latestAck(checkpoint);
  return end === notYet ? notYet : Math.max(0, end - triggered);
}

/** What a checkpoint took and holds, as far as it was acknowledged. */
export const checkpointSizes = (checkpoint: CheckpointRecord) => ({
  duration: endToEndDuration(checkpoint),
  added: checkpointedSize(checkpoint),
  whole: stateSize(checkpoint),
});

/** Over the job's whole life; percentiles about, where the history has not all of its checkpoints. */
function summaryOf({ history, totals }: CheckpointOverview): CheckpointingStatistics["summary"] {
  const completed = history.filter(({ outcome }) => outcome.kind === "completed");
  const none = statistics([]);
  const over = (value: (checkpoint: CheckpointRecord) => number, total?: Total): Statistics => {
    const known = statistics(completed.map(value));
    if (total === undefined || totals === undefined) return known;
    const { min, max } = total;
    const avg = Math.round(total.sum / totals.count);
    const all = totals.count > completed.length ? percentilesOf(total) : undefined;
    if (all === undefined) return { ...known, min, max, avg };
    const [p50, p90, p95, p99, p999] = all as [number, number, number, number, number];
    return { min, max, avg, p50, p90, p95, p99, p999 };
  };
  return {
    checkpointed_size: over(checkpointedSize, totals?.size),
    state_size: over(stateSize, totals?.state),
    end_to_end_duration: over(endToEndDuration, totals?.duration),
    alignment_buffered: none,
    processed_data: none,
    persisted_data: none,
  };
}

export function statistics(values: readonly number[]): Statistics {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (quantile: number): number => sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0;
  return {
    min: sorted[0] ?? 0,
    max: sorted.at(-1) ?? 0,
    avg: sorted.length === 0 ? 0 : Math.round(sum(sorted) / sorted.length),
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    p999: at(0.999),
  };
}

// ---- Small things

export const durationOf = (start: number, end: number, now: number): number =>
  start === notYet ? notYet : Math.max(0, (end === notYet ? now : end) - start);

export const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

/** Every one of `keys` with its value: a map without gaps. */
export const mapOf = <K extends string, V>(
  keys: readonly K[],
  valueOf: (key: K) => V,
): Record<K, V> => Object.fromEntries(keys.map((key) => [key, valueOf(key)])) as Record<K, V>;

// Flink escapes descriptions, and its dashboard undoes it.
const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
