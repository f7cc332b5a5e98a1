// What goes over a channel: one tag byte, then rows or a mark. Marks are tiny frames in the same
// order as the rows around them.
//   F1. A frame is `data` or a mark; only `data` needs credit.

import { type CheckpointId, checkpointId } from "./ids.ts";

const tags = { data: 1, barrier: 2 } as const;

/** The rows stay encoded until the chain asks for them. */
export type Frame =
  | { readonly kind: "data"; readonly rows: Uint8Array }
  | { readonly kind: "barrier"; readonly checkpoint: CheckpointId };

/** Bytes before the rows of a data frame; a multiple of 8 keeps typed columns aligned. */
const headerBytes = 8;

export function encodeData(rows: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + rows.length);
  frame[0] = tags.data;
  frame.set(rows, headerBytes);
  return frame;
}

export function encodeBarrier(checkpoint: CheckpointId): Uint8Array {
  const frame = new Uint8Array(headerBytes * 2);
  frame[0] = tags.barrier;
  new DataView(frame.buffer).setFloat64(headerBytes, checkpoint, true);
  return frame;
}

export function decodeFrame(bytes: Uint8Array): Frame {
  const tag = bytes[0];
  if (bytes.length < headerBytes)
    throw new RangeError(`A frame has ${bytes.length} bytes, at least 8 expected.`);
  if (tag === tags.data) return { kind: "data", rows: bytes.subarray(headerBytes) };
  if (tag === tags.barrier && bytes.length === headerBytes * 2) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return { kind: "barrier", checkpoint: checkpointId(view.getFloat64(headerBytes, true)) };
  }
  throw new RangeError(
    `A frame has tag ${tag} and ${bytes.length} bytes, neither rows nor a mark.`,
  );
}

export const needsCredit = (frame: Uint8Array): boolean => frame[0] === tags.data;
