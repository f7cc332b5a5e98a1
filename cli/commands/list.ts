// Jobs in two lists, as Flink's `flink list` has them: those that run, and those that have ended.

import { Command } from "commander";

import type { JobOverview } from "../api.ts";
import { hasEnded } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import { bold, type Column, durationText, printJson, tableOf, timeText } from "../output.ts";

const columns: readonly Column[] = [
  { title: "JOB" },
  { title: "PROGRAM" },
  { title: "STATE" },
  { title: "TASKS", align: "right" },
  { title: "STARTED" },
  { title: "DURATION", align: "right" },
];

interface Options {
  readonly running?: true;
  readonly ended?: true;
}

export const listCommand = (interrupted: AbortSignal): Command =>
  new Command("list")
    .description("list jobs, newest first")
    .option("-r, --running", "only those that have not ended")
    .option("-e, --ended", "only those that have ended")
    .action(async ({ running, ended }: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const { jobs } = await api.jobs();
      const lists = [
        {
          title: "Running jobs",
          jobs: jobs.filter((job) => !hasEnded(job)),
          isWanted: !ended || running,
        },
        { title: "Ended jobs", jobs: jobs.filter(hasEnded), isWanted: !running || ended },
      ].filter(({ isWanted }) => isWanted);
      if (isJson) return printJson({ jobs: lists.flatMap((list) => list.jobs) });
      console.log(lists.map(({ title, jobs: listed }) => section(title, listed)).join("\n\n"));
    });

function section(title: string, jobs: readonly JobOverview[]): string {
  if (jobs.length === 0) return `${bold(title)}: none`;
  return `${bold(title)}\n${tableOf(columns, jobs.map(rowOf))}`;
}

const rowOf = (job: JobOverview): string[] => [
  job.jid,
  job.name,
  job.state,
  `${job.tasks["running"] ?? 0}/${job.tasks.total}`,
  timeText(job["start-time"]),
  durationText(job.duration),
];
