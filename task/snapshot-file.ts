// Where parts of a snapshot are put: inside the acknowledgement, or behind one another in its file.

import type { BytesHandle } from "../format/state-handle.ts";

export interface SnapshotFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The parts' handles, in order, and the file with what went into it. */
export function place(
  parts: readonly Uint8Array[],
  options: {
    readonly isInline: boolean;
    /** What the snapshot has in its file so far, where it has one. */
    readonly file: SnapshotFile | undefined;
    /** The file to write where there is none yet. */
    readonly path: string;
  },
): { readonly handles: BytesHandle[]; readonly file: SnapshotFile | undefined } {
  if (options.isInline || parts.length === 0) {
    return { handles: parts.map((bytes) => ({ kind: "inline", bytes })), file: options.file };
  }
  const before = options.file?.bytes ?? new Uint8Array();
  const { path } = options.file ?? options;
  const bytes = new Uint8Array(before.length + bytesOf(parts));
  bytes.set(before);
  let offset = before.length;
  const handles = parts.map((part): BytesHandle => {
    bytes.set(part, offset);
    offset += part.length;
    return { kind: "file", path, offset: offset - part.length, length: part.length };
  });
  return { handles, file: { path, bytes } };
}

export const bytesOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => sum + part.length, 0);
