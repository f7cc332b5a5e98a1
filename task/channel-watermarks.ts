// How far event time has come in a subtask, from what each of its inputs says.
//   V1. It is the least of the inputs that are waited for, and never goes back.
//   V2. An idle input is not waited for, nor one that was and is behind, until it has caught up.
//   V3. Where all inputs are idle, so is the subtask, and has come as far as the furthest of them.
//   V4. An input that has ended is waited for no more; when all have ended, so has the subtask. Where
//       the others are idle it counts for V3 with what it had come to before: else the subtask, idle,
//       would be behind what others have made of the same inputs, and its results late after theirs.
// As Flink's StatusWatermarkValve, but for V4: there, event time ends while an input is idle.

import { endOfTime, noTime, type Watermark } from "../format/frame.ts";

/** What is known of one input. */
export interface ChannelWatermark extends Watermark {
  /** Whether it is not behind what was passed on while it was idle (V2). */
  readonly isAligned: boolean;
  /** Of one that has ended: how far it had come before (V4). */
  readonly last?: number;
}

export class ChannelWatermarks {
  readonly #channels: ChannelWatermark[];
  #time = noTime;
  #isIdle = false;

  constructor(channels: number) {
    const first = { time: noTime, isIdle: false, isAligned: true };
    this.#channels = Array.from({ length: channels }, () => first);
  }

  get watermark(): Watermark {
    return { time: this.#time, isIdle: this.#isIdle };
  }

  get channels(): readonly ChannelWatermark[] {
    return this.#channels;
  }

  /** Goes on where others stood. */
  resume(channels: readonly ChannelWatermark[], { time, isIdle }: Watermark): void {
    channels.forEach((channel, at) => (this.#channels[at] = channel));
    this.#time = time;
    this.#isIdle = isIdle;
  }

  received(channel: number, { time, isIdle }: Watermark): Watermark {
    const before = this.#channels[channel]!;
    const latest = Math.max(before.time, time);
    const isAligned = !isIdle && latest >= this.#time;
    this.#channels[channel] = {
      time: latest,
      isIdle,
      // One that was waited for stays so; the others are once they have caught up.
      isAligned: isAligned || (!isIdle && before.isAligned && !before.isIdle),
      ...(latest === endOfTime && { last: lastOf(before) }),
    };
    this.#combine();
    return this.watermark;
  }

  #combine(): void {
    const open = this.#channels.filter(({ time }) => time !== endOfTime);
    if (open.length === 0) {
      this.#time = endOfTime;
      this.#isIdle = false;
      return;
    }
    const waited = open.filter(({ isIdle, isAligned }) => !isIdle && isAligned);
    this.#isIdle = open.every(({ isIdle }) => isIdle);
    if (waited.length === 0 && !this.#isIdle) return;
    const time = this.#isIdle
      ? Math.max(...this.#channels.map(lastOf))
      : Math.min(...waited.map((channel) => channel.time));
    if (time > this.#time) this.#time = time;
  }
}

/** How far an input has come before its end. */
const lastOf = ({ time, last }: ChannelWatermark): number =>
  time === endOfTime ? (last ?? noTime) : time;
