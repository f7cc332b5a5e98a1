// Snapshots that are whole, on their way to the shell. Those of which nothing is late (late-segments.ts) pass;
// the segments of the others are encoded step by step, into pieces that are stored as they fill.
//   W1. They are handed over in their order: a later one may refer to what an earlier one has yet to place.
//   W2. One piece is under way at a time, and while it is nothing is encoded: of what is late no more is in
//       memory than a piece and a segment.
//   W3. Where a piece is lost, so is its snapshot, and every later one that refers to any of its file.
//   W4. A checkpoint that is aborted meanwhile is written to its end, as those after it build on it. Nothing
//       builds on one that is not incremental, or on a savepoint: it is given up, a savepoint also where a
//       barrier comes behind it.

import { joined } from "../format/bytes.ts";
import { savepointOf } from "../format/frame.ts";
import type { CheckpointId } from "../format/ids.ts";
import type { BytesHandle } from "../format/state-handle.ts";
import { LateSegments } from "./late-segments.ts";
import type { OpenSnapshot } from "./open-snapshot.ts";
import type { SnapshotFile } from "./snapshot-file.ts";
import type { Link } from "./state-snapshots.ts";

/** A snapshot to be handed over, with its file so far; or one that will never be. */
export type Written =
  | {
      readonly kind: "written";
      readonly open: OpenSnapshot;
      readonly file: SnapshotFile | undefined;
    }
  | { readonly kind: "lost"; readonly open: OpenSnapshot; readonly path: string };

/** The next bytes of a file, of which more will come. */
export interface Piece {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export class SnapshotWriting {
  readonly #pieceBytes: number;
  readonly #queue: LateFile[] = [];
  /** Files that will never be there. */
  readonly #lost = new Set<string>();
  /** The path of the piece that is under way. */
  #storing: string | undefined;

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Whether there is something to encode now. */
  get isDue(): boolean {
    return this.#storing === undefined && this.#queue[0]?.hasNext === true;
  }

  /** A snapshot is whole; its file is to be stored there. */
  add(open: OpenSnapshot, path: string): void {
    this.#queue.push(new LateFile(open, path));
  }

  /** Encodes some more, where it is time; answers a piece once one is full. */
  step(): Piece | undefined {
    const [next] = this.#queue;
    if (next === undefined || !this.isDue) return undefined;
    const piece = next.step(this.#pieceBytes);
    if (piece === undefined) return undefined;
    this.#storing = next.path;
    return { path: next.path, bytes: piece };
  }

  stored(path: string): void {
    if (this.#storing === path) this.#storing = undefined;
  }

  /** A piece did not reach its place (W3). False where its file was given up: nothing refers to it. */
  lost(path: string): boolean {
    const file = this.#queue.find((each) => each.path === path);
    if (file === undefined) return false;
    this.stored(path);
    // What was placed in it is found by its path.
    this.#lost.add(path);
    file.lost();
    return true;
  }

  /** Those up to that checkpoint are over; answers the files that were given up (W4). */
  aborted(checkpoint: CheckpointId, of: "savepoints" | "all"): string[] {
    const given = this.#queue.filter(({ open: { barrier } }) => {
      const isOf = of === "all" || savepointOf(barrier.purpose) !== undefined;
      return isOf && barrier.checkpoint <= checkpoint;
    });
    for (const file of given) {
      file.lost();
      this.stored(file.path);
      this.#queue.splice(this.#queue.indexOf(file), 1);
    }
    return given.filter(({ isBegun }) => isBegun).map(({ path }) => path);
  }

  /** The next of which nothing is late any more (W1). */
  take(): Written | undefined {
    const [next] = this.#queue;
    if (next === undefined) return undefined;
    const isLost = next.isLost(this.#lost);
    if (next.hasNext && !isLost) return undefined;
    this.#queue.shift();
    const { open, path } = next;
    if (!isLost) return { kind: "written", open, file: next.rest() };
    next.lost();
    return { kind: "lost", open, path };
  }
}

/** The file of one snapshot: what was encoded at its barrier, then what is late. */
class LateFile {
  readonly open: OpenSnapshot;
  readonly path: string;
  readonly #late: LateSegments[];
  /** Bytes that were given away as pieces. */
  #from = 0;
  /** What comes after them. */
  #parts: Uint8Array[];
  #buffered: number;

  constructor(open: OpenSnapshot, path: string) {
    this.open = open;
    this.path = path;
    const { file, late } = open.state.keyed;
    this.#late = [...late];
    this.#parts = file === undefined ? [] : [file.bytes];
    this.#buffered = file?.bytes.length ?? 0;
  }

  get hasNext(): boolean {
    return this.#late.length > 0;
  }

  /** Whether pieces of it were given away. */
  get isBegun(): boolean {
    return this.#from > 0;
  }

  /** Whether it refers to what will never be placed, its own or that of another, or to one of these files. */
  isLost(files: ReadonlySet<string>): boolean {
    const { keyed } = this.open.state.keyed;
    const isLost = (link: Link): boolean =>
      (link instanceof LateSegments && link.isLost) ||
      link.handles?.some((at) => at.kind === "file" && files.has(at.path)) === true;
    return keyed.some(({ links }) => links.some(isLost));
  }

  lost(): void {
    for (const late of this.#late) late.lost();
  }

  step(pieceBytes: number): Uint8Array | undefined {
    if (this.#buffered < pieceBytes) {
      const [late] = this.#late;
      late?.step((segment) => this.#place(segment));
      if (late?.handles !== undefined) this.#late.shift();
    }
    // The last bytes, however many, go with the snapshot.
    return this.hasNext && this.#buffered >= pieceBytes ? this.#take(pieceBytes) : undefined;
  }

  #place(segment: Uint8Array): BytesHandle {
    const offset = this.#from + this.#buffered;
    this.#parts.push(segment);
    this.#buffered += segment.length;
    return { kind: "file", path: this.path, offset, length: segment.length };
  }

  #take(bytes: number): Uint8Array {
    const all = joined(this.#parts);
    this.#from += bytes;
    this.#buffered -= bytes;
    this.#parts = [all.slice(bytes)];
    return all.subarray(0, bytes);
  }

  /** What has not been given away. */
  rest(): SnapshotFile | undefined {
    const { file, late } = this.open.state.keyed;
    if (late.length === 0) return file;
    return {
      path: this.path,
      bytes: joined(this.#parts),
      ...(this.isBegun && { from: this.#from }),
    };
  }
}
