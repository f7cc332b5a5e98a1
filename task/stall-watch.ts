// Whether an output channel is stuck: a push that never resolves looks like a receiver that takes its
// time. So where nothing is settled for a while the sender asks the receiver where it stands, by
// opening another session, and goes by the answer.
//   Z1. Nothing is asked before the oldest unsettled frame, or the last progress, is `patience` old;
//       nor while there is no session, since a session is being opened then.
//   Z2. An opening is an answer whatever it was made for. What it shows as processed is settled at
//       once, and what it shows as never received is sent again (W4).
//   Z3. A receiver that names a reason to wait is waited for without end, and asked again at the
//       pace of `patience`: whoever causes the reason is watched by others.
//   Z4. The channel has stalled when two answers at least `patience` apart say the same, name no
//       reason, and nothing was settled in between.

import type { Millis, Seq } from "../format/ids.ts";
import type { ReceiverPosition } from "../format/messages.ts";

/** `settled`: frames of which the receiver says that they are processed. */
export type OpeningOutcome =
  | { readonly kind: "goesOn"; readonly settled: readonly Seq[] }
  | { readonly kind: "stalled"; readonly stall: Stall };

/** The facts about a channel that goes nowhere (Z4). */
export interface Stall {
  /** The oldest frame that the receiver has not settled. */
  readonly seq: Seq;
  readonly position: ReceiverPosition;
  /** When that frame was first sent, or the last one before it settled. */
  readonly since: Millis;
  /** When the receiver first said what it said again now. */
  readonly doubtedSince: Millis;
}

export class StallWatch {
  readonly #patience: number;
  /** Sent and not settled, in order, over all sessions. */
  readonly #unsettled = new Set<Seq>();
  #progressAt: Millis | undefined;
  /** The receiver was asked, or named its reason. */
  #heardAt: Millis | undefined;
  #doubt: { readonly position: ReceiverPosition; readonly since: Millis } | undefined;
  #isOpen = false;

  constructor(patience: number) {
    this.#patience = patience;
  }

  /** When `isDue` will be true, as far as is known now. */
  get dueAt(): number | undefined {
    if (!this.#isOpen || this.#unsettled.size === 0) return undefined;
    return Math.max(this.#progressAt!, this.#heardAt ?? 0) + this.#patience;
  }

  /** Whether it is time to open another session. */
  isDue(now: Millis): boolean {
    const { dueAt } = this;
    return dueAt !== undefined && now >= dueAt;
  }

  sent(seq: Seq, now: Millis): void {
    if (this.#unsettled.size === 0) this.#progressed(now);
    this.#unsettled.add(seq);
  }

  settled(seq: Seq, now: Millis): void {
    if (this.#unsettled.delete(seq)) this.#progressed(now);
  }

  closed(): void {
    this.#isOpen = false;
  }

  /** A session is open, and the receiver has said where it stands. */
  opened(position: ReceiverPosition, now: Millis): OpeningOutcome {
    this.#isOpen = true;
    this.#heardAt = now;
    const settled = [...this.#unsettled].filter((seq) => seq < position.settled);
    for (const seq of settled) this.settled(seq, now);
    const [oldest] = this.#unsettled;
    if (oldest === undefined || position.waitsFor !== undefined) {
      this.#doubt = undefined;
    } else if (this.#doubt === undefined || !isSame(this.#doubt.position, position)) {
      this.#doubt = { position, since: now };
    } else if (now - this.#doubt.since >= this.#patience) {
      const { since: doubtedSince } = this.#doubt;
      const stall = { seq: oldest, position, since: this.#progressAt!, doubtedSince };
      return { kind: "stalled", stall };
    }
    return { kind: "goesOn", settled };
  }

  #progressed(now: Millis): void {
    this.#progressAt = now;
    this.#doubt = undefined;
  }
}

const isSame = (a: ReceiverPosition, b: ReceiverPosition): boolean =>
  a.expected === b.expected && a.settled === b.settled;
