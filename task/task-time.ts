// How far event time has come in a subtask: what its inputs or its source say, through the chain, and
// how that is told in metrics and kept in images.
//   E1. It comes as far as the inputs allow (channel-watermarks.ts), or the splits of a source, and never
//       goes back. The chain takes it through (chain.ts); whoever told of it tells again after a restore.
//   E2. What is told behind the end of time says nothing.

import { endOfTime, endOfTimeMetric, noTime, type Watermark } from "../format/frame.ts";
import type { Millis } from "../format/ids.ts";
import type { TaskMetrics } from "../format/messages.ts";
import type { Chain } from "./chain.ts";
import { ChannelWatermarks } from "./channel-watermarks.ts";
import type { TaskPositions } from "./image.ts";

export class TaskTime {
  readonly #chain: Chain;
  readonly #channels: ChannelWatermarks;
  /** At the head of the chain. */
  #head: Watermark = { time: noTime, isIdle: false };

  constructor(chain: Chain, inputs: number) {
    this.#chain = chain;
    this.#channels = new ChannelWatermarks(inputs);
  }

  /** A mark of an input. */
  received(channel: number, watermark: Watermark): void {
    this.came(this.#channels.received(channel, watermark));
  }

  /** Event time has come that far before the chain. */
  came({ time, isIdle }: Watermark): void {
    if (this.#head.time === endOfTime) return;
    const isChanged = isIdle !== this.#head.isIdle;
    this.#head = { time: Math.max(time, this.#head.time), isIdle };
    this.#chain.reached(time);
    if (isChanged) this.#chain.idle(isIdle);
  }

  /** Rows come: they are no rows of an idle stream. */
  rowsCome(): void {
    if (this.#head.isIdle) this.came({ time: noTime, isIdle: false });
  }

  /** `isSource`: whether rows get their event times here, and may lag behind the clock. */
  metrics(now: Millis, { isSource }: { readonly isSource: boolean }): Partial<TaskMetrics> {
    const input = this.#head.time;
    const { output } = this.#chain;
    const lags = isSource && Number.isFinite(input);
    return {
      ...(input !== noTime && { inputWatermark: Math.min(input, endOfTimeMetric) }),
      ...(output !== noTime && { outputWatermark: Math.min(output, endOfTimeMetric) }),
      ...(lags && { watermarkLag: now - input }),
    };
  }

  /** For an image; `edges`: what was said of it on each outgoing edge. */
  position(edges: readonly Watermark[]): Pick<TaskPositions, "eventTime"> {
    const { time, isIdle } = this.#head;
    if (time === noTime && !isIdle) return {};
    return { eventTime: { time, isIdle, channels: this.#channels.channels, edges } };
  }

  /** Goes on where another stood that had nothing under way. */
  resume({ channels, time, isIdle }: NonNullable<TaskPositions["eventTime"]>): void {
    this.#head = { time, isIdle };
    this.#channels.resume(channels, this.#head);
    this.#chain.resume(this.#head);
  }
}
