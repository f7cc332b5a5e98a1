// One part of a snapshot: where its bytes are, and what they must be.

import type { BytesHandle, ChannelStateHandle, KeyedStateHandle } from "./state-handle.ts";

export type SnapshotPart =
  | {
      readonly kind: "segment" | "elements";
      readonly handle: BytesHandle;
      readonly of: Pick<KeyedStateHandle, "uid" | "state">;
    }
  | { readonly kind: "frames"; readonly handle: BytesHandle; readonly of: ChannelStateHandle };

/** The part, for people: the file, the range in it, the operator and the state. */
export function titleOf({ kind, handle, of }: SnapshotPart): string {
  const place =
    handle.kind === "inline"
      ? "State in the manifest"
      : `State file ${handle.path}, bytes ${handle.offset} to ${handle.offset + handle.length}`;
  const what =
    kind !== "frames"
      ? `operator "${of.uid}", state "${of.state}"`
      : `rows on channel ${of.edge}:${of.from ?? "any"}>${of.to}, kept by its ${of.end === "output" ? "sender" : "receiver"}`;
  return `${place} (${what})`;
}
