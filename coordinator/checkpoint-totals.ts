// What the completed checkpoints of a job's whole life come to. A few numbers, so that they can be in its
// record; the history has only the last ones. Percentiles are told from sketches, some tens of counts for each
// measure, within a hundredth of the true ones (Flink has those of the last 10,000 checkpoints).

import { percentiles } from "../stream/percentiles.ts";
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

const sketches = percentiles([0.5, 0.9, 0.95, 0.99, 0.999], (value: number) => value);
type Sketch = ReturnType<typeof sketches.create>;

/** Of half of all, and of 90, 95, 99 and 99.9 %; undefined where they were not all counted. */
export function percentilesOf({ sketch, min, max }: Total): readonly number[] | undefined {
  if (sketch === undefined) return undefined;
  return sketches
    .result(sketch as Sketch)
    .map((value) => Math.min(Math.max(Math.round(value), min), max));
}

function withValue(total: Total | undefined, value: number): Total {
  const isCounted = total === undefined || total.sketch !== undefined;
  const sketch = (total?.sketch as Sketch | undefined) ?? sketches.create();
  return {
    min: Math.min(total?.min ?? value, value),
    max: Math.max(total?.max ?? value, value),
    sum: (total?.sum ?? 0) + value,
    // A copy: records are values. Of those that came before there was one it would know nothing.
    ...(isCounted && { sketch: sketches.add(structuredClone(sketch), value) }),
  };
}
