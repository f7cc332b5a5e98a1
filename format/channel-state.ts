// Rows that were on their way over one channel when a snapshot was taken: the frames as they were,
// in one envelope.
//   C1. Frames come back in order and byte for byte; one changed byte anywhere is found.
//
// Payload: how many (4), then of each its length (4), padding, its bytes; a multiple of 8 in all.

import { ByteReader, ByteWriter } from "./bytes.ts";
import { seal, unseal } from "./envelope.ts";

const kind = "channel-state";
const version = 1;

export function encodeFrames(frames: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter(frames.reduce((sum, frame) => sum + frame.length + 16, 8));
  out.u32(frames.length);
  for (const frame of frames) {
    out.u32(frame.length);
    out.align();
    out.bytes(frame);
  }
  out.align();
  return seal(kind, version, out.finish());
}

/** The frames, as views of `bytes`. @throws FormatError when damaged */
export function decodeFrames(bytes: Uint8Array): Uint8Array[] {
  const input = new ByteReader(unseal(kind, bytes, version), "Channel state");
  return Array.from({ length: input.u32() }, () => {
    const length = input.u32();
    input.align();
    return input.bytes(length);
  });
}
