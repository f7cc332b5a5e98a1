import { expect, test } from "vitest";
import { checkLeaks } from "./leaks.ts";
import { sourceFiles } from "./source-file.ts";

test("every operator that keeps state is among those that must leave none", () => {
  expect(checkLeaks(sourceFiles())).toEqual([]);
});

test("one that is left out is noticed, also where it is built on another", () => {
  const files = [
    {
      path: "operators/create.ts",
      text: `import { A } from "./a.ts"; import { B } from "./b.ts"; import { C } from "./c.ts";`,
    },
    { path: "operators/a.ts", text: "export const A = mapState<string, number>();" },
    { path: "operators/b.ts", text: `export { Kept as B } from "./kept.ts";` },
    { path: "operators/kept.ts", text: `export const Kept = store.table("kept");` },
    { path: "operators/c.ts", text: `import type { O } from "./operator.ts"; export const C = 1;` },
    { path: "operators/operator.ts", text: "export type O = StateTable<number>;" },
    { path: "test/core/leaks.test.ts", text: `const cases = [{ of: "a.ts" }];` },
  ];
  expect(checkLeaks(files)).toEqual([
    "operators/b.ts keeps state, and no case of test/core/leaks.test.ts is of it (K1)",
  ]);
});
