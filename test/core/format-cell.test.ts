import * as fc from "fast-check";
import { expect, test } from "vitest";

import { decodeCell, encodeCell } from "../../format/cell.ts";
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
