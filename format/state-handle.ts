// Where the bytes of a snapshot are. A handle is plain data: it travels in acknowledgements and
// stands in manifests.

import { intersectRanges, type KeyGroupRange } from "./key-groups.ts";
import type { StoredSchema } from "./segment.ts";

/** Bytes inside the acknowledgement, or a range of a file in R2. */
export type BytesHandle =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly offset: number;
      readonly length: number;
      /** Of a segment that is one of many: all key groups that it has entries of are among these. */
      readonly groups?: KeyGroupRange;
    };

/** Whether a segment may have entries of key groups in that range. */
export const mayHave = (handle: BytesHandle, range: KeyGroupRange): boolean =>
  handle.kind === "inline" ||
  handle.groups === undefined ||
  intersectRanges(handle.groups, range) !== undefined;

/** One keyed state of one subtask: a full segment and the deltas after it, oldest first. */
export interface KeyedStateHandle {
  readonly uid: string;
  readonly state: string;
  readonly range: KeyGroupRange;
  readonly segments: readonly BytesHandle[];
}

/**
 * Who takes over what of a state that no key owns. `split`: the elements of all subtasks are dealt out
 * again, each to one. `union`: every subtask takes all of them. `broadcast`: all held the same, and
 * every subtask takes one copy.
 */
export type Redistribution = "split" | "union" | "broadcast";

/** One state of one subtask that no key owns, such as a source's offsets (operator-state.ts). */
export interface OperatorStateHandle {
  readonly uid: string;
  readonly state: string;
  readonly redistribution: Redistribution;
  readonly schema: StoredSchema;
  /** How many there are; never none. */
  readonly elements: number;
  readonly bytes: BytesHandle;
}

/** Rows on their way over one channel at the moment of the snapshot (channel-state.ts). */
export interface ChannelStateHandle {
  /**
   * `input`: its receiver had not processed them yet. `output`: its sender had not sent them.
   * `restored`: its receiver took them over from others at a restore (former-rows.ts) and had not
   * processed them yet; they are older than anything that the edge's channels have brought.
   */
  readonly end: "input" | "output" | "restored";
  readonly edge: number;
  /** Indices of the subtasks at its two ends; what was `restored` comes from any sender. */
  readonly from?: number;
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

/** Segments by what wrote them: those of one freeze are in one file, which has none of another freeze. */
export function freezesOf(segments: readonly BytesHandle[]): BytesHandle[][] {
  const freezes: BytesHandle[][] = [];
  for (const handle of segments) {
    const last = freezes.at(-1);
    const before = last?.[0];
    const isOfOne =
      before?.kind === "file" && handle.kind === "file" && before.path === handle.path;
    if (isOfOne) last!.push(handle);
    else freezes.push([handle]);
  }
  return freezes;
}

/** All that `state` refers to. */
export const handlesIn = ({ keyed, operator, channels = [] }: TaskStateHandle): BytesHandle[] => [
  ...keyed.flatMap((state) => state.segments),
  ...operator.map((state) => state.bytes),
  ...channels.map((state) => state.frames),
];

/** Paths of the files that `state` needs. */
export const filesOf = (state: TaskStateHandle): string[] =>
  handlesIn(state).flatMap((bytes) => (bytes.kind === "file" ? [bytes.path] : []));

/** The same state with its files named otherwise. */
export function renamed(
  { keyed, operator, channels }: TaskStateHandle,
  nameOf: (path: string) => string,
): TaskStateHandle {
  const moved = (bytes: BytesHandle): BytesHandle =>
    bytes.kind === "file" ? { ...bytes, path: nameOf(bytes.path) } : bytes;
  return {
    keyed: keyed.map((state) => ({ ...state, segments: state.segments.map(moved) })),
    operator: operator.map((state) => ({ ...state, bytes: moved(state.bytes) })),
    ...(channels && {
      channels: channels.map((state) => ({ ...state, frames: moved(state.frames) })),
    }),
  };
}

export const lengthOf = (bytes: BytesHandle): number =>
  bytes.kind === "inline" ? bytes.bytes.length : bytes.length;
