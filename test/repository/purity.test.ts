import { expect, test } from "vitest";
import { checkPurity, isPure } from "./purity.ts";
import { sourceFiles } from "./source-file.ts";

test("what is not a shell is pure and synchronous", () => {
  expect(checkPurity(sourceFiles())).toEqual([]);
});

test("shells are named one by one", () => {
  expect(["task/subtask.ts", "task/shell/session.ts", "worker/routes/a.ts"].some(isPure)).toBe(
    false,
  );
  expect(["task/inbox.ts", "coordinator/job.ts", "topic/log.ts"].every(isPure)).toBe(true);
});

test.each([
  ["P1", `import { DurableObject } from "cloudflare:workers";`],
  ["P1", `import type { Stats } from "node:fs";`],
  ["P2", `export const now = Date.now();`],
  ["P2", `export const now = Date["now"];`],
  ["P2", `export const now = new Date();`],
  ["P2", `export const now = Date();`],
  ["P2", `export const now = performance.now();`],
  ["P2", `export const n = Math.random();`],
  ["P2", `export const id = crypto.randomUUID();`],
  ["P2", `setTimeout(() => {}, 1);`],
  ["P2", `export const later = { setTimeout };`],
  ["P2", `queueMicrotask(() => {});`],
  ["P2", `export const f = fetch;`],
  ["P2", `export const f = (fetch as unknown) satisfies unknown;`],
  ["P2", `globalThis["setTimeout"](() => {}, 1);`],
  ["P3", `export async function f() {}`],
  ["P3", `export const f = async () => {};`],
  ["P3", `export const o = { async f() {} };`],
  ["P3", `await 1;`],
  ["P3", `for await (const x of xs) {}`],
  ["P3", `export const p = Promise.resolve(1);`],
  ["P3", `export type P = Promise<number>; export const one = 1;`],
])("%s is noticed: %s", (rule, text) => {
  expect(checkPurity([{ path: "task/inbox.ts", text }])).toEqual([
    expect.stringContaining(`(${rule})`),
  ]);
});

test.each([
  `// Date.now(), await and setTimeout in a comment`,
  `export const s = "Date.now() and await fetch()";`,
  `export const s = \`Math.random() \${1}\`;`,
  `export const year = new Date(0).getUTCFullYear();`,
  `export const at = Date.UTC(2026, 0);`,
  `export const o = { fetch: 1, setTimeout() {} };`,
  `export const f = (service: { fetch(): number }) => service.fetch();`,
  `export interface Store { read(path: string): Promise<Uint8Array> }`,
  `import type { A } from "./a.ts"; export type B = (a: A) => Promise<void>;`,
])("allowed: %s", (text) => {
  expect(checkPurity([{ path: "task/inbox.ts", text }])).toEqual([]);
});

test("a shell may do all of it", () => {
  const text = `import "cloudflare:workers"; await fetch(String(Date.now()));`;
  expect(checkPurity([{ path: "task/subtask.ts", text }])).toEqual([]);
});
