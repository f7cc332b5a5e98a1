// Reading a manifest back: what is there, and whether it is what was written.

import { FormatError } from "../format/format-error.ts";
import { decodeManifest, type Manifest } from "../format/manifest.ts";

export type LoadOutcome =
  | { readonly kind: "loaded"; readonly manifest: Manifest }
  | { readonly kind: "failed"; readonly damaged: boolean; readonly message: string };

/** The part of a bucket that this needs. */
export interface ManifestBucket {
  get(path: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
}

export async function loadManifest(bucket: ManifestBucket, path: string): Promise<LoadOutcome> {
  try {
    const found = await bucket.get(path);
    return outcomeOf(path, found === null ? undefined : new Uint8Array(await found.arrayBuffer()));
  } catch (cause) {
    return { kind: "failed", damaged: false, message: notRead(path, cause) };
  }
}

/** What the bytes at `path` are; undefined: there are none. */
export function outcomeOf(path: string, bytes: Uint8Array | undefined): LoadOutcome {
  if (bytes === undefined) {
    return { kind: "failed", damaged: true, message: `The manifest ${path} is not there.` };
  }
  try {
    return { kind: "loaded", manifest: decodeManifest(bytes, path) };
  } catch (cause) {
    // A manifest of newer code is whole: that code has to come back, the checkpoint must not go.
    const damaged = cause instanceof FormatError && cause.fault !== "version";
    return { kind: "failed", damaged, message: notRead(path, cause) };
  }
}

const notRead = (path: string, cause: unknown): string =>
  `The manifest ${path} was not read: ${messageOf(cause)}`;

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
