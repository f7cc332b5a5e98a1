import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { crc32 } from "../../format/crc32.ts";
import { isKey, keyBytes, keyId, keyProblem, type Key } from "../../format/key.ts";
import {
  checkMaxParallelism,
  intersectRanges,
  keyGroupOf,
  ownerOfGroup,
  rangeHas,
  rangeMoves,
  rangeOfSubtask,
  rangeSize,
  type KeyGroup,
} from "../../format/key-groups.ts";
import { murmur3 } from "../../format/murmur3.ts";
import { anyKey, anyText } from "./format-arbitraries.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test.each([
  ["", 0, 0],
  ["", 1, 0x514e28b7],
  ["", 0xffffffff, 0x81f16f39],
  ["ffffffff", 0, 0x76293b50],
  ["21436587", 0, 0xf55b516b],
  ["21436587", 0x5082edee, 0x2362f9de],
  ["214365", 0, 0x7e4a8634],
  ["2143", 0, 0xa0f7b07a],
  ["21", 0, 0x72661cf4],
  ["00000000", 0, 0x2362f9de],
  ["000000", 0, 0x85f0b427],
  ["0000", 0, 0x30f4c306],
  ["00", 0, 0x514e28b7],
  [hex(utf8("Hello, world!")), 0x9747b28c, 0x24884cba],
  [hex(utf8("The quick brown fox jumps over the lazy dog")), 0x9747b28c, 0x2fa826cd],
])("murmur3 of %s with seed %i is the published hash", (bytes, seed, hash) => {
  expect(murmur3(new Uint8Array(Buffer.from(bytes, "hex")), seed)).toBe(hash);
});

test("crc32 has the standard check value, and continues", () => {
  expect(crc32(utf8("123456789"))).toBe(0xcbf43926);
  expect(crc32(utf8("56789"), crc32(utf8("1234")))).toBe(0xcbf43926);
  const long = utf8("The quick brown fox jumps over the lazy dog");
  expect(crc32(long)).toBe(0x414fa339);
});

describe("keys", () => {
  test("K1: ids are equal exactly when bytes are", () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        const sameId = new Set([keyId(a), keyId(b)]).size === 1;
        expect(sameId).toBe(hex(keyBytes(a)) === hex(keyBytes(b)));
      }),
      { numRuns: 1000 },
    );
  });

  test("K1: a copy of a key is the same key", () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const copy = structuredClone(key) as Key;
        expect(keyId(copy)).toBe(keyId(key));
        expect(hex(keyBytes(copy))).toBe(hex(keyBytes(key)));
      }),
    );
  });

  test("K2: what looks alike but is not the same key", () => {
    const keys: Key[] = [
      1,
      1n,
      "1",
      true,
      [1],
      ["1"],
      [[1]],
      [],
      "",
      "\u0000t[]",
      "\u0000s",
      "\u0000",
    ];
    keys.push(
      ["a", "b"],
      ["ab"],
      ["a,b"],
      [["a"], "b"],
      ["a", ["b"]],
      "\ud800",
      "\udc00",
      "\ufffd",
    );
    expect(new Set(keys.map(keyId)).size).toBe(keys.length);
    expect(new Set(keys.map((key) => hex(keyBytes(key)))).size).toBe(keys.length);
    expect(keyId(-0)).toBe(0);
    expect(keyId([-0])).toBe(keyId([0]));
    expect(hex(keyBytes(-0))).toBe(hex(keyBytes(0)));
  });

  test("K3: no tuple has the id of a string", () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        if (!Array.isArray(key)) return;
        const id = keyId(key) as string;
        expect(keyId(id)).not.toBe(id);
      }),
    );
  });

  test("K4: the bytes are these", () => {
    expect(hex(keyBytes("aé"))).toBe("0161c3a9");
    expect(hex(keyBytes("\ud800"))).toBe("0200d8");
    expect(hex(keyBytes(1.5))).toBe("03000000000000f83f");
    expect(hex(keyBytes(NaN))).toBe("03000000000000f87f");
    expect(hex(keyBytes(-12n))).toBe("042d3132");
    expect(hex(keyBytes(true))).toBe("0501");
    expect(hex(keyBytes(["a", false]))).toBe("0602000000016102000000" + "0500");
  });

  test("what cannot be a key is refused with the reason", () => {
    const loop: unknown[] = [];
    loop.push(loop);
    const refused: [unknown, RegExp][] = [
      [null, /null/],
      [undefined, /undefined.*key selector/],
      [{}, /object.*fields/],
      [new Date(), /Date.*getTime/],
      [() => 1, /function/],
      [Symbol("s"), /symbol/],
      [["a", [1, null]], /element 1 is a tuple whose element 1 is null/],
      [loop, /levels deep/],
    ];
    for (const [value, reason] of refused) {
      expect(isKey(value)).toBe(false);
      expect(keyProblem(value)).toMatch(reason);
    }
    for (const value of [null, {}, ["a", [1, null]], loop]) {
      expect(() => keyId(value as Key)).toThrow(TypeError);
      expect(() => keyBytes(value as Key)).toThrow(TypeError);
    }
    fc.assert(
      fc.property(anyKey, (key) => {
        expect(keyProblem(key)).toBeUndefined();
      }),
    );
  });
});

describe("key groups", () => {
  const jobs = fc
    .integer({ min: 1, max: 600 })
    .chain((max) =>
      fc.tuple(fc.constant(max), fc.integer({ min: 1, max }), fc.integer({ min: 1, max })),
    );

  test("the fast paths hash what keyBytes says", () => {
    const long = anyText.map((text) => text.repeat(200));
    fc.assert(
      fc.property(fc.oneof(anyKey, long), (key) => {
        expect(keyGroupOf(key, 128)).toBe(murmur3(keyBytes(key)) % 128);
      }),
      { numRuns: 1000 },
    );
  });

  test("G1: ranges partition the groups in order; G2: owners agree", () => {
    fc.assert(
      fc.property(jobs, ([max, parallelism]) => {
        let next = 0;
        for (let index = 0; index < parallelism; index++) {
          const range = rangeOfSubtask(index, parallelism, max);
          expect(range.first).toBe(next);
          expect(rangeSize(range)).toBeGreaterThan(0);
          next = range.last + 1;
          expect(ownerOfGroup(range.first, parallelism, max)).toBe(index);
          expect(ownerOfGroup(range.last, parallelism, max)).toBe(index);
        }
        expect(next).toBe(max);
      }),
    );
  });

  test("G3: moves carry every group from its old owner to its new one, once", () => {
    fc.assert(
      fc.property(jobs, ([max, from, to]) => {
        const moves = rangeMoves(from, to, max);
        for (let group = 0; group < max; group++) {
          const carrying = moves.filter((move) => rangeHas(move.range, group));
          expect(carrying).toHaveLength(1);
          expect(carrying[0]!.from).toBe(ownerOfGroup(group as KeyGroup, from, max));
          expect(carrying[0]!.to).toBe(ownerOfGroup(group as KeyGroup, to, max));
        }
      }),
      { numRuns: 30 },
    );
  });

  test("limits", () => {
    expect(() => checkMaxParallelism(0)).toThrow("1 to 32768");
    expect(() => checkMaxParallelism(32769)).toThrow("1 to 32768");
    expect(() => rangeOfSubtask(0, 129, 128)).toThrow("maxParallelism, which is 128");
    expect(() => rangeOfSubtask(4, 4, 128)).toThrow("0 to 3");
    const range = rangeOfSubtask(0, 2, 128);
    expect(intersectRanges(range, rangeOfSubtask(1, 2, 128))).toBeUndefined();
  });
});
