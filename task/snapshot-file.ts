// Where parts of a snapshot are put: inside the acknowledgement, or behind one another in its file.

import { joined } from "../format/bytes.ts";
import type { BytesHandle } from "../format/state-handle.ts";

export interface SnapshotFile {
  readonly path: string;
  /** All of it, or what is not stored of it yet. */
  readonly bytes: Uint8Array;
  /** Bytes before them, which were stored as pieces; 0 where it is absent. */
  readonly from?: number;
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
  const { path, bytes: before, from = 0 } = options.file ?? { ...options, bytes: new Uint8Array() };
  let offset = from + before.length;
  const handles = parts.map((part): BytesHandle => {
    const { length } = part;
    offset += length;
    return { kind: "file", path, offset: offset - length, length };
  });
  const bytes = joined([before, ...parts]);
  return { handles, file: { path, bytes, ...(from > 0 && { from }) } };
}

export const bytesOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => sum + part.length, 0);
