// The sending side of one channel: numbers frames, keeps those the receiver has not settled, and
// says when the next may go. Knows nothing of sessions but that they come and go.
//   W1. Frames leave in the order in which they wait, each under the next sequence number. A frame
//       gets its number when it first leaves and keeps it; only frames without one can be overtaken.
//   W2. At most `window` data frames are sent and unsettled; marks pass without credit, behind the
//       frames that were offered before them unless they are told to overtake.
//   W3. A frame is kept until it is settled, so a broken session loses nothing.
//   W4. After a reopening exactly the frames at or above the receiver's `expected` are sent again.

import { needsCredit } from "../format/frame.ts";
import { type Seq, seq } from "../format/ids.ts";

interface WaitingFrame {
  /** Absent while it has never left. */
  seq: Seq | undefined;
  readonly frame: Uint8Array;
  /** Whether the current session carries it. */
  sent: boolean;
}

export interface OutgoingFrame {
  readonly seq: Seq;
  readonly frame: Uint8Array;
}

export type ReopenOutcome =
  /** `settle`: frames the receiver has, whose processing is still to be awaited. */
  | { readonly kind: "resumed"; readonly settle: readonly Seq[] }
  /** The receiver expects what was never sent or is settled already: its memory is another one. */
  | { readonly kind: "gap"; readonly oldest: Seq; readonly next: Seq };

export class CreditWindow {
  readonly #window: number;
  /** Offered and not settled, in order. */
  #frames: WaitingFrame[] = [];
  #next = 0;
  #dataInFlight = 0;
  #connected = false;

  constructor(window: number) {
    this.#window = window;
  }

  offer(frame: Uint8Array): void {
    this.#frames.push({ seq: undefined, frame, sent: false });
  }

  /** Data frames that have to leave before `mark` can; none once it has left. */
  ahead(mark: Uint8Array): Uint8Array[] {
    const waiting = this.#frames.filter((entry) => entry.seq === undefined);
    const at = waiting.findIndex((entry) => entry.frame === mark);
    const before = waiting.slice(0, Math.max(0, at)).map((entry) => entry.frame);
    return before.filter(needsCredit);
  }

  /** Puts `urgent` in the place of `mark`, ahead of all that has not left; nothing once it has. */
  overtake(mark: Uint8Array, urgent: Uint8Array): void {
    const first = this.#frames.findIndex((entry) => entry.seq === undefined);
    const at = this.#frames.findIndex((entry) => entry.seq === undefined && entry.frame === mark);
    if (at === -1) return;
    this.#frames.splice(at, 1);
    this.#frames.splice(first, 0, { seq: undefined, frame: urgent, sent: false });
  }

  /** Frames that may go now; the caller pushes them in this order. */
  take(): OutgoingFrame[] {
    if (!this.#connected) return [];
    const out: OutgoingFrame[] = [];
    for (const entry of this.#frames) {
      if (entry.sent) continue;
      if (needsCredit(entry.frame)) {
        if (this.#dataInFlight >= this.#window) break;
        this.#dataInFlight++;
      }
      entry.seq ??= seq(this.#next++);
      entry.sent = true;
      out.push({ seq: entry.seq, frame: entry.frame });
    }
    return out;
  }

  settled(settledSeq: Seq): void {
    const index = this.#frames.findIndex((entry) => entry.seq === settledSeq);
    const entry = this.#frames[index];
    if (entry === undefined) return;
    this.#frames.splice(index, 1);
    if (entry.sent && needsCredit(entry.frame)) this.#dataInFlight--;
  }

  disconnected(): void {
    this.#connected = false;
  }

  reopened(expected: Seq): ReopenOutcome {
    const oldest = seq(this.#frames[0]?.seq ?? this.#next);
    if (expected < oldest || expected > this.#next) {
      return { kind: "gap", oldest, next: seq(this.#next) };
    }
    this.#connected = true;
    this.#dataInFlight = 0;
    const settle: Seq[] = [];
    for (const entry of this.#frames) {
      entry.sent = entry.seq !== undefined && entry.seq < expected;
      if (entry.seq === undefined || !entry.sent) continue;
      settle.push(entry.seq);
      if (needsCredit(entry.frame)) this.#dataInFlight++;
    }
    return { kind: "resumed", settle };
  }

  /** Frames offered that have not left yet: while there are any, the task takes no more input. */
  get backlog(): number {
    let count = 0;
    for (let at = this.#frames.length - 1; at >= 0 && !this.#frames[at]!.sent; at--) count++;
    return count;
  }

  get isSettled(): boolean {
    return this.#frames.length === 0;
  }

  /** The number of the next frame that leaves. */
  get next(): Seq {
    return seq(this.#next);
  }

  /** Goes on where another window stood that had settled everything. */
  resume(next: Seq): void {
    this.#next = next;
  }
}
