// The command line: arguments in, an exit code out. The bin (`tidemark.js`) imports it.
//   E1. Exit codes are those of `problem.ts`; after SIGINT 130, after SIGTERM 143, as shells have it.
//   E2. What was asked for goes to stdout, everything else to stderr.
//   E3. A reader that has had enough (`tidemark list | head`) ends the command quietly.

import { readFileSync } from "node:fs";
import { constants } from "node:os";

import { Command, CommanderError } from "commander";

import { cancelCommand } from "./commands/cancel.ts";
import { checkpointCommand } from "./commands/checkpoint.ts";
import { checkpointsCommand } from "./commands/checkpoints.ts";
import { devCommand } from "./commands/dev.ts";
import { exceptionsCommand } from "./commands/exceptions.ts";
import { forkCommand } from "./commands/fork.ts";
import { infoCommand } from "./commands/info.ts";
import { ingestCommand } from "./commands/ingest.ts";
import { listCommand } from "./commands/list.ts";
import { programsCommand } from "./commands/programs.ts";
import { rescaleCommand } from "./commands/rescale.ts";
import { runCommand } from "./commands/run.ts";
import { savepointCommand } from "./commands/savepoint.ts";
import { stateCommand } from "./commands/state.ts";
import { stopCommand } from "./commands/stop.ts";
import { tableCommand } from "./commands/table.ts";
import { topicsCommand } from "./commands/topics.ts";
import { globalOptions } from "./options.ts";
import { printableLines } from "./output.ts";
import { exitCodes, Problem } from "./problem.ts";

const help = `
Exit codes:
  0  done
  1  refused, or failed: another try would end the same
  2  the arguments are no good
  3  the deployment is not to be reached or cannot answer now: repeat the command
  130 and 143 after SIGINT and SIGTERM

Examples:
  $ tidemark dev
  $ tidemark run flight-delays --wait
  $ tidemark ingest flights.parquet --topic flights
  $ tidemark table 3f delays-by-origin --format csv`;

class Interruption extends Error {
  readonly exitCode: number;

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`Ended by ${signal}.`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

function program(interrupted: AbortSignal): Command {
  const { version, description } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  ) as { version: string; description: string };
  const root = new Command("tidemark")
    .description(description)
    .version(version)
    .helpCommand(false)
    .showHelpAfterError("See --help.")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText("after", help);
  for (const option of globalOptions()) root.addOption(option);
  const commands = [
    devCommand,
    programsCommand,
    runCommand,
    forkCommand,
    listCommand,
    infoCommand,
    rescaleCommand,
    savepointCommand,
    stopCommand,
    stateCommand,
    checkpointCommand,
    cancelCommand,
    checkpointsCommand,
    exceptionsCommand,
    topicsCommand,
    ingestCommand,
    tableCommand,
  ];
  for (const command of commands) root.addCommand(command(interrupted));
  inherit(root);
  return root;
}

/** Commands that were made by themselves complain and end as the root does, theirs included. */
function inherit(parent: Command): void {
  for (const command of parent.commands) inherit(command.copyInheritedSettings(parent));
}

/** What the command line ends with when `error` ends it. */
function exitCodeFor(error: unknown): number {
  if (error instanceof CommanderError) {
    // It has printed its help, version or complaint.
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  if (error instanceof Interruption) {
    console.error(error.message);
    return error.exitCode;
  }
  console.error(`error: ${printableLines(error instanceof Error ? error.message : String(error))}`);
  return error instanceof Problem ? error.exitCode : exitCodes.failed;
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
const interruption = new AbortController();
// Not once: npm may hand on a signal that the terminal has sent to everyone.
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => interruption.abort(new Interruption(name)));
}
try {
  await program(interruption.signal).parseAsync();
} catch (error) {
  process.exitCode = exitCodeFor(error);
}
