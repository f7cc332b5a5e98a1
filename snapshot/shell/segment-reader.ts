// One segment of a snapshot, of which only the front is in memory and blocks are fetched by key group.
//   R1. The front is read once, and what came with it is not read again: a small segment is one
//       request.
//   R2. Reading group after group, requests take in what follows, up to a limit: few for a large
//       segment, and never much of it in memory.

import { FormatError } from "../../format/format-error.ts";
import type { KeyGroup } from "../../format/key-groups.ts";
import {
  readBlock,
  readSegmentIndex,
  type SegmentBlock,
  type SegmentEntry,
  type SegmentIndex,
  type SegmentIndexOutcome,
  segmentPrefixBytes,
} from "../../format/segment.ts";
import type { SnapshotPart } from "../../format/snapshot-part.ts";
import { type BytesHandle, type KeyedStateHandle, lengthOf } from "../../format/state-handle.ts";
import { readPart, type SnapshotBucket } from "./files.ts";

/** Bytes of the segment that are at hand, from `offset` on. */
interface Window {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class SegmentReader {
  readonly index: SegmentIndex;
  readonly #bucket: SnapshotBucket;
  readonly part: SnapshotPart;
  readonly #readAhead: number;
  #window: Window;

  private constructor(
    bucket: SnapshotBucket,
    part: SnapshotPart,
    front: { readonly index: SegmentIndex; readonly window: Window },
    readAhead: number,
  ) {
    this.#bucket = bucket;
    this.part = part;
    this.index = front.index;
    this.#window = front.window;
    this.#readAhead = readAhead;
  }

  /**
   * Reads the front of the segment.
   *
   * @param readAhead bytes that a request takes in at least where more follow (R2)
   * @throws SnapshotError where it is no segment of that state
   */
  static async open(
    bucket: SnapshotBucket,
    { uid, state }: Pick<KeyedStateHandle, "uid" | "state">,
    handle: BytesHandle,
    readAhead = 0,
  ): Promise<SegmentReader> {
    const part: SnapshotPart = { kind: "segment", handle, of: { uid, state } };
    const total = lengthOf(handle);
    let length = Math.min(segmentPrefixBytes, total);
    for (;;) {
      const range = { offset: 0, length };
      const front = await readPart(bucket, part, range, (bytes) => ({
        outcome: frontOf(bytes, { uid, state, total }),
        bytes,
      }));
      const { outcome, bytes } = front;
      if (outcome.kind === "short") {
        length = outcome.needed;
        continue;
      }
      const { index } = outcome;
      return new SegmentReader(bucket, part, { index, window: { offset: 0, bytes } }, readAhead);
    }
  }

  /** The key groups that have entries, ascending. */
  get groups(): KeyGroup[] {
    return [...new Set(this.index.blocks.map(({ group }) => group))];
  }

  /** The entries of one key group, in the order in which they were written. @throws SnapshotError */
  async entries(group: KeyGroup): Promise<SegmentEntry[]> {
    const blocks = this.index.blocks.filter((block) => block.group === group);
    const last = blocks.at(-1);
    const entries: SegmentEntry[] = [];
    for (const block of blocks) {
      const upTo = Math.max(last!.offset + last!.length, block.offset + this.#readAhead);
      entries.push(...(await this.#block(block, upTo)));
    }
    return entries;
  }

  /** The entries of one block. @throws SnapshotError */
  block(block: SegmentBlock): Promise<SegmentEntry[]> {
    return this.#block(block, block.offset + Math.max(block.length, this.#readAhead));
  }

  /** Where the block has to be fetched, what follows comes with it, up to the byte `upTo`. */
  async #block(block: SegmentBlock, upTo: number): Promise<SegmentEntry[]> {
    const { offset, length } = block;
    const known = this.#window;
    if (offset >= known.offset && offset + length <= known.offset + known.bytes.length) {
      try {
        return readBlock(block, sliceOf(known, block));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        // It is fetched by itself: what came with something else may have been damaged on the way.
      }
    }
    const range = { offset, length: Math.min(this.index.length, upTo) - offset };
    return readPart(this.#bucket, this.part, range, (bytes) => {
      this.#window = { offset, bytes };
      return readBlock(block, sliceOf(this.#window, block));
    });
  }
}

/** @throws FormatError where the bytes are not the front of a segment of that state and length */
function frontOf(
  bytes: Uint8Array,
  { uid, state, total }: { readonly uid: string; readonly state: string; readonly total: number },
): SegmentIndexOutcome {
  const outcome = readSegmentIndex(bytes);
  const isShort = outcome.kind === "short";
  const needed = isShort ? outcome.needed : outcome.index.length;
  if (isShort ? needed > total || needed <= bytes.length : needed !== total) {
    const problem = `expected ${isShort ? "at least " : ""}${needed} bytes, found ${total}`;
    throw new FormatError("length", `Segment: ${problem}`);
  }
  if (isShort) return outcome;
  const { header } = outcome.index;
  if (header.uid === uid && header.state === state) return outcome;
  const found = `it is a segment of operator "${header.uid}", state "${header.state}"`;
  throw new FormatError("content", found);
}

const sliceOf = ({ offset: from, bytes }: Window, { offset, length }: SegmentBlock): Uint8Array =>
  bytes.subarray(offset - from, offset - from + length);
