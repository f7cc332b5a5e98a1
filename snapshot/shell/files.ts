// The bytes of a snapshot out of a bucket, by range requests.
//   F1. What looks damaged is read once more, as the transfer may have been at fault; then it counts as
//       damaged. A request that fails is tried again, and says nothing of the file.
//   F2. What is wrong is told as a restore tells it: with the file, the range, the operator, the state.

import { FormatError } from "../../format/format-error.ts";
import { decodeManifest, type Manifest } from "../../format/manifest.ts";
import { type SnapshotPart, titleOf } from "../../format/snapshot-part.ts";

/** What reading needs of a bucket; an R2 bucket is one. */
export interface SnapshotBucket {
  get(
    path: string,
    options?: { readonly range: { readonly offset: number; readonly length: number } },
  ): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
  head(path: string): Promise<{ readonly size: number } | null>;
}

/**
 * A snapshot that cannot be read. `missing`: there is none. `damaged`: what is there is not what was
 * written. `unreadable`: it could not be fetched, or is of newer code.
 */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
  readonly kind: "missing" | "damaged" | "unreadable";

  constructor(kind: SnapshotError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Milliseconds before each further try of a request that failed. */
const readDelays = [50, 200, 1_000];

/** @throws SnapshotError where there is no manifest at `path`, or none that can be read */
export async function manifestAt(bucket: SnapshotBucket, path: string): Promise<Manifest> {
  const fetched = async (): Promise<Manifest> => {
    const found = await repeated(`The manifest ${path}`, () => bytesAt(bucket, path));
    if (found !== undefined) return manifestOf(path, found);
    throw new SnapshotError("missing", `The manifest ${path} is not there.`);
  };
  return twice(fetched);
}

/** What those bytes, which stand at `path`, say. @throws SnapshotError */
export function manifestOf(path: string, bytes: Uint8Array): Manifest {
  try {
    return decodeManifest(bytes, path);
  } catch (cause) {
    const kind =
      cause instanceof FormatError && cause.fault !== "version" ? "damaged" : "unreadable";
    throw new SnapshotError(kind, `The manifest ${path} was not read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/**
 * What `read` makes of a range of the part's bytes.
 *
 * @param range counts from the part's beginning
 * @param read throws a `FormatError` where the bytes are not what they must be
 * @throws SnapshotError
 */
export async function readPart<T>(
  bucket: SnapshotBucket,
  part: SnapshotPart,
  range: { readonly offset: number; readonly length: number },
  read: (bytes: Uint8Array) => T,
): Promise<T> {
  const { handle } = part;
  if (handle.kind === "inline") {
    const { bytes } = handle;
    return attempted(part, () => read(bytes.subarray(range.offset, range.offset + range.length)));
  }
  const { path } = handle;
  const offset = handle.offset + range.offset;
  const fetched = (): Promise<Uint8Array> =>
    repeated(titleOf(part), async () => {
      const { length } = range;
      // No request has an empty range.
      if (length === 0) return new Uint8Array();
      const found = await bytesAt(bucket, path, { offset, length }).catch(
        async (error: unknown) => {
          // A range behind the end of a file is refused like any other request that makes no sense.
          const file = await bucket.head(path).catch(() => null);
          if (file === null || file.size >= offset + length) throw error;
          throw damage(part, `the file ends at byte ${file.size}`);
        },
      );
      if (found === undefined) throw damage(part, "it is not in the bucket");
      return found;
    });
  const checked = (bytes: Uint8Array): T =>
    attempted(part, () => {
      if (bytes.length === range.length) return read(bytes);
      throw damage(part, `expected ${range.length} bytes, found ${bytes.length}`);
    });
  return twice(async () => checked(await fetched()));
}

/** F1 */
async function twice<T>(reading: () => Promise<T>): Promise<T> {
  try {
    return await reading();
  } catch (error) {
    if (!(error instanceof SnapshotError) || error.kind !== "damaged") throw error;
    return reading();
  }
}

function attempted<T>(part: SnapshotPart, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    if (cause.fault !== "version") throw damage(part, cause.message.replace(/\.$/, ""), cause);
    throw new SnapshotError("unreadable", `${titleOf(part)}: ${cause.message}`, { cause });
  }
}

export const damage = (part: SnapshotPart, flaw: string, cause?: unknown): SnapshotError =>
  new SnapshotError("damaged", `${titleOf(part)}: ${flaw}.`, { cause });

async function bytesAt(
  bucket: SnapshotBucket,
  path: string,
  range?: { readonly offset: number; readonly length: number },
): Promise<Uint8Array | undefined> {
  const found = await bucket.get(path, range && { range });
  return found === null ? undefined : new Uint8Array(await found.arrayBuffer());
}

async function repeated<T>(what: string, request: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await request();
    } catch (cause) {
      if (cause instanceof SnapshotError) throw cause;
      const delay = readDelays[tries];
      if (delay === undefined) {
        const message = `${what} cannot be read: ${messageOf(cause)}`;
        throw new SnapshotError("unreadable", message, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
