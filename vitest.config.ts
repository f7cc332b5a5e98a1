// Five projects, from the cheapest to the dearest: `core` and `repository` run together in plain
// Node, then `workerd` inside the Workers runtime, then `node`, which starts whole runtimes and
// therefore gets the machine to itself.

import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const testsOf = (project: string) => [`test/${project}/**/*.test.ts`];

export default defineConfig({
  test: {
    // Vitest would leave one processor free, and so do one file at a time where there are two.
    maxWorkers: "100%",
    projects: [
      // Property tests take seconds where the machine is busy; what hangs is still found.
      { test: { name: "core", include: testsOf("core"), testTimeout: 30_000 } },
      { test: { name: "repository", include: testsOf("repository"), testTimeout: 180_000 } },
      {
        plugins: [
          cloudflareTest({
            remoteBindings: false,
            wrangler: { configPath: "test/workerd/wrangler.test.toml" },
          }),
        ],
        test: {
          name: "workerd",
          include: testsOf("workerd"),
          testTimeout: 30_000,
          sequence: { groupOrder: 1 },
        },
      },
      // A runtime that is left alone for a minute: beside those inside the Workers runtime it costs nothing.
      {
        test: {
          name: "idle",
          include: testsOf("idle"),
          testTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "node",
          include: testsOf("node"),
          testTimeout: 240_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
