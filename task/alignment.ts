// Barrier alignment for one subtask: decides when it may snapshot. Knows input channels by index
// only; the task performs what the outcomes say.
//   B1. All barriers of one alignment carry the same checkpoint id.
//   B2. In exactly-once mode a channel is blocked exactly from its barrier until the alignment
//       ends; in at-least-once mode no channel is ever blocked.
//   B3. A newer id aborts the running alignment before it starts its own.
//   B4. No id is ever aligned twice, and none at or below one that was aligned or aborted.
// After Carbone et al., "Lightweight Asynchronous Snapshots for Distributed Dataflows" (2015).

import type { CheckpointingMode } from "../format/config.ts";
import type { CheckpointId, Millis } from "../format/ids.ts";

export type BarrierOutcome =
  /** An id that is already over: the barrier is dropped. */
  | { readonly kind: "ignored" }
  /** Other channels are missing. `superseded`: the alignment that this barrier ended. */
  | { readonly kind: "waiting"; readonly superseded?: CheckpointId }
  /** Every channel has delivered it: snapshot now, before any further frame. */
  | { readonly kind: "aligned"; readonly duration: number; readonly superseded?: CheckpointId };

interface Alignment {
  readonly checkpoint: CheckpointId;
  readonly startedAt: Millis;
  readonly arrived: Set<number>;
}

export class Aligner {
  readonly #channels: number;
  readonly #mode: CheckpointingMode;
  #alignment: Alignment | undefined;
  /** Highest id that was aligned or aborted. */
  #over = 0;

  constructor(channels: number, mode: CheckpointingMode) {
    this.#channels = channels;
    this.#mode = mode;
  }

  get checkpoint(): CheckpointId | undefined {
    return this.#alignment?.checkpoint;
  }

  isBlocked(channel: number): boolean {
    return this.#mode === "EXACTLY_ONCE" && this.#alignment?.arrived.has(channel) === true;
  }

  onBarrier(channel: number, checkpoint: CheckpointId, now: Millis): BarrierOutcome {
    const current = this.#alignment;
    if (checkpoint <= this.#over) return { kind: "ignored" };
    if (current !== undefined && checkpoint < current.checkpoint) return { kind: "ignored" };

    let superseded: { superseded?: CheckpointId } = {};
    let alignment = current;
    if (alignment === undefined || checkpoint > alignment.checkpoint) {
      if (alignment !== undefined) {
        superseded = { superseded: alignment.checkpoint };
        this.#over = alignment.checkpoint;
      }
      alignment = { checkpoint, startedAt: now, arrived: new Set() };
      this.#alignment = alignment;
    }
    alignment.arrived.add(channel);
    if (alignment.arrived.size < this.#channels) return { kind: "waiting", ...superseded };

    this.#alignment = undefined;
    this.#over = checkpoint;
    return { kind: "aligned", duration: now - alignment.startedAt, ...superseded };
  }

  /** The coordinator gave up on `checkpoint`; its channels are free again. */
  onAborted(checkpoint: CheckpointId): void {
    if (this.#alignment?.checkpoint === checkpoint) this.#alignment = undefined;
    this.#over = Math.max(this.#over, checkpoint);
  }
}
