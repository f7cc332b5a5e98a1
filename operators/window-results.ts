// What is emitted of a window: what its function makes of it, or the fold as it is.
//   R1. Its event time is the last instant of the window; that of a global window has none.

import type { Key } from "../format/key.ts";
import type { AnyWindowFunction, WindowFold, WindowSpec } from "../stream/windowed-stream.ts";
import type { GlobalWindow, TimeWindow } from "../stream/windows.ts";
import type { Emitted } from "./emitted.ts";
import type { OperatorContext } from "./operator.ts";
import { foldOfRows } from "./window-contents.ts";

export class WindowResults {
  readonly #fold: WindowFold;
  readonly #fn: AnyWindowFunction | undefined;
  readonly #emitted: Emitted;
  readonly #context: CurrentWindow;

  constructor(
    ctx: Pick<OperatorContext, "now" | "watermark">,
    { fold, fn }: Pick<WindowSpec, "fold" | "fn">,
    emitted: Emitted,
  ) {
    this.#fold = fold;
    this.#fn = fn;
    this.#emitted = emitted;
    this.#context = new CurrentWindow(ctx, emitted);
  }

  /** @param result of the fold, or all rows. */
  emit(key: Key, window: TimeWindow, result: unknown): void {
    const isGlobal = window.end === Infinity;
    this.#emitted.at(isGlobal ? NaN : window.end - 1);
    if (this.#fn !== undefined) {
      this.#context.key = key;
      this.#context.window = isGlobal ? { ...window, isGlobal } : window;
      this.#fn.process(this.#context as never, result as never);
      return;
    }
    if (this.#fold.kind !== "aggregate") return this.#emitted.emit(result);
    const of = isGlobal ? {} : { windowStart: window.start, windowEnd: window.end };
    this.#emitted.emit({ key, ...of, ...(result as object) });
  }

  /** Of rows that were kept. No fold is emitted of none; a function is called. */
  emitRows(key: Key, window: TimeWindow, rows: readonly unknown[]): void {
    const result = foldOfRows(this.#fold, rows);
    if (result !== undefined) this.emit(key, window, result);
  }
}

class CurrentWindow {
  key: Key = "";
  window: TimeWindow | GlobalWindow = { start: 0, end: 0 };
  readonly emit: Emitted["emit"];
  readonly output: Emitted["output"];
  readonly currentWatermark: () => number;
  readonly currentProcessingTime: () => number;

  constructor(ctx: Pick<OperatorContext, "now" | "watermark">, emitted: Emitted) {
    this.emit = emitted.emit;
    this.output = emitted.output;
    this.currentWatermark = () => ctx.watermark(this.key);
    this.currentProcessingTime = () => ctx.now();
  }
}
