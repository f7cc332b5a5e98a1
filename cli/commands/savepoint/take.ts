import { Command } from "commander";

import { findJob } from "../../jobs.ts";
import { triggerFrom } from "../../operations.ts";
import { durationOption, sessionOf } from "../../options.ts";
import { printJson } from "../../output.ts";
import { locationOf, requested, type SavepointOptions } from "../../savepoints.ts";

interface Options extends SavepointOptions {
  readonly wait?: true;
  readonly waitTimeout: number;
}

export const takeCommand = (interrupted: AbortSignal): Command =>
  new Command("take")
    .description("take a savepoint of a job, and print where it is, or its trigger id")
    .argument("<job>", "its id, or the beginning of it")
    .option("-d, --directory <directory>", "where in the deployment's bucket, below savepoints/")
    .option(
      "--trigger-id <id>",
      "32 hex digits; the same id is the same savepoint, so repeating it is safe",
      triggerFrom,
    )
    .option("--wait", "until it is complete; exit code 1 where it fails")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", "10 min"))
    .action(async (text: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const job = await findJob(api, text);
      const trigger = await requested(api, job, options, "savepoint");
      const waiting = { job, trigger, within: options.waitTimeout, isShown: !isJson };
      const location = options.wait && (await locationOf(api, waiting));
      if (isJson) {
        printJson({
          jobid: job,
          "request-id": trigger,
          ...(location !== undefined && { location }),
        });
      } else console.log(location ?? trigger);
    });
