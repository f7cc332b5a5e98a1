// The sending side of a subtask: rows are split by receiver, gathered into frames, and leave each
// channel as its credit allows.
//   O1. A barrier follows every row that was emitted before it: pending rows become frames first.
//       Where it overtakes, the frames that it passed are handed over, to be kept with the snapshot.
//   O3. A watermark follows every row that was emitted before it, at the latest with the next frames that
//       time or a barrier makes; what it says of idleness follows at once.
//   O4. Time makes a frame of a channel's rows only once the frames before it are settled, as no receiver
//       processes it sooner; so rows to many receivers that are behind leave in few frames. A channel that
//       has let as many timeouts pass as it has credit counts as one whose frames may not leave (O2).
//   O5. Where the timeout itself comes late its thread is not idle, and calls with few rows in them make it
//       later still. So the rows of an edge to many receivers then wait for more, a few timeouts long at
//       most, until they are worth their calls. What is urgent, a barrier and the end do not wait.
//   O2. While a channel has frames that may not leave, the task takes no more input. What one input
//       batch makes is therefore all that ever waits.

import {
  atOnce,
  type Barrier,
  encodeBarrier,
  encodeWatermark,
  endOfTime,
  noTime,
  type Watermark,
} from "../format/frame.ts";
import type { Millis, Seq } from "../format/ids.ts";
import { channelWindow, frameRowsWorth } from "../format/limits.ts";
import { type FieldTexts, RowColumns } from "../format/row-columns.ts";
import { ColumnBatch } from "../operators/column-batch.ts";
import { isColumnar, type RecordBatch } from "../operators/operator.ts";
import { CreditWindow, type OutgoingFrame, type ReopenOutcome } from "./credit-window.ts";
import type { Partitioner } from "./partitioner.ts";
import { PendingRows } from "./pending-rows.ts";

export interface OutgoingEdge {
  /** Positions of its channels among the task's outputs. */
  readonly channels: readonly number[];
  readonly partitioner: Partitioner;
  /** Of the rows that it makes columns of; its own where absent. */
  readonly texts?: FieldTexts | undefined;
}

export interface Push extends OutgoingFrame {
  readonly channel: number;
}

/** Receivers from which on an edge counts as one to many (O5). */
const receiversMany = 16;
/** Rows of a frame, of that edge's on average, that need not wait for more. */
const frameRowsFull = 8 * frameRowsWorth;
/** Late timeouts that they wait at most. */
const waitsMax = 4;
/** Milliseconds from which on a timeout is late, at least. */
const lateMin = 50;

/** Fewest rows of a batch that columns are made of before it is divided. */
const columnsRowsMin = 32;

interface OutputEdge extends OutgoingEdge {
  readonly columns: RowColumns;
  /** Late timeouts that its rows have waited for more (O5). */
  waits: number;
}

interface OutputChannel {
  /** Among all. */
  readonly at: number;
  readonly window: CreditWindow;
  readonly pending: PendingRows;
  /** Timeouts that its rows have let pass (O4). */
  passed: number;
  /** Whether it is in the list of those that `take` looks at. */
  isListed: boolean;
  /** Whether it has frames that may not leave, or counts as if (O4). */
  isBehind: boolean;
}

export class Outbox {
  readonly #channels: OutputChannel[];
  /** Channels that something has happened to since `take`: the others have nothing that may leave. */
  #listed: OutputChannel[] = [];
  /** Channels that are behind. */
  #behind = 0;
  /** The latest watermark of each edge, and whether it is still to be sent. */
  readonly #watermarks: { latest: Watermark; isPending: boolean }[];
  readonly #edges: readonly OutputEdge[];
  readonly #bufferTimeout: number;
  /** The latest barrier and its frame, the same one in every channel. */
  #barrier: { readonly barrier: Barrier; readonly mark: Uint8Array } | undefined;
  #pendingSince: Millis | undefined;
  #recordsOut = 0;
  #bytesOut = 0;

  constructor(edges: readonly OutgoingEdge[], bufferTimeout: number) {
    const count = edges.reduce((sum, edge) => sum + edge.channels.length, 0);
    this.#channels = Array.from({ length: count }, (_, at) => {
      const window = new CreditWindow(channelWindow);
      const pending = new PendingRows((frame, rows, bytes) => {
        this.#recordsOut += rows;
        this.#bytesOut += bytes;
        this.#offer(of, frame);
      });
      const of = { at, window, pending, passed: 0, isListed: false, isBehind: false };
      return of;
    });
    this.#edges = edges.map((edge) => ({ ...edge, columns: new RowColumns(edge.texts), waits: 0 }));
    const none = { time: noTime, isIdle: false };
    this.#watermarks = edges.map(() => ({ latest: none, isPending: false }));
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
    const { channels, partitioner, columns } = this.#edges[edge]!;
    const held = inColumns(batch, columns);
    for (const { receiver, select, count } of partitioner.split(batch, held)) {
      this.#channels[channels[receiver]!]!.pending.add(held, select, count);
    }
    if (this.#bufferTimeout === 0) this.flush();
    else this.#pendingSince ??= now;
  }

  watermark(edge: number, watermark: Watermark, now: Millis): void {
    const of = this.#watermarks[edge]!;
    const { time, isIdle } = of.latest;
    if (watermark.time === time && watermark.isIdle === isIdle) return;
    of.latest = watermark;
    of.isPending = true;
    const isUrgent = watermark.isIdle !== isIdle || watermark.time === endOfTime;
    if (this.#bufferTimeout === 0 || isUrgent) this.flush();
    else this.#pendingSince ??= now;
  }

  /** When the oldest pending row has waited long enough. */
  get flushAt(): number | undefined {
    return this.#pendingSince === undefined ? undefined : this.#pendingSince + this.#bufferTimeout;
  }

  /** The timeout has passed: makes frames of the rows that need not wait for others (O4, O5). */
  flushDue(now: Millis): void {
    const isLate = now - (this.flushAt ?? now) > Math.max(lateMin, this.#bufferTimeout / 2);
    for (const [at, edge] of this.#edges.entries()) {
      if (isLate && edge.waits < waitsMax && !this.#isWorthCalls(edge)) {
        edge.waits++;
        continue;
      }
      edge.waits = 0;
      // A watermark is behind all rows of its edge (O3).
      const mustLeave = this.#watermarks[at]!.isPending;
      for (const channel of edge.channels) {
        const of = this.#channels[channel]!;
        if (mustLeave || of.window.isSettled) this.#cut(of);
        else if (of.pending.count > 0) {
          of.passed++;
          this.#changed(of);
        }
      }
      this.#sendWatermark(at);
    }
    const waits =
      this.#channels.some(({ pending }) => pending.count > 0) ||
      this.#watermarks.some(({ isPending }) => isPending);
    this.#pendingSince = waits ? now : undefined;
  }

  flush(): void {
    for (const channel of this.#channels) this.#cut(channel);
    for (const [at, edge] of this.#edges.entries()) {
      edge.waits = 0;
      this.#sendWatermark(at);
    }
    this.#pendingSince = undefined;
  }

  #isWorthCalls({ channels }: OutputEdge): boolean {
    if (channels.length < receiversMany) return true;
    const rows = channels.reduce((sum, at) => sum + this.#channels[at]!.pending.count, 0);
    return rows >= channels.length * frameRowsFull;
  }

  #sendWatermark(edge: number): void {
    const of = this.#watermarks[edge]!;
    if (!of.isPending) return;
    of.isPending = false;
    const mark = encodeWatermark(of.latest);
    for (const channel of this.#edges[edge]!.channels) this.#offer(this.#channels[channel]!, mark);
  }

  broadcastBarrier(barrier: Barrier): void {
    this.flush();
    const mark = encodeBarrier(barrier.checkpoint, barrier.overtakesAt, barrier.purpose);
    this.#barrier = { barrier, mark };
    for (const channel of this.#channels) this.#offer(channel, mark);
  }

  /** Whether rows that wait for credit hold the latest barrier back. */
  get holdsBarrier(): boolean {
    return this.#barrier !== undefined && this.#ahead(this.#barrier.mark).length > 0;
  }

  /** Sends the latest barrier first, where it has not left; the frames that it passed, by channel. */
  overtake(): { readonly channel: number; readonly frames: readonly Uint8Array[] }[] {
    if (this.#barrier === undefined) return [];
    const { barrier, mark } = this.#barrier;
    const passed = this.#ahead(mark);
    const urgent = encodeBarrier(barrier.checkpoint, atOnce, barrier.purpose);
    for (const channel of this.#channels) {
      channel.window.overtake(mark, urgent);
      this.#changed(channel);
    }
    this.#barrier = undefined;
    return passed;
  }

  /** Frames of a restored snapshot: they leave before anything else does. */
  restore(channel: number, frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#offer(this.#channels[channel]!, frame);
  }

  /** Frames that may leave now, each channel's in order. */
  take(): Push[] {
    const listed = this.#listed;
    if (listed.length === 0) return [];
    this.#listed = [];
    const pushes: Push[] = [];
    for (const of of listed) {
      of.isListed = false;
      for (const { seq, frame } of of.window.take()) pushes.push({ channel: of.at, seq, frame });
      this.#judge(of);
    }
    return pushes;
  }

  get hasBacklog(): boolean {
    return this.#behind > 0;
  }

  /** Whether frames of this channel wait to leave. */
  isWaiting(channel: number): boolean {
    return this.#channels[channel]!.window.backlog > 0;
  }

  /** Whether everything that was emitted has left and is settled. */
  get isSettled(): boolean {
    return (
      this.#pendingSince === undefined && this.#channels.every(({ window }) => window.isSettled)
    );
  }

  /** The number of each channel's next frame. */
  get next(): Seq[] {
    return this.#channels.map(({ window }) => window.next);
  }

  /** Goes on where another outbox stood that had settled everything. */
  resume(next: readonly Seq[], sent: { readonly records: number; readonly bytes: number }): void {
    next.forEach((seq, channel) => this.#channels[channel]!.window.resume(seq));
    this.#recordsOut = sent.records;
    this.#bytesOut = sent.bytes;
  }

  /** What was last said of event time, edge by edge. */
  get watermarks(): Watermark[] {
    return this.#watermarks.map(({ latest }) => latest);
  }

  /** This was sent already. */
  resumeWatermarks(latest: readonly Watermark[]): void {
    latest.forEach((watermark, edge) => (this.#watermarks[edge]!.latest = watermark));
  }

  settled(channel: number, seq: Seq): void {
    const of = this.#channels[channel]!;
    of.window.settled(seq);
    if (of.passed > 0 && of.window.isSettled) this.#cut(of);
    this.#changed(of);
  }

  disconnected(channel: number): void {
    this.#channels[channel]!.window.disconnected();
  }

  reopened(channel: number, expected: Seq): ReopenOutcome {
    const of = this.#channels[channel]!;
    const outcome = of.window.reopened(expected);
    this.#changed(of);
    return outcome;
  }

  #ahead(mark: Uint8Array): { readonly channel: number; readonly frames: Uint8Array[] }[] {
    return this.#channels
      .map(({ window }, channel) => ({ channel, frames: window.ahead(mark) }))
      .filter(({ frames }) => frames.length > 0);
  }

  #offer(of: OutputChannel, frame: Uint8Array): void {
    of.window.offer(frame);
    this.#changed(of);
  }

  #cut(of: OutputChannel): void {
    of.passed = 0;
    of.pending.cut();
    this.#judge(of);
  }

  /** A subtask may have very many channels, and an event is mostly about one of them. */
  #changed(of: OutputChannel): void {
    if (!of.isListed) this.#listed.push(of);
    of.isListed = true;
    this.#judge(of);
  }

  #judge(of: OutputChannel): void {
    const isBehind = of.passed >= channelWindow || of.window.backlog > 0;
    if (isBehind !== of.isBehind) this.#behind += isBehind ? 1 : -1;
    of.isBehind = isBehind;
  }
}

/** The same rows as columns, where they can be: what waits for its frame then is no objects. */
function inColumns(batch: RecordBatch, columns: RowColumns): RecordBatch {
  if (isColumnar(batch) || batch.length < columnsRowsMin) return batch;
  const made = columns.of(batch.rows());
  if (made === undefined) return batch;
  return new ColumnBatch(batch.length, made.fields, made.columns, batch.timestamps);
}
