#!/usr/bin/env node
// The bin. In JavaScript that any Node reads: one that does not run TypeScript gets to say so here,
// where it would end with a syntax error in the first file of the command line itself.

import module from "node:module";

const least = 24;
const major = Number(process.versions.node.split(".")[0]);
if (major >= least) {
  // A third of the time to start: the types need not be stripped again.
  module.enableCompileCache();
  void import("./main.ts");
} else {
  console.error(
    `tidemark needs Node ${least} and this is ${process.versions.node}; run it by "npx tidemark" ` +
      `where Tidemark is installed, which brings its own Node.`,
  );
  process.exitCode = 2;
}
