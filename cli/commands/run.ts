import { Command, InvalidArgumentError, Option } from "commander";

import { sessionOf } from "../options.ts";
import { start, type StartOptions, withStartOptions } from "../starts.ts";

/** As Flink's command line has them, in either case. */
const modes = ["NO_CLAIM", "CLAIM"] as const;

interface Options extends StartOptions {
  readonly fromSavepoint?: string;
  readonly claimMode: (typeof modes)[number];
}

export const runCommand = (interrupted: AbortSignal): Command =>
  withStartOptions(
    new Command("run")
      .description("start a job, and print its id")
      .argument("<program>", 'one of "tidemark programs"')
      .argument("[arguments...]", "the program's own; after --, where they begin with dashes")
      .option("-s, --from-savepoint <location>", "what to begin with: a savepoint, or a checkpoint")
      .addOption(
        new Option("--claim-mode <mode>", "whether the job deletes it when it is done with it")
          .default("NO_CLAIM")
          .argParser(modeFrom),
      ),
  )
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
      const session = sessionOf(command, interrupted);
      const { fromSavepoint, claimMode } = options;
      await start(session, options, (request) =>
        session.api.run(program, {
          ...request,
          ...(args.length > 0 && { programArgsList: args }),
          ...(fromSavepoint !== undefined && { savepointPath: fromSavepoint }),
          claimMode,
        }),
      );
    });

function modeFrom(text: string): Options["claimMode"] {
  const mode = modes.find((each) => each === text.toUpperCase());
  if (mode !== undefined) return mode;
  throw new InvalidArgumentError(
    "It must be NO_CLAIM (what the job begins with stays yours) or CLAIM (the job deletes it when it " +
      "has checkpoints of its own).",
  );
}
