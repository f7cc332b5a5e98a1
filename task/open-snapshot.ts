// A snapshot from the barrier at which the state is frozen until it is handed over whole.
//   N1. It is whole once all that its barrier overtakes is gathered (Y5 of channel-state.ts), and the
//       barrier has left every output, or will overtake nothing.
//   N2. It is in one file, or where it is small in the acknowledgement: keyed state first, then what no
//       key owns, then what was on its way.

import { type Barrier, never, savepointOf } from "../format/frame.ts";
import type { Millis } from "../format/ids.ts";
import { inlineSnapshotBytesMax, operatorStateInlineBytes } from "../format/limits.ts";
import type { CheckpointAck, TaskDeployment } from "../format/messages.ts";
import { savepointFilePath, snapshotPath } from "../format/paths.ts";
import type { Channel } from "../format/plan.ts";
import { type ChannelCapture, placeChannels } from "./channel-state.ts";
import { bytesOf, place, type SnapshotFile } from "./snapshot-file.ts";
import { keyedHandleOf } from "./state-snapshots.ts";
import type { FrozenTaskState } from "./task-state.ts";

/** A snapshot that is frozen and not acknowledged. */
export interface OpenSnapshot {
  readonly barrier: Barrier;
  readonly state: FrozenTaskState;
  readonly channels: ChannelCapture;
  readonly frozenAt: Millis;
  readonly firstBarrierAt: number;
  lastBarrierAt: Millis;
}

/** What the coordinator is told of a snapshot that is whole, or why there is none. */
export type Handover =
  | {
      readonly kind: "snapshot";
      /** To be stored before the acknowledgement counts. */
      readonly file: SnapshotFile | undefined;
      readonly ack: CheckpointAck;
    }
  | { readonly kind: "tooLarge"; readonly reason: string };

/** Whether there is nothing to wait for (N1). `holdsBarrier`: what the outbox says. */
export const isWhole = (
  { barrier, channels }: OpenSnapshot,
  { holdsBarrier }: { readonly holdsBarrier: boolean },
): boolean => channels.hasAllBarriers && (barrier.overtakesAt === never || !holdsBarrier);

/** Of the file that the snapshot at that barrier is written to. */
export function filePathOf({ job, attempt, task }: TaskDeployment, barrier: Barrier): string {
  const savepoint = savepointOf(barrier.purpose);
  return savepoint === undefined
    ? snapshotPath(job, barrier.checkpoint, attempt, task)
    : savepointFilePath(savepoint.folder, task);
}

/** Places a snapshot that is whole, and of which nothing is late. */
export function handOver(
  { barrier, state, channels, frozenAt, firstBarrierAt, lastBarrierAt }: OpenSnapshot,
  of: {
    /** With what of its keyed state is in it. */
    readonly file: SnapshotFile | undefined;
    readonly deployment: TaskDeployment;
    readonly inputs: readonly Channel[];
    readonly outputs: readonly Channel[];
    readonly now: Millis;
  },
): Handover {
  const { keyed, operator } = state;
  const { attempt, task, config } = of.deployment;
  const { checkpoint, purpose } = barrier;
  const { inlineThreshold } = config.checkpointing;
  // A savepoint is in the bucket wherever checkpoints are.
  const storage = savepointOf(purpose) === undefined ? config.checkpointing.storage : "r2";
  const path = filePathOf(of.deployment, barrier);
  const inlineMax = storage === "inline" ? Infinity : inlineThreshold;
  const parts = operator.map(({ bytes }) => bytes);
  const isInline = bytesOf(parts) <= Math.max(inlineMax, operatorStateInlineBytes);
  const states = place(parts, { isInline, file: of.file, path });
  const { handles, file, bytes } = placeChannels(channels.channels, {
    inputs: of.inputs,
    outputs: of.outputs,
    index: task.index,
    file: states.file,
    path,
    inlineThreshold: inlineMax,
  });
  const more = bytesOf(parts) + bytes;
  const stateBytes = bytesIn(keyed.keyed.flatMap(({ links }) => links)) + more;
  if (storage === "inline" && stateBytes > inlineSnapshotBytesMax) {
    const reason =
      `Its snapshot is ${stateBytes} bytes, and with checkpointing.storage "inline" that of a ` +
      `subtask may be ${inlineSnapshotBytesMax}. Set it to "r2".`;
    return { kind: "tooLarge", reason };
  }
  const ack: CheckpointAck = {
    attempt,
    checkpoint,
    task,
    state: {
      keyed: keyed.keyed.map(keyedHandleOf),
      operator: operator.map(({ handle }, at) => ({ ...handle, bytes: states.handles[at]! })),
      ...(handles.length > 0 && { channels: handles }),
    },
    // The shell, which has the clock, adds how long freezing and storing took.
    metrics: {
      alignment: lastBarrierAt - firstBarrierAt,
      syncDuration: 0,
      asyncDuration: of.now - frozenAt,
      bytes: keyed.bytes + bytesIn(keyed.late) + more,
      stateBytes,
    },
  };
  return { kind: "snapshot", file, ack };
}

const bytesIn = (links: readonly { readonly bytes: number }[]): number =>
  links.reduce((sum, { bytes }) => sum + bytes, 0);
