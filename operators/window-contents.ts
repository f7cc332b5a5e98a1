// What windows hold: all rows, or their fold. By key and window, in one table.
//   C1. A window that holds nothing has no entry.
//   C2. Where a row may have to be undone (the table is a journal's), nothing that the table holds is
//       changed in place.

import type { Key } from "../format/key.ts";
import type { Aggregate } from "../stream/aggregates.ts";
import type { WindowFold } from "../stream/windowed-stream.ts";
import type { TimeWindow } from "../stream/windows.ts";
import type { StateTable } from "./state/keyed-state.ts";

/** A row and its time, as windows keep them. */
export type HeldRow = readonly [row: unknown, timestamp: number];

/** How windows come to hold what they hold, and what that comes to. */
export interface Contents {
  /** With one more row; `held` is undefined where the window held nothing. */
  add(held: unknown, row: unknown, timestamp: number): unknown;
  /** What two windows hold that have become one. */
  merge(left: unknown, right: unknown): unknown;
  /** What the window's function is given, or what is emitted. */
  result(held: unknown): unknown;
}

/** @param copies whether what is held must not be changed in place (C2). */
export function contentsOf(fold: WindowFold, copies: boolean): Contents {
  switch (fold.kind) {
    case "aggregate":
      return new Accumulators(fold.aggregates, copies);
    case "reduce":
      return new Reduced(fold.fn);
    case "rows":
      return new Rows(copies);
  }
}

/** What a fold makes of rows that were kept. */
export function foldOfRows(fold: WindowFold, rows: readonly unknown[]): unknown {
  if (fold.kind === "rows") return rows;
  const contents = contentsOf(fold, false);
  let held: unknown;
  for (const row of rows) held = contents.add(held, row, 0);
  return held === undefined ? undefined : contents.result(held);
}

export class Accumulators implements Contents {
  readonly #fields: readonly string[];
  readonly #aggregates: readonly Aggregate[];
  readonly #copies: boolean;

  constructor(aggregates: Readonly<Record<string, Aggregate>>, copies: boolean) {
    this.#fields = Object.keys(aggregates);
    this.#aggregates = Object.values(aggregates);
    this.#copies = copies;
  }

  add(held: unknown, row: unknown): unknown[] {
    const own = this.#copies ? structuredClone(held) : held;
    const accumulators = (own as unknown[] | undefined) ?? this.#aggregates.map((a) => a.create());
    for (let a = 0; a < this.#aggregates.length; a++) {
      accumulators[a] = this.#aggregates[a]!.add(accumulators[a], row as never);
    }
    return accumulators;
  }

  merge(left: unknown, right: unknown): unknown[] {
    const [a, b] = this.#copies ? structuredClone([left, right]) : [left, right];
    return this.#aggregates.map((each, at) =>
      each.merge((a as unknown[])[at], (b as unknown[])[at]),
    );
  }

  result(held: unknown): Record<string, unknown> {
    const results: Record<string, unknown> = {};
    for (const [at, each] of this.#aggregates.entries()) {
      results[this.#fields[at]!] = each.result((held as unknown[])[at]);
    }
    return results;
  }
}

class Reduced implements Contents {
  readonly #fn: (left: never, right: never) => unknown;

  constructor(fn: (left: never, right: never) => unknown) {
    this.#fn = fn;
  }

  add(held: unknown, row: unknown): unknown {
    return held === undefined ? row : this.merge(held, row);
  }

  merge(left: unknown, right: unknown): unknown {
    const folded = this.#fn(left as never, right as never);
    if (folded === undefined) throw new TypeError("reduce must return a row, got undefined");
    return folded;
  }

  result(held: unknown): unknown {
    return held;
  }
}

class Rows implements Contents {
  readonly #copies: boolean;

  constructor(copies: boolean) {
    this.#copies = copies;
  }

  add(held: unknown, row: unknown, timestamp: number): unknown {
    const rows = held as HeldRow[] | undefined;
    if (rows === undefined) return [[row, timestamp]];
    if (this.#copies) return [...rows, [row, timestamp]];
    rows.push([row, timestamp]);
    return rows;
  }

  merge(left: unknown, right: unknown): unknown {
    return [...(left as HeldRow[]), ...(right as HeldRow[])];
  }

  result(held: unknown): unknown[] {
    return (held as readonly HeldRow[]).map(([row]) => row);
  }
}

/** The table of contents, by key and window. */
export class WindowTable<V> {
  readonly #table: StateTable<V>;

  constructor(table: StateTable<V>) {
    this.#table = table;
  }

  get(key: Key, window: TimeWindow): V | undefined {
    return this.#table.get(pairOf(key, window));
  }

  put(key: Key, window: TimeWindow, value: V): void {
    this.#table.put(pairOf(key, window), value);
  }

  remove(key: Key, window: TimeWindow): void {
    this.#table.remove(pairOf(key, window));
  }
}

const pairOf = (key: Key, { start, end }: TimeWindow): Key => [key, [start, end]];
