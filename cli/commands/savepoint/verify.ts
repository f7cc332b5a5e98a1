import { Command } from "commander";

import { durationOption, sessionOf } from "../../options.ts";
import { bytesText, printable, printJson, whole } from "../../output.ts";
import { exitCodes } from "../../problem.ts";

export const verifyCommand = (interrupted: AbortSignal): Command =>
  new Command("verify")
    .description("read every byte of a savepoint; exit code 1 where any is damaged or missing")
    .argument("<id>", "its id or location, or jobs/<job>/chk-<n> for a checkpoint")
    .addOption(durationOption("--wait-timeout <duration>", "how long it may take", "10 min"))
    .addHelpText(
      "after",
      `
Each problem is a line with the file, the range in it, the operator and the state.`,
    )
    .action(async (id: string, options: { waitTimeout: number }, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const answer = await api.verification(id, options.waitTimeout);
      const { isWhole, problems, problemsInAll, files, entries, elements, bytes } = answer;
      if (!isWhole) process.exitCode = exitCodes.failed;
      if (isJson) return printJson(answer);
      const read = `${whole(entries + elements)} entries in ${whole(files)} files, ${bytesText(bytes)}`;
      if (isWhole) return console.log(`${answer.id} is whole: ${read}.`);
      for (const problem of problems) console.log(printable(problem));
      const more = problemsInAll > problems.length ? `, of which ${problems.length} are told` : "";
      console.error(`${answer.id} is damaged: problems: ${whole(problemsInAll)}${more}; ${read}.`);
    });
