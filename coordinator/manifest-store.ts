// Where a job's checkpoints are kept, as its coordinator sees it: in R2, or in its own SQLite. The
// conditional create of a manifest is the commit point of a checkpoint; what it answered is made
// unambiguous here, and nothing is decided.

import { joined } from "../format/bytes.ts";
import { MiB } from "../format/limits.ts";
import { type LoadOutcome, loadManifest, outcomeOf } from "./load-manifest.ts";

export type PublishOutcome =
  | { readonly kind: "created" }
  /** Another manifest stands under the name. */
  | { readonly kind: "exists"; readonly message: string }
  /** The store did not say, and reading it did not tell either. */
  | { readonly kind: "unknown"; readonly message: string };

/** Reads see all earlier writes. Paths are those of `format/paths.ts`. */
export interface CheckpointStore {
  /** Creates if absent: exactly one caller wins, and a winner whose answer got lost learns it. */
  publish(path: string, bytes: Uint8Array): Promise<PublishOutcome>;
  load(path: string): Promise<LoadOutcome>;
  /** What is not there is deleted already. */
  delete(paths: readonly string[]): Promise<void>;
  /** Every path that begins with `prefix`, a page at a time. A page may be deleted meanwhile. */
  list(prefix: string): AsyncIterable<readonly string[]>;
}

/** Keys that one R2 call deletes. */
const deleteBatch = 1_000;

/** Manifests and the files of subtasks, in R2. */
export class BucketStore implements CheckpointStore {
  readonly #bucket: R2Bucket;

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
  }

  async publish(path: string, bytes: Uint8Array): Promise<PublishOutcome> {
    let error: unknown;
    try {
      const created = await this.#bucket.put(path, bytes, { onlyIf: { etagDoesNotMatch: "*" } });
      if (created !== null) return { kind: "created" };
      error = new Error(`${path} exists`);
    } catch (cause) {
      error = cause;
    }
    try {
      const found = await this.#bucket.get(path);
      if (found === null) return { kind: "unknown", message: messageOf(error) };
      return standing(path, new Uint8Array(await found.arrayBuffer()), bytes);
    } catch (cause) {
      return { kind: "unknown", message: `${messageOf(error)}; then: ${messageOf(cause)}` };
    }
  }

  load(path: string): Promise<LoadOutcome> {
    return loadManifest(this.#bucket, path);
  }

  async delete(paths: readonly string[]): Promise<void> {
    for (let from = 0; from < paths.length; from += deleteBatch) {
      await this.#bucket.delete(paths.slice(from, from + deleteBatch));
    }
  }

  async *list(prefix: string): AsyncGenerator<readonly string[]> {
    let cursor: string | undefined;
    do {
      const page: R2Objects = await this.#bucket.list({
        prefix,
        ...(cursor !== undefined && { cursor }),
      });
      yield page.objects.map((object) => object.key);
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
  }
}

/** Runs one statement; blobs go in and come out as bytes. */
export type Sql = (
  query: string,
  ...bindings: (string | number | Uint8Array)[]
) => readonly Readonly<Record<string, unknown>>[];

/** Bytes of a manifest in one row; SQLite here takes 2 MB. */
const partBytes = 1 * MiB;

/** Manifests with all state inside them, in the coordinator's SQLite: nothing is in R2. */
export class InlineStore implements CheckpointStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql(
      "CREATE TABLE IF NOT EXISTS manifest " +
        "(path TEXT NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (path, part))",
    );
  }

  // Nothing waits between the question and the writes, so they are one transaction.
  async publish(path: string, bytes: Uint8Array): Promise<PublishOutcome> {
    const found = this.#read(path);
    if (found !== undefined) return standing(path, found, bytes);
    for (let part = 0; part * partBytes < bytes.length; part++) {
      const slice = bytes.subarray(part * partBytes, (part + 1) * partBytes);
      this.#sql("INSERT INTO manifest (path, part, bytes) VALUES (?, ?, ?)", path, part, slice);
    }
    return { kind: "created" };
  }

  async load(path: string): Promise<LoadOutcome> {
    return outcomeOf(path, this.#read(path));
  }

  async delete(paths: readonly string[]): Promise<void> {
    for (const path of paths) this.#sql("DELETE FROM manifest WHERE path = ?", path);
  }

  async *list(prefix: string): AsyncGenerator<readonly string[]> {
    const rows = this.#sql("SELECT DISTINCT path FROM manifest");
    yield rows.map((row) => row["path"] as string).filter((path) => path.startsWith(prefix));
  }

  #read(path: string): Uint8Array | undefined {
    const rows = this.#sql("SELECT bytes FROM manifest WHERE path = ? ORDER BY part", path);
    return rows.length === 0 ? undefined : joined(rows.map((row) => row["bytes"] as Uint8Array));
  }
}

/** What stands where `ours` was to be created: it, or another. */
const standing = (path: string, found: Uint8Array, ours: Uint8Array): PublishOutcome =>
  found.length === ours.length && found.every((byte, at) => byte === ours[at])
    ? { kind: "created" }
    : { kind: "exists", message: `${path} holds another manifest.` };

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
