// What a job looks like from outside: the answers to whoever asks, from its record and from what is
// believed of its subtasks.

import { millis } from "../format/ids.ts";
import type {
  CheckpointOverview,
  CheckpointRecord,
  CompletedCheckpoint,
  FailedCheckpoint,
  JobDetails,
  JobHealth,
  TaskStatus,
} from "../format/job-status.ts";
import type { JobSummary } from "../format/messages.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { isTerminal, type JobRecord } from "./job-record.ts";
import { noRates } from "./rates.ts";
import type { Regions } from "./regions.ts";
import { statusOf } from "./rescales.ts";
import type { Subtasks } from "./subtasks.ts";

export function summaryOf(record: JobRecord, tasks: Subtasks): JobSummary {
  const { job, plan, phase, startTime, lastModification, entered } = record;
  const lastCheckpoint = record.checkpoints.retained[0]?.completedAt;
  return {
    job,
    program: plan.program,
    phase,
    startTime,
    endTime: isTerminal(phase) ? (entered[phase] ?? -1) : -1,
    lastModification,
    ...(record.restingSince !== undefined && { isResting: true }),
    ...(record.restore !== undefined && { begins: record.restore.path }),
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
    tasks: { total: tasks.all.length, running: tasks.inPhase("RUNNING").length },
  };
}

export function detailsOf(record: JobRecord, subtasks: Subtasks, regions: Regions): JobDetails {
  const { attempt, plan, config, entered, failures, phase, restingSince, rescales = [] } = record;
  const ended = isTerminal(phase) ? entered[phase] : undefined;
  const tasks = subtasks.states.map((state): TaskStatus => {
    const region = record.regions[regions.indexOf(state.task) ?? -1];
    const rates = restingSince === undefined ? state.rates : noRates(restingSince);
    return {
      task: state.task,
      phase: state.phase,
      attempt: region?.attempt ?? attempt,
      ...(state.phase !== "CREATED" && region !== undefined && { started: region.started }),
      ...(ended !== undefined && { ended }),
      ...(state.metrics !== undefined && { metrics: state.metrics }),
      ...(state.phase === "RUNNING" && rates !== undefined && { rates }),
    };
  });
  const summary = summaryOf(record, subtasks);
  return {
    summary,
    attempt,
    plan,
    config,
    ...(restingSince !== undefined && { restingSince }),
    health: healthOf(record),
    entered,
    tasks,
    failures,
    rescales: rescales.map(statusOf),
  };
}

/**
 * A checkpoint is late when interval (or pause) and timeout have passed since the last one was
 * complete, since the job woke up, or since it was submitted, whatever its phase: a job that is
 * restarted again and again is not well.
 */
export function healthOf(record: JobRecord): JobHealth {
  const { phase, config, checkpoints, restingSince, awakeSince = 0, startTime } = record;
  const { interval, minPause, timeout } = config.checkpointing;
  const lastCheckpoint = checkpoints.retained[0]?.completedAt;
  const isResting = restingSince !== undefined;
  const isDue = interval !== undefined && !isResting && !isTerminal(phase);
  const since = Math.max(lastCheckpoint ?? 0, awakeSince, startTime);
  return {
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
    ...(isResting && { isResting }),
    ...(isDue && { dueBy: millis(since + Math.max(interval, minPause) + timeout) }),
  };
}

export function overviewOf(record: JobRecord, checkpoints: Checkpoints): CheckpointOverview {
  const { plan, config, lastRestored } = record;
  const { history, ledger } = checkpoints;
  const completed = history.find((entry) => isCompleted(entry) && entry.isSavepoint !== true);
  const savepoint = history.find((entry) => isCompleted(entry) && entry.isSavepoint === true);
  const failed = history.find(isFailed);
  return {
    plan,
    config,
    counts: { ...ledger.counts, pending: ledger.open.length },
    latest: {
      ...(completed !== undefined && isCompleted(completed) && { completed }),
      ...(savepoint !== undefined && isCompleted(savepoint) && { savepoint }),
      ...(failed !== undefined && { failed }),
      ...(lastRestored !== undefined && { restored: lastRestored }),
    },
    ...(ledger.totals !== undefined && { totals: ledger.totals }),
    history,
  };
}

const isCompleted = (record: CheckpointRecord): record is CompletedCheckpoint =>
  record.outcome.kind === "completed";

const isFailed = (record: CheckpointRecord): record is FailedCheckpoint =>
  record.outcome.kind === "failed";
