// toChangelog and aggregateChanges: from rows that replace one another to changes, and from changes to a
// result that goes with them.
//   L1. What is taken back is what was emitted before, and nothing is taken back twice: the last row of a
//       key, or its last result, is kept for that.
//   L2. A key of which all rows were taken back leaves nothing.
//   L3. A row that changes nothing is no change.

import type { Key } from "../format/key.ts";
import type { Aggregate } from "../stream/aggregates.ts";
import { change, kindOf, rowOf, takesBack } from "../stream/changelog.ts";
import { type StateDescriptors, valueState } from "../stream/state.ts";
import type { JoinContext } from "./join-context.ts";

interface KeyedFunction {
  readonly state: StateDescriptors;
  process(row: never, ctx: never): void;
}

type Row = Readonly<Record<string, unknown>>;

/** Of the rows of a key, each of which replaces the one before it. */
export function toChangelog(): KeyedFunction {
  const state = { last: valueState<Row>() };
  return {
    state,
    process(row: unknown, { state: { last }, emit }: JoinContext<typeof state>) {
      const kind = kindOf(row);
      if (kind === "-U") return;
      const before = last.get();
      if (kind === "-D") {
        if (before === undefined) return;
        last.clear();
        return emit(change.delete(before));
      }
      const after = rowOf(row) as Row;
      if (before !== undefined && areSame(before, after)) return;
      last.set(after);
      if (before === undefined) return emit(change.insert(after));
      emit(change.updateBefore(before));
      emit(change.updateAfter(after));
    },
  };
}

/** What is held of a key: its rows that are there, and an accumulator per aggregate. */
type Held = [rows: number, ...accumulators: unknown[]];

export function aggregateChanges(aggregates: Readonly<Record<string, Aggregate>>): KeyedFunction {
  const state = { held: valueState<Held>() };
  const fields = Object.entries(aggregates);
  const resultOf = (key: Key, [, ...accumulators]: Held): Row => {
    const row: Record<string, unknown> = { key };
    for (const [at, [field, each]] of fields.entries()) row[field] = each.result(accumulators[at]);
    return row;
  };
  return {
    state,
    process(row: never, { key, state: { held }, emit }: JoinContext<typeof state>) {
      const isTaken = takesBack(kindOf(row));
      const before = held.get();
      // Taken from nothing, as Flink does it: the row was never there.
      if (before === undefined && isTaken) return;
      const result = before && resultOf(key, before);
      const rows = (before?.[0] ?? 0) + (isTaken ? -1 : 1);
      if (rows === 0) {
        held.clear();
        return emit(change.delete(result!));
      }
      const after: Held = [
        rows,
        ...fields.map(([, each], at) => {
          // Aggregates may change what they are given, and a row that throws must not have.
          const own = before === undefined ? each.create() : copied(before[at + 1]);
          return isTaken ? each.retract!(own, row) : each.add(own, row);
        }),
      ];
      held.set(after);
      const now = resultOf(key, after);
      if (result === undefined) return emit(change.insert(now));
      if (areSame(result, now)) return;
      emit(change.updateBefore(result));
      emit(change.updateAfter(now));
    },
  };
}

const copied = (value: unknown): unknown =>
  typeof value === "object" && value !== null ? structuredClone(value) : value;

/** Whether two rows have the same fields with the same simple values. */
function areSame(left: Row, right: Row): boolean {
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && Object.is(left[name], right[name]))
  );
}
