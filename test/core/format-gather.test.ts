import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeBatch, decodeRows, encodeColumns, encodeRows } from "../../format/batch.ts";
import { exactly } from "./format-arbitraries.ts";

/** Repeats enough for a dictionary, and not always. */
const row = fc.record(
  {
    user: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom("ana", "bo", "cy", "dee", "eve", "fay", "gil") },
      { weight: 1, arbitrary: fc.string() },
    ),
    amount: fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double()),
  },
  { noNullPrototype: true },
);

/** Rows of which some lack a value, in all of a batch or in none of it, as it comes. */
const rowsOf = fc
  .tuple(fc.constantFrom(0, 0, 2, 9), fc.constantFrom(0, 0, 2, 9))
  .chain(([users, amounts]) =>
    fc.array(
      fc
        .tuple(row, fc.nat(9), fc.nat(9), fc.constantFrom(null, undefined))
        .map(([{ user, amount }, a, b, absent]) => ({
          user: a < users ? absent : user,
          amount: b < amounts ? absent : amount,
        })),
      { minLength: 1, maxLength: 60 },
    ),
  );

/** Parts of batches: the rows of each, and which of them are taken. */
const frame = fc.array(
  rowsOf.chain((rows) =>
    fc.tuple(
      fc.constant(rows),
      fc.option(fc.array(fc.nat(rows.length - 1), { minLength: 1, maxLength: 60 })),
    ),
  ),
  { minLength: 1, maxLength: 3 },
);

describe("G1: gathered columns are what the rows are", () => {
  test("frame after frame, large and small", () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 8 }), (frames) => {
        for (const parts of frames) {
          const bytes = encodeColumns(
            ["user", "amount"],
            parts.map(([rows, picks]) => ({
              batch: decodeBatch(encodeRows(rows)),
              select: picks === null ? undefined : Int32Array.from(picks),
              from: 0,
              count: picks?.length ?? rows.length,
            })),
          );
          const expected = parts.flatMap(([rows, picks]) => picks?.map((i) => rows[i]!) ?? rows);
          expect(decodeRows(bytes)).toSatisfy(exactly(expected));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("numbers and dictionaries stay what they are where some rows have none", () => {
    const rows = Array.from({ length: 90 }, (_, i) => ({
      user: i % 7 === 0 ? null : `user ${i % 4}`,
      amount: i % 5 === 0 ? undefined : i,
    }));
    const batch = decodeBatch(encodeRows(rows));
    const select = Int32Array.from(rows.keys());
    const part = { batch, select, from: 0, count: rows.length };
    const gathered = decodeBatch(encodeColumns(["user", "amount"], [part, part]));
    expect(gathered.rows()).toEqual([...rows, ...rows]);
    const [user, amount] = [gathered.column("user"), gathered.column("amount")];
    if (user.kind !== "nullable" || user.present.kind !== "string") throw new Error(user.kind);
    expect(user.present.dictionary?.entries).toHaveLength(4);
    expect(amount.kind === "nullable" && amount.present.kind).toBe("int32");
    const whole = { batch, select: select.filter((i) => i % 5 > 0) };
    const all = decodeBatch(
      encodeColumns(["amount"], [{ ...whole, from: 0, count: whole.select.length }]),
    );
    expect(all.column("amount").kind).toBe("int32");
  });

  test("codes of a large frame are not taken for those of a small one after it", () => {
    const names = Array.from({ length: 40 }, (_, i) => `user ${i}`);
    const framed = (users: readonly string[], of: readonly string[]): unknown[] => {
      const rows = of.map((user) => ({ user }));
      const batch = decodeBatch(encodeRows([...rows, ...rows, ...rows]));
      const select = Int32Array.from(users, (user) => of.indexOf(user));
      const part = { batch, select, from: 0, count: users.length };
      return decodeRows(encodeColumns(["user"], [part]));
    };
    framed([...names, ...names], names);
    const few = Array.from({ length: 8 }, (_, i) => names[39 - (i % 2)]!);
    expect(framed(few, names)).toEqual(few.map((user) => ({ user })));
  });
});
