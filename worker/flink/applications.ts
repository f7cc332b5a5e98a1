// What Flink calls an application: a run of a `main`, with the jobs it starts. Here each run starts
// one job, so every job is an application of its own, under the job's id.

import type { JobDetails } from "../../format/job-status.ts";
import type { JobPhase, JobSummary } from "../../format/messages.ts";
import type {
  ApplicationDetails,
  Applications,
  JobOverviewItem,
} from "../contract/flink-schemas.ts";
import { durationOf, jobExceptionsInfo, jobOverview, mapOf, timestampsOf } from "../flink-json.ts";

/** Flink's states of an application, which never restarts. */
const applicationStates = [
  "CREATED",
  "RUNNING",
  "FINISHED",
  "CANCELING",
  "CANCELED",
  "FAILING",
  "FAILED",
] as const;

const stateOf = {
  INITIALIZING: "CREATED",
  RUNNING: "RUNNING",
  RESTARTING: "RUNNING",
  FAILING: "FAILING",
  FAILED: "FAILED",
  CANCELLING: "CANCELING",
  CANCELED: "CANCELED",
  FINISHED: "FINISHED",
} as const satisfies Record<JobPhase, (typeof applicationStates)[number]>;

const common = ({ job, program, phase, startTime, endTime }: JobSummary, now: number) => ({
  id: job,
  name: program,
  status: stateOf[phase],
  "start-time": startTime,
  "end-time": endTime,
  duration: durationOf(startTime, endTime, now),
});

/** An element of `GET /applications/overview`. */
export const applicationOverview = (
  summary: JobSummary,
  now: number,
): Applications["applications"][number] => ({
  ...common(summary, now),
  jobs: { [summary.phase]: 1 },
});

/** `GET /applications/:applicationid`. */
export function applicationDetails(details: JobDetails, now: number): ApplicationDetails {
  const { summary, health } = details;
  const jobs: JobOverviewItem[] = [jobOverview(summary, health, now)];
  const entered = timestampsOf(details);
  const phases = Object.keys(stateOf) as JobPhase[];
  const timestamps = mapOf(applicationStates, (state) =>
    Math.max(0, ...phases.filter((phase) => stateOf[phase] === state).map((one) => entered[one])),
  );
  return { ...common(summary, now), timestamps, jobs };
}

/** `GET /applications/:applicationid/exceptions`. */
export function applicationExceptions(details: JobDetails) {
  const { entries } = jobExceptionsInfo(details).exceptionHistory;
  return {
    exceptionHistory: {
      entries: entries.map(({ exceptionName, stacktrace, timestamp }) => ({
        exceptionName,
        stacktrace,
        timestamp,
        jobId: details.summary.job,
      })),
    },
  };
}
