// Metrics as Prometheus reads them, under the names of Flink's own reporter: its scope in the name,
// and the variables of the scope as labels. What Flink has no name for begins with `tidemark_`.
//   O1. Samples of one name stand together, after one TYPE line.
//   O2. A job that rests is told by what the dispatcher knows: a scrape wakes no object.
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

import type { CheckpointOverview, JobDetails } from "../../format/job-status.ts";
import type { JobSummary } from "../../format/messages.ts";
import { taskManagerId } from "./deployment.ts";
import { deploymentMetrics, jobMetrics, taskMetrics } from "./metrics.ts";

export const prometheusType = "text/plain; version=0.0.4; charset=utf-8";

/** A job that has not ended, with what its coordinator says where it may be asked. */
export interface Scraped {
  readonly summary: JobSummary;
  readonly told?: { readonly details: JobDetails; readonly checkpoints: CheckpointOverview };
}

type Labels = Readonly<Record<string, string>>;

/** Metrics that only grow, until their subtask starts anew; the others go up and down. */
const counters = /(?:^num(?:Records|Bytes)(?!.*PerSecond$)|Restarts$)/;

/** Of ours among the metrics of subtasks. */
const own = new Set(["numRecordsDropped", "numRecordsDeadLettered"]);

/** All metrics of a deployment as text. */
export function prometheusText(
  jobs: readonly JobSummary[],
  scraped: readonly Scraped[],
  now: number,
): string {
  const samples = new Map<string, { readonly type: string; readonly lines: string[] }>();
  const add = (prefix: string, metric: string, labels: Labels, value: number | string): void => {
    // A path is no number, and stays out as it does in Flink.
    if (typeof value !== "number") return;
    const name = `${prefix}_${metric}`;
    const family = samples.get(name) ?? {
      type: counters.test(metric) ? "counter" : "gauge",
      lines: [],
    };
    family.lines.push(`${name}${labelsOf(labels)} ${value}`);
    samples.set(name, family);
  };

  for (const [metric, value] of deploymentMetrics(jobs)) add("flink_jobmanager", metric, {}, value);
  for (const { summary, told } of scraped) {
    const ofJob = { job_id: summary.job, job_name: summary.program };
    add("tidemark_job", "resting", ofJob, summary.isResting === true ? 1 : 0);
    if (summary.lastCheckpoint !== undefined) {
      add("tidemark_job", "lastCheckpointTimestamp", ofJob, summary.lastCheckpoint);
    }
    if (told === undefined) continue;
    for (const [metric, value] of jobMetrics(told.details, told.checkpoints, now)) {
      add("flink_jobmanager_job", metric, ofJob, value);
    }
    const names = new Map(told.details.plan.vertices.map(({ id, name }) => [id, name]));
    for (const task of told.details.tasks) {
      const { vertex, index } = task.task;
      const ofTask = {
        ...ofJob,
        tm_id: taskManagerId,
        task_id: vertex,
        task_name: names.get(vertex) ?? vertex,
        subtask_index: String(index),
      };
      for (const [metric, value] of taskMetrics(task)) {
        const prefix = own.has(metric) ? "tidemark_task" : "flink_taskmanager_job_task";
        add(prefix, metric, ofTask, value);
      }
    }
  }
  return [...samples]
    .map(([name, { type, lines }]) => `# TYPE ${name} ${type}\n${lines.join("\n")}\n`)
    .join("");
}

function labelsOf(labels: Labels): string {
  const entries = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return entries.length === 0 ? "" : `{${entries.join(",")}}`;
}

const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
