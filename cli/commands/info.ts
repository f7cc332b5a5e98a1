// What an operator looks at first: state, checkpoints and their age, vertices, failures.

import { Command } from "commander";

import type { Checkpoints, Exceptions, JobDetails, Vertex } from "../api.ts";
import { findJob } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import {
  bold,
  bytesText,
  type Column,
  dim,
  durationText,
  printable,
  printJson,
  stateStyle,
  tableOf,
  timeText,
  whole,
} from "../output.ts";

const failuresShown = 5;

const columns: readonly Column[] = [
  { title: "VERTEX" },
  { title: "STATE" },
  { title: "SUBTASKS", align: "right" },
  { title: "RECORDS IN", align: "right" },
  { title: "RECORDS OUT", align: "right" },
];

export const infoCommand = (interrupted: AbortSignal): Command =>
  new Command("info")
    .description("show a job: state, attempt, checkpoints, vertices, failures")
    .argument("<job>", "its id, or the beginning of it")
    .action(async (text: string, _, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const id = await findJob(api, text);
      const [job, checkpoints, exceptions] = await Promise.all([
        api.job(id),
        api.checkpoints(id),
        api.exceptions(id),
      ]);
      if (isJson) printJson({ job, checkpoints, exceptions });
      else console.log(page(job, checkpoints, exceptions));
    });

function page(job: JobDetails, checkpoints: Checkpoints, { exceptionHistory }: Exceptions): string {
  const facts = [
    `${bold(printable(job.name))}  ${job.jid}  ${stateStyle(job.state)}`,
    `started      ${timeText(job["start-time"])}, for ${durationText(job.duration)}; attempt ${job.attempt}`,
    `checkpoints  ${checkpointLine(checkpoints, job.now)}`,
  ];
  const failures = exceptionHistory.entries;
  const shown = failures
    .slice(0, failuresShown)
    .map(({ timestamp, taskName, stacktrace }) =>
      [`${dim(timeText(timestamp))}`, taskName ?? "the job", stacktrace.split("\n", 1)[0]!]
        .map((part, i) => (i === 0 ? part : printable(part)))
        .join("  "),
    );
  const more =
    failures.length > failuresShown ? [dim(`"tidemark exceptions ${job.jid}" shows all.`)] : [];
  return [
    ...facts,
    "",
    tableOf(columns, job.vertices.map(rowOf)),
    ...(shown.length > 0 ? ["", bold("Failures, newest first"), ...shown, ...more] : []),
  ].join("\n");
}

function checkpointLine({ counts, latest }: Checkpoints, now: number): string {
  const { completed, failed, in_progress } = counts;
  const all = `${whole(completed)} completed, ${whole(failed)} failed, ${in_progress} in progress`;
  if (latest.completed === null) return all;
  const { id, latest_ack_timestamp, state_size, end_to_end_duration } = latest.completed;
  const age = durationText(Math.max(0, now - latest_ack_timestamp));
  return `${all}; ${id} is ${age} old, ${bytesText(state_size)} in ${durationText(end_to_end_duration)}`;
}

const rowOf = ({ name, status, parallelism, tasks, metrics }: Vertex): string[] => [
  name,
  status,
  `${tasks["RUNNING"] ?? 0}/${parallelism}`,
  metrics["read-records-complete"] ? whole(metrics["read-records"]) : "-",
  metrics["write-records-complete"] ? whole(metrics["write-records"]) : "-",
];
