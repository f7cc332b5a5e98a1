// Savepoints as commands ask for them.

import type { Api } from "./api.ts";
import { outcomeOf, triggered } from "./operations.ts";
import { showProgress } from "./savepoint-progress.ts";

export interface SavepointOptions {
  readonly directory?: string;
  readonly triggerId?: string;
  /** Of a stop. */
  readonly drain?: boolean;
}

/** Asks for a savepoint, or with `stop` for the end of the job with one; its trigger id. */
export const requested = (
  api: Api,
  job: string,
  { directory, triggerId: given, drain }: SavepointOptions,
  kind: "savepoint" | "stop",
): Promise<string> =>
  triggered(given, (triggerId) =>
    api.takeSavepoint(job, {
      kind,
      triggerId,
      ...(directory !== undefined && { directory }),
      ...(drain !== undefined && { drain }),
    }),
  );

/** Where the savepoint is, once it is complete. */
export async function locationOf(
  api: Api,
  {
    job,
    trigger,
    within,
    isShown,
  }: {
    readonly job: string;
    readonly trigger: string;
    readonly within: number;
    /** People are told how far it is. */
    readonly isShown: boolean;
  },
): Promise<string> {
  const path = ["jobs", job, "savepoints", trigger];
  const begun = Date.now();
  if (isShown) await showProgress(api, path, within);
  const { location } = await outcomeOf<{ readonly location: string }>(api, {
    what: "The savepoint",
    path,
    within: begun + within - Date.now(),
  });
  return location;
}
