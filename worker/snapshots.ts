// Snapshots as requests name them, and what is answered where one cannot be read.

import type { Manifest } from "../format/manifest.ts";
import { folderOf, snapshotManifest } from "../format/paths.ts";
import type { JobId } from "../format/ids.ts";
import { SnapshotError } from "../snapshot/shell/files.ts";
import { Snapshot } from "../snapshot/shell/snapshot.ts";
import { coordinator, type Env } from "./env.ts";
import { HttpError } from "./errors.ts";

/** A snapshot with the path of its manifest. */
export interface OpenSnapshot {
  readonly snapshot: Snapshot;
  readonly path: string;
}

/** The savepoint, or the checkpoint, of that id. @throws HttpError */
export async function snapshotOf({ BUCKET }: Env, id: string): Promise<OpenSnapshot> {
  const path = snapshotManifest(id);
  if (path === undefined) throw noSnapshot(id);
  return { path, snapshot: await readable(() => Snapshot.open(BUCKET, path)) };
}

/** A checkpoint that the job retains. @throws HttpError that names those it does */
export async function retainedSnapshot(
  env: Env,
  job: JobId,
  checkpoint: number,
): Promise<OpenSnapshot> {
  const answer = await coordinator(env, job).retained(checkpoint);
  switch (answer.kind) {
    case "unreadable":
      throw new HttpError(422, answer.reason);
    case "none": {
      const ids = answer.retained.join(", ");
      const which = ids === "" ? "It retains none" : `Retained are: ${ids}`;
      throw new HttpError(404, `Job ${job} does not retain checkpoint ${checkpoint}. ${which}.`);
    }
    case "retained": {
      const { path, manifest } = answer;
      if (manifest === undefined) {
        return { path, snapshot: await readable(() => Snapshot.open(env.BUCKET, path)) };
      }
      return { path, snapshot: new Snapshot(env.BUCKET, manifest as Manifest) };
    }
  }
}

/** What `read` gives. @throws HttpError where the snapshot is missing, damaged or cannot be fetched */
export async function readable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    switch (error.kind) {
      case "missing":
        throw new HttpError(404, `${error.message} GET /savepoints lists those that are.`);
      case "damaged":
        throw new HttpError(422, error.message);
      case "unreadable":
        throw new HttpError(503, error.message);
    }
  }
}

/** The folder of a manifest, as a request to run names it. */
export const locationOf = (path: string): string => folderOf(path).replace(/\/$/, "");

const noSnapshot = (id: string): HttpError =>
  new HttpError(
    404,
    `"${id.slice(0, 200)}" is the id of no savepoint. It is the folder of one as it is named below ` +
      `savepoints/, with %2F for a slash; GET /savepoints lists them.`,
  );
