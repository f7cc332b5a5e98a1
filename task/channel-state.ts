// What is on its way over a subtask's channels when it freezes its state while barriers overtake
// rows: which of it goes into the snapshot, and whose it is after a restore.
//   Y1. The cut of a subtask is the step in which its state is frozen and its barriers are put ahead
//       of all that has not left.
//   Y2. A frame that had left before its sender's cut, and that its receiver had not processed at
//       its own, is the receiver's: it waits in the inbox at the cut, or comes later but before the
//       barrier of its channel.
//   Y3. A frame that had not left at its sender's cut is the sender's, barrier or no barrier in
//       front of it: its receiver gets it behind the barrier.
//   Y4. So every frame made before its sender's cut is in exactly one of: the receiver's state, the
//       receiver's channel state, the sender's channel state. A frame made after it is in none.
//   Y5. The snapshot is whole once the barrier of every channel has come, and has left every output.
//   Y6. After a restore the receiver's frames are processed before any other of their channel, and
//       the sender's leave before any other: the order of a channel is what it was.
//   Y7. This holds for each channel by itself, and so for broadcast ones: a receiver takes a copy of
//       broadcast state (Q4), and with it the rows that this copy lacks. Flink restores one copy
//       everywhere, and therefore lets no barrier overtake there.
//   Y8. In another layout the receivers take over the rows of both ends (former-rows.ts). What they
//       have not processed at the next cut is in their channel state again, as restored.

import { encodeFrames } from "../format/channel-state.ts";
import type { Channel } from "../format/plan.ts";
import type { ChannelStateHandle } from "../format/state-handle.ts";
import { bytesOf, place, type SnapshotFile } from "./snapshot-file.ts";

export type CapturedChannel = {
  readonly frames: readonly Uint8Array[];
} & (
  | {
      readonly end: "input" | "output";
      /** Position among the task's inputs or outputs. */
      readonly channel: number;
    }
  | { readonly end: "restored"; readonly edge: number }
);

/** The channel state of one snapshot, while it is gathered. */
export class ChannelCapture {
  readonly #inputs = new Map<number, Uint8Array[]>();
  readonly #outputs = new Map<number, readonly Uint8Array[]>();
  readonly #restored = new Map<number, readonly Uint8Array[]>();
  /** Inputs whose barrier has not come. */
  readonly #missing: Set<number>;

  constructor(missing: Iterable<number> = []) {
    this.#missing = new Set(missing);
  }

  /** Y5, as far as the inputs go. */
  get hasAllBarriers(): boolean {
    return this.#missing.size === 0;
  }

  get channels(): CapturedChannel[] {
    return [
      ...Array.from(this.#inputs, ([channel, frames]) => ({
        end: "input" as const,
        channel,
        frames,
      })),
      ...Array.from(this.#outputs, ([channel, frames]) => ({
        end: "output" as const,
        channel,
        frames,
      })),
      ...Array.from(this.#restored, ([edge, frames]) => ({
        end: "restored" as const,
        edge,
        frames,
      })),
    ];
  }

  /** These wait in the inbox at the cut (Y2). */
  waiting(input: number, frames: readonly Uint8Array[]): void {
    if (frames.length > 0) this.#inputs.set(input, [...frames]);
  }

  /** These were taken over from others and wait at the cut (Y8). */
  restored(edge: number, frames: readonly Uint8Array[]): void {
    if (frames.length > 0) this.#restored.set(edge, frames);
  }

  /** A data frame came after the cut. */
  received(input: number, frame: Uint8Array): void {
    if (!this.#missing.has(input)) return;
    const frames = this.#inputs.get(input);
    if (frames === undefined) this.#inputs.set(input, [frame]);
    else frames.push(frame);
  }

  barrierCame(input: number): void {
    this.#missing.delete(input);
  }

  /** These were overtaken before they had left (Y3). */
  overtaken(output: number, frames: readonly Uint8Array[]): void {
    this.#outputs.set(output, frames);
  }
}

/** Where captured frames are put: beside the state in its file, or inline where both are small. */
export function placeChannels(
  captured: readonly CapturedChannel[],
  options: {
    readonly inputs: readonly Channel[];
    readonly outputs: readonly Channel[];
    /** Of the subtask. */
    readonly index: number;
    /** The file of the state, where it has one. */
    readonly file: SnapshotFile | undefined;
    /** The file to write where there is none yet. */
    readonly path: string;
    readonly inlineThreshold: number;
  },
): {
  readonly handles: ChannelStateHandle[];
  readonly file: SnapshotFile | undefined;
  readonly bytes: number;
} {
  const { inputs, outputs, index, path, inlineThreshold } = options;
  const parts = captured.map(({ frames }) => encodeFrames(frames));
  const bytes = bytesOf(parts);
  const isInline = options.file === undefined && bytes <= inlineThreshold;
  const { handles, file } = place(parts, { isInline, file: options.file, path });
  const placed = captured.map((one, at): ChannelStateHandle => {
    const { end } = one;
    const frames = handles[at]!;
    if (end === "restored") return { end, edge: one.edge, to: index, frames };
    const { edge, from, to } = (end === "input" ? inputs : outputs)[one.channel]!;
    return { end, edge, from: from.index, to: to.index, frames };
  });
  return { handles: placed, file, bytes };
}

/** The position of a handle's channel among the task's own. */
export function positionOf(
  { edge, from, to }: Pick<ChannelStateHandle, "edge" | "from" | "to">,
  channels: readonly Channel[],
): number {
  const at = channels.findIndex(
    (one) => one.edge === edge && one.from.index === from && one.to.index === to,
  );
  if (at !== -1) return at;
  throw new Error(`The job has no channel ${edge}:${from}>${to}, of which the snapshot has rows.`);
}
