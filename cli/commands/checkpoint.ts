import { Command } from "commander";

import { findJob } from "../jobs.ts";
import { outcomeOf, triggered, triggerFrom } from "../operations.ts";
import { durationOption, sessionOf } from "../options.ts";
import { printJson } from "../output.ts";

interface Options {
  readonly full?: true;
  readonly triggerId?: string;
  readonly wait?: true;
  readonly waitTimeout: number;
}

export const checkpointCommand = (interrupted: AbortSignal): Command =>
  new Command("checkpoint")
    .description("take a checkpoint of a job now, and print its id, or its trigger id")
    .argument("<job>", "its id, or the beginning of it")
    .option("--full", "one that refers to no file of an earlier one")
    .option(
      "--trigger-id <id>",
      "32 hex digits; the same id is the same checkpoint, so repeating it is safe",
      triggerFrom,
    )
    .option("--wait", "until it is complete; exit code 1 where it fails")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", "10 min"))
    .action(async (text: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const job = await findJob(api, text);
      const trigger = await triggered(options.triggerId, (triggerId) =>
        api.takeCheckpoint(job, { triggerId, ...(options.full && { checkpointType: "FULL" }) }),
      );
      const done =
        options.wait &&
        (await outcomeOf<{ readonly checkpointId: number }>(api, {
          what: "The checkpoint",
          path: ["jobs", job, "checkpoints", trigger],
          within: options.waitTimeout,
        }));
      if (isJson) printJson({ jobid: job, "request-id": trigger, ...done });
      else console.log(done?.checkpointId ?? trigger);
    });
