// Rows that a program has at hand, as a source: for tests, examples and small tables of reference.

import { GraphError } from "./errors.ts";
import type { GeneratorSource } from "./generate.ts";
import { shown } from "./names.ts";

/** Rows of one source. They are in the memory of every object that runs the program. */
const rowsMax = 1_000_000;

/**
 * A source of these rows, which are taken when it is defined. It has an end, and begins anew from wherever
 * a checkpoint says: each row is there exactly once, whatever fails. Parts of 100 rows are dealt to the
 * subtasks in turn, and a subtask has its own in their order. Rows must not be changed afterwards.
 *
 * A job of which all sources have an end finishes by itself.
 *
 * @example env.from(fromIterable([{ word: "to", n: 1 }, { word: "be", n: 2 }]), { uid: "words" })
 */
export function fromIterable<T>(rows: Iterable<T>): GeneratorSource<T> {
  const isIterable =
    typeof rows === "object" && rows !== null && typeof rows[Symbol.iterator] === "function";
  if (!isIterable) {
    const allowed = "an array, or another iterable of rows such as a Set or a generator's";
    throw new GraphError(
      "BAD_ARGUMENT",
      `fromIterable was given ${shown(rows)}. Allowed: ${allowed}.`,
    );
  }
  const held: T[] = [];
  for (const row of rows) {
    held.push(row);
    if (held.length <= rowsMax) continue;
    throw new GraphError(
      "BAD_ARGUMENT",
      `fromIterable was given more than ${rowsMax} rows, which every object of the job would hold. ` +
        `Allowed: up to ${rowsMax}; make more of them with generate(…), or append them to a topic.`,
    );
  }
  return {
    kind: "generator",
    rows: held.length,
    make: { kind: "rows", row: (index) => held[index] },
  };
}
