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

/** All that one subtask put into one checkpoint. */
export interface TaskStateHandle {
  readonly keyed: readonly KeyedStateHandle[];
  readonly operator: readonly OperatorStateHandle[];
}

/** Paths of the files that `state` needs. */
export const filesOf = (state: TaskStateHandle): string[] =>
  state.keyed.flatMap((keyed) =>
    keyed.segments.flatMap((segment) => (segment.kind === "file" ? [segment.path] : [])),
  );
