// The sending side of a subtask: rows are split by receiver, gathered into frames, and leave each
// channel as its credit allows.
//   O1. A mark follows every row that was emitted before it: pending rows become frames first.
//   O2. While a channel has frames that may not leave, the task takes no more input. What one input
//       batch makes is therefore all that ever waits.

import { encodeRows } from "../format/batch.ts";
import { encodeBarrier, encodeData } from "../format/frame.ts";
import type { CheckpointId, Millis, Seq } from "../format/ids.ts";
import { batchRowsMax, channelWindow, frameBytesMax } from "../format/limits.ts";
import type { RecordBatch } from "../operators/operator.ts";
import { CreditWindow, type OutgoingFrame, type ReopenOutcome } from "./credit-window.ts";
import type { Partitioner } from "./partitioner.ts";

export interface OutgoingEdge {
  /** Positions of its channels among the task's outputs. */
  readonly channels: readonly number[];
  readonly partitioner: Partitioner;
}

export interface Push extends OutgoingFrame {
  readonly channel: number;
}

interface OutputChannel {
  readonly window: CreditWindow;
  pending: unknown[];
}

export class Outbox {
  readonly #channels: OutputChannel[];
  readonly #edges: readonly OutgoingEdge[];
  readonly #bufferTimeout: number;
  #pendingSince: Millis | undefined;
  #recordsOut = 0;
  #bytesOut = 0;

  constructor(edges: readonly OutgoingEdge[], bufferTimeout: number) {
    const count = edges.reduce((sum, edge) => sum + edge.channels.length, 0);
    this.#channels = Array.from({ length: count }, () => ({
      window: new CreditWindow(channelWindow),
      pending: [],
    }));
    this.#edges = edges;
    this.#bufferTimeout = bufferTimeout;
  }

  get recordsOut(): number {
    return this.#recordsOut;
  }

  get bytesOut(): number {
    return this.#bytesOut;
  }

  get channelCount(): number {
    return this.#channels.length;
  }

  emit(edge: number, batch: RecordBatch, now: Millis): void {
    const { channels, partitioner } = this.#edges[edge]!;
    partitioner.split(batch.rows(), (receiver, row) => {
      const channel = this.#channels[channels[receiver]!]!;
      if (channel.pending.push(row) >= batchRowsMax) this.#cut(channel);
    });
    if (this.#bufferTimeout === 0) this.flush();
    else this.#pendingSince ??= now;
  }

  /** When the oldest pending row has waited long enough. */
  get flushAt(): number | undefined {
    return this.#pendingSince === undefined ? undefined : this.#pendingSince + this.#bufferTimeout;
  }

  flush(): void {
    for (const channel of this.#channels) this.#cut(channel);
    this.#pendingSince = undefined;
  }

  broadcastBarrier(checkpoint: CheckpointId): void {
    this.flush();
    const frame = encodeBarrier(checkpoint);
    for (const channel of this.#channels) channel.window.offer(frame);
  }

  /** Frames that may leave now, each channel's in order. */
  take(): Push[] {
    return this.#channels.flatMap(({ window }, channel) =>
      window.take().map(({ seq, frame }) => ({ channel, seq, frame })),
    );
  }

  get hasBacklog(): boolean {
    return this.#channels.some(({ window }) => window.backlog > 0);
  }

  settled(channel: number, seq: Seq): void {
    this.#channels[channel]!.window.settled(seq);
  }

  disconnected(channel: number): void {
    this.#channels[channel]!.window.disconnected();
  }

  reopened(channel: number, expected: Seq): ReopenOutcome {
    return this.#channels[channel]!.window.reopened(expected);
  }

  #cut(channel: OutputChannel): void {
    if (channel.pending.length === 0) return;
    const rows = channel.pending;
    channel.pending = [];
    this.#recordsOut += rows.length;
    this.#offer(channel.window, rows);
  }

  /** One frame, or more where the rows are large. */
  #offer(window: CreditWindow, rows: readonly unknown[]): void {
    const encoded = encodeRows(rows);
    if (encoded.length > frameBytesMax && rows.length > 1) {
      const half = rows.length >> 1;
      this.#offer(window, rows.slice(0, half));
      this.#offer(window, rows.slice(half));
      return;
    }
    this.#bytesOut += encoded.length;
    window.offer(encodeData(encoded));
  }
}
