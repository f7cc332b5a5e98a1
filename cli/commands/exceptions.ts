import { Command } from "commander";

import { findJob } from "../jobs.ts";
import { sessionOf } from "../options.ts";
import { bold, printable, printableLines, printJson, timeText } from "../output.ts";

export const exceptionsCommand = (interrupted: AbortSignal): Command =>
  new Command("exceptions")
    .description("show why attempts of a job failed, newest first, with stacks")
    .argument("<job>", "its id, or the beginning of it")
    .action(async (text: string, _, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const exceptions = await api.exceptions(await findJob(api, text));
      if (isJson) return printJson(exceptions);
      const { entries } = exceptions.exceptionHistory;
      if (entries.length === 0) return console.log("No failures.");
      const texts = entries.map(
        ({ timestamp, taskName, stacktrace }) =>
          `${bold(`${timeText(timestamp)}  ${printable(taskName ?? "the job")}`)}\n${printableLines(stacktrace)}`,
      );
      console.log(texts.join("\n\n"));
    });
