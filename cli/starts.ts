// Starting a job, as `run` and `fork` have it in common. The id is chosen here, before anything is asked of
// the deployment, so that a start whose answer was lost can be repeated and is still one job.

import { randomBytes } from "node:crypto";

import { type Command, InvalidArgumentError } from "commander";

import { isJobId, jobIdFrom } from "../format/ids.ts";
import type { Api, JobDetails, StartRequest } from "./api.ts";
import { hasEnded, lastFailure, waitForJob } from "./jobs.ts";
import { durationOption, type Session, settingFrom, wholeFrom } from "./options.ts";
import { durationText, printJson } from "./output.ts";
import { exitCodes, Problem } from "./problem.ts";

const waitDefault = "2 min";

export interface StartOptions {
  readonly parallelism?: number;
  readonly config?: Readonly<Record<string, string>>;
  readonly jobId?: string;
  readonly allowNonRestoredState?: true;
  readonly wait?: true;
  readonly waitTimeout: number;
}

export const withStartOptions = (command: Command): Command =>
  command
    .option("-p, --parallelism <n>", "subtasks of each operator", wholeFrom(1))
    .option("-c, --config <key=value>", "a setting by Flink's key; repeatable", settingFrom)
    .option("-n, --allow-non-restored-state", "leave behind what no operator takes of it")
    .option(
      "--job-id <id>",
      "32 hex digits; the same id is the same job, so repeating it is safe",
      idFrom,
    )
    .option("--wait", "until every subtask runs; exit code 1 where the job ends before")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", waitDefault));

/** Starts the job by `ask`, waits where that is wanted, and prints its id. */
export async function start(
  { api, isJson }: Session,
  options: StartOptions,
  ask: (request: StartRequest) => Promise<void>,
): Promise<void> {
  const id = options.jobId ?? jobIdFrom(randomBytes(16));
  const { parallelism, config = {}, allowNonRestoredState } = options;
  try {
    await ask({
      jobId: id,
      flinkConfiguration: config,
      ...(parallelism !== undefined && { parallelism }),
      ...(allowNonRestoredState && { allowNonRestoredState }),
    });
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== exitCodes.unavailable) throw error;
    const advice = `The job may have been started; repeat with --job-id ${id}`;
    throw new Problem(`${error.message}\n${advice}`, error.exitCode, { cause: error });
  }
  const state = options.wait && (await running(api, id, options.waitTimeout)).state;
  if (isJson) printJson({ jobid: id, ...(state !== undefined && { state }) });
  else console.log(id);
}

async function running(api: Api, id: string, within: number): Promise<JobDetails> {
  const job = await waitForJob(api, id, { isOver: (job) => hasEnded(job) || isUp(job), within });
  if (job === undefined) {
    const last = await lastFailure(api, id);
    throw new Problem(`Job ${id} does not run after ${durationText(within)}; ${last}`);
  }
  if (hasEnded(job) && job.state !== "FINISHED") {
    throw new Problem(`Job ${id} is ${job.state}: ${await lastFailure(api, id)}`);
  }
  return job;
}

const isUp = ({ state, vertices }: JobDetails): boolean =>
  state === "RUNNING" &&
  vertices.every(({ tasks, parallelism }) => tasks["RUNNING"] === parallelism);

function idFrom(text: string): string {
  if (isJobId(text)) return text;
  throw new InvalidArgumentError("It must be 32 lower-case hex digits.");
}
