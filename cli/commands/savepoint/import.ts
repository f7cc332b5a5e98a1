import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";

import { Command } from "commander";

import { bytesOfFile } from "../../exports.ts";
import { durationOption, sessionOf } from "../../options.ts";
import { printJson } from "../../output.ts";
import { exitCodes, Problem, reasonOf, usageProblem } from "../../problem.ts";
import { Transfer } from "../../transfer-progress.ts";

interface Options {
  readonly as?: string;
  readonly waitTimeout: number;
}

export const importCommand = (interrupted: AbortSignal): Command =>
  new Command("import")
    .description("make a savepoint of the lines of an export, and print where it is")
    .argument("<file>", "as export writes it, values changed or not; - is stdin")
    .option("--as <name>", "of the savepoint, below savepoints/; a new one, if not given")
    .addOption(
      durationOption(
        "--wait-timeout <duration>",
        "how long it may take after the last line",
        "10 min",
      ),
    )
    .addHelpText(
      "after",
      `
A line that is no good is named by its number, and nothing is imported. --timeout is how long the
deployment may be silent while lines are sent.

Examples:
  $ tidemark savepoint import state.ndjson --as repaired
  $ tidemark run flight-delays --from-savepoint $(tidemark savepoint import state.ndjson)`,
    )
    .action(async (file: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const { as = `import-${randomUUID()}`, waitTimeout } = options;
      const transfer = new Transfer(!isJson, file === "-" ? undefined : await sizeOf(file));
      // A file that cannot be read ends the request, and is what is to be told of.
      let failure: Problem | undefined;
      async function* lines(): AsyncGenerator<Uint8Array> {
        try {
          yield* transfer.watched(bytesOfFile(file));
        } catch (error) {
          if (error instanceof Problem) failure = error;
          throw error;
        }
      }
      try {
        const answer = await api.import(as, lines(), waitTimeout);
        if (isJson) printJson(answer);
        else console.log(answer.location);
      } catch (error) {
        if (failure !== undefined) throw failure;
        if (!(error instanceof Problem) || error.exitCode !== exitCodes.unavailable) throw error;
        const advice = `It may have been imported; repeat with --as ${as}, which says so if it was.`;
        throw new Problem(`${error.message}\n${advice}`, error.exitCode, { cause: error });
      }
    });

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw usageProblem(`${file} cannot be read: ${reasonOf(error)}`);
  }
}
