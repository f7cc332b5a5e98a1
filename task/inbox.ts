// The receiving side of a subtask's channels: keeps frames in order until the task takes them.
//   N1. A channel's frames are handed out in the order of their sequence numbers, each once.
//   N2. A frame that is here or was processed is a duplicate; one that skips a number is a gap.
//   N3. A blocked channel keeps its frames; the others are served in turn.

import { type Seq, seq } from "../format/ids.ts";

export type ReceiveOutcome =
  | { readonly kind: "accepted" }
  /** `settled`: it was processed, too; else its credit is still due. */
  | { readonly kind: "duplicate"; readonly settled: boolean }
  | { readonly kind: "gap"; readonly expected: Seq };

export interface InboxItem {
  readonly channel: number;
  readonly seq: Seq;
  readonly frame: Uint8Array;
}

interface InputChannel {
  expected: number;
  readonly queue: InboxItem[];
}

export class Inbox {
  readonly #channels: InputChannel[];
  #turn = 0;

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
    return { kind: "accepted" };
  }

  /** Whether the frame was received and has left the queue. */
  isSettled(channel: number, frameSeq: Seq): boolean {
    const input = this.#at(channel);
    const oldest = input.queue[0]?.seq ?? input.expected;
    return frameSeq < oldest;
  }

  /** The next frame of a channel that is not blocked; the channels take turns. */
  next(isBlocked: (channel: number) => boolean): InboxItem | undefined {
    const count = this.#channels.length;
    for (let step = 0; step < count; step++) {
      const channel = (this.#turn + step) % count;
      if (isBlocked(channel)) continue;
      const item = this.#at(channel).queue.shift();
      if (item === undefined) continue;
      this.#turn = (channel + 1) % count;
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
