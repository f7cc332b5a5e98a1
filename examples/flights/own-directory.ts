// Where a run keeps its state: a directory of its own, which goes with it.

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const home = fileURLToPath(new URL("../../.tidemark/", import.meta.url));

const logLinesShown = 20;

/**
 * Does the work in a directory that begins with that name and is removed afterwards, unless it is
 * kept. Where the work fails, the error ends with the end of the runtime's log.
 */
export async function inOwnDirectory<T>(
  name: string,
  { keep = false }: { readonly keep?: boolean },
  work: (directory: string) => Promise<T>,
): Promise<T> {
  await mkdir(home, { recursive: true });
  const directory = await mkdtemp(join(home, `${name}-`));
  try {
    return await work(directory);
  } catch (error) {
    throw new Error(`${(error as Error).message}${await lastOf(directory)}`, { cause: error });
  } finally {
    if (!keep) await rm(directory, { recursive: true, force: true });
  }
}

/** The end of the runtime's log, for someone who has to find out what went wrong. */
async function lastOf(directory: string): Promise<string> {
  const log = await readFile(join(directory, "runtime.log"), "utf8").catch(() => "");
  const lines = log.trimEnd().split("\n").slice(-logLinesShown).join("\n");
  return lines === "" ? "" : `\nThe runtime's log ends so:\n${lines}`;
}
