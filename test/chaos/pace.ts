// Spreads rows evenly over a time, with pauses.

import type { Producer } from "../../examples/flights/producer.ts";
import { pause } from "../../examples/flights/until.ts";

/** Milliseconds between two steps. */
const every = 50;

export class Pace {
  readonly #producer: Producer;
  readonly #rows: number;
  readonly #milliseconds: number;
  #pausedUntil = 0;

  constructor(
    producer: Producer,
    { rows, milliseconds }: { readonly rows: number; readonly milliseconds: number },
  ) {
    this.#producer = producer;
    this.#rows = rows;
    this.#milliseconds = milliseconds;
    producer.holdAt(0);
  }

  /** Nothing is let go for so long; what is due by then goes at once. */
  pause(milliseconds: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + milliseconds);
  }

  /** Lets rows go until the time is over. */
  async keep(signal: AbortSignal): Promise<void> {
    const begunAt = Date.now();
    for (let elapsed = 0; elapsed < this.#milliseconds; elapsed = Date.now() - begunAt) {
      if (Date.now() >= this.#pausedUntil) {
        this.#producer.holdAt(Math.floor((this.#rows * elapsed) / this.#milliseconds));
      }
      await pause(every, signal);
    }
    this.#producer.holdAt(this.#rows);
  }
}
