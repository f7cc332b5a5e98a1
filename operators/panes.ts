// Panes: the stretches of time that windows of one size and slide are made of, as long as both allow. A row
// is in one pane, a pane in all windows that cover it, and each window is a run of panes.
//   P1. Windows start at multiples of the slide from the offset on; so do some panes, and the ends of windows
//       are ends of panes.
//   P2. A pane is of use up to the last instant of the last window that covers it, and the allowed lateness.

import { type Sliding, windowStart } from "../stream/windows.ts";

export class Panes {
  readonly length: number;
  readonly #size: number;
  readonly #slide: number;
  readonly #offset: number;
  readonly #lateness: number;

  constructor({ size, slide, offset }: Sliding, lateness: number) {
    this.length = divisor(size, slide);
    this.#size = size;
    this.#slide = slide;
    this.#offset = offset;
    this.#lateness = lateness;
  }

  /** The start of the pane of a time. */
  of(time: number): number {
    return windowStart(time, this.#offset, this.length);
  }

  /** Whether any window covers the pane: there may be gaps between them. */
  isCovered(pane: number): boolean {
    return this.#lastEnd(pane) >= pane + this.length;
  }

  /** When nothing asks for the pane any more. */
  overAt(pane: number): number {
    return this.#lastEnd(pane) - 1 + this.#lateness;
  }

  /** The end of the first window that covers the pane and is not over by then; undefined for none. */
  firstEnd(pane: number, after: number): number | undefined {
    const last = this.#lastEnd(pane);
    const first = last - this.#slide * Math.floor((last - pane - this.length) / this.#slide);
    if (last - 1 <= after || first > last) return undefined;
    if (first - 1 > after) return first;
    return last - this.#slide * (Math.ceil((last - 1 - after) / this.#slide) - 1);
  }

  /** Whether a window ends there. */
  isEnd(time: number): boolean {
    return windowStart(time - this.#size, this.#offset, this.#slide) === time - this.#size;
  }

  /** The start of the window that ends there. */
  startOf(end: number): number {
    return end - this.#size;
  }

  /** The ends of the windows that cover the pane and are over by then, but still kept. */
  lateEnds(pane: number, watermark: number): number[] {
    const ends: number[] = [];
    const first = pane + this.length;
    for (let end = this.#lastEnd(pane); end >= first; end -= this.#slide) {
      if (end - 1 <= watermark && end - 1 + this.#lateness > watermark) ends.push(end);
    }
    return ends.toReversed();
  }

  /** Whether a window that covers the pane is over by then. */
  isPartlyOver(pane: number, watermark: number): boolean {
    const first = this.firstEnd(pane, -Infinity);
    return first !== undefined && first - 1 <= watermark;
  }

  #lastEnd(pane: number): number {
    return windowStart(pane, this.#offset, this.#slide) + this.#size;
  }
}

function divisor(left: number, right: number): number {
  return right === 0 ? left : divisor(right, left % right);
}
