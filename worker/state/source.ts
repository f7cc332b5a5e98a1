// Where an answer about state comes from: from what runs now, or from a snapshot (Q1, Q2 of
// routes/state.ts).

import type { JobDetails } from "../../format/job-status.ts";
import { snapshotId } from "../../format/paths.ts";
import type { Env } from "../env.ts";
import { HttpError } from "../errors.ts";
import { detailsOf, summaryOf } from "../routes/jobs.ts";
import { type OpenSnapshot, retainedSnapshot, snapshotOf } from "../snapshots.ts";

/** What there is now, which no checkpoint has committed, or what there was then. */
interface AsOf {
  readonly read: "live" | "checkpoint" | "savepoint";
  readonly committed: boolean;
  readonly checkpoint: number | null;
  readonly savepoint?: string;
  readonly time: number;
}

/** A snapshot that is asked. */
export type SnapshotSource = { readonly kind: "snapshot"; readonly asOf: AsOf } & OpenSnapshot;

/** What a request is about, and where its answer comes from. */
export type Source =
  { readonly kind: "live"; readonly details: JobDetails; readonly asOf: AsOf } | SnapshotSource;

export async function sourceOf(
  env: Env,
  jobid: string,
  {
    checkpoint,
    savepoint,
  }: { readonly checkpoint?: number | undefined; readonly savepoint?: string | undefined },
): Promise<Source> {
  if (checkpoint !== undefined && savepoint !== undefined) {
    throw new HttpError(400, "Bad request: give checkpoint or savepoint, not both.");
  }
  const { job } = await summaryOf(env, jobid);
  if (checkpoint !== undefined) {
    const found = await retainedSnapshot(env, job, checkpoint);
    return { kind: "snapshot", ...found, asOf: asOfSnapshot(found) };
  }
  if (savepoint !== undefined) {
    const found = await snapshotOf(env, savepoint);
    return { kind: "snapshot", ...found, asOf: asOfSnapshot(found) };
  }
  const details = await detailsOf(env, jobid);
  const live = { read: "live", committed: false, checkpoint: null, time: Date.now() } as const;
  return { kind: "live", details, asOf: live };
}

function asOfSnapshot({ path, snapshot: { manifest } }: OpenSnapshot): AsOf {
  const { isSavepoint, checkpoint, completedAt: time } = manifest;
  return isSavepoint
    ? { read: "savepoint", committed: true, checkpoint, savepoint: snapshotId(path), time }
    : { read: "checkpoint", committed: true, checkpoint, time };
}

/** Whose state it is: of a savepoint, that of the job that it was taken of. */
export const jobOf = (source: Source): string =>
  source.kind === "live" ? source.details.summary.job : source.snapshot.manifest.job;

export const maxParallelismOf = (source: Source): number =>
  source.kind === "live"
    ? source.details.plan.maxParallelism
    : source.snapshot.manifest.maxParallelism;
