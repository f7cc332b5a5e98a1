import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { installsOf, missingFrom, unpinned } from "./packages.ts";
import { root } from "./source-file.ts";

const read = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), "utf8")) as T;

test("every dependency is pinned to one version", () => {
  expect(unpinned(read("package.json"))).toEqual([]);
});

// wrangler, Miniflare and the vitest plugin each bring workerd. With two, tests would run on another
// runtime than `wrangler dev`. The second file is what npm really installed.
test.each(["package-lock.json", "node_modules/.package-lock.json"])(
  "%s has one workerd",
  (path) => {
    expect(installsOf("workerd", read(path))).toHaveLength(1);
  },
);

test("the lockfile is complete for every platform", () => {
  expect(missingFrom(read("package-lock.json"))).toEqual([]);
});

test("a range and a second workerd are noticed", () => {
  expect(unpinned({ dependencies: { a: "^1.0.0" }, devDependencies: { b: "1.0.0-beta" } })).toEqual(
    ["a@^1.0.0"],
  );
  const packages = {
    "node_modules/workerd": { version: "1.0.0" },
    "node_modules/wrangler/node_modules/workerd": { version: "2.0.0" },
    "node_modules/@cloudflare/workerd-linux-64": { version: "1.0.0" },
  };
  expect(installsOf("workerd", { packages })).toEqual([
    "node_modules/workerd@1.0.0",
    "node_modules/wrangler/node_modules/workerd@2.0.0",
  ]);
});

test("a platform missing from the lockfile is noticed", () => {
  const packages = {
    "node_modules/a": { optionalDependencies: { "@a/linux": "1.0.0", "@a/darwin": "1.0.0" } },
    "node_modules/a/node_modules/b": { optionalDependencies: { "@b/linux": "1.0.0" } },
    "node_modules/@a/linux": {},
    "node_modules/@b/linux": {},
  };
  expect(missingFrom({ packages })).toEqual(["@a/darwin"]);
});
