// Segments of a table that are encoded after the barrier, a step at a time, from entries that stay as they
// were at it: a state larger than memory is never in it whole, and rows go on in between.
//   L1. Until the last of them is placed nobody knows where they are, and no snapshot that refers to them
//       is handed over (snapshot-writing.ts).
//   L2. The entries are released once all are encoded, or once nobody will encode the rest.

import { SegmentSlices, type SegmentHeader, type SliceSize } from "../format/segment.ts";
import type { BytesHandle } from "../format/state-handle.ts";
import type { KeptEntries } from "../operators/state/backend.ts";

/** How a snapshot is cut that is encoded after its barrier. */
export interface SnapshotCut {
  /** Bytes of a state from which on it is encoded later. */
  readonly lateFrom: number;
  /** Of one segment. */
  readonly segment: SliceSize;
  /** Entries that are encoded in one step. */
  readonly stepRows: number;
  /** Bytes of a piece of a file that is stored while the next one is encoded. */
  readonly piece: number;
}

export class LateSegments {
  /** What is encoded, until that has ended: chains refer to these segments for long. */
  #source: { readonly entries: KeptEntries; readonly slices: SegmentSlices } | undefined;
  readonly #stepRows: number;
  readonly #expected: number;
  readonly #placed: BytesHandle[] = [];
  #bytes = 0;
  #state: "open" | "whole" | "lost" = "open";

  /** `bytes`: that they will have, about. */
  constructor(header: SegmentHeader, entries: KeptEntries, bytes: number, cut: SnapshotCut) {
    this.#source = { entries, slices: new SegmentSlices(header, entries, cut.segment) };
    this.#stepRows = cut.stepRows;
    this.#expected = bytes;
  }

  /** Where they are, once all are placed. */
  get handles(): readonly BytesHandle[] | undefined {
    return this.#state === "whole" ? this.#placed : undefined;
  }

  /** Those they have; until all are encoded, those they will have, about. */
  get bytes(): number {
    return this.#state === "whole" ? this.#bytes : Math.max(this.#bytes, this.#expected);
  }

  /** Whether they will never be whole. */
  get isLost(): boolean {
    return this.#state === "lost";
  }

  /** Encodes some more; `place` is given a segment that is whole, and says where it is. */
  step(place: (segment: Uint8Array) => BytesHandle): void {
    if (this.#source === undefined) throw new Error("L2: the entries were released.");
    const { segment, isDone } = this.#source.slices.step(this.#stepRows);
    if (segment !== undefined) {
      const { bytes, groups } = segment;
      this.#bytes += bytes.length;
      this.#placed.push({ ...place(bytes), ...(groups && { groups }) });
    }
    if (isDone) this.#end("whole");
  }

  /** Nobody goes on with them. */
  lost(): void {
    if (this.#state === "open") this.#end("lost");
  }

  #end(state: "whole" | "lost"): void {
    this.#state = state;
    this.#source?.entries.release();
    this.#source = undefined;
  }
}
