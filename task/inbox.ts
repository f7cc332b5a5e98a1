// The receiving side of a subtask's channels: keeps frames in order until the task takes them.
//   N1. A channel's frames are handed out in the order of their sequence numbers, each once.
//   N2. A frame that is here or was processed is a duplicate; one that skips a number is a gap.
//   N3. A blocked channel keeps its frames; the others are served in turn.
//   N4. Restored frames stand before frame 0 of their channel. They have no number: their sender
//       is gone, and nobody waits for their credit.
//   N5. Rows that were taken over from other subtasks at a restore are handed out before any frame of
//       any channel, edge by edge in the order in which they were put here: whoever sent them may be
//       anybody now, so it is known of no frame that it does not belong behind them.

import { decodeFrame, needsCredit } from "../format/frame.ts";
import { type CheckpointId, type Seq, seq } from "../format/ids.ts";

export type ReceiveOutcome =
  | { readonly kind: "accepted" }
  /** `settled`: it was processed, too; else its credit is still due. */
  | { readonly kind: "duplicate"; readonly settled: boolean }
  | { readonly kind: "gap"; readonly expected: Seq };

export interface InboxItem {
  readonly channel: number;
  /** Absent for a restored frame. */
  readonly seq?: Seq;
  readonly frame: Uint8Array;
}

interface InputChannel {
  expected: number;
  readonly queue: InboxItem[];
}

export class Inbox {
  readonly #channels: InputChannel[];
  /** Under numbers that come after those of the channels (N5). */
  readonly #taken: InboxItem[] = [];
  #turn = 0;
  /** Frames that wait in the channels. */
  #waiting = 0;

  constructor(channels: number) {
    this.#channels = Array.from({ length: channels }, () => ({ expected: 0, queue: [] }));
  }

  expected(channel: number): Seq {
    return seq(this.#at(channel).expected);
  }

  receive(channel: number, frameSeq: Seq, frame: Uint8Array): ReceiveOutcome {
    const input = this.#at(channel);
    if (frameSeq < input.expected) {
      return { kind: "duplicate", settled: this.isSettled(channel, frameSeq) };
    }
    if (frameSeq > input.expected) return { kind: "gap", expected: seq(input.expected) };
    input.expected++;
    input.queue.push({ channel, seq: frameSeq, frame });
    this.#waiting++;
    return { kind: "accepted" };
  }

  /** The first frame that was not received, or has not left the queue. */
  settled(channel: number): Seq {
    const input = this.#at(channel);
    return input.queue.find((item) => item.seq !== undefined)?.seq ?? seq(input.expected);
  }

  isSettled(channel: number, frameSeq: Seq): boolean {
    return frameSeq < this.settled(channel);
  }

  restore(channel: number, frames: readonly Uint8Array[]): void {
    this.#at(channel).queue.unshift(...frames.map((frame) => ({ channel, frame })));
    this.#waiting += frames.length;
  }

  takeOver(channel: number, frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#taken.push({ channel, frame });
  }

  /** Whether rows that were taken over wait. */
  get hasTaken(): boolean {
    return this.#taken.length > 0;
  }

  /** Frames that were taken over under that number and wait. */
  taken(channel: number): Uint8Array[] {
    return this.#taken.flatMap((item) => (item.channel === channel ? [item.frame] : []));
  }

  /** Whether no frame waits. */
  get isEmpty(): boolean {
    return !this.hasTaken && this.#waiting === 0;
  }

  /** Goes on where another inbox stood that was empty. */
  resume(channel: number, expected: Seq): void {
    this.#at(channel).expected = expected;
  }

  /** Data frames that wait before barrier `checkpoint`, or all where it has not come yet. */
  ahead(channel: number, checkpoint: CheckpointId): Uint8Array[] {
    const frames = this.#at(channel).queue.map((item) => item.frame);
    const end = frames.findIndex((bytes) => {
      const frame = decodeFrame(bytes);
      return frame.kind === "barrier" && frame.checkpoint === checkpoint;
    });
    return frames.slice(0, end === -1 ? frames.length : end).filter(needsCredit);
  }

  /** Whether `next` has one to give. */
  hasNext(isBlocked: (channel: number) => boolean): boolean {
    return (
      this.hasTaken ||
      this.#channels.some(({ queue }, channel) => queue.length > 0 && !isBlocked(channel))
    );
  }

  /** The next frame of a channel that is not blocked, or only where it is a mark; the channels take turns. */
  next(
    isBlocked: (channel: number) => boolean,
    takes: "all" | "marks" = "all",
  ): InboxItem | undefined {
    const taken = this.#taken.shift();
    if (taken !== undefined) return taken;
    if (this.#waiting === 0) return undefined;
    const count = this.#channels.length;
    for (let step = 0; step < count; step++) {
      const channel = (this.#turn + step) % count;
      if (isBlocked(channel)) continue;
      const { queue } = this.#at(channel);
      const [item] = queue;
      if (item === undefined || (takes === "marks" && needsCredit(item.frame))) continue;
      queue.shift();
      this.#turn = (channel + 1) % count;
      this.#waiting--;
      return item;
    }
    return undefined;
  }

  #at(channel: number): InputChannel {
    const input = this.#channels[channel];
    if (input === undefined) throw new RangeError(`No input channel ${channel}.`);
    return input;
  }
}
