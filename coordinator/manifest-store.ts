// Manifests in R2. The conditional create is the commit point of a checkpoint; what it answered is
// made unambiguous here, and nothing is decided.

import { FormatError } from "../format/format-error.ts";
import { decodeManifest, type Manifest } from "../format/manifest.ts";

export type PublishOutcome =
  | { readonly kind: "created" }
  /** Another manifest stands under the name. */
  | { readonly kind: "exists"; readonly message: string }
  /** The store did not say, and reading it did not tell either. */
  | { readonly kind: "unknown"; readonly message: string };

export type LoadOutcome =
  | { readonly kind: "loaded"; readonly manifest: Manifest }
  | { readonly kind: "failed"; readonly damaged: boolean; readonly message: string };

/** Creates if absent: exactly one caller wins, and a winner whose answer got lost still learns it. */
export async function publishManifest(
  bucket: R2Bucket,
  path: string,
  bytes: Uint8Array,
): Promise<PublishOutcome> {
  let error: unknown;
  try {
    const created = await bucket.put(path, bytes, { onlyIf: { etagDoesNotMatch: "*" } });
    if (created !== null) return { kind: "created" };
    error = new Error(`${path} exists`);
  } catch (cause) {
    error = cause;
  }
  try {
    const found = await bucket.get(path);
    if (found === null) return { kind: "unknown", message: messageOf(error) };
    const isOurs = equalBytes(new Uint8Array(await found.arrayBuffer()), bytes);
    return isOurs
      ? { kind: "created" }
      : { kind: "exists", message: `${path} holds another manifest.` };
  } catch (cause) {
    return { kind: "unknown", message: `${messageOf(error)}; then: ${messageOf(cause)}` };
  }
}

export async function loadManifest(bucket: R2Bucket, path: string): Promise<LoadOutcome> {
  try {
    const found = await bucket.get(path);
    if (found === null) {
      return {
        kind: "failed",
        damaged: true,
        message: `The manifest ${path} is not in the bucket.`,
      };
    }
    return { kind: "loaded", manifest: decodeManifest(new Uint8Array(await found.arrayBuffer())) };
  } catch (cause) {
    // A manifest of newer code is whole: that code has to come back, the checkpoint must not go.
    const damaged = cause instanceof FormatError && cause.fault !== "version";
    return {
      kind: "failed",
      damaged,
      message: `The manifest ${path} was not read: ${messageOf(cause)}`,
    };
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const equalBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, at) => byte === right[at]);
