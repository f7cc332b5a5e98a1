// A savepoint as lines, to stdout or a file.
//   L1. A file appears under its name once it is complete: until then it is called `.partial`.
//   L2. What breaks off, or ends with what could not be read, ends the command with exit code 1; what
//       is on stdout by then lacks the last line, and nothing takes it for an export.

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

import { Command } from "commander";

import { sessionOf } from "../../options.ts";
import { bytesText, printJson, whole } from "../../output.ts";
import { Problem, reasonOf, usageProblem } from "../../problem.ts";
import { Transfer } from "../../transfer-progress.ts";

export const exportCommand = (interrupted: AbortSignal): Command =>
  new Command("export")
    .description("all of a savepoint as lines of JSON, to stdout or a file")
    .argument("<id>", "its id or location, or jobs/<job>/chk-<n> for a checkpoint")
    .option("-o, --output <file>", "which is there once it is complete, and is replaced then")
    .addHelpText(
      "after",
      `
The first line is the header, the last {"end":true}. --timeout is how long the deployment may be silent.

Examples:
  $ tidemark savepoint export savepoint-3f…-12 -o state.ndjson
  $ tidemark savepoint export savepoint-3f…-12 | grep '"ATL"'`,
    )
    .action(async (id: string, { output }: { output?: string }, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      if (isJson && output === undefined) {
        throw usageProblem("--json needs --output <file>: the lines go to stdout otherwise.");
      }
      const isShown = !isJson && (output !== undefined || !process.stdout.isTTY);
      const transfer = new Transfer(isShown);
      const lines = complete(id, transfer.watched(api.exported(id)));
      if (output === undefined) return pipeline(lines, process.stdout, { end: false });
      await store(lines, output);
      const { bytes } = transfer;
      // Without header and end.
      const entries = transfer.lines - 2;
      if (isJson) printJson({ id, file: output, entries, bytes });
      else console.log(`${output}: ${whole(entries)} entries, ${bytesText(bytes)}`);
    });

async function store(lines: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await pipeline(lines, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    if (error instanceof Error && "syscall" in error) {
      throw usageProblem(`${path} cannot be written: ${reasonOf(error)}`);
    }
    throw error;
  }
}

/** Bytes in which the last line is: what an error says there is not longer. */
const tailMax = 64 * 1_024;

async function* complete(
  id: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let tail = Buffer.alloc(0);
  for await (const chunk of chunks) {
    tail = Buffer.concat([tail, chunk]).subarray(-tailMax);
    yield chunk;
  }
  const text = tail.toString("utf8");
  const last = text.slice(text.trimEnd().lastIndexOf("\n") + 1).trimEnd();
  if (last === '{"end":true}') return;
  throw new Problem(errorIn(last) ?? `The export of ${id} is cut short; repeat the command.`);
}

/** What the deployment says where it could not read on. */
function errorIn(line: string): string | undefined {
  try {
    const { error } = JSON.parse(line) as { error?: unknown };
    return typeof error === "string" ? error : undefined;
  } catch {
    return undefined;
  }
}
