// What is emitted of a window: what its function makes of it, or the fold as it is.
//   R1. Its event time is the last instant of the window; that of a global window has none.
//   R2. Folds of aggregates leave as columns (window-columns.ts), all else as rows.

import type { Key } from "../format/key.ts";
import type { AnyWindowFunction, WindowFold, WindowSpec } from "../stream/windowed-stream.ts";
import type { GlobalWindow, TimeWindow } from "../stream/windows.ts";
import type { Emitted } from "./emitted.ts";
import type { OperatorContext, Output } from "./operator.ts";
import { WindowColumns } from "./window-columns.ts";
import { foldOfRows } from "./window-contents.ts";

export class WindowResults {
  readonly #fold: WindowFold;
  readonly #fn: AnyWindowFunction | undefined;
  readonly #emitted: Emitted;
  readonly #columns: WindowColumns | undefined;
  readonly #context: CurrentWindow;

  constructor(
    ctx: Pick<OperatorContext, "now" | "watermark">,
    { fold, fn }: Pick<WindowSpec, "fold" | "fn">,
    emitted: Emitted,
  ) {
    this.#fold = fold;
    this.#fn = fn;
    this.#emitted = emitted;
    const isColumns = fold.kind === "aggregate" && fn === undefined;
    this.#columns = isColumns ? new WindowColumns(Object.keys(fold.aggregates)) : undefined;
    this.#context = new CurrentWindow(ctx, emitted);
  }

  /** A row or a timer begins. */
  begin(): void {
    this.#emitted.begin();
    this.#columns?.begin();
  }

  /** Forgets what was emitted since. */
  undo(): void {
    this.#emitted.undo();
    this.#columns?.undo();
  }

  sendTo(out: Output): void {
    this.#emitted.sendTo(out);
    this.#columns?.sendTo(out);
  }

  /** @param result of the fold, or all rows. */
  emit(key: Key, window: TimeWindow, result: unknown): void {
    if (this.#columns !== undefined) {
      return this.#columns.add(key, window, result as Readonly<Record<string, unknown>>);
    }
    const isGlobal = window.end === Infinity;
    this.#emitted.at(isGlobal ? NaN : window.end - 1);
    if (this.#fn !== undefined) {
      this.#context.key = key;
      this.#context.window = isGlobal ? { ...window, isGlobal } : window;
      this.#fn.process(this.#context as never, result as never);
      return;
    }
    this.#emitted.emit(result);
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
