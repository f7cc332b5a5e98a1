// What a job was told to be and how it ended, in the words of Flink's REST API. What it is and does is
// in `flink-json.ts`.

import type { RestartConfig } from "../../format/config.ts";
import type { JobDetails } from "../../format/job-status.ts";
import type { JobPhase } from "../../format/messages.ts";
import { flinkConfigurationOf } from "../../stream/config.ts";
import { shownParameters } from "../../stream/parameters.ts";
import type { ExecutionResult, JobConfigInfo } from "../contract/flink-schemas.ts";
import { durationOf } from "../flink-json.ts";
import { causeOf } from "./serialized-throwable.ts";

/** `GET /jobs/:jobid/config`. What Flink shows of user code's own settings, is here all there are. */
export const jobConfigInfo = ({ summary, config }: JobDetails): JobConfigInfo => ({
  jid: summary.job,
  name: summary.program,
  "execution-config": {
    "restart-strategy": restartText(config.restart),
    "job-parallelism": config.parallelism,
    "object-reuse-mode": false,
    "user-config": {
      ...flinkConfigurationOf(config),
      ...shownParameters(config.programArgs ?? []),
    },
  },
});

function restartText(restart: RestartConfig): string {
  switch (restart.strategy) {
    case "none":
      return "Restart deactivated.";
    case "fixed-delay":
      return `Restart with fixed delay (${restart.delay} ms). #${restart.attempts} restart attempts.`;
    case "failure-rate":
      return (
        `Failure rate restart with maximum of ${restart.maxFailures} failures within interval ` +
        `${restart.interval} ms and fixed delay ${restart.delay} ms.`
      );
    case "exponential-delay":
      return (
        `Restart with exponential delay: starting at ${restart.initialBackoff} ms, increasing by ` +
        `${restart.multiplier}, with maximum ${restart.maxBackoff} ms. Delay resets after ` +
        `${restart.resetThreshold} ms with jitter ${restart.jitter}.`
      );
  }
}

const outcomes: Partial<
  Record<JobPhase, NonNullable<ExecutionResult["job-execution-result"]>["application-status"]>
> = { FINISHED: "SUCCEEDED", FAILED: "FAILED", CANCELED: "CANCELED" };

/** `GET /jobs/:jobid/execution-result`. */
export function executionResult({
  summary,
  failures: [failure],
}: Pick<JobDetails, "summary" | "failures">): ExecutionResult {
  const { job, program, phase, startTime, endTime } = summary;
  const outcome = outcomes[phase];
  if (outcome === undefined) return { status: { id: "IN_PROGRESS" } };
  return {
    status: { id: "COMPLETED" },
    "job-execution-result": {
      id: job,
      name: program,
      "application-id": job,
      "application-status": outcome,
      "accumulator-results": {},
      "net-runtime": durationOf(startTime, endTime, endTime),
      "start-time": startTime,
      "end-time": endTime,
      ...(outcome === "FAILED" &&
        failure !== undefined && { "failure-cause": causeOf(failure.name, failure.message) }),
    },
  };
}
