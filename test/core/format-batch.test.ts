import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeBatch, decodeRows, encodeRows, hasBit } from "../../format/batch.ts";
import { ownText } from "../../format/column.ts";
import { FormatError } from "../../format/format-error.ts";
import { anyRows, anyText, exactly, misaligned, objectOf } from "./format-arbitraries.ts";

describe("R1: rows come back exactly", () => {
  test("whatever their shapes, at whatever offset (R2)", () => {
    fc.assert(
      fc.property(anyRows, fc.nat(9), (rows, offset) => {
        expect(decodeRows(misaligned(encodeRows(rows), offset))).toSatisfy(exactly(rows));
      }),
      { numRuns: 2000 },
    );
  });

  test("of a selection, with its timestamps", () => {
    const drawn = anyRows
      .filter((rows) => rows.length > 0)
      .chain((rows) => fc.tuple(fc.constant(rows), fc.array(fc.nat(rows.length - 1)), fc.nat(5)));
    fc.assert(
      fc.property(drawn, ([rows, picks, spare]) => {
        const select = Int32Array.from([...picks, ...new Array<number>(spare).fill(0)]);
        const timestamps = Float64Array.from(rows, (_, i) => i * 1.5);
        const batch = decodeBatch(encodeRows(rows, { select, count: picks.length, timestamps }));
        expect(batch.rows()).toSatisfy(exactly(picks.map((i) => rows[i])));
        expect(batch.timestamps).toSatisfy(exactly(Float64Array.from(picks, (i) => i * 1.5)));
      }),
    );
  });

  test("columns say what rows say", () => {
    fc.assert(
      fc.property(anyRows, (rows) => {
        const batch = decodeBatch(encodeRows(rows));
        for (const name of [...batch.names, "id", "absent"]) {
          const expected = rows.map((row) =>
            typeof row === "object" && row !== null && Object.hasOwn(row, name)
              ? (row as Record<string, unknown>)[name]
              : undefined,
          );
          expect(Array.from<unknown>(batch.column(name).values)).toSatisfy(exactly(expected));
        }
        expect(Array.from<unknown>(batch.values().values)).toSatisfy(exactly(rows));
      }),
    );
  });

  test.each([100, 255, 256, 257, 5000, 70_000])(
    "with %i distinct strings in twice as many rows",
    (n) => {
      const rows = Array.from({ length: 2 * n + 7 }, (_, i) => ({ k: `key-${(i * 7) % n}`, i }));
      expect(decodeRows(encodeRows(rows))).toSatisfy(exactly(rows));
    },
  );

  test.each([0, 1, 254, 255, 256, 65_535, 65_536, 100_000])(
    "with a string of %i units",
    (length) => {
      const rows = ["a", "é".repeat(length), "\ud83d\ude00".repeat(length >> 1), "z"];
      expect(decodeRows(encodeRows(rows))).toSatisfy(exactly(rows));
    },
  );

  test("though joining the texts makes pairs of lone surrogates", () => {
    const rows = ["\ud83d", "\ude00", "a"];
    expect(decodeRows(encodeRows(rows))).toSatisfy(exactly(rows));
  });

  test("though rows have keys of Object.prototype", () => {
    const rows = [1, 2, 3].map((i) =>
      objectOf([
        ["__proto__", { polluted: i }],
        ["toString", i],
      ]),
    );
    expect(decodeRows(encodeRows(rows))).toSatisfy(exactly(rows));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("though rows have holes or no prototype", () => {
    const bare = Object.assign(Object.create(null) as object, { a: 1 });
    const rows = [[1, 2], [1, , 3], [, 2], bare, { a: 1 }]; // eslint-disable-line no-sparse-arrays
    expect(decodeRows(encodeRows(rows))).toSatisfy(exactly(rows));
  });

  test("in more fields than get columns", () => {
    const wide = objectOf(Array.from({ length: 1100 }, (_, i) => [`f${i}`, i]));
    expect(decodeRows(encodeRows([wide, wide]))).toSatisfy(exactly([wide, wide]));
  });
});

describe("the cheap forms are used", () => {
  const columnOf = (values: unknown[]) =>
    decodeBatch(encodeRows(values.map((v) => ({ v })))).column("v");

  test.each<[string, unknown[]]>([
    ["int32", [1, -5, 2 ** 31 - 1]],
    ["int32", [7, 7, 7]],
    ["float64", [0.5, 1, NaN]],
    ["float64", [0, -0]],
    ["float64", [2 ** 31]],
    ["boolean", [true, false, true]],
    ["string", ["a", "b"]],
    ["nullable", [1, null]],
    ["nullable", [undefined, 0.5, null]],
    ["nullable", ["a", undefined, "b"]],
    ["nullable", [null, true, false]],
    ["nullable", [7, null, 7, 7]],
    ["any", [null, null]],
    ["any", [null, undefined]],
    ["any", [new Date(5), null]],
    ["any", [1, "1"]],
  ])("%s for %o", (kind, values) => {
    const column = columnOf(values);
    expect(column.kind).toBe(kind);
    expect(Array.from<unknown>(column.values)).toSatisfy(exactly(values));
  });

  test("repeating strings have a dictionary", () => {
    const column = columnOf(Array.from({ length: 100 }, (_, i) => `k${i % 3}`));
    if (column.kind !== "string") throw new Error(column.kind);
    expect(column.dictionary?.entries).toEqual(["k0", "k1", "k2"]);
    expect([...column.dictionary!.codes.subarray(0, 4)]).toEqual([0, 1, 2, 0]);
  });

  test("numbers and texts keep their form where some rows have none", () => {
    const texts = Array.from({ length: 64 }, (_, i) => (i % 5 === 0 ? null : `k${i % 3}`));
    const column = columnOf(texts);
    if (column.kind !== "nullable" || column.present.kind !== "string")
      throw new Error(column.kind);
    expect(column.present.dictionary?.entries).toEqual(["k1", "k2", "k0"]);
    expect(column.present.dictionary?.codes).toHaveLength(64);

    const numbers = columnOf([1, null, -5, undefined, 7]);
    if (numbers.kind !== "nullable") throw new Error(numbers.kind);
    const { present, absent } = numbers;
    expect(present.kind).toBe("int32");
    expect([0, 2, 4].map((row) => present.values[row])).toEqual([1, -5, 7]);
    expect([0, 1, 2, 3, 4].filter((row) => hasBit(absent.bits, row))).toEqual([1, 3]);
  });

  test("a row without a value takes a bit", () => {
    const rows = Array.from({ length: 8_000 }, (_, i) => ({ n: i % 2 === 0 ? null : i }));
    expect(encodeRows(rows).length).toBeLessThan(4 * 4_000 + 1_000 + 100);
  });

  test("what is equal everywhere is stored once", () => {
    const rows = Array.from({ length: 10_000 }, () => ({
      city: "Lisbon",
      n: 1,
      ok: true,
      x: null,
    }));
    expect(encodeRows(rows).length).toBeLessThan(300);
  });

  test("a few odd rows do not cost the columns", () => {
    const rows: unknown[] = Array.from({ length: 1000 }, (_, i) => ({ id: i, name: `n${i % 9}` }));
    const plain = encodeRows(rows).length;
    rows.splice(500, 1, { name: "other order", id: 1 }, null, "text", { id: 1 });
    const bytes = encodeRows(rows);
    expect(decodeRows(bytes)).toSatisfy(exactly(rows));
    expect(bytes.length).toBeLessThan(plain + 300);
    rows.unshift({ first: "is odd" });
    expect(encodeRows(rows).length).toBeLessThan(plain + 400);
  });
});

test("a batch in which absent values are marked by bytes is read", () => {
  // Written by release 0.1.0.
  const bytes = Buffer.from(
    "AQEAABgAAAAGAAAAAAAAAAABAAAGAAAAAQEBAQEBbnh0dWRiAAAAAAEBAABoAAAAAQAAAAABAAAAAAEAAAAAAQAAAAABAAAAAQAAAAIAAAADAAAABAAAAAYAAAAHAAAACAAAAAkAAAALAAAADAAAAA0AAAAOAAAAEAAAABEAAAASAAAAEwAAABUAAAAWAAAAFwAAAAAAAAACAQAAwAAAAAAAAAIAAAAAAAACAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAA0D8AAAAAAADgPwAAAAAAAPA/AAAAAAAA9D8AAAAAAAD4PwAAAAAAAPw/AAAAAAAAAEAAAAAAAAACQAAAAAAAAAZAAAAAAAAACEAAAAAAAAAKQAAAAAAAAAxAAAAAAAAADkAAAAAAAAAQQAAAAAAAABJAAAAAAAAAE0AAAAAAAAAUQAAAAAAAABVAAAAAAAAAFkAAAAAAAAAXQAUBAABAAAAAAQAAAQAAAQAAAQAAAQAAAQAAAQAAAQAAAgAAAAABAAACAAAAAAAAAAEBYWIAAAAAAAEAAQABAAEAAQABAAEAAQQDAAAoAAAAAAEAAQABAAEAAQABAAEAAQABAAEAAQABAAEAAAQAAAAEc2FtZQAAAAoBAACoAAAAAQAAAAEAAAABAAAAAQAAAAEAAAABAAAAAAAAAAAA8D8AAAAAAAAAQAAAAAAAAAhAAAAAAAAAFEAAAAAAAAAYQAAAAAAAABxAAAAAAAAAIkAAAAAAAAAkQAAAAAAAACZAAAAAAAAAKkAAAAAAAAAsQAAAAAAAAC5AAAAAAAAAMUAAAAAAAAAyQAAAAAAAADNAAAAAAAAANUAAAAAAAAA2QAAAAAAAADdAAwEAACAAAAACAAAAAAACAAAAAAACAAAAAAACAAAAAABKKQUAAAAAAA==",
    "base64",
  );
  const rows = Array.from({ length: 24 }, (_, i) => ({
    n: i % 5 === 0 ? null : i,
    x: i % 7 === 3 ? undefined : i / 4,
    t: i % 3 === 0 ? null : i % 3 === 1 ? "a" : "b",
    u: i % 2 === 0 ? "same" : null,
    d: i % 4 === 0 ? null : new Date(i),
    b: i % 6 === 0 ? undefined : i % 2 === 0,
  }));
  expect(decodeRows(bytes)).toSatisfy(exactly(rows));
  const column = decodeBatch(bytes).column("n");
  expect(column.kind === "nullable" && column.present.kind).toBe("int32");
});

test("rows are made once", () => {
  const batch = decodeBatch(encodeRows([{ a: 1 }]));
  expect(batch.rows()).toBe(batch.rows());
});

test("a value that cannot be carried is named by row and place", () => {
  const rows: unknown[] = Array.from({ length: 20 }, (_, i) => ({ id: i, payload: { at: i } }));
  rows[17] = { id: 17, payload: { callback: () => 1 } };
  expect(() => encodeRows(rows)).toThrow(/rows\[17\]\.payload\.callback.*a function/);
  expect(() => encodeRows(rows, { select: [3, 17] })).toThrow(/rows\[17\]\.payload\.callback/);
  expect(() => encodeRows(rows, { select: [3, 16] })).not.toThrow();
});

test("ownText is the same text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(ownText(text)).toBe(text);
    }),
  );
});

describe("R3: damaged bytes", () => {
  const errorOf = (bytes: Uint8Array): unknown => {
    try {
      const batch = decodeBatch(bytes);
      batch.rows();
      for (const name of batch.names) batch.column(name);
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const nothingWorse = (error: unknown): boolean =>
    error === undefined || error instanceof FormatError;

  test("cut short is always found", () => {
    fc.assert(
      fc.property(anyRows, fc.nat(), (rows, cut) => {
        const bytes = encodeRows(rows);
        expect(() => decodeRows(bytes.subarray(0, cut % bytes.length))).toThrow(FormatError);
      }),
      { numRuns: 300 },
    );
  });

  test("changed is a FormatError or other rows, nothing worse", () => {
    fc.assert(
      fc.property(anyRows, fc.nat(), fc.integer({ min: 1, max: 255 }), (rows, place, flip) => {
        const bytes = encodeRows(rows);
        bytes[place % bytes.length]! ^= flip;
        expect(errorOf(bytes)).toSatisfy(nothingWorse);
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(errorOf(bytes)).toSatisfy(nothingWorse);
      }),
    );
  });
});
