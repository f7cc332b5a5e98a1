import { Command } from "commander";

import { findJob } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import { start, type StartOptions, withStartOptions } from "../starts.ts";

interface Options extends StartOptions {
  readonly program?: string;
}

export const forkCommand = (interrupted: AbortSignal): Command =>
  withStartOptions(
    new Command("fork")
      .description("start a second job from a job's latest checkpoint, and print its id")
      .argument("<job>", "its id, or the beginning of it")
      .argument("[arguments...]", "the program's own, in place of the job's; after --")
      .option("--program <program>", "another program that takes up its state"),
  )
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark fork 3f --parallelism 8
  $ tidemark fork 3f --program flight-delays-v2 --wait
  $ tidemark fork 3f -c state.backend.type=sqlite`,
    )
    .action(async (text: string, args: string[], options: Options, command: Command) => {
      const session = sessionOf(command, interrupted);
      const job = await findJob(session.api, text);
      const { program } = options;
      await start(session, options, (request) =>
        session.api.fork(job, {
          ...request,
          ...(args.length > 0 && { programArgsList: args }),
          ...(program !== undefined && { programId: program }),
        }),
      );
    });
