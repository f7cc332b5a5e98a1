import { Command } from "commander";

import { findJob, hasEnded, waitForJob } from "../jobs.ts";
import { triggerFrom } from "../operations.ts";
import { durationOption, sessionOf } from "../options.ts";
import { durationText, printJson } from "../output.ts";
import { Problem } from "../problem.ts";
import { locationOf, requested, type SavepointOptions } from "../savepoints.ts";

interface Options extends SavepointOptions {
  readonly waitTimeout: number;
}

export const stopCommand = (interrupted: AbortSignal): Command =>
  new Command("stop")
    .description("end a job with a savepoint, and print where it is")
    .argument("<job>", "its id, or the beginning of it")
    .option("-d, --directory <directory>", "where in the deployment's bucket, below savepoints/")
    .option("--drain", "fire all windows and timers of event time before; the job is not to go on")
    .option(
      "--trigger-id <id>",
      "32 hex digits; the same id is the same stop, so repeating it is safe",
      triggerFrom,
    )
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", "10 min"))
    .addHelpText(
      "after",
      `
Examples:
  $ tidemark run flight-delays --parallelism 8 --from-savepoint $(tidemark stop 3f)`,
    )
    .action(async (text: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const { waitTimeout: within } = options;
      const id = await findJob(api, text);
      const trigger = await requested(api, id, options, "stop");
      const location = await locationOf(api, { job: id, trigger, within, isShown: !isJson });
      const job = await waitForJob(api, id, { isOver: hasEnded, within });
      if (job?.state !== "FINISHED") {
        const state = job?.state ?? `not FINISHED after ${durationText(within)}`;
        throw new Problem(`The savepoint is ${location}, but job ${id} is ${state}.`);
      }
      if (isJson) printJson({ jobid: id, "request-id": trigger, location, state: job.state });
      else console.log(location);
    });
