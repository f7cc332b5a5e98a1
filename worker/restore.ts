// What a new job begins with: a savepoint, or a checkpoint of any job. Everything that keeps the
// program from going on from it is found and named before anything is started.
//   S1. The number of key groups is the savepoint's: keys are where it says. A request may leave it
//       out, and may not say another.

import { misfits } from "../coordinator/changed-code.ts";
import { loadManifest } from "../coordinator/load-manifest.ts";
import type { Manifest } from "../format/manifest.ts";
import type { ExecutionPlan } from "../format/plan.ts";
import type { Env } from "./env.ts";
import { HttpError } from "./errors.ts";
import type { RunRequest } from "./run-request.ts";

type Restore = Pick<NonNullable<RunRequest["restore"]>, "path" | "allowNonRestoredState">;

const maxParallelismKey = "pipeline.max-parallelism";

/** The manifest at `path`. @throws HttpError where there is none, or none that can be read */
export async function manifestAt(
  { BUCKET }: Env,
  { path }: Pick<Restore, "path">,
): Promise<Manifest> {
  const loaded = await loadManifest(BUCKET, path);
  if (loaded.kind === "loaded") return loaded.manifest;
  if (!loaded.damaged) throw new HttpError(503, loaded.message);
  throw new HttpError(422, `Nothing can be started from it. ${loaded.message}`);
}

/** The settings under which the plan has the key groups of the manifest (S1). */
export function settingsFor(
  { maxParallelism }: Manifest,
  flinkConfiguration: RunRequest["flinkConfiguration"],
): RunRequest["flinkConfiguration"] {
  return { [maxParallelismKey]: String(maxParallelism), ...flinkConfiguration };
}

/** @throws HttpError that names all that does not fit */
export function refuseMisfits(
  manifest: Manifest,
  plan: ExecutionPlan,
  { path, allowNonRestoredState }: Restore,
): void {
  const reasons = misfits(manifest, plan, {
    checkpoint: path.replace(/\/_metadata$/, ""),
    program: `program "${plan.program}"`,
    allowNonRestoredState,
  });
  if (reasons.length === 0) return;
  throw new HttpError(
    422,
    `Program "${plan.program}" cannot be started from it. ${reasons.join(" ")} State is known by the ` +
      `uid of its operator; allowNonRestoredState leaves behind what no operator takes.`,
  );
}
