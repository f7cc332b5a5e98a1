// The savepoints of a bucket: which there are, newest first.
//   L1. A savepoint is there once its manifest is. What it is called says nothing of when it was taken,
//       so the whole listing is read; of the manifests, only those of the page.

import type { Manifest } from "../../format/manifest.ts";
import { folderOf, isSavepointManifest, savepointsPrefix, snapshotId } from "../../format/paths.ts";
import { manifestAt, type SnapshotBucket, SnapshotError } from "./files.ts";

/** What listing needs of a bucket, beside reading. */
export interface ListedBucket extends SnapshotBucket {
  list(options: { readonly prefix: string; readonly cursor?: string }): Promise<BucketPage>;
}

interface BucketPage {
  readonly objects: readonly {
    readonly key: string;
    readonly size: number;
    readonly uploaded: Date;
  }[];
  readonly truncated: boolean;
  readonly cursor?: string;
}

export interface ListedSavepoint {
  readonly id: string;
  /** Its manifest. */
  readonly path: string;
  /** Of all files in its folder. */
  readonly bytes: number;
  /** What it says of itself, or why that cannot be read. */
  readonly manifest: Manifest | SnapshotError;
}

export interface SavepointPage {
  readonly savepoints: readonly ListedSavepoint[];
  /** How many there are in all. */
  readonly total: number;
  /** There are more, after the last of these. */
  readonly hasMore: boolean;
}

/** `after`: the id of the last one of the page before; undefined where there is none of that id. */
export async function listSavepoints(
  bucket: ListedBucket,
  { limit, after }: { readonly limit: number; readonly after: string | undefined },
): Promise<SavepointPage | undefined> {
  const found: { path: string; at: number }[] = [];
  const sizes = new Map<string, number>();
  let cursor: string | undefined;
  do {
    const page = await bucket.list({
      prefix: savepointsPrefix,
      ...(cursor !== undefined && { cursor }),
    });
    for (const { key, size, uploaded } of page.objects) {
      const folder = folderOf(key);
      sizes.set(folder, (sizes.get(folder) ?? 0) + size);
      if (isSavepointManifest(key)) found.push({ path: key, at: uploaded.getTime() });
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  found.sort((a, b) => b.at - a.at || (a.path < b.path ? -1 : 1));
  const from =
    after === undefined ? 0 : found.findIndex(({ path }) => snapshotId(path) === after) + 1;
  if (after !== undefined && from === 0) return undefined;
  const savepoints: ListedSavepoint[] = [];
  for (const { path } of found.slice(from, from + limit)) {
    const manifest = await manifestAt(bucket, path).catch((error: unknown) => {
      if (error instanceof SnapshotError) return error;
      throw error;
    });
    savepoints.push({ id: snapshotId(path), path, bytes: sizes.get(folderOf(path))!, manifest });
  }
  return { savepoints, total: found.length, hasMore: from + limit < found.length };
}
