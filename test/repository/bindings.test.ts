import { join } from "node:path";
import { expect, test } from "vitest";
import { unstable_readConfig } from "wrangler";
import { differences } from "./bindings.ts";
import { root } from "./source-file.ts";

const read = (path: string) =>
  unstable_readConfig({ config: join(root, path) }, { hideWarnings: true });

test.each([
  "test/workerd/wrangler.test.toml",
  "test/chaos/wrangler.chaos.toml",
  "test/idle/wrangler.idle.toml",
])("the Worker of %s is bound as the deployed one", (tested) => {
  expect(differences(read("wrangler.toml"), read(tested))).toEqual([]);
});

test("another date and a missing bucket are noticed", () => {
  const ours = read("wrangler.toml");
  expect(differences(ours, { ...ours, compatibility_date: "2026-01-01", r2_buckets: [] })).toEqual([
    "compatibility_date",
    "r2_buckets",
  ]);
});

test("the deployed Worker is not taken for a local runtime, and has no token in its configuration", () => {
  const names = Object.keys(read("wrangler.toml").vars);
  expect(names.filter((name) => /^TIDEMARK_(LOCAL|TOKENS)/.test(name))).toEqual([]);
});
