// How far a savepoint is, for people who wait: one line on a terminal, else a line now and then, on
// stderr. Whatever goes wrong here is no matter: what became of the savepoint is asked for elsewhere.

import type { Api } from "./api.ts";
import { bytesText } from "./output.ts";

/** What the deployment says while a savepoint is taken. */
export interface SavepointSoFar {
  readonly status: "WAITING" | "IN_PROGRESS" | "COMPLETED";
  readonly acknowledged?: number;
  readonly total?: number;
  readonly bytes?: number;
}

/** Milliseconds between two lines where there is no terminal. */
const lineEvery = 3_000;

/** Shows it until it is over, or `within` milliseconds have passed. */
export async function showProgress(
  api: Api,
  path: readonly string[],
  within: number,
): Promise<void> {
  let lineAt = Date.now();
  const isTerminal = process.stderr.isTTY;
  try {
    for await (const data of api.events([...path, "events"], within)) {
      const text = textOf(JSON.parse(data) as SavepointSoFar);
      if (text === undefined) continue;
      if (isTerminal) process.stderr.write(`\r\u001b[K${text}`);
      else if (Date.now() >= lineAt + lineEvery) {
        console.error(text);
        lineAt = Date.now();
      }
    }
  } catch {
    api.throwIfInterrupted();
  } finally {
    if (isTerminal) process.stderr.write("\r\u001b[K");
  }
}

/** Undefined where there is nothing to show. */
export function textOf(soFar: SavepointSoFar): string | undefined {
  const { status, acknowledged = 0, total = 0, bytes = 0 } = soFar;
  if (status === "COMPLETED") return undefined;
  if (status === "WAITING") return "The savepoint waits for its turn.";
  return `Savepoint: ${acknowledged} of ${total} subtasks, ${bytesText(bytes)}`;
}
