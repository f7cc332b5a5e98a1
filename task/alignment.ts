// Barrier alignment for one subtask: decides when it may snapshot. Knows input channels by index
// only; the task performs what the outcomes say.
//   B1. All barriers of one alignment carry the same checkpoint id. In exactly-once mode there is one
//       alignment at a time; in at-least-once mode the barriers of several checkpoints are counted,
//       each by itself, and the one that is aligned ends the older ones.
//   B2. In exactly-once mode a channel is blocked exactly from its barrier until the alignment
//       ends; in at-least-once mode no channel is ever blocked.
//   B3. In exactly-once mode a newer id aborts the running alignment before it starts its own.
//   B4. No id is ever aligned twice, none at or below one that was aligned, and none that was
//       aborted. The abort of one checkpoint ends no other that is under way.
//   B5. A barrier is announced when it is received, whatever waits before it, and delivered when it
//       is its turn. From the time on at which it overtakes, the first announced barrier of the
//       newest checkpoint ends every alignment, without waiting for the others.
//   B6. A channel that had delivered the barrier when it overtook was blocked since: what waits there
//       is behind the barrier and no part of the checkpoint. On the others it is what waits before
//       it, and what comes until it does.
// After Carbone et al., "Lightweight Asynchronous Snapshots for Distributed Dataflows" (2015), and
// for at-least-once mode after Flink's CheckpointBarrierTracker.

import type { CheckpointingMode } from "../format/config.ts";
import { type Barrier, never, type Purpose } from "../format/frame.ts";
import type { CheckpointId, Millis } from "../format/ids.ts";

export type BarrierOutcome =
  /** An id that is already over: the barrier is dropped. */
  | { readonly kind: "ignored" }
  /** Other channels are missing. `superseded`: the alignment that this barrier ended. */
  | { readonly kind: "waiting"; readonly superseded?: CheckpointId }
  /** Every channel has delivered it: snapshot now, before any further frame. */
  | { readonly kind: "aligned"; readonly duration: number; readonly superseded?: CheckpointId };

/** A barrier whose time to overtake has come: snapshot now, with what is on its way. */
export interface Overtaking {
  readonly checkpoint: CheckpointId;
  /** When its first barrier was received. */
  readonly startedAt: Millis;
  /** Channels with something on its way (B6), and those of them whose barrier has not come. */
  readonly open: readonly number[];
  readonly missing: ReadonlySet<number>;
  readonly superseded?: CheckpointId;
  readonly purpose?: Purpose;
}

interface Announcement {
  readonly checkpoint: CheckpointId;
  readonly purpose: Purpose | undefined;
  readonly startedAt: Millis;
  readonly missing: Set<number>;
  overtakesAt: number;
}

/** What is known of checkpoints that are over: all that is left where no barrier is awaited. */
export interface PastBarriers {
  readonly over: number;
  readonly aborted: readonly CheckpointId[];
}

interface Alignment {
  readonly checkpoint: CheckpointId;
  readonly startedAt: Millis;
  readonly arrived: Set<number>;
}

export class Aligner {
  readonly #channels: readonly number[];
  readonly #mode: CheckpointingMode;
  #alignment: Alignment | undefined;
  /** What is counted in at-least-once mode. */
  readonly #counted = new Map<CheckpointId, Alignment>();
  /** Aborted ids above `#over`. */
  readonly #aborted = new Set<CheckpointId>();
  /** The newest checkpoint that any barrier has announced. */
  #announced: Announcement | undefined;
  /** Highest id that was aligned, overtook or was aborted. */
  #over = 0;

  constructor(channels: number, mode: CheckpointingMode) {
    this.#channels = Array.from({ length: channels }, (_, channel) => channel);
    this.#mode = mode;
  }

  get checkpoint(): CheckpointId | undefined {
    return this.#alignment?.checkpoint;
  }

  /** Whether no barrier has come that others are to follow. */
  get isSettled(): boolean {
    return (
      this.#alignment === undefined && this.#announced === undefined && this.#counted.size === 0
    );
  }

  get past(): PastBarriers {
    return { over: this.#over, aborted: [...this.#aborted] };
  }

  /** Goes on where another aligner stood that awaited no barrier. */
  resume({ over, aborted }: PastBarriers): void {
    this.#over = over;
    for (const checkpoint of aborted) this.#aborted.add(checkpoint);
  }

  isBlocked(channel: number): boolean {
    return this.#mode === "EXACTLY_ONCE" && this.#alignment?.arrived.has(channel) === true;
  }

  /** When the announced barrier overtakes. */
  get overtakesAt(): number {
    return this.#announced?.overtakesAt ?? never;
  }

  announce(channel: number, { checkpoint, overtakesAt, purpose }: Barrier, now: Millis): void {
    const newest = Math.max(this.#over, (this.#announced?.checkpoint ?? 0) - 1);
    if (checkpoint <= newest || this.#aborted.has(checkpoint)) return;
    if (this.#announced?.checkpoint !== checkpoint) {
      const missing = new Set(this.#channels);
      this.#announced = { checkpoint, purpose, startedAt: now, missing, overtakesAt };
    }
    this.#announced.missing.delete(channel);
    this.#announced.overtakesAt = Math.min(this.#announced.overtakesAt, overtakesAt);
  }

  /** Ends the alignment in favour of the announced barrier, once it is time (B5). */
  overtake(now: Millis): Overtaking | undefined {
    const announced = this.#announced;
    if (announced === undefined || now < announced.overtakesAt) return undefined;
    const { checkpoint, startedAt, missing, purpose } = announced;
    const current = this.#alignment;
    const isOwn = current?.checkpoint === checkpoint;
    const open = this.#channels.filter((channel) => !isOwn || !current.arrived.has(channel));
    this.#end(checkpoint);
    const superseded = isOwn ? undefined : current?.checkpoint;
    return {
      checkpoint,
      startedAt,
      open,
      missing,
      ...(superseded !== undefined && { superseded }),
      ...(purpose !== undefined && { purpose }),
    };
  }

  onBarrier(channel: number, checkpoint: CheckpointId, now: Millis): BarrierOutcome {
    const current = this.#alignment;
    if (checkpoint <= this.#over || this.#aborted.has(checkpoint)) return { kind: "ignored" };
    if (this.#mode === "AT_LEAST_ONCE") return this.#count(channel, checkpoint, now);
    if (current !== undefined && checkpoint < current.checkpoint) return { kind: "ignored" };

    let superseded: { superseded?: CheckpointId } = {};
    let alignment = current;
    if (alignment === undefined || checkpoint > alignment.checkpoint) {
      if (alignment !== undefined) {
        superseded = { superseded: alignment.checkpoint };
        this.#end(alignment.checkpoint);
      }
      alignment = { checkpoint, startedAt: now, arrived: new Set() };
      this.#alignment = alignment;
    }
    alignment.arrived.add(channel);
    if (alignment.arrived.size < this.#channels.length) return { kind: "waiting", ...superseded };

    this.#end(checkpoint);
    return { kind: "aligned", duration: now - alignment.startedAt, ...superseded };
  }

  /** The coordinator gave up on `checkpoint`; its channels are free again. */
  onAborted(checkpoint: CheckpointId): void {
    if (checkpoint <= this.#over) return;
    this.#aborted.add(checkpoint);
    this.#counted.delete(checkpoint);
    if (this.#alignment?.checkpoint === checkpoint) this.#alignment = undefined;
    if (this.#announced?.checkpoint === checkpoint) this.#announced = undefined;
  }

  #count(channel: number, checkpoint: CheckpointId, now: Millis): BarrierOutcome {
    const known = this.#counted.get(checkpoint);
    const alignment = known ?? { checkpoint, startedAt: now, arrived: new Set<number>() };
    this.#counted.set(checkpoint, alignment);
    alignment.arrived.add(channel);
    if (alignment.arrived.size < this.#channels.length) return { kind: "waiting" };
    this.#end(checkpoint);
    return { kind: "aligned", duration: now - alignment.startedAt };
  }

  /** Nothing at or below `checkpoint` is aligned or may overtake any more (B4). */
  #end(checkpoint: CheckpointId): void {
    this.#over = Math.max(this.#over, checkpoint);
    for (const id of this.#aborted) if (id <= this.#over) this.#aborted.delete(id);
    for (const id of this.#counted.keys()) if (id <= this.#over) this.#counted.delete(id);
    if (this.#alignment !== undefined && this.#alignment.checkpoint <= this.#over) {
      this.#alignment = undefined;
    }
    if (this.#announced !== undefined && this.#announced.checkpoint <= this.#over) {
      this.#announced = undefined;
    }
  }
}
