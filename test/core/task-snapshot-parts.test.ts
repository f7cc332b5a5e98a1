// Bytes that were found for a part of a snapshot, against those that were written.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrames } from "../../format/channel-state.ts";
import { seal } from "../../format/envelope.ts";
import type { KeyGroup } from "../../format/key-groups.ts";
import { encodeElements } from "../../format/operator-state.ts";
import { writeSegment } from "../../format/segment.ts";
import type { BytesHandle } from "../../format/state-handle.ts";
import { type SnapshotPart, titleOf } from "../../format/snapshot-part.ts";
import { flawOf } from "../../task/snapshot-parts.ts";

const header = { uid: "tally", state: "sums", kind: "full", maxParallelism: 8 } as const;
const segment = writeSegment(
  header,
  Array.from({ length: 40 }, (_, n) => ({
    group: (n % 8) as KeyGroup,
    key: `key-${n}`,
    value: { n },
  })),
);
const frames = encodeFrames([new Uint8Array(10).fill(1), new Uint8Array(3)]);
const elements = encodeElements([{ partition: 0, offset: 7 }, "other"]);
const inFile = (length: number): BytesHandle => ({ kind: "file", path: "f", offset: 8, length });

const envelopeOf = {
  segment: "segment",
  elements: "operator-state",
  frames: "channel-state",
} as const;
const parts: readonly [string, SnapshotPart, Uint8Array][] = [
  [
    "segment",
    { kind: "segment", handle: inFile(segment.length), of: { uid: "tally", state: "sums" } },
    segment,
  ],
  [
    "state that no key owns",
    { kind: "elements", handle: inFile(elements.length), of: { uid: "in", state: "offsets" } },
    elements,
  ],
  [
    "channel state",
    {
      kind: "frames",
      handle: inFile(frames.length),
      of: { end: "input", edge: 3, from: 0, to: 1, frames: inFile(frames.length) },
    },
    frames,
  ],
];

describe.each(parts)("a %s", (_, part, bytes) => {
  it("that is as it was written has no flaw", () => {
    expect(flawOf(part, bytes)).toBeUndefined();
  });

  it("has a flaw wherever a byte was changed (G1)", () => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 1 << (at % 8);
      expect(flawOf(part, changed), `byte ${at}`).toBeTypeOf("string");
    }
  });

  it("has a flaw wherever it is cut, and as any other bytes (G1)", () => {
    const inManifest = (found: Uint8Array): SnapshotPart => {
      return { ...part, handle: { kind: "inline", bytes: found } } as SnapshotPart;
    };
    for (let end = 0; end < bytes.length; end++) {
      const cut = bytes.slice(0, end);
      expect(flawOf(part, cut)).toBe(`expected ${bytes.length} bytes, found ${end}`);
      expect(flawOf(inManifest(cut), cut)).toBeTypeOf("string");
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (other) => {
        expect(flawOf(inManifest(other), other)).toBeTypeOf("string");
      }),
    );
  });

  it("of newer code is no damage (G1)", () => {
    const newer = seal(envelopeOf[part.kind], 9, new Uint8Array(8));
    const handle: BytesHandle = { kind: "inline", bytes: newer };
    expect(() => flawOf({ ...part, handle } as SnapshotPart, newer)).toThrow(/written by newer/);
  });
});

it("a segment of another state is a flaw (G1)", () => {
  const part: SnapshotPart = {
    kind: "segment",
    handle: inFile(segment.length),
    of: { uid: "tally", state: "counts" },
  };
  expect(flawOf(part, segment)).toBe('it is a segment of operator "tally", state "sums"');
});

it("parts are named with file, range, operator and state (G2)", () => {
  expect(parts.map(([, part]) => titleOf(part))).toEqual([
    `State file f, bytes 8 to ${8 + segment.length} (operator "tally", state "sums")`,
    `State file f, bytes 8 to ${8 + elements.length} (operator "in", state "offsets")`,
    `State file f, bytes 8 to ${8 + frames.length} (rows on channel 3:0>1, kept by its receiver)`,
  ]);
});
