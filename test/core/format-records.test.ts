import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ingestRecordsMax, recordBytesMax, recordDepthMax } from "../../format/limits.ts";
import { type BodyForm, readRecords } from "../../format/records.ts";
import { ColumnBatch } from "../../operators/column-batch.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string, form: BodyForm = "lines") => readRecords(bytes(text), form);

function rowsOf(text: string, form?: BodyForm): readonly unknown[] {
  const outcome = read(text, form);
  if (outcome.kind === "refused") throw new Error(outcome.reason);
  const { records } = outcome;
  if (records.kind === "rows") return records.rows;
  const { rows, fields, columns } = records.columns;
  return new ColumnBatch(rows, fields, columns).rows();
}

function refusalOf(text: string, form?: BodyForm): { status: number; reason: string } {
  const outcome = read(text, form);
  if (outcome.kind === "records") throw new Error("was not refused");
  return outcome;
}

describe("lines", () => {
  test("any JSON value but null is a record, one a line", () => {
    expect(rowsOf('{"a":1}\n[1,2]\n"x"\n3\ntrue')).toEqual([{ a: 1 }, [1, 2], "x", 3, true]);
  });

  test("blank lines, carriage returns and a byte order mark do not count", () => {
    expect(rowsOf('\uFEFF\n\r\n{"a":1}\r\n   \n\t{"a":2} \n\n')).toEqual([{ a: 1 }, { a: 2 }]);
  });

  test("a bad line is named by its number, counting blank ones", () => {
    expect(refusalOf('{"a":1}\n\n{"a":')).toMatchObject({ status: 400 });
    expect(refusalOf('{"a":1}\n\n{"a":').reason).toMatch(/^Line 3 is not one JSON value: /);
    expect(refusalOf('\n{"a":1}\n\nnull').reason).toMatch(/^Line 4 is null/);
  });

  // Each of these is a JSON array of as many elements as lines once its lines are joined by commas.
  test.each([
    ["two records in a line, none in the next", ["1,2", ""]],
    ["a string over two lines", ["1,2", '"a', 'b"']],
    ["an array over two lines", ["[1", "2]", "3,4"]],
    ["an object over two lines", ['{"a":[{}', "{}]}", "{},{}"]],
    ["brackets that close the outer array", ["1],[2", "[1", "2]"]],
    ["two objects without a comma", ['{"a":1}{"a":2}']],
    ["a trailing comma", ['{"a":1},']],
    ["a comment", ["1 // one"]],
  ])("no line smuggles records: %s (W2)", (_, lines) => {
    expect(refusalOf(lines.join("\n"))).toMatchObject({ status: 400 });
  });

  test("takes exactly the values that were written, whatever they hold (W2)", () => {
    const record = fc
      .jsonValue()
      .filter((value) => value !== null && !JSON.stringify(value).includes("__proto__"));
    const padding = fc.constantFrom("", " ", "\t", "\r", "\n", "\n\n");
    fc.assert(
      fc.property(fc.array(fc.tuple(record, padding), { minLength: 1 }), (records) => {
        const text = records.map(([value, after]) => `${JSON.stringify(value)}${after}\n`).join("");
        expect(JSON.stringify(rowsOf(text))).toBe(JSON.stringify(records.map(([value]) => value)));
      }),
    );
  });

  test("garbage is refused with a place, never thrown", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{},:"\\n1\n '.split("")) }), (text) => {
        const outcome = read(text, "sniff");
        if (outcome.kind === "refused") expect(outcome.reason).not.toBe("");
      }),
    );
  });
});

describe("arrays", () => {
  test("elements are records, named by their position from 1", () => {
    expect(rowsOf('[{"a":1}, 2]', "array")).toEqual([{ a: 1 }, 2]);
    expect(refusalOf("[1, null]", "array").reason).toMatch(/^Record 2 is null/);
    expect(refusalOf("[1, ", "array").reason).toMatch(/^The body is not JSON/);
    expect(refusalOf('{"a":1}', "array").reason).toMatch(/x-ndjson/);
  });

  test("sniffing goes by the first character", () => {
    expect(rowsOf("  [1, 2]", "sniff")).toEqual([1, 2]);
    expect(rowsOf("[1, 2]", "lines")).toEqual([[1, 2]]);
    expect(rowsOf("1\n2", "sniff")).toEqual([1, 2]);
  });
});

describe("refusals", () => {
  test("a body without records", () => {
    for (const text of ["", " \n\n", "[]"]) {
      expect(refusalOf(text, "sniff")).toMatchObject({
        status: 400,
        reason: /no records/ as never,
      });
    }
  });

  test("a body that is not UTF-8", () => {
    const outcome = readRecords(new Uint8Array([0x22, 0xff, 0x22]), "lines");
    expect(outcome).toEqual({ kind: "refused", status: 400, reason: "The body is not UTF-8." });
  });

  test.each([
    ["plain", '{"__proto__":{"isAdmin":true}}'],
    ["deep inside", '{"a":[{"b":{"__proto__":1}}]}'],
    ["escaped", '{"\\u005f_pro\\u0074o__":1}'],
    ["escaped in capitals", '{"__pr\\u006Fto__":1}'],
  ])("an own key __proto__, %s (W3)", (_, line) => {
    expect(refusalOf(`{"a":1}\n${line}`).reason).toMatch(/^Line 2 has a key "__proto__"/);
  });

  test("__proto__ as a value is harmless", () => {
    expect(rowsOf('{"a":"__proto__"}')).toEqual([{ a: "__proto__" }]);
  });

  test("a record over the limit, counted in bytes", () => {
    const ofBytes = (count: number, unit: string) =>
      JSON.stringify(unit.repeat((count - 2) / new TextEncoder().encode(unit).length));
    expect(rowsOf(ofBytes(recordBytesMax, "é"))).toHaveLength(1);
    expect(refusalOf(`1\n${ofBytes(recordBytesMax + 2, "é")}`)).toMatchObject({ status: 413 });
    expect(refusalOf(`1\n${ofBytes(recordBytesMax + 2, "é")}`).reason).toMatch(/^Line 2 is larger/);
    expect(refusalOf(`[1, ${ofBytes(recordBytesMax + 2, "é")}]`, "array")).toMatchObject({
      status: 413,
    });
  });
});

const forms = [
  ["lines", (record: string) => `0\n${record}`, "Line 2"],
  ["array", (record: string) => `[0,${record}]`, "Record 2"],
] as const;

describe.each(forms)("as %s", (form, around, place) => {
  const nested = (levels: number, open: string, close: string) =>
    `${open.repeat(levels)}${close.repeat(levels)}`;
  const inObjects = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;

  test("a record nests as deep as the limit, and no deeper (W4)", () => {
    for (const record of [nested(recordDepthMax, "[", "]"), inObjects(recordDepthMax)]) {
      expect(rowsOf(around(record), form)).toHaveLength(2);
    }
    for (const levels of [recordDepthMax + 1, 1_000, 100_000]) {
      for (const record of [nested(levels, "[", "]"), inObjects(levels)]) {
        if (record.length > recordBytesMax) continue;
        const { status, reason } = refusalOf(around(record), form);
        expect(status).toBe(400);
        expect(reason).toBe(`${place} nests deeper than 64 levels (recordDepthMax).`);
      }
    }
  });

  test("a body holds as many records as the limit, and no more", () => {
    const body = (records: number) =>
      form === "array" ? `[${"0,".repeat(records - 1)}0]` : "0\n".repeat(records);
    expect(rowsOf(body(ingestRecordsMax), form)).toHaveLength(ingestRecordsMax);
    expect(refusalOf(body(ingestRecordsMax + 1), form)).toEqual({
      kind: "refused",
      status: 413,
      reason: "The body holds more than 200000 records (ingestRecordsMax).",
    });
  });
});
