// What the tests of the byte layer draw from: values, rows and keys that are as odd as users' are.

import fc from "fast-check";
import { deepStrictEqual } from "node:assert";

import type { Key } from "../../format/key.ts";

/** Strings of any UTF-16 units, lone surrogates included. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc
    .array(fc.oneof(fc.integer({ min: 0xd7f0, max: 0xe010 }), fc.integer({ min: 0, max: 0xffff })))
    .map((units) => String.fromCharCode(...units)),
  fc.constantFrom("", "__proto__", "~__proto__", "constructor", "toString", "\u0000t[]", "\ufeff"),
);

export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 2 ** 31, -(2 ** 31), 2 ** 31 - 1, 2 ** 53),
);

export const anyDate: fc.Arbitrary<Date> = fc.date({ noInvalidDate: false });

export const anyPrimitive: fc.Arbitrary<unknown> = fc.oneof(
  anyText,
  anyNumber,
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined),
);

/** Anything that may be in a record. */
export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    anyPrimitive,
    anyDate,
    fc.uint8Array(),
    fc.float64Array(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(anyText, tie("value")), { maxLength: 4 }).map(objectOf),
    fc.array(fc.tuple(anyPrimitive, tie("value")), { maxLength: 3 }).map((all) => new Map(all)),
    fc.array(anyPrimitive, { maxLength: 3 }).map((all) => new Set(all)),
  ),
})).value;

/** An object with these own keys, whatever they are called. */
export function objectOf(entries: readonly (readonly [string, unknown])[]): object {
  const object = {};
  for (const [name, value] of entries) {
    const own = { value, enumerable: true, writable: true, configurable: true };
    Object.defineProperty(object, name, own);
  }
  return object;
}

// One kind of value per field, as real records have them, and sometimes none.
const fieldValues: fc.Arbitrary<fc.Arbitrary<unknown>> = fc.constantFrom<fc.Arbitrary<unknown>[]>(
  fc.integer(),
  anyNumber,
  fc.boolean(),
  anyText,
  fc.constantFrom("red", "green", "blue"),
  fc.constant(7),
  anyDate,
  fc.uint8Array(),
  fc.option(fc.integer()),
  fc.option(anyText, { nil: undefined }),
  fc.constantFrom(null, undefined),
  fc.constant(null),
  anyValue,
);

const fieldNames = fc.oneof(fc.constantFrom("id", "user", "amount", "0", "constructor"), anyText);

const shapedRows = fc
  .uniqueArray(fc.tuple(fieldNames, fieldValues), { maxLength: 5, selector: ([name]) => name })
  .chain((fields) =>
    fc.array(
      fc
        .tuple(...fields.map(([, values]) => values))
        .map((values) => objectOf(fields.map(([name], i) => [name, values[i]]))),
      { maxLength: 40 },
    ),
  );

const tupleRows = fc
  .array(fieldValues, { maxLength: 4 })
  .chain((fields) => fc.array(fc.tuple(...fields), { maxLength: 40 }));

const plainRows = fieldValues.chain((values) => fc.array(values, { maxLength: 40 }));

/** Batches of rows of one shape, of several, and of none. */
export const anyRows: fc.Arbitrary<unknown[]> = fc.oneof(
  shapedRows,
  tupleRows,
  plainRows,
  fc.array(anyValue, { maxLength: 10 }),
  fc
    .tuple(shapedRows, fc.array(fc.tuple(fc.nat(40), anyValue), { maxLength: 5 }))
    .map(([rows, odd]) =>
      odd.reduce((all, [at, row]) => all.toSpliced(at, 0, row), rows as unknown[]),
    ),
  fc.tuple(shapedRows, shapedRows).map(([a, b]) => [...a, ...b]),
);

export const anyKey: fc.Arbitrary<Key> = fc.letrec<{ key: Key }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 3 },
    anyText,
    anyNumber,
    fc.bigInt(),
    fc.boolean(),
    fc.array(tie("key"), { maxLength: 3 }),
  ),
})).key;

/**
 * For `toSatisfy`: equal in value, type, prototype, -0 and NaN, and in the order of keys, at the top
 * and in the elements of an array. Throws with the difference.
 */
export function exactly(expected: unknown): (actual: unknown) => boolean {
  return (actual) => {
    deepStrictEqual(actual, expected);
    deepStrictEqual(keysOf(actual), keysOf(expected));
    return true;
  };
}

function keysOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return [];
  return Array.isArray(value) ? value.map((row) => Object.keys(row ?? {})) : Object.keys(value);
}

/** The same bytes at an offset at which no typed array could be a view. */
export function misaligned(bytes: Uint8Array, by: number): Uint8Array {
  const buffer = new Uint8Array(bytes.length + by);
  buffer.set(bytes, by);
  return buffer.subarray(by);
}
