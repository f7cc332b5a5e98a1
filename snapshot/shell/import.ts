// Lines of an export (lines.ts) written as a savepoint of its own.
//   I1. The manifest comes last, by conditional create: before it nothing counts.
//   I2. Where a line is no good, or anything else fails, what was written is deleted.
//   I3. No file is written over: names hold a token of this import.

import { FormatError } from "../../format/format-error.ts";
import { taskKey } from "../../format/ids.ts";
import { MiB, operatorStateInlineBytes } from "../../format/limits.ts";
import { encodeManifest } from "../../format/manifest.ts";
import { importedFilePath, savepointManifestPath } from "../../format/paths.ts";
import type { BytesHandle } from "../../format/state-handle.ts";
import { readLine } from "../lines.ts";
import { type Part, SavepointBuilder } from "../savepoint-builder.ts";

/** What writing needs of a bucket; an R2 bucket is one. */
export interface WritableBucket {
  /** Null where the condition does not hold. */
  put(
    path: string,
    bytes: Uint8Array,
    options: { readonly onlyIf: { readonly etagDoesNotMatch: string } },
  ): Promise<unknown>;
  delete(paths: string[]): Promise<void>;
}

/** `entries`: lines between the header and the end. `exists`: there is a savepoint of that name. */
export type ImportOutcome =
  | { readonly kind: "imported"; readonly path: string; readonly entries: number }
  | { readonly kind: "exists" }
  | { readonly kind: "refused"; readonly reason: string };

/** Bytes of parts that need no file, in one manifest. */
const inlineMax = 1 * MiB;

/**
 * Reads all lines and writes what they say.
 *
 * @param folder of the savepoint, which is to be
 * @param token no other import has it
 */
export async function imported(
  bucket: WritableBucket,
  lines: AsyncIterable<string>,
  { folder, token }: { readonly folder: string; readonly token: string },
): Promise<ImportOutcome> {
  const writing = new Writing(bucket, folder, token);
  try {
    const reading = lines[Symbol.asyncIterator]();
    // What follows a line that is no good is not read: whoever sends it is told at once.
    let outcome: ImportOutcome;
    try {
      outcome = await writing.all(reading);
    } finally {
      await reading.return?.();
    }
    if (outcome.kind !== "imported") await writing.undo();
    return outcome;
  } catch (error) {
    await writing.undo();
    throw error;
  }
}

const unlessThere = { onlyIf: { etagDoesNotMatch: "*" } } as const;

class Writing {
  readonly #bucket: WritableBucket;
  readonly #folder: string;
  readonly #token: string;
  readonly #written: string[] = [];
  #inline = 0;

  constructor(bucket: WritableBucket, folder: string, token: string) {
    this.#bucket = bucket;
    this.#folder = folder;
    this.#token = token;
  }

  async all(reading: AsyncIterator<string>): Promise<ImportOutcome> {
    let builder: SavepointBuilder | undefined;
    let isWhole = false;
    let line = 0;
    let entries = 0;
    const refused = (problem: string): ImportOutcome => ({
      kind: "refused",
      reason: `Line ${line}: ${problem}. Nothing was imported.`,
    });
    for (;;) {
      line++;
      let text: string;
      try {
        const next = await reading.next();
        if (next.done === true) break;
        text = next.value;
      } catch (error) {
        if (error instanceof FormatError) return refused(lowered(error.message));
        throw error;
      }
      if (isWhole && text.trim() === "") continue;
      let parts: Part[] = [];
      try {
        const read = readLine(text);
        if (isWhole) return refused("it stands behind the last line of the export");
        if (read.kind === "header") {
          if (builder !== undefined) return refused("it is a second header");
          builder = new SavepointBuilder(read.header);
        } else if (builder === undefined) {
          return refused(`the first line must be the header: {"tidemark":"savepoint", …}`);
        } else if (read.kind === "end") {
          isWhole = true;
          parts = builder.finish();
        } else {
          entries++;
          parts = builder.add(read, text.length);
        }
      } catch (error) {
        if (error instanceof FormatError) return refused(lowered(error.message));
        throw error;
      }
      for (const part of parts) await this.#store(part);
    }
    if (builder === undefined || !isWhole) {
      return refused(`the file is cut short: its last line must be {"end":true}`);
    }
    const path = savepointManifestPath(this.#folder);
    const bytes = encodeManifest(builder.manifest, path);
    const created = await this.#bucket.put(path, bytes, unlessThere);
    return created === null ? { kind: "exists" } : { kind: "imported", path, entries };
  }

  async undo(): Promise<void> {
    for (let from = 0; from < this.#written.length; from += 1_000) {
      await this.#bucket.delete(this.#written.slice(from, from + 1_000));
    }
  }

  async #store(part: Part): Promise<void> {
    part.placed(await this.#handleFor(part.bytes, taskKey(part.task)));
  }

  async #handleFor(bytes: Uint8Array, task: string): Promise<BytesHandle> {
    const { length } = bytes;
    if (length <= operatorStateInlineBytes && this.#inline + length <= inlineMax) {
      this.#inline += length;
      return { kind: "inline", bytes };
    }
    const path = importedFilePath(this.#folder, this.#token, this.#written.length);
    this.#written.push(path);
    const created = await this.#bucket.put(path, bytes, unlessThere);
    if (created === null) {
      this.#written.pop();
      throw new Error(`${path}, of ${task}, exists already.`);
    }
    return { kind: "file", path, offset: 0, length };
  }
}

const lowered = (message: string): string =>
  `${message.slice(0, 1).toLowerCase()}${message.slice(1)}`.replace(/\.$/, "");
