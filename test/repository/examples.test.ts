import { expect, test } from "vitest";
import { checkExamples, examplesOf } from "./examples.ts";
import { sourceFiles } from "./source-file.ts";

const documented = (...lines: string[]) => ({
  path: "stream/a.ts",
  text: ["", "/**", ...lines.map((line) => ` * ${line}`), " */", "export const a = 1;"].join("\n"),
});

// In one go, as the compiler reads all of the project each time.
test("examples compile, and those that do not are noticed", () => {
  const wrong = documented(
    "@example env.from(topic<Row>(1), { uid: 'in' })",
    "@example lines.keyBy('k').aggregate({ n: count('k') }, { uid: 'n' })",
    "@example",
    "env.from(topic<Row>('rows'), { uid: 'in' })",
    "  .mapp((row) => row);",
  );
  expect(checkExamples([...sourceFiles(), wrong])).toEqual([
    expect.stringMatching(/^stream\/a\.ts:3: error TS2345/),
    expect.stringMatching(/^stream\/a\.ts:4: error TS2554/),
    expect.stringMatching(/^stream\/a\.ts:7: .*mapp/),
  ]);
});

test("an example goes to the next tag, or to the end of its comment", () => {
  const file = documented(
    "Says what it does.",
    "",
    "@example one()",
    "@example",
    "two(",
    "  2,",
    ");",
    "@throws where it must",
  );
  expect(examplesOf(file)).toEqual([
    { line: 5, code: "one()" },
    { line: 6, code: "\ntwo(\n  2,\n);" },
  ]);
  expect(examplesOf({ path: "a.ts", text: "// @example one()\n/* @example two() */" })).toEqual([]);
});
