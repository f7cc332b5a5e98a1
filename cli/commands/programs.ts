import { Command } from "commander";

import { sessionOf } from "../options.ts";
import { printable, printJson } from "../output.ts";

export const programsCommand = (interrupted: AbortSignal): Command =>
  new Command("programs")
    .description("list the programs that the deployment can run")
    .action(async (_, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const programs = await api.programs();
      if (isJson) return printJson(programs);
      for (const { id } of programs.files) console.log(printable(id));
    });
