import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkExports } from "./exports.ts";
import { root, sourceFiles } from "./source-file.ts";

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, string>;
};

test.each(Object.values(exports))("every export of %s is documented", (entry) => {
  expect(checkExports(entry.replace("./", ""), sourceFiles())).toEqual([]);
});

const check = (texts: Record<string, string>) =>
  checkExports(
    "stream/index.ts",
    Object.entries(texts).map(([path, text]) => ({ path, text })),
  );

test.each([
  ["a function", { "stream/index.ts": `export function a() {}` }],
  ["a constant", { "stream/index.ts": `// Not TSDoc.\nexport const a = 1;` }],
  ["a type", { "stream/index.ts": `export interface a {}` }],
  ["a detached comment", { "stream/index.ts": `/** Of b. */\nconst b = 1;\nexport const a = b;` }],
  [
    "an export list",
    { "stream/index.ts": `export { a } from "./a.ts";`, "stream/a.ts": `export class a {}` },
  ],
  [
    "a renamed export",
    {
      "stream/index.ts": `export { b as a } from "./a.ts";`,
      "stream/a.ts": `const a = 1;\nexport { a as b };`,
    },
  ],
  [
    "a star",
    { "stream/index.ts": `export * from "./a.ts";`, "stream/a.ts": `export type a = string;` },
  ],
  [
    "an import exported again",
    {
      "stream/index.ts": `import { a } from "./a.ts";\nexport { a };`,
      "stream/a.ts": `export let a;`,
    },
  ],
  ["a file that is missing", { "stream/index.ts": `export * from "./a.ts";` }],
])("an undocumented export is noticed: %s", (_, texts) => {
  expect(check(texts)).toHaveLength(1);
});

test("documented exports pass, and only what is exported needs it", () => {
  const texts = {
    "stream/index.ts": `export { a, type B, f } from "./a.ts"; export { z } from "zod";`,
    "stream/a.ts": `/** One. */\nexport const a = 1;\n/** Two. */\nexport interface B {}\n
      /** Three. */\nexport function f(x: 1): 1;\nexport function f(x: 2): 2;
      export function f(x: number) { return x; }\nexport const internal = 1;`,
  };
  expect(check(texts)).toEqual([]);
});
