// Changelogs: rows that say what becomes of a result that changes. The convention that everything which
// emits or takes changes keeps to (docs/changelog.md).
//   C1. A change is a row with its kind in the field `$kind`, beside its own: its fields are read, keyed and
//       sent in columns like those of any other row. A row without a kind is inserted, or replaces the
//       one of its key where it is written by a key.
//   C2. An update is two changes, one after the other: the row as it was, which is taken back, and the row
//       as it is. A row is taken back as it was emitted.

import type { Aggregate, Aggregates } from "./aggregates.ts";
import { refusal } from "./errors.ts";
import { shown } from "./names.ts";

/** What a row does to the result that it belongs to: Flink's `RowKind`, in its short form. */
export type RowKind = "+I" | "-U" | "+U" | "-D";

/** A row of a result that changes: its fields, and what it does to the result. */
export type Change<T> = T & { readonly $kind: RowKind };

/** The row of a change, without its kind. */
export type RowOf<C> = C extends { readonly $kind: RowKind } ? Omit<C, "$kind"> : C;

/** Of rows, changes of them; of changes, the same. */
export type ChangeOf<T> = T extends { readonly $kind: RowKind } ? T : Change<T>;

/** What a row is made to, to say what becomes of it. The row itself is left as it is. */
export interface ChangeMakers {
  /** It is new. */
  insert<T extends object>(this: void, row: T): Change<T>;
  /** It was, and is about to be replaced: comes right before the row that does it. */
  updateBefore<T extends object>(this: void, row: T): Change<T>;
  /** It takes the place of the one before it. */
  updateAfter<T extends object>(this: void, row: T): Change<T>;
  /** It is gone. */
  delete<T extends object>(this: void, row: T): Change<T>;
}

/**
 * Makes changes of rows, for streams of changes of your own.
 *
 * @example
 * orders.flatMap(
 *   (order) => (order.isCancelled ? [change.delete(order)] : [change.insert(order)]),
 *   { uid: "orders" },
 * )
 */
export const change: ChangeMakers = {
  insert: (row) => changed("+I", row),
  updateBefore: (row) => changed("-U", row),
  updateAfter: (row) => changed("+U", row),
  delete: (row) => changed("-D", row),
};

function changed<T extends object>($kind: RowKind, row: T): Change<T> {
  if (typeof row !== "object" || (row as unknown) === null || Array.isArray(row)) {
    throw new TypeError(`A change is made of an object with fields, not of ${shown(row)}`);
  }
  return { ...row, $kind };
}

/** The kind of a row; one that has none is inserted. @throws TypeError for what is no kind */
export function kindOf(row: unknown): RowKind {
  const kind = (row as { readonly $kind?: unknown } | null | undefined)?.$kind;
  if (kind === undefined) return "+I";
  if (kind === "+I" || kind === "-U" || kind === "+U" || kind === "-D") return kind;
  throw new TypeError(`A row has ${shown(kind)} as $kind, which is "+I", "-U", "+U" or "-D"`);
}

/** Whether a row of that kind is taken back. */
export const takesBack = (kind: RowKind): boolean => kind === "-U" || kind === "-D";

/**
 * The row of a change.
 *
 * @example changes.filter(({ $kind }) => $kind === "+U", { uid: "updates" }).map(rowOf, { uid: "rows" })
 */
export function rowOf<C>(row: C): RowOf<C> {
  if (kindless(row)) return row as RowOf<C>;
  const { $kind: _, ...own } = row as { readonly $kind: RowKind };
  return own as RowOf<C>;
}

const kindless = (row: unknown): boolean =>
  typeof row !== "object" || row === null || !("$kind" in row);

/** An aggregate from which rows can be taken. */
export type RetractableAggregate<T = never> = Aggregate<T> &
  Required<Pick<Aggregate<T>, "retract">>;

/** Refuses aggregates from which no row can be taken. @throws GraphError */
export function checkedRetractable(
  aggregates: Aggregates<never>,
  options: { readonly uid: string } | undefined,
): void {
  for (const [field, aggregate] of Object.entries(aggregates)) {
    if (typeof (aggregate as Aggregate).retract === "function") continue;
    const found = `has in its field "${field}" an aggregate that cannot take a row back`;
    const allowed =
      "count, countIf, sum, avg, and aggregates of your own with retract(accumulator, row); for the least, " +
      "the greatest or the first of rows that may be taken back, keep them in a process function";
    throw refusal("BAD_AGGREGATES", "aggregateChanges", options, found, allowed);
  }
}
