// The sending side of one channel: numbers frames, keeps those the receiver has not settled, and
// says when the next may go. Knows nothing of sessions but that they come and go.
//   W1. Frames leave in the order they were offered, each under the next sequence number.
//   W2. At most `window` data frames are sent and unsettled; marks pass without credit but never
//       overtake a frame that was offered before them.
//   W3. A frame is kept until it is settled, so a broken session loses nothing.
//   W4. After a reopening exactly the frames at or above the receiver's `expected` are sent again.

import { needsCredit } from "../format/frame.ts";
import { type Seq, seq } from "../format/ids.ts";

interface SentFrame {
  readonly seq: Seq;
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
  #frames: SentFrame[] = [];
  #next = 0;
  #dataInFlight = 0;
  #connected = false;

  constructor(window: number) {
    this.#window = window;
  }

  offer(frame: Uint8Array): void {
    this.#frames.push({ seq: seq(this.#next++), frame, sent: false });
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
      entry.sent = true;
      out.push(entry);
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
      entry.sent = entry.seq < expected;
      if (!entry.sent) continue;
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
}
