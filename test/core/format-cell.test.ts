import * as fc from "fast-check";
import { expect, test } from "vitest";

import { CellRoom, decodeCell, encodeCell } from "../../format/cell.ts";
import { FormatError } from "../../format/format-error.ts";
import { keyBytes, keyOfBytes } from "../../format/key.ts";
import { anyKey, anyValue, exactly } from "./format-arbitraries.ts";

test("C1: a value comes back as it was", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      expect(decodeCell(encodeCell(value))).toSatisfy(exactly(value));
    }),
  );
  for (const value of [-0, NaN, 2 ** 31, "\ud800", [[[[[[1]]]]]], [undefined, null]]) {
    expect(decodeCell(encodeCell(value))).toStrictEqual(value);
  }
  expect(() => encodeCell([() => 1])).toThrow(/function/);
});

test("objects of few fields come back whatever objects were written and read between", () => {
  const objects: readonly unknown[] = [
    { n: 1, total: 2.5, note: "x" },
    { note: "x", n: 1, total: -0 },
    {},
    { 2: true, 1: null, b: undefined },
    { n: 1, nested: { total: 2 } },
    [{ n: 1, total: 2.5, note: "x" }, 17],
    { ["\ud800"]: 1 },
    { toString: "a", constructor: 1 },
  ];
  const cells = objects.map((object) => encodeCell(object));
  for (const [at, cell] of [...cells.entries(), ...cells.entries()].reverse()) {
    expect(decodeCell(cell)).toSatisfy(exactly(objects[at]));
  }
  const own = JSON.parse('{"__proto__":1,"a":2}') as unknown;
  expect(decodeCell(encodeCell(own))).toSatisfy(exactly(own));
  expect(() => encodeCell({ a: 1, [Symbol("b")]: 2 })).toThrow(/symbol/);
  expect(encodeCell({ n: 1, total: 2 })).toHaveLength(3 + '["n","total"]'.length + 2 * 5);
});

test("of two places of one object both show the same one", () => {
  const inner = { n: 1 };
  const value = decodeCell(encodeCell({ a: inner, b: inner })) as Record<string, unknown>;
  expect(value["a"]).toBe(value["b"]);
});

test("damaged names of fields are a FormatError", () => {
  const bytes = encodeCell({ n: 1 });
  for (let at = 3; at < 8; at++) {
    const damaged = bytes.slice();
    damaged[at] = 0xff;
    expect(() => decodeCell(damaged)).toThrow(FormatError);
  }
});

test("small values take few bytes, and damaged ones are a FormatError", () => {
  const bytes = encodeCell([3, 1_795_371_325_915]);
  expect(bytes.length).toBe(16);
  for (let length = 1; length < bytes.length; length++) {
    expect(() => decodeCell(bytes.slice(0, length))).toThrow(FormatError);
  }
});

test("a key comes back from its bytes", () => {
  fc.assert(
    fc.property(anyKey, (key) => {
      expect(keyBytes(keyOfBytes(keyBytes(key)))).toEqual(keyBytes(key));
    }),
  );
});

test("cells in one room are each what they are alone", () => {
  const room = new CellRoom();
  const values = Array.from({ length: 3_000 }, (_, i) => ({ i, text: "x".repeat(i % 97) }));
  const cells = [...values, "y".repeat(100_000)].map((value) => encodeCell(value, room));
  for (const [i, value] of values.entries()) expect(cells[i]).toEqual(encodeCell(value));
  expect(decodeCell(cells.at(-1)!)).toBe("y".repeat(100_000));
});
