// What a deployment does after it has said that it will: asked for under a trigger id that is chosen
// here, so that a request whose answer was lost can be repeated and is still one, and waited for.

import { randomUUID } from "node:crypto";

import { InvalidArgumentError } from "commander";

import type { Api, OperationStatus } from "./api.ts";
import { exitCodes, Problem } from "./problem.ts";

/** Milliseconds between two looks at what is waited for. */
const lookEvery = 250;

/** Asks under the trigger id, or under a new one; which it was. */
export async function triggered(
  given: string | undefined,
  ask: (trigger: string) => Promise<void>,
): Promise<string> {
  const trigger = given ?? randomUUID().replaceAll("-", "");
  try {
    await ask(trigger);
  } catch (error) {
    if (!(error instanceof Problem) || error.exitCode !== exitCodes.unavailable) throw error;
    const advice = `It may have been asked for; repeat with --trigger-id ${trigger}`;
    throw new Problem(`${error.message}\n${advice}`, error.exitCode, { cause: error });
  }
  return trigger;
}

export interface Waiting {
  /** As messages name it: "The savepoint". */
  readonly what: string;
  /** Of its status. */
  readonly path: readonly string[];
  readonly within: number;
}

/** What the operation came to. @throws Problem where it failed, or is not over in time */
export async function outcomeOf<T extends NonNullable<OperationStatus["operation"]>>(
  api: Api,
  { what, path, within }: Waiting,
): Promise<T> {
  for (const deadline = Date.now() + within; ; await api.pause(lookEvery)) {
    const { operation } = await api.operation<T>(path);
    const cause = operation?.["failure-cause"] ?? operation?.failureCause;
    if (cause !== undefined) throw new Problem(`${what} failed: ${cause["stack-trace"]}`);
    if (operation !== null) return operation;
    if (Date.now() < deadline) continue;
    throw new Problem(
      `${what} is not complete within --wait-timeout; GET /${path.join("/")} tells when it is.`,
    );
  }
}

export function triggerFrom(text: string): string {
  if (/^[0-9a-f]{32}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be 32 lower-case hex digits.");
}
