// The windows of one key where they merge, as Flink's MergingWindowSet has them.
//   M1. No two windows of a set touch, once `add` has returned: windows that meet are one.
//   M2. What a window holds stays under its state window, one of those that it was made of: of what is
//       merged only the others' contents move.

import type { TimeWindow } from "../stream/windows.ts";

/** A window, and the window that its contents are kept under. */
export type Merged = readonly [start: number, end: number, stateStart: number, stateEnd: number];

/** What became of several windows. */
export interface Merge {
  readonly window: TimeWindow;
  /** Those that it was made of. */
  readonly merged: readonly TimeWindow[];
  readonly stateWindow: TimeWindow;
  /** State windows whose contents go to `stateWindow`. */
  readonly mergedStateWindows: readonly TimeWindow[];
}

interface Entry {
  readonly window: TimeWindow;
  readonly stateWindow: TimeWindow;
}

export class MergingWindows {
  #entries: readonly Entry[];

  constructor(stored: readonly Merged[]) {
    this.#entries = stored.map(([start, end, stateStart, stateEnd]) => ({
      window: { start, end },
      stateWindow: { start: stateStart, end: stateEnd },
    }));
  }

  /** To be kept; empty where there are none. */
  get stored(): readonly Merged[] {
    return this.#entries.map(({ window, stateWindow }): Merged => [
      window.start,
      window.end,
      stateWindow.start,
      stateWindow.end,
    ]);
  }

  /** The window that the contents of a window are kept under; undefined where the set has none such. */
  stateWindowOf(window: TimeWindow): TimeWindow | undefined {
    return this.#entries.find((entry) => isSame(entry.window, window))?.stateWindow;
  }

  /**
   * Adds a window, and gives the one of the set that it is now, or a part of. `merged` is called where
   * windows of the set have become another; what it throws leaves the set as it was.
   */
  add(added: TimeWindow, merged: (merge: Merge) => void): TimeWindow {
    const touching = this.#entries.filter(({ window }) => touches(window, added));
    if (touching.length === 0) {
      this.#entries = [...this.#entries, { window: added, stateWindow: added }];
      return added;
    }
    const window = touching.reduce((cover, entry) => coverOf(cover, entry.window), added);
    const [first, ...others] = touching as [Entry, ...Entry[]];
    if (others.length === 0 && isSame(first.window, window)) return first.window;
    const { stateWindow } = first;
    merged({
      window,
      merged: touching.map((entry) => entry.window),
      stateWindow,
      mergedStateWindows: others.map((entry) => entry.stateWindow),
    });
    const rest = this.#entries.filter((entry) => !touching.includes(entry));
    this.#entries = [...rest, { window, stateWindow }];
    return window;
  }

  /** The window is over. */
  retire(window: TimeWindow): void {
    this.#entries = this.#entries.filter((entry) => !isSame(entry.window, window));
  }
}

// Windows that only meet are one, as in Flink: a gap that is over exactly as a row comes is none.
const touches = (left: TimeWindow, right: TimeWindow): boolean =>
  left.start <= right.end && left.end >= right.start;

const coverOf = (left: TimeWindow, right: TimeWindow): TimeWindow => ({
  start: Math.min(left.start, right.start),
  end: Math.max(left.end, right.end),
});

const isSame = (left: TimeWindow, right: TimeWindow): boolean =>
  left.start === right.start && left.end === right.end;
