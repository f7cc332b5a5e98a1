// A frozen state as its handles and its file.

import { joined } from "../../format/bytes.ts";
import { type KeyedStateHandle, lengthOf } from "../../format/state-handle.ts";
import type { SnapshotFile } from "../../task/snapshot-file.ts";
import { type FrozenState, keyedHandleOf } from "../../task/state-snapshots.ts";

export interface HandedOver {
  readonly keyed: readonly KeyedStateHandle[];
  readonly file: SnapshotFile | undefined;
  /** Bytes that were added, and bytes of all that it refers to. */
  readonly bytes: number;
  readonly stateBytes: number;
}

/** What is late is encoded at once, into the file at `path`. */
export function handedOver({ keyed, file, late, bytes }: FrozenState, path = ""): HandedOver {
  const parts = file === undefined ? [] : [file.bytes];
  let offset = file?.bytes.length ?? 0;
  for (const segments of late) {
    while (segments.handles === undefined) {
      segments.step((segment) => {
        const { length } = segment;
        parts.push(segment);
        offset += length;
        return { kind: "file", path, offset: offset - length, length };
      });
    }
  }
  const handles = keyed.map(keyedHandleOf);
  const segments = handles.flatMap((handle) => handle.segments);
  return {
    keyed: handles,
    file: parts.length === 0 ? undefined : { path: file?.path ?? path, bytes: joined(parts) },
    bytes: late.reduce((sum, each) => sum + each.bytes, bytes),
    stateBytes: segments.reduce((sum, handle) => sum + lengthOf(handle), 0),
  };
}
