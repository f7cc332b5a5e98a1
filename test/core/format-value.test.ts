import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { FormatError } from "../../format/format-error.ts";
import { decodeValue, encodeValue, ValueNotSerialisableError } from "../../format/value.ts";
import { anyValue, exactly, objectOf } from "./format-arbitraries.ts";

const roundTrip = (value: unknown): unknown => decodeValue(encodeValue(value));

describe("V1: values come back exactly", () => {
  test("whatever they are", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(roundTrip(value)).toSatisfy(exactly(value));
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["undefined in an object", { a: undefined, b: null }],
    ["-0 beside 0", [0, -0, 0]],
    ["large bigints", [2n ** 200n, -(2n ** 64n), 0n]],
    ["a Date to the millisecond", new Date(1_700_000_000_123)],
    ["an invalid Date", new Date(NaN)],
    ["the last Date", new Date(8.64e15)],
    ["lone surrogates", ["\ud800", "x".repeat(300) + "\udc00", { "\ud800": 1 }]],
    ["a Map with objects as keys", new Map<unknown, unknown>([[{ a: 1 }, new Set([NaN])]])],
    ["other buffers", [new ArrayBuffer(3), new Float32Array([1.5]), new BigInt64Array([1n])]],
    ["no prototype", Object.assign(Object.create(null) as object, { a: 1 })],
  ])("%s", (_, value) => expect(roundTrip(value)).toSatisfy(exactly(value)));

  test("cycles, and what is shared", () => {
    const loop: { self?: unknown; twice: unknown[] } = { twice: [] };
    loop.self = loop;
    const shared = { a: 1 };
    loop.twice.push(shared, shared);
    const back = roundTrip(loop) as typeof loop;
    expect(back.self).toBe(back);
    expect(back.twice[0]).toBe(back.twice[1]);
  });
});

test("V2: keys of Object.prototype are carried and change no prototype", () => {
  const names = ["__proto__", "~__proto__", "~~__proto__", "constructor", "toString", "", "then"];
  const value = objectOf(names.map((name) => [name, { polluted: name }]));
  const back = roundTrip(value) as object;
  expect(back).toSatisfy(exactly(value));
  expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();

  const inCycle = objectOf([["__proto__", 1]]) as { self?: unknown };
  inCycle.self = inCycle;
  const cycleBack = roundTrip(inCycle) as typeof inCycle;
  expect(cycleBack.self).toBe(cycleBack);
});

describe("V3: what cannot be carried is refused with its place", () => {
  class Point {
    x = 1;
  }
  class Tags extends Set<string> {}
  class Instant extends Date {}
  test.each<[unknown, string, RegExp]>([
    [{ items: [1, { onClick: () => 1 }] }, "value.items[1].onClick", /a function \(onClick\)/],
    [{ at: Symbol("s") }, "value.at", /a symbol \(s\)/],
    [{ [Symbol("s")]: 1 }, "value", /symbols as keys/],
    [[new Point()], "value[0]", /class Point/],
    [{ tags: new Tags() }, "value.tags", /class Tags/],
    [new Instant(), "value", /class Instant/],
    [{ e: new Error("x") }, "value.e", /class Error/],
    [{ p: Promise.resolve(1) }, "value.p", /Promise; await/],
    [{ p: objectOf([["then", () => 1]]) }, "value.p", /then\(\) method/],
    [new WeakMap(), "value", /class WeakMap/],
    [new Map([["k", () => 1]]), 'value.get("k")', /a function/],
    [Object.create({ inherited: 1 }), "value", /instance of class/],
  ])("%o", (value, path, reason) => {
    const error = thrown(() => encodeValue(value));
    expect(error).toBeInstanceOf(ValueNotSerialisableError);
    expect((error as ValueNotSerialisableError).path).toBe(path);
    expect((error as ValueNotSerialisableError).message).toMatch(reason);
  });

  test("too deep a value", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(thrown(() => encodeValue(deep))).toBeInstanceOf(ValueNotSerialisableError);
  });
});

test("V4: a view carries what it shows; a Buffer becomes bytes", () => {
  const frame = new Uint8Array(100_000).fill(7);
  const bytes = encodeValue({
    view: frame.subarray(10, 13),
    wide: new Uint16Array(frame.buffer, 2, 2),
  });
  expect(bytes.length).toBeLessThan(200);
  expect(decodeValue(bytes)).toSatisfy(
    exactly({
      view: new Uint8Array([7, 7, 7]),
      wide: new Uint16Array([0x0707, 0x0707]),
    }),
  );
  expect(roundTrip(Buffer.from("abc"))).toSatisfy(exactly(new Uint8Array([97, 98, 99])));
});

const formatError = new FormatError("content", "stands for no error");

test("damaged bytes make a FormatError or another value, nothing else", () => {
  fc.assert(
    fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, place, flip) => {
      const bytes = encodeValue(value);
      bytes[place % bytes.length]! ^= flip;
      for (const damaged of [bytes, bytes.subarray(0, place % bytes.length)]) {
        expect(thrown(() => decodeValue(damaged)) ?? formatError).toBeInstanceOf(FormatError);
      }
    }),
  );
});

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
