// Savepoints as commands ask for them: the trigger id is chosen here, before anything is asked of the
// deployment, so that a request whose answer was lost can be repeated and is still one savepoint.

import { randomUUID } from "node:crypto";

import { InvalidArgumentError } from "commander";

import type { Api } from "./api.ts";
import { durationText } from "./output.ts";
import { exitCodes, Problem } from "./problem.ts";

/** Milliseconds between two looks at a savepoint that is waited for. */
const lookEvery = 250;

export interface SavepointOptions {
  readonly directory?: string;
  readonly triggerId?: string;
}

/** Asks for a savepoint, or with `stop` for the end of the job with one; its trigger id. */
export async function requested(
  api: Api,
  job: string,
  options: SavepointOptions,
  kind: "savepoint" | "stop",
): Promise<string> {
  const triggerId = options.triggerId ?? randomUUID().replaceAll("-", "");
  const { directory } = options;
  try {
    await api.takeSavepoint(job, {
      kind,
      triggerId,
      ...(directory !== undefined && { directory }),
    });
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== exitCodes.unavailable) throw error;
    const advice = `It may have been asked for; repeat with --trigger-id ${triggerId}`;
    throw new Problem(`${error.message}\n${advice}`, error.exitCode, { cause: error });
  }
  return triggerId;
}

/** Where the savepoint is, once it is complete. */
export async function locationOf(
  api: Api,
  {
    job,
    trigger,
    within,
  }: { readonly job: string; readonly trigger: string; readonly within: number },
): Promise<string> {
  for (const deadline = Date.now() + within; Date.now() < deadline; await api.pause(lookEvery)) {
    const { operation } = await api.savepoint(job, trigger);
    if (operation?.location !== undefined) return operation.location;
    const cause = operation?.["failure-cause"];
    if (cause !== undefined) throw new Problem(`The savepoint failed: ${cause["stack-trace"]}`);
  }
  throw new Problem(
    `The savepoint is not complete after ${durationText(within)}; ` +
      `GET /jobs/${job}/savepoints/${trigger} tells when it is.`,
  );
}

export function triggerFrom(text: string): string {
  if (/^[0-9a-f]{32}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be 32 lower-case hex digits.");
}
