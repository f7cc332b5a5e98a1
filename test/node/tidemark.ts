// The command line as a user runs it: a process, its output and its exit code.

import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../cli/tidemark.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly url?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** For Node itself. */
  readonly node?: readonly string[];
}

/** Starts it; with no more of this environment than it needs. */
export function start(
  args: readonly string[],
  { url, env = {}, node = [] }: RunOptions = {},
): ChildProcess {
  return spawn(process.execPath, [...node, bin, ...args], {
    env: { PATH: process.env["PATH"], ...(url !== undefined && { TIDEMARK_URL: url }), ...env },
    stdio: "pipe",
  });
}

/** Runs it to its end. */
export async function tidemark(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = start(args, options);
  child.stdin!.end(options.input ?? "");
  const code = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  return { code: await code, stdout, stderr };
}
