import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkLayers } from "./layers.ts";
import { root, sourceFiles } from "./source-file.ts";

const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
};

test("imports point one way", () => {
  expect(checkLayers(sourceFiles(), Object.keys(dependencies))).toEqual([]);
});

const planted: [rule: string, path: string, text: string][] = [
  ["L1", "format/a.ts", `import { b } from "../stream/b.ts";`],
  ["L1", "format/a.ts", `import type { B } from "../stream/b.ts";`],
  ["L1", "format/a.ts", `export * from "../stream/b.ts";`],
  ["L1", "format/a.ts", `type B = import("../stream/b.ts").B;`],
  ["L1", "coordinator/a.ts", `const b = await import("../task/b.ts");`],
  ["L1", "operators/state/a.ts", `export { b } from "../../task/b.ts";`],
  ["L1", "topic/a.ts", `import "../coordinator/b.ts";`],
  ["L1", "cli/a.ts", `import { b } from "../worker/b.ts";`],
  ["L2", "stream/a.ts", `import { it } from "vitest";`],
  ["L2", "stream/a.ts", `import { defineJob } from "tidemark";`],
  ["L3", "examples/01-a/job.ts", `import { defineJob } from "../../stream/index.ts";`],
  ["L3", "examples/01-a/job.ts", `import { defineJob } from "tidemark/stream/job.ts";`],
  ["L4", "helpers/a.ts", `export const a = 1;`],
];

test.each(planted)("%s is noticed in %s: %s", (rule, path, text) => {
  expect(checkLayers([{ path, text }], ["zod"])).toEqual([expect.stringContaining(`(${rule})`)]);
});

test.each([
  ["stream/a.ts", `import { b } from "../format/b.ts"; import { c } from "./c.ts";`],
  ["worker/routes/a.ts", `import { z } from "zod/v4"; import { b } from "../../topic/b.ts";`],
  ["examples/01-a/job.ts", `import { defineJob } from "tidemark"; import { b } from "./b.ts";`],
  ["test/core/a.test.ts", `import { it } from "vitest"; import { b } from "../../task/b.ts";`],
  ["vitest.config.ts", `import { defineConfig } from "vitest/config";`],
])("allowed in %s: %s", (path, text) => {
  expect(checkLayers([{ path, text }], ["zod"])).toEqual([]);
});
