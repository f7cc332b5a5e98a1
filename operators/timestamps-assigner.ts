// assignTimestampsAndWatermarks: gives the rows of a stream event times, and says how far event time has
// come behind it, from what it has seen. What was said of time before it counts for nothing but its end.
//   A1. Each subtask goes by its own rows, as if they were a split of a source (split-watermarks.ts).
//   A2. Where the generator is punctuated, event time stands right behind the row that raised it.
// As Flink's TimestampsAndWatermarksOperator.

import { endOfTime, noTime } from "../format/frame.ts";
import type { WatermarkStrategy } from "../stream/watermarks.ts";
import type {
  OperatorContext,
  Output,
  RecordBatch,
  TimedOperator,
  WatermarkingOperator,
  WatermarkOutput,
} from "./operator.ts";
import { furthestBehind, type SplitProgress, SplitWatermarks } from "./split-watermarks.ts";
import { plainElements } from "./state/operator-state.ts";

/** The one split of a subtask. */
const own = 0;

export class TimestampsAssigner implements WatermarkingOperator, TimedOperator {
  readonly #times: SplitWatermarks;
  readonly #now: () => number;
  #hasEnded = false;

  constructor(ctx: OperatorContext, strategy: WatermarkStrategy<never>) {
    const restored = ctx.operatorState.register("watermarks", {
      redistribution: "union",
      schema: plainElements,
      elements: () => this.#times.snapshot(),
      bytes: () => 0,
    }) as readonly SplitProgress[];
    this.#times = new SplitWatermarks(ctx.uid, strategy, [own], furthestBehind(restored));
    this.#now = () => ctx.now();
    this.#times.started(ctx.now());
  }

  get isPunctuated(): boolean {
    return this.#times.isPunctuated;
  }

  get behind(): number {
    return this.#times.watermark.time;
  }

  processBatch(batch: RecordBatch, out: WatermarkOutput): void {
    if (this.#times.watermark.isIdle) out.advance(noTime);
    for (const { rows, watermark } of this.#times.timed(batch, own, this.#now())) {
      out.emit(rows);
      out.advance(watermark.time);
    }
  }

  reached(watermark: number, out: WatermarkOutput): void {
    if (watermark !== endOfTime) return;
    this.#hasEnded = true;
    out.advance(endOfTime);
  }

  get nextTimerAt(): number | undefined {
    return this.#hasEnded ? undefined : this.#times.idleAt;
  }

  fireTimers(now: number, out: Output): void {
    this.#times.tick(now);
    const { time, isIdle } = this.#times.watermark;
    (out as WatermarkOutput).advance(time, isIdle);
  }
}
