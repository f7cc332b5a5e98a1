// A topic as a source: which partitions this subtask reads, how far it has come, what it wants to
// read next. Decides only; the subtask's shell holds the sessions and does the reading.
//   T1. A partition's batches are handed out in offset order, each record once per attempt.
//   T2. The snapshot names, per partition, the offset after the last record handed out, so what was
//       read ahead but not handed out is read again after a restore.
//   T3. Partition p belongs to subtask p mod parallelism.
//   T4. A split is at its end from a read that came back empty until something is received, or heard
//       of, and while nothing read is left to hand out.
//   T5. Of a split that is held back nothing is handed out, and nothing is waited for. It is read ahead
//       like any other.

import { type Offset, offset } from "../format/ids.ts";
import type { StoredBatch } from "../format/messages.ts";

/** Batches read ahead per partition, beyond which no read is asked for. */
const readAheadBatches = 4;

interface Split {
  readonly partition: number;
  /** The first record not handed out. */
  next: Offset;
  /** Where the next read begins. */
  readFrom: Offset;
  isReading: boolean;
  /** The last read came back empty. */
  cameEmpty: boolean;
  /** Where the partition ended at the last read; undefined before the first. */
  end: Offset | undefined;
  readonly buffered: StoredBatch[];
}

export interface SplitRead {
  readonly partition: number;
  readonly from: Offset;
}

/** Offsets by partition; the state of one source subtask. */
export type TopicOffsets = readonly { readonly partition: number; readonly next: Offset }[];

export interface SourceBatch extends StoredBatch {
  /** Leading records of the batch that were handed out before it was read again. */
  readonly skip: number;
  readonly partition: number;
}

export class TopicSource {
  readonly #splits: Split[];
  readonly #isHeld: (partition: number) => boolean;
  #turn = 0;

  /** @param restored offsets of all subtasks of the source; partitions they lack begin at 0. */
  constructor(options: {
    readonly partitions: number;
    readonly index: number;
    readonly parallelism: number;
    readonly restored: TopicOffsets;
    /** Whether a partition is held back for now; none is where absent. */
    readonly isHeld?: (partition: number) => boolean;
  }) {
    this.#isHeld = options.isHeld ?? (() => false);
    const start = new Map(options.restored.map((entry) => [entry.partition, entry.next]));
    this.#splits = Array.from({ length: options.partitions }, (_, partition) => partition)
      .filter((partition) => partition % options.parallelism === options.index)
      .map((partition) => {
        const next = start.get(partition) ?? offset(0);
        return {
          partition,
          next,
          readFrom: next,
          isReading: false,
          cameEmpty: false,
          end: undefined,
          buffered: [],
        };
      });
  }

  get partitions(): number[] {
    return this.#splits.map(({ partition }) => partition);
  }

  /** Reads that should begin now; each is answered by `received`. */
  wanted(): SplitRead[] {
    return this.#splits
      .filter((split) => !split.isReading && split.buffered.length < readAheadBatches)
      .map((split) => {
        split.isReading = true;
        return { partition: split.partition, from: split.readFrom };
      });
  }

  /**
   * Whether every split is at its end (T4) or held back: then there is nothing to do until more is
   * appended, or one is released.
   */
  get isAtEnd(): boolean {
    return this.#splits.every(
      (split) => (split.cameEmpty && split.buffered.length === 0) || this.#isHeld(split.partition),
    );
  }

  /** Whether `take` has one to give. */
  get hasNext(): boolean {
    return this.#splits.some(
      (split) => split.buffered.length > 0 && !this.#isHeld(split.partition),
    );
  }

  /**
   * Records that were not handed out, as of the last read of each partition: read ahead or not read at all.
   * Undefined until all were read.
   */
  get pending(): number | undefined {
    let pending = 0;
    for (const { next, end } of this.#splits) {
      if (end === undefined) return undefined;
      pending += Math.max(0, end - next);
    }
    return pending;
  }

  /** There is something to read, by somebody else's word. */
  appended(partition: number): void {
    this.#split(partition).cameEmpty = false;
  }

  received(partition: number, batches: readonly StoredBatch[]): void {
    const split = this.#split(partition);
    split.isReading = false;
    split.cameEmpty = batches.length === 0;
    if (split.cameEmpty) split.end = split.readFrom;
    for (const batch of batches) {
      if (batch.first > split.readFrom) {
        throw new RangeError(
          `Partition ${partition} answered from offset ${batch.first}, ${split.readFrom} was asked for: ` +
            `records in between are gone.`,
        );
      }
      const end = batch.first + batch.count;
      split.end = batch.end;
      if (end <= split.readFrom) continue;
      split.buffered.push(batch);
      split.readFrom = offset(end);
    }
  }

  /** The next batch, partitions in turn. */
  take(): SourceBatch | undefined {
    const count = this.#splits.length;
    for (let step = 0; step < count; step++) {
      const at = (this.#turn + step) % count;
      const split = this.#splits[at]!;
      if (split.buffered.length === 0 || this.#isHeld(split.partition)) continue;
      const batch = split.buffered.shift()!;
      this.#turn = (at + 1) % count;
      const skip = split.next - batch.first;
      split.next = offset(batch.first + batch.count);
      return { ...batch, skip, partition: split.partition };
    }
    return undefined;
  }

  /** Where it waits for more: the ends of what is not held back. */
  get ends(): readonly SplitRead[] {
    return this.#splits
      .filter(({ partition }) => !this.#isHeld(partition))
      .map(({ partition, next }) => ({ partition, from: next }));
  }

  snapshot(): TopicOffsets {
    return this.#splits.map(({ partition, next }) => ({ partition, next }));
  }

  #split(partition: number): Split {
    const split = this.#splits.find((candidate) => candidate.partition === partition);
    if (split === undefined) throw new RangeError(`Partition ${partition} is not read here.`);
    return split;
  }
}
