// How a source keeps in step with others: what it tells of how far it has come, and how far it may come.
// The coordinator has what all of a group tell (watermark-alignment.ts there).
//   G1. A split may come as far as the last of the group has, and the drift further. Until that is known,
//       in every attempt anew, only splits that have not come anywhere may begin.
//   G2. What has changed is told, at most once per `updateInterval`, and nothing else is: a source that
//       waits is told when it may go on.
//   G3. A report that was not answered is under way: what is in the answer may be all there ever is.
// As Flink's SourceOperator with watermark alignment, split by split (FLIP-217).

import { noTime } from "../format/frame.ts";
import type { AlignmentStanding } from "../format/messages.ts";
import type { SplitWatermarks } from "../operators/split-watermarks.ts";
import type { WatermarkAlignment } from "../stream/watermarks.ts";

export class SourceAlignment {
  readonly #alignment: WatermarkAlignment;
  readonly #times: SplitWatermarks;
  /** How far the last of the group has come. */
  #least = noTime;
  #told: { readonly standing: AlignmentStanding; readonly at: number } | undefined;
  #isAsked = true;
  #isUnderWay = false;
  /** Whether news has come since the report that is under way: its answer is older. */
  #hasNews = false;

  constructor(alignment: WatermarkAlignment, times: SplitWatermarks, now: number) {
    this.#alignment = alignment;
    this.#times = times;
    times.allow(noTime, now);
  }

  /** Milliseconds by which the source is ahead of the last of the group; undefined while unknown. */
  get drift(): number | undefined {
    const drift = (this.#times.leastWaited ?? noTime) - this.#least;
    return Number.isFinite(drift) ? drift : undefined;
  }

  /** Whether there is nothing to tell and nothing to hear. */
  get isSettled(): boolean {
    return !this.#isUnderWay && this.#dueAt() === undefined;
  }

  /** When there is something to tell; undefined where nothing has changed, or a report is under way. */
  get reportsAt(): number | undefined {
    return this.#isUnderWay ? undefined : this.#dueAt();
  }

  /** What is to be told now, if anything. `answered` follows. */
  report(now: number): AlignmentStanding | undefined {
    if ((this.reportsAt ?? Infinity) > now) return undefined;
    const standing = this.#standing();
    this.#told = { standing, at: now };
    this.#isAsked = false;
    this.#isUnderWay = true;
    this.#hasNews = false;
    return standing;
  }

  /** The answer to the report: how far the last of the group has come; undefined while unknown. */
  answered(least: number | undefined, now: number): void {
    this.#isUnderWay = false;
    if (least !== undefined && !this.#hasNews) this.#came(least, now);
  }

  /** The coordinator does not know where this source stands. */
  asked(): void {
    this.#isAsked = true;
  }

  /** Told of the coordinator's own accord: the last of the group has come that far. */
  came(least: number, now: number): void {
    this.#hasNews = true;
    this.#came(least, now);
  }

  #came(least: number, now: number): void {
    this.#least = least;
    this.#times.allow(least + this.#alignment.maxDrift, now);
  }

  #dueAt(): number | undefined {
    if (this.#isAsked || this.#told === undefined) return noTime;
    const { standing, at } = this.#told;
    const { watermark, waitsFor } = this.#standing();
    const isTold = standing.watermark === watermark && standing.waitsFor === waitsFor;
    return isTold ? undefined : at + this.#alignment.updateInterval;
  }

  #standing(): AlignmentStanding {
    const { leastWaited: watermark = null, leastAhead } = this.#times;
    if (leastAhead === undefined) return { watermark };
    return { watermark, waitsFor: leastAhead - this.#alignment.maxDrift };
  }
}
