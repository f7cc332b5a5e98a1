import { Command } from "commander";

import { findJob, hasEnded, waitForJob } from "../jobs.ts";
import { durationOption, sessionOf } from "../options.ts";
import { durationText, printJson } from "../output.ts";
import { Problem } from "../problem.ts";

const waitDefault = "2 min";

interface Options {
  readonly wait?: true;
  readonly waitTimeout: number;
}

export const cancelCommand = (interrupted: AbortSignal): Command =>
  new Command("cancel")
    .description("end a job; what it has counted goes with it, unless its checkpoints are retained")
    .argument("<job>", "its id, or the beginning of it")
    .option("--wait", "until the job is CANCELED")
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", waitDefault))
    .action(async (text: string, { wait, waitTimeout }: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const id = await findJob(api, text);
      // Whoever repeats the command after a lost answer has what he wants: the job is canceled.
      const isOver = (await api.cancel(id)) === "ended";
      const job =
        wait || isOver
          ? await waitForJob(api, id, { isOver: hasEnded, within: waitTimeout })
          : undefined;
      if (wait && job === undefined) {
        throw new Problem(`Job ${id} is not CANCELED after ${durationText(waitTimeout)}.`);
      }
      const state = job?.state ?? "CANCELLING";
      if (job !== undefined && state !== "CANCELED") {
        throw new Problem(`Job ${id} is ${state} already; there is nothing to cancel.`);
      }
      if (isJson) printJson({ jobid: id, state });
      else console.log(`Job ${id} is ${state}.`);
    });
