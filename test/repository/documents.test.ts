import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkLinks, checkMachinePaths, checkSnippets, snippetsOf } from "./documents.ts";
import { root, sourceFiles } from "./source-file.ts";

const files = sourceFiles();
const page = (text: string, path = "docs/a.md") => ({ path, text });

test("relative links lead to something", () => {
  expect(checkLinks(files, (path) => existsSync(join(root, path)))).toEqual([]);
});

// In one go, as the compiler reads all of the project each time.
test("snippets that a reader would copy compile, and one that does not is noticed", () => {
  const text = ["# A", "", "```ts", 'import { nothing } from "tidemark";', "```"].join("\n");
  expect(checkSnippets([...files, page(text)])).toEqual([
    expect.stringMatching(/^docs\/a\.md:4: .*nothing/),
  ]);
});

test("no file names a path of a machine", () => {
  expect(checkMachinePaths(files)).toEqual([]);
});

test.each([
  ["[a](b.md)", "leads nowhere"],
  ["[a](../docs/b.md)", "leads nowhere"],
  ["![a](picture.svg)", "leads nowhere"],
  ["[a]: b.md", "leads nowhere"],
  ["[a](#nothing)", "no such heading"],
  ["[a](../README.md#nothing)", "no such heading"],
])("a broken link is noticed: %s", (text, why) => {
  const pages = [page(text), page("# Read me", "README.md")];
  const found = checkLinks(pages, (path) => ["docs/a.md", "README.md"].includes(path));
  expect(found).toEqual([expect.stringContaining(why)]);
});

test("links that lead somewhere pass, and code is no link", () => {
  const text = [
    "# The `first` heading, twice",
    "# The first heading twice",
    "[a](../README.md) [b](../README.md#read-me) [c](#the-first-heading-twice) [d](../stream/)",
    "[e](https://example.com/a) [f](mailto:a@example.com) [g](#the-first-heading-twice-1)",
    "`[h](nowhere.md)`",
    "```ts",
    "[i](nowhere.md)",
    "```",
  ].join("\n");
  const pages = [page(text), page("# Read me", "README.md")];
  expect(checkLinks(pages, (path) => ["docs/a.md", "README.md", "stream/"].includes(path))).toEqual(
    [],
  );
});

test("only TypeScript that imports the package is a snippet", () => {
  const text = [
    "```ts",
    'import { a } from "tidemark";',
    "```",
    "```ts",
    'import { a } from "elsewhere";',
    "```",
    "```js",
    'import { a } from "tidemark";',
    "```",
  ].join("\n");
  expect(snippetsOf(page(text))).toEqual([{ line: 2, code: 'import { a } from "tidemark";\n' }]);
});

test.each(["work", "root", "home", "tmp"])("a path below /%s is noticed", (folder) => {
  const path = ["", folder, "someone"].join("/");
  expect(checkMachinePaths([page(`See ${path}.`)])).toHaveLength(1);
  expect(checkMachinePaths([page(`See https://example.com${path} and .${path}`)])).toEqual([]);
});
