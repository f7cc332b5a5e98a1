// Which frames go to a receiver in one call: what a call costs does not depend on what is in it.
//   C1. A call has frames of one channel under consecutive numbers, in order.
//   C2. Marks go with the frame that they follow at once. Rows begin a call of their own: its answer
//       gives back the credit of one frame, no later than that frame by itself would.

import { needsCredit } from "../format/frame.ts";
import type { Seq } from "../format/ids.ts";
import type { TaskEffect } from "./task-effect.ts";

type PushEffect = Extract<TaskEffect, { readonly kind: "push" }>;

/** Frames of one call, the first of them under `seq`. */
export interface PushCall {
  readonly kind: "pushes";
  readonly channel: number;
  readonly seq: Seq;
  readonly frames: readonly Uint8Array[];
}

/** The same effects in the same order, pushes in as few calls as may be. */
export function inCalls(
  effects: readonly TaskEffect[],
): (Exclude<TaskEffect, PushEffect> | PushCall)[] {
  const calls: (Exclude<TaskEffect, PushEffect> | PushCall)[] = [];
  let last: { readonly channel: number; readonly frames: Uint8Array[] } | undefined;
  for (const effect of effects) {
    if (effect.kind !== "push") {
      calls.push(effect);
      last = undefined;
      continue;
    }
    const { channel, seq, frame } = effect;
    if (last?.channel === channel && !needsCredit(frame)) {
      last.frames.push(frame);
      continue;
    }
    last = { channel, frames: [frame] };
    calls.push({ kind: "pushes", seq, ...last });
  }
  return calls;
}
