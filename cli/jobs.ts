// Jobs as users name them, and what their states mean to a command that waits.

import { isJobId } from "../format/ids.ts";
import type { Api, JobDetails, JobOverview } from "./api.ts";
import { timeText } from "./output.ts";
import { Problem } from "./problem.ts";

/** Milliseconds between two looks at a job that is waited for. */
const lookEvery = 250;

const ended = new Set(["FINISHED", "CANCELED", "FAILED"]);

export const hasEnded = ({ state }: Pick<JobDetails, "state">): boolean => ended.has(state);

export type FindOutcome =
  | { readonly kind: "found"; readonly id: string }
  | { readonly kind: "none" }
  | { readonly kind: "several"; readonly jobs: readonly JobOverview[] };

/** The job whose id begins with `prefix`. */
export function jobByPrefix(prefix: string, jobs: readonly JobOverview[]): FindOutcome {
  const matching = jobs.filter(({ jid }) => jid.startsWith(prefix));
  const [first, ...rest] = matching;
  if (first === undefined) return { kind: "none" };
  return rest.length === 0 ? { kind: "found", id: first.jid } : { kind: "several", jobs: matching };
}

/** The id of the job that `text`, a whole id or its beginning, stands for. */
export async function findJob(api: Api, text: string): Promise<string> {
  const prefix = text.toLowerCase();
  if (isJobId(prefix)) return prefix;
  if (!/^[0-9a-f]{1,32}$/.test(prefix)) {
    throw new Problem(
      `"${text}" is no job id: those are hex digits, and their beginning will do. "tidemark list" shows them.`,
    );
  }
  const outcome = jobByPrefix(prefix, (await api.jobs()).jobs);
  switch (outcome.kind) {
    case "found":
      return outcome.id;
    case "none":
      throw new Problem(`No job's id begins with "${text}"; "tidemark list" shows all jobs.`);
    case "several": {
      const lines = outcome.jobs.map(
        (job) => `  ${job.jid}  ${job.name}  ${job.state}  ${timeText(job["start-time"])}`,
      );
      throw new Problem(
        `"${text}" is the beginning of ${lines.length} job ids:\n${lines.join("\n")}`,
      );
    }
  }
}

/** Looks at a job until `isOver`, for at most `within` milliseconds; undefined after that. */
export async function waitForJob(
  api: Api,
  id: string,
  { isOver, within }: { readonly isOver: (job: JobDetails) => boolean; readonly within: number },
): Promise<JobDetails | undefined> {
  for (const deadline = Date.now() + within; Date.now() < deadline; await api.pause(lookEvery)) {
    const job = await api.job(id);
    if (isOver(job)) return job;
  }
  return undefined;
}

/** The first line of why a job failed last. */
export async function lastFailure(api: Api, id: string): Promise<string> {
  const { exceptionHistory } = await api.exceptions(id);
  const entry = exceptionHistory.entries[0];
  return entry === undefined ? "no exception is known" : entry.stacktrace.split("\n", 1)[0]!;
}
