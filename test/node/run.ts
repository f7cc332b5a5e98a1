// A script of this repository as a user runs it: a process, its output and its exit code.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the script at `path`, from the root of the repository, to its end. */
export const run = (path: string, args: readonly string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const script = fileURLToPath(new URL(`../../${path}`, import.meta.url));
    execFile(process.execPath, [script, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
