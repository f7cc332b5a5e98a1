// Texts that are known by their bytes: equal texts have equal numbers, and a column is read to the same
// with a memory of others as without one.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Column, decodeBatch, encodeRows } from "../../format/batch.ts";
import { type KnownTexts, TextMemory } from "../../format/known-texts.ts";
import { KeyCodes } from "../../operators/key-codes.ts";

const encoder = new TextEncoder();

const numbersOf = (memory: TextMemory, texts: readonly string[]): KnownTexts | undefined =>
  memory.numbersOf(
    encoder.encode(texts.join("")),
    texts.map((text) => text.length),
  );

const textsOf = ({ of, numbers }: KnownTexts): (string | undefined)[] =>
  Array.from(numbers, (number) => of[number]);

const ascii = fc.string({ unit: "binary-ascii", maxLength: 48 });

describe("T1: equal texts have equal numbers, others others", () => {
  test("in batch after batch", () => {
    fc.assert(
      fc.property(fc.array(fc.array(ascii)), (batches) => {
        const memory = new TextMemory();
        const byText = new Map<string, number>();
        for (const texts of batches) {
          const known = numbersOf(memory, texts)!;
          expect(textsOf(known)).toEqual(texts);
          texts.forEach((text, at) => {
            const number = known.numbers[at]!;
            expect(byText.get(text) ?? number).toBe(number);
            byText.set(text, number);
          });
        }
        expect(new Set(byText.values()).size).toBe(byText.size);
      }),
    );
  });

  test("of thousands", () => {
    const memory = new TextMemory();
    const texts = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
    const first = numbersOf(memory, texts)!;
    expect(textsOf(first)).toEqual(texts);
    expect(numbersOf(memory, texts.toReversed())).toEqual({
      of: first.of,
      numbers: first.numbers.toReversed(),
    });
  });
});

test.each([
  ["not ASCII", ["a", "é"]],
  ["long", ["a", "b".repeat(49)]],
])("texts that are %s have none", (_, texts) => {
  expect(numbersOf(new TextMemory(), texts)).toBeUndefined();
});

describe("T2: what is kept is bounded", () => {
  const fresh = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `text-${from + i}`);

  test("it begins anew, with other numbers, where texts come again", () => {
    const memory = new TextMemory();
    const before = numbersOf(memory, fresh(0, 8_000))!;
    const owners = new Set([before.of]);
    for (let from = 0; from < 100_000; from += 1_000) {
      const texts = [...fresh(from, 1_000), ...fresh(0, 4_000)];
      const known = numbersOf(memory, texts)!;
      expect(textsOf(known)).toEqual(texts);
      expect(known.of.length).toBeLessThanOrEqual(32_768);
      owners.add(known.of);
    }
    expect(owners.size).toBeGreaterThan(2);
  });

  test("it is given up where they do not", () => {
    const memory = new TextMemory();
    for (let from = 0; from < 32_000; from += 1_000) {
      expect(numbersOf(memory, fresh(from, 1_000))).toBeDefined();
    }
    expect(numbersOf(memory, fresh(32_000, 1_000))).toBeUndefined();
    expect(numbersOf(memory, ["text-1"])).toBeUndefined();
  });
});

test("a column is read to the same with a memory", () => {
  const texts = fc.oneof(ascii, fc.string({ unit: "binary", maxLength: 60 }));
  const rows = fc
    .array(texts, { minLength: 1, maxLength: 20 })
    .chain((some) => fc.array(fc.record({ k: fc.constantFrom(...some) }), { maxLength: 200 }));
  fc.assert(
    fc.property(fc.array(rows, { maxLength: 4 }), (batches) => {
      const memory = new TextMemory();
      for (const batch of batches.map((each) => encodeRows(each))) {
        const read = decodeBatch(batch).column("k", memory);
        expect(shownOf(read)).toEqual(shownOf(decodeBatch(batch).column("k")));
        const known = read.kind === "string" ? read.dictionary?.known : undefined;
        if (known !== undefined && read.kind === "string") {
          expect(textsOf(known)).toEqual(read.dictionary!.entries);
        }
      }
    }),
  );
});

const shownOf = (column: Column): unknown => ({
  kind: column.kind,
  values: Array.from<unknown>(column.values),
  entries: column.kind === "string" ? column.dictionary?.entries : undefined,
});

test("keys that a function reads from a column are known from the second batch on", () => {
  const codes = new KeyCodes((row: { user: string }) => row.user);
  const keysOf = (texts: readonly string[]) =>
    codes.of(decodeBatch(encodeRows(texts.map((user, n) => ({ n, user })))))!;
  const texts = Array.from({ length: 40 }, (_, i) => `user-${i % 10}`);
  expect(keysOf(texts).known).toBeUndefined();
  const second = keysOf(texts);
  expect(textsOf(second.known!)).toEqual(second.keys);
  const third = keysOf(texts.toReversed());
  expect(third.known!.of).toBe(second.known!.of);
  expect(textsOf(third.known!)).toEqual(third.keys);
});
