// What assigners and evictors of a user's own answer, checked: where types were left aside, an answer that
// is none would make the windows wrong without a sound.

import type { AnyEvictor, TimestampedRow } from "../stream/evictors.ts";
import { shown } from "../stream/names.ts";
import type { WindowSpec } from "../stream/windowed-stream.ts";
import type { TimeWindow } from "../stream/windows.ts";

/** The windows of a row, each still to be checked. */
export function assignedBy(
  assigner: WindowSpec["assigner"],
  row: unknown,
  time: number,
): readonly unknown[] {
  const assigned: unknown = assigner.assign(row as never, time);
  if (Array.isArray(assigned)) return assigned;
  throw new TypeError(
    `assign of the assigner returned ${shown(assigned)}. Allowed: a list of windows, as ` +
      `[{ start, end }]; an empty one leaves the row out`,
  );
}

export function checkedWindow(given: unknown): TimeWindow {
  const { start, end } = (given ?? {}) as Partial<TimeWindow>;
  if (typeof start === "number" && typeof end === "number" && start < end) return { start, end };
  throw new TypeError(
    `a row was assigned the window from ${String(start)} to ${String(end)}: a window has a start and ` +
      `a later end, in milliseconds`,
  );
}

type Timestamped = TimestampedRow<unknown>;

/** The rows that stay in a window, by that part of its evictor; all where it has no such part. */
export function staying(
  evictor: AnyEvictor,
  part: "before" | "after",
  rows: readonly Timestamped[],
  window: TimeWindow,
): readonly Timestamped[] {
  if (evictor[part] === undefined) return rows;
  const kept: unknown = evictor[part](rows, window);
  if (Array.isArray(kept)) return kept as readonly Timestamped[];
  throw new TypeError(
    `${part} of the evictor returned ${shown(kept)}. Allowed: a list of those that stay of the ` +
      `rows that it was given`,
  );
}
