// The parts of a snapshot whose bytes a subtask needs to begin with, and whether the bytes that were
// found for one are those that were written.
//   G1. Whatever differs from what was written is damage: a changed byte, an end that is missing, a
//       part of another state. Bytes that are whole and of newer code are not: they are an error.
//   G2. What is wrong is told with the file, the range in it, the operator and the state
//       (`titleOf` of format/snapshot-part.ts).

import { decodeFrames } from "../format/channel-state.ts";
import { isWholeEnvelope } from "../format/envelope.ts";
import { FormatError } from "../format/format-error.ts";
import { intersectRanges, rangeOfSubtask } from "../format/key-groups.ts";
import type { TaskDeployment } from "../format/messages.ts";
import { decodeElements } from "../format/operator-state.ts";
import { vertexOf } from "../format/plan.ts";
import { readSegment, type Segment } from "../format/segment.ts";
import type { SnapshotPart } from "../format/snapshot-part.ts";
import type { KeyedStateHandle } from "../format/state-handle.ts";

/** The keyed states of the deployment's checkpoint of which this subtask owns key groups. */
export function ownKeyedState({ restore, plan, task }: TaskDeployment): KeyedStateHandle[] {
  const { parallelism } = vertexOf(plan, task.vertex);
  const own = rangeOfSubtask(task.index, parallelism, plan.maxParallelism);
  return (restore?.states ?? [])
    .flatMap((state) => state.keyed)
    .filter((handle) => intersectRanges(handle.range, own) !== undefined);
}

/** What is read of a part: of a segment its checksums are compared, and never again. */
export type PartContent = Segment | Uint8Array;

/** What is wrong with bytes that were found for the part, or undefined where nothing is. */
export function flawOf(part: SnapshotPart, bytes: Uint8Array): string | undefined {
  const content = contentOf(part, bytes);
  return typeof content === "string" ? content : undefined;
}

/** What bytes that were found for the part are; as a text, what is wrong with them. */
export function contentOf(part: SnapshotPart, bytes: Uint8Array): PartContent | string {
  const { handle } = part;
  if (handle.kind === "file" && bytes.length !== handle.length) {
    return `expected ${handle.length} bytes, found ${bytes.length}`;
  }
  try {
    if (part.kind !== "segment") {
      if (part.kind === "frames") decodeFrames(bytes);
      else decodeElements(bytes);
      return bytes;
    }
    const segment = readSegment(bytes);
    segment.check();
    const { uid, state } = segment.header;
    if (uid === part.of.uid && state === part.of.state) return segment;
    return `it is a segment of operator "${uid}", state "${state}"`;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (error.fault === "version" && isWholeEnvelope(bytes)) throw error;
    return error.message;
  }
}
