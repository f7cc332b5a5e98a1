// Where the bytes of a snapshot are. A handle is plain data: it travels in acknowledgements and
// stands in manifests.

import type { KeyGroupRange } from "./key-groups.ts";

/** Bytes inside the acknowledgement, or a range of a file in R2. */
export type BytesHandle =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly offset: number;
      readonly length: number;
    };

/** One keyed state of one subtask: a full segment and the deltas after it, oldest first. */
export interface KeyedStateHandle {
  readonly uid: string;
  readonly state: string;
  readonly range: KeyGroupRange;
  readonly segments: readonly BytesHandle[];
}

/** State of an operator that has no key, such as a source's offsets: one encoded value. */
export interface OperatorStateHandle {
  readonly uid: string;
  readonly bytes: Uint8Array;
}

/** Rows on their way over one channel at the moment of the snapshot (channel-state.ts). */
export interface ChannelStateHandle {
  /** `input`: its receiver had not processed them yet. `output`: its sender had not sent them. */
  readonly end: "input" | "output";
  readonly edge: number;
  /** Indices of the subtasks at its two ends. */
  readonly from: number;
  readonly to: number;
  readonly frames: BytesHandle;
}

/** All that one subtask put into one checkpoint. */
export interface TaskStateHandle {
  readonly keyed: readonly KeyedStateHandle[];
  readonly operator: readonly OperatorStateHandle[];
  /** Absent where the barriers overtook nothing. */
  readonly channels?: readonly ChannelStateHandle[];
}

/** Paths of the files that `state` needs. */
export const filesOf = ({ keyed, channels = [] }: TaskStateHandle): string[] =>
  [...keyed.flatMap((state) => state.segments), ...channels.map((state) => state.frames)].flatMap(
    (bytes) => (bytes.kind === "file" ? [bytes.path] : []),
  );
