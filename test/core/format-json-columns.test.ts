import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeRows, encodeColumns } from "../../format/batch.ts";
import { type JsonColumns, readJsonColumns } from "../../format/json-columns.ts";
import { ColumnBatch } from "../../operators/column-batch.ts";

const limits = { rowsMax: 10_000, lineBytesMax: 10_000, takes: () => true };

const read = (text: string, options = limits): JsonColumns | undefined =>
  readJsonColumns(new TextEncoder().encode(text), text.replace(/^\uFEFF/, ""), options);

/** The rows that the columns stand for, by way of the bytes that a topic keeps. */
function rowsOf({ rows, fields, columns }: JsonColumns): unknown[] {
  const batch = new ColumnBatch(rows, fields, columns);
  const bytes = encodeColumns(fields, [{ batch, select: undefined, from: 0, count: rows }]);
  const decoded = decodeRows(bytes);
  expect(batch.rows()).toEqual(decoded);
  return decoded;
}

const parsed = (text: string): unknown[] =>
  text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as unknown);

/** In value, type and order of keys. */
function expectSame(actual: unknown[], expected: unknown[]): void {
  expect(actual).toEqual(expected);
  const keys = (rows: unknown[]): string[][] => rows.map((row) => Object.keys(row as object));
  expect(keys(actual)).toEqual(keys(expected));
}

/** Read as columns, to what `JSON.parse` makes of each line. */
function expectRead(text: string): JsonColumns {
  const columns = read(text);
  if (columns === undefined) throw new Error("was not read");
  expectSame(rowsOf(columns), parsed(text));
  return columns;
}

const linesOf = (field: string, values: readonly string[]): string =>
  values.map((value) => `{"${field}":${value}}`).join("\n");

describe("lines of one shape", () => {
  test("are numbers, texts by dictionary, booleans", () => {
    const { fields, columns } = expectRead(
      '{"n":1,"x":1.5,"user":"a","is":true}\n{"n":-2,"x":2,"user":"a","is":false}\n',
    );
    expect(fields).toEqual(["n", "x", "user", "is"]);
    expect(columns.map(({ kind }) => kind)).toEqual(["int32", "float64", "string", "boolean"]);
    expect(columns[2]).toMatchObject({ dictionary: { entries: ["a"] } });
  });

  test.each([
    ["blanks within", '{ "a" : 1 , "b":\t"x" }\r\n{"a":2,"b":"y"}\n  \n{ "a" : 3 , "b":"z" }'],
    ["a mark of byte order", '\uFEFF{"a":"ä"}\n{"a":"b"}'],
    ["keys beyond ASCII", '{"größe":1,"名":"ü"}\n{"größe":2,"名":"日本"}\n{"größe":3,"名":"💥x"}'],
    ["a blank line first of the rest", '{"a":1}\n\n\r\n{"a":2}\n\n'],
    ["keys that look like numbers", '{"1":"x","b":2}\n{"1":"y","b":3}'],
  ])("%s", (_, text) => {
    expectRead(text);
  });

  test.each([
    ["the least and the greatest", ["0", "-0", "2147483647", "-2147483648", "2147483648"]],
    ["whole ones beyond exactness", ["9007199254740993", "123456789012345678901234567890", "1"]],
    ["fractions", ["0.1", "-0.0", "1.7976931348623157", "123456789.123456", "0.000000000000001"]],
    ["digits at the limit", ["999999999999999", "9999999999999.99", "1000000000000000.5"]],
    ["exponents", ["1e3", "1E-7", "-2.5e+10", "1e400", "-1e400", "5e-324", "4.9e-325"]],
  ])("numbers: %s", (_, values) => {
    expectRead(linesOf("n", values));
    expectRead(linesOf("n", values.toReversed()));
  });

  test.each([
    ["escapes", ['"a"', '"\\u0061"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"a"']],
    ["a pair of surrogates, and halves of one", ['"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00"']],
    ["beyond ASCII before an escape", ['"ä💥\\n日"', '"日本\\\\"', '"ä"']],
    ["of no length", ['""', '"a"', '""']],
    ["with marks of JSON", ['"{\\"a\\":1}"', '"[,]"', '"}"']],
  ])("texts: %s", (_, values) => {
    expectRead(linesOf("t", values));
    expectRead(linesOf("t", values.toReversed()));
  });

  test.each([
    ["numbers and null", ["1", "null", "2.5", "null"]],
    ["texts and null", ['"a"', '"b"', "null", '"a"']],
    ["null at first", ["null", "null", "1", "true"]],
    ["booleans and numbers", ["true", "1", "false", '"true"']],
    ["arrays and objects", ["[]", '{"b":[1,{"c":"]}"}]}', '["\\"", "ä💥", -0]', "1"]],
  ])("of several types: %s", (_, values) => {
    expectRead(linesOf("v", values));
    expectRead(linesOf("v", values.toReversed()));
  });

  test("texts that hardly repeat need no dictionary", () => {
    const { columns } = expectRead(
      linesOf(
        "id",
        Array.from({ length: 3_000 }, (_, n) => `"${n}"`),
      ),
    );
    expect(columns[0]).toMatchObject({ kind: "string", dictionary: undefined });
  });

  test("many texts that repeat, in a dictionary that grows", () => {
    const values = Array.from({ length: 6_000 }, (_, n) => `"user-${(n * 11) % 700}"`);
    const { columns } = expectRead(linesOf("user", values));
    expect(columns[0]).toHaveProperty("dictionary.entries.length", 700);
  });
});

describe("is not read", () => {
  test.each([
    ["nothing", ""],
    ["rows that are no objects", "1\n2"],
    ["arrays", "[1]\n[2]"],
    ["objects without keys", "{}\n{}"],
    ["another key", '{"a":1}\n{"b":1}'],
    ["another order", '{"a":1,"b":2}\n{"b":2,"a":1}'],
    ["a key too many", '{"a":1}\n{"a":1,"b":2}'],
    ["a key too few", '{"a":1,"b":2}\n{"a":1}'],
    ["a key twice", '{"a":1,"a":2}\n{"a":1,"a":2}'],
    ["a key twice, later", '{"a":1,"b":1}\n{"a":1,"a":2}'],
    ["a key with an escape", '{"a\\n":1}\n{"a\\n":2}'],
    ["a key that is another's escape", '{"a\\\\n":1}\n{"a\\n":2}'],
    ["a key that is an escape of the first's", '{"a":1}\n{"\\u0061":2}'],
    ["half of a surrogate in a key", '{"\\ud83d":1}\n{"\ufffd":2}'],
    ["__proto__", '{"__proto__":1}\n{"__proto__":2}'],
    ["a key of the prototype among others", '{"a":1,"__proto__":2}\n{"a":1,"__proto__":2}'],
    ["null as a row", '{"a":1}\nnull'],
    ["two rows in a line", '{"a":1}{"a":2}'],
    ["two rows in a line, by a comma", '{"a":1},{"a":2}'],
    ["a row over two lines", '{"a":1}\n{"a":\n2}'],
    ["a text over two lines", '{"a":"1"}\n{"a":"x\ny"}'],
    ["an array over two lines", '{"a":[1]}\n{"a":[1,\n2]}'],
    ["an escaped end of line", '{"a":"1"}\n{"a":"x\\\n"}'],
    ["a row that does not end", '{"a":1}\n{"a":2'],
    ["a text that does not end", '{"a":"1"}\n{"a":"2'],
    ["an array that does not end", '{"a":[1]}\n{"a":[2'],
    ["a control character", '{"a":"1"}\n{"a":"\t"}'],
    ["what is no number", linesOf("a", ["1", "01"])],
    ["a sign alone", linesOf("a", ["1", "-"])],
    ["a point at the end", linesOf("a", ["1", "1."])],
    ["a point at the beginning", linesOf("a", ["1", ".5"])],
    ["two points", linesOf("a", ["1", "1.5.5"])],
    ["an exponent of nothing", linesOf("a", ["1", "1e"])],
    ["a plus", linesOf("a", ["1", "+1"])],
    ["what is no word", linesOf("a", ["true", "truE"])],
    ["NaN", linesOf("a", ["1", "NaN"])],
    ["no value", linesOf("a", ["1", ""])],
    ["a comma at the end", '{"a":1}\n{"a":2,}'],
    ["a bracket of the other kind", linesOf("a", ["[1]", "[1}"])],
    ["another blank", '{"a":1}\n{"a":\u00a02}'],
  ])("%s", (_, text) => {
    expect(read(text)).toBeUndefined();
  });

  test("beyond the limits", () => {
    const text = linesOf("a", ["1", "22", "[3]"]);
    expect(read(text, { ...limits, rowsMax: 3 })).toBeDefined();
    expect(read(text, { ...limits, rowsMax: 2 })).toBeUndefined();
    expect(read(text, { ...limits, lineBytesMax: 9 })).toBeDefined();
    expect(read(text, { ...limits, lineBytesMax: 8 })).toBeUndefined();
    expect(read(text, { ...limits, takes: () => false })).toBeUndefined();
  });
});

// The same text of JSON in many ways, as writers differ.
const space = fc.constantFrom("", "", "", " ", "\t", "\r");
const character = fc.oneof(
  fc.constantFrom("a", "b", "é", "日", "💥", "\ud83d", '"', "\\", "\n", "\u0001", "/", "{"),
  fc.string({ maxLength: 1 }),
);
const escaped = (text: string, all: boolean): string =>
  all
    ? `"${[...Array(text.length).keys()]
        .map((i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`)
        .join("")}"`
    : JSON.stringify(text);
const text = fc
  .tuple(fc.string({ unit: character, maxLength: 6 }), fc.integer({ min: 0, max: 9 }))
  .map(([value, escapes]) => escaped(value, escapes === 0));
const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/),
);
const word = fc.constantFrom("true", "false", "null");
const nested = fc
  .oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()))
  .map((value) => JSON.stringify(value).replaceAll("__proto__", "proto"));
const value = fc.oneof(text, number, word, nested);
const column = fc.oneof(
  fc.constant(text),
  fc.constant(number),
  fc.constant(fc.constantFrom('"x"', '"y"', '"zz"')),
  fc.constant(fc.oneof(number, fc.constant("null"))),
  fc.constant(value),
);
const name = fc.constantFrom("a", "b", "user", "größe", "7", "名", "a b", "constructor");

const body = fc
  .tuple(
    fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
    fc.array(column, { minLength: 4, maxLength: 4 }),
  )
  .chain(([names, columns]) =>
    fc
      .array(
        fc.tuple(
          fc.tuple(...names.map((_, at) => columns[at]!)),
          fc.array(space, { minLength: 6, maxLength: 6 }),
        ),
        { minLength: 1, maxLength: 40 },
      )
      .map((rows) =>
        rows
          .map(([values, [before, open, colon, after, close, end]]) => {
            const fields = values.map((one, at) => `"${names[at]}"${colon}:${after}${one}${close}`);
            return `${before}{${open}${fields.join(`,${open}`)}}${end}\n`;
          })
          .join(""),
      ),
  );

describe("whatever the lines are", () => {
  test("equals what JSON.parse makes of each (J1)", () => {
    let taken = 0;
    fc.assert(
      fc.property(body, (lines) => {
        const columns = read(lines);
        if (columns === undefined) return;
        taken++;
        expectSame(rowsOf(columns), parsed(lines));
      }),
      { numRuns: 500 },
    );
    // Only a key that looks like a number, behind one that does not, may keep them from being read.
    expect(taken).toBeGreaterThan(300);
  });

  test("damaged, is refused or is still what JSON.parse makes of each (J1)", () => {
    const damage = fc.tuple(
      fc.nat(),
      fc.nat({ max: 2 }),
      fc.constantFrom(...'{}[]",:\\\n 01-+.eEtfnu\u0000ä💥'.split("")),
    );
    fc.assert(
      fc.property(body, fc.array(damage, { minLength: 1, maxLength: 3 }), (lines, damages) => {
        let damaged = lines;
        for (const [place, removed, added] of damages) {
          const at = place % damaged.length;
          damaged = damaged.slice(0, at) + added + damaged.slice(at + removed);
        }
        damaged = damaged.toWellFormed();
        const columns = read(damaged);
        if (columns !== undefined) expectSame(rowsOf(columns), parsed(damaged));
      }),
      { numRuns: 2_000 },
    );
  });
});
