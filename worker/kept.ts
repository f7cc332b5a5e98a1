// What a new job is to begin with, kept for it while it is looked at and submitted: nobody's retention may
// delete the files between the moment at which they were found to fit and the moment at which the job
// says itself that it needs them.
//   T1. Whoever deletes the files keeps them: the job that took the checkpoint, or the one that has
//       claimed the savepoint. A savepoint that nobody has claimed is its user's, and not kept.
//   T2. What came to nothing is withdrawn. Where that does not arrive, the keeper finds out by itself.

import type { HoldKey, HoldRequest } from "../format/holds.ts";
import type { JobId } from "../format/ids.ts";
import { type Manifest, manifestFiles } from "../format/manifest.ts";
import type { JobSubmission } from "../format/messages.ts";
import { jobOfCheckpoint } from "../format/paths.ts";
import { coordinator, dispatcher, type Env } from "./env.ts";
import { HttpError } from "./errors.ts";
import { manifestAt } from "./restore.ts";

/** What a request says of it. */
export interface Origin {
  /** The manifest; absent: of the latest checkpoint of `job`. */
  readonly path?: string;
  /** The job whose checkpoint it is; absent: found by the path. */
  readonly job?: JobId;
  readonly claims: boolean;
}

export interface Kept {
  readonly path: string;
  readonly manifest: Manifest;
  readonly hold?: HoldKey;
  readonly claimed?: NonNullable<NonNullable<JobSubmission["restore"]>["claimed"]>;
}

/** @throws HttpError where there is nothing to begin with, or it cannot be kept */
export async function kept(env: Env, by: JobId, origin: Origin): Promise<Kept> {
  const { path, claims } = origin;
  const keeper = origin.job ?? (path === undefined ? undefined : await keeperOf(env, path, claims));
  const held =
    keeper && (await heldBy(env, keeper, { by, ...(path && { path }), ...claim(claims) }));
  const at = held?.path ?? path;
  if (at === undefined) throw new Error("T1: neither a manifest nor a job was named.");
  const hold = held && { hold: held.hold };
  try {
    const manifest = await manifestAt(env, { path: at });
    const { attempt, completedAt } = manifest;
    const files = [...new Set([at, ...manifestFiles(manifest)])];
    const claimed = claims && { claimed: { attempt, completedAt, files } };
    return { path: at, manifest, ...hold, ...claimed };
  } catch (error) {
    await withdrawn(env, hold);
    throw error;
  }
}

/** Nothing was submitted that begins with it, and nothing will be (T2). */
export async function withdrawn(
  env: Env,
  kept: { readonly hold?: HoldKey | undefined } | undefined,
): Promise<void> {
  const { owner, nth } = kept?.hold ?? {};
  if (owner === undefined || nth === undefined) return;
  await coordinator(env, owner)
    .withdraw(nth)
    .catch((error: unknown) => console.warn(`Hold ${nth} of job ${owner} stays for now:`, error));
}

const claim = (claims: boolean): Pick<HoldRequest, "claims"> => (claims ? { claims } : {});

/** The job that would delete it; undefined where none of this deployment would. */
async function keeperOf(env: Env, path: string, claims: boolean): Promise<JobId | undefined> {
  const taker = jobOfCheckpoint(path);
  // Whether another may claim a savepoint is decided when the job is registered.
  if (taker === undefined) return claims ? undefined : dispatcher(env).claimantOf(path);
  if ((await dispatcher(env).get(taker)) !== undefined) return taker;
  if (!claims) return undefined;
  throw new HttpError(
    409,
    `${path} is of job ${taker}, which this deployment does not know: nobody here could delete it. ` +
      `Use NO_CLAIM.`,
  );
}

async function heldBy(
  env: Env,
  keeper: JobId,
  request: HoldRequest,
): Promise<{ readonly hold: HoldKey; readonly path: string } | undefined> {
  const answer = await coordinator(env, keeper).hold(request);
  if (answer.kind === "held") return answer;
  if (answer.kind === "absent") {
    // Registered, and never submitted: it has taken no checkpoint, and deletes no savepoint.
    if (request.path !== undefined && !request.claims) return undefined;
    throw new HttpError(409, `Job ${keeper} was never submitted, and has no checkpoint.`);
  }
  throw new HttpError(answer.kind === "unavailable" ? 503 : 409, answer.reason);
}
