// What the completed checkpoints of a job's whole life come to. A few numbers, so that they can be in its
// record; the history has only the last ones.

import type { CheckpointRecord, CheckpointTotals, Total } from "../format/job-status.ts";

/** With one more that is complete; `totals` is absent before the first. */
export function withCompleted(
  totals: CheckpointTotals | undefined,
  { triggered, acks }: CheckpointRecord,
): CheckpointTotals {
  let size = 0;
  let state = 0;
  let last: number = triggered;
  for (const { at, metrics } of acks) {
    size += metrics.bytes;
    state += metrics.stateBytes;
    last = Math.max(last, at);
  }
  return {
    count: (totals?.count ?? 0) + 1,
    size: withValue(totals?.size, size),
    state: withValue(totals?.state, state),
    duration: withValue(totals?.duration, last - triggered),
  };
}

const withValue = (total: Total | undefined, value: number): Total => ({
  min: Math.min(total?.min ?? value, value),
  max: Math.max(total?.max ?? value, value),
  sum: (total?.sum ?? 0) + value,
});
