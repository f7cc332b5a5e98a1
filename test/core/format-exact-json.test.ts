import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  exactJson,
  fromExactJson,
  keyFromJson,
  keyJson,
  keysOfText,
  keyText,
} from "../../format/exact-json.ts";
import { FormatError } from "../../format/format-error.ts";
import { type Key, keyId } from "../../format/key.ts";
import { anyKey, anyValue, exactly, objectOf } from "./format-arbitraries.ts";

const roundTrip = (value: unknown): unknown =>
  fromExactJson(JSON.parse(JSON.stringify(exactJson(value))));

describe("J1: values come back exactly", () => {
  test("whatever they are", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(roundTrip(value)).toSatisfy(exactly(value));
      }),
      { numRuns: 1000 },
    );
  });

  const deep = (levels: number): unknown => (levels === 0 ? 1 : { a: [deep(levels - 1)] });
  test.each([
    ["holes in an array", Object.assign([1], { 3: 4 })],
    ["other buffers", [new ArrayBuffer(3), new Float32Array([1.5]), new BigInt64Array([1n])]],
    ["what looks like a mark", [{ $bigint: "1" }, { $: 1 }, { $object: { $date: null } }]],
    ["what has a mark beside it", { $bigint: "1", b: 2n }],
    ["deep nesting", deep(100)],
    ["no prototype", Object.assign(Object.create(null) as object, { a: 1 })],
    [
      "names of Object.prototype",
      objectOf([
        ["__proto__", 1],
        ["constructor", undefined],
      ]),
    ],
  ])("%s", (_, value) => expect(roundTrip(value)).toSatisfy(exactly(value)));

  test("cycles, and what is shared", () => {
    const shared = { a: 1 };
    const back = roundTrip({ twice: [shared, shared] }) as { twice: unknown[] };
    expect(back.twice[0]).toBe(back.twice[1]);
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const loopBack = roundTrip(loop) as typeof loop;
    expect(loopBack.self).toBe(loopBack);
  });

  test("what JSON has stands as it is", () => {
    const value = { a: [1, "b", null, true, { c: -1.5e-9 }], "": "\ud800" };
    expect(exactJson(value)).toEqual(value);
    expect(JSON.stringify(exactJson({ n: 2n, at: new Date(0), not: undefined }))).toBe(
      '{"n":{"$bigint":"2"},"at":{"$date":"1970-01-01T00:00:00.000Z"},"not":{"$undefined":true}}',
    );
  });
});

describe("keys", () => {
  test("J2: are written alike exactly where they are the same", () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        expect(keyText(a) === keyText(b)).toBe(Object.is(keyId(a), keyId(b)));
        expect(keyId(keyFromJson(JSON.parse(keyText(a))))).toEqual(keyId(a));
      }),
      { numRuns: 1000 },
    );
    expect(keyJson([-0, NaN])).toEqual([0, { $number: "NaN" }]);
  });

  test("every one can be written in a URL, and comes first there", () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        expect(keyId(keysOfText(keyText(key))[0]!)).toEqual(keyId(key));
      }),
    );
  });

  test.each<[string, Key[]]>([
    ["ATL", ["ATL"]],
    ["", [""]],
    ["12", [12, "12"]],
    ['"12"', ["12", '"12"']],
    ["true", [true, "true"]],
    ["null", ["null"]],
    ['["a",1]', [["a", 1], '["a",1]']],
    ['{"$bigint":"7"}', [7n, '{"$bigint":"7"}']],
    ['{"a":1}', ['{"a":1}']],
  ])("%s may mean several", (text, keys) => expect(keysOfText(text)).toEqual(keys));
});

test.each([
  [{ $x: 1 }, /marked "\$x", which is no mark; .*"\$object": \{"\$x"/],
  [{ a: [{ $bigint: 5 }] }, /value\.a\[0\] is marked "\$bigint", and what follows is none: 5/],
  [{ $number: "1" }, /"\$number"/],
  [{ $date: "yesterday" }, /"\$date"/],
  [{ $bytes: "*" }, /"\$bytes"/],
  [{ $map: [[1]] }, /"\$map"/],
  [{ $set: {} }, /"\$set"/],
  [{ $object: [] }, /"\$object"/],
  [{ $undefined: false }, /"\$undefined"/],
  [{ $devalue: [[9]] }, /./],
  [JSON.parse("1e999"), /too large/],
  [JSON.parse('{"__proto__":1}'), /__proto__/],
])("case %# is refused, and the error says why", (json, message) => {
  expect(() => fromExactJson(json)).toThrow(FormatError);
  expect(() => fromExactJson(json)).toThrow(message);
});
