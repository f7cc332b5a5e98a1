// Starts a job. The id is chosen here, before anything is asked of the deployment, so that a run whose
// answer was lost can be repeated and is still one job.

import { randomBytes } from "node:crypto";

import { Command, InvalidArgumentError } from "commander";

import { isJobId, jobIdFrom } from "../../format/ids.ts";
import type { Api, JobDetails } from "../api.ts";
import { hasEnded, lastFailure, waitForJob } from "../jobs.ts";
import { durationOption, sessionOf, settingFrom, wholeFrom } from "../options.ts";
import { durationText, printJson } from "../output.ts";
import { exitCodes, Problem } from "../problem.ts";

const waitDefault = "2 min";

interface Options {
  readonly parallelism?: number;
  readonly config?: Readonly<Record<string, string>>;
  readonly jobId?: string;
  readonly fromSavepoint?: string;
  readonly allowNonRestoredState?: true;
  readonly wait?: true;
  readonly waitTimeout: number;
}

export const runCommand = (interrupted: AbortSignal): Command =>
  new Command("run")
    .description("start a job, and print its id")
    .argument("<program>", 'one of "tidemark programs"')
    .argument("[arguments...]", "the program's own; after --, where they begin with dashes")
    .option("-p, --parallelism <n>", "subtasks of each operator", wholeFrom(1))
    .option("-c, --config <key=value>", "a setting by Flink's key; repeatable", settingFrom)
    .option("-s, --from-savepoint <location>", "what to begin with: a savepoint, or a checkpoint")
    .option("-n, --allow-non-restored-state", "leave behind what no operator takes of it")
    .option(
      "--job-id <id>",
      "32 hex digits; the same id is the same run, so repeating it is safe",
      idFrom,
    )
    .option("--wait", "until every subtask runs; exit code 1 where the job ends before")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", waitDefault))
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark run flight-delays --parallelism 8
  $ tidemark run flight-delays -c execution.checkpointing.interval=10s -c state.backend.type=sqlite
  $ tidemark run one-airport -- --airport SFO
  $ JOB=$(tidemark run flight-delays --wait)`,
    )
    .action(async (program: string, args: string[], options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const id = options.jobId ?? jobIdFrom(randomBytes(16));
      await started(api, { program, args, id, options });
      const state = options.wait && (await running(api, id, options.waitTimeout)).state;
      if (isJson) printJson({ jobid: id, ...(state !== undefined && { state }) });
      else console.log(id);
    });

interface Start {
  readonly program: string;
  readonly args: readonly string[];
  readonly id: string;
  readonly options: Options;
}

async function started(api: Api, { program, args, id, options }: Start): Promise<void> {
  const { parallelism, config = {}, fromSavepoint, allowNonRestoredState } = options;
  try {
    await api.run(program, {
      jobId: id,
      flinkConfiguration: config,
      ...(args.length > 0 && { programArgsList: args }),
      ...(parallelism !== undefined && { parallelism }),
      ...(fromSavepoint !== undefined && { savepointPath: fromSavepoint }),
      ...(allowNonRestoredState && { allowNonRestoredState }),
    });
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== exitCodes.unavailable) throw error;
    const advice = `The job may have been started; repeat with --job-id ${id}`;
    throw new Problem(`${error.message}\n${advice}`, error.exitCode, { cause: error });
  }
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
