// Runs everything the repository demands of itself, and the tests of the projects named as
// arguments (see vitest.config.ts): `node scripts/check.ts repository core`.
//   C1. Every step runs, whatever the ones before it said.
//   C2. The last line is `N passed, N failed`: the tests of all vitest projects; a step that is not
//       a test, such as lint, counts one among the failed when it fails and nothing otherwise.
//   C3. The exit code is 0 exactly when nothing failed. Zero tests of a project is a failure.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tally, type VitestReport } from "./tally.ts";

const projects = process.argv.slice(2);

/** Runs a command with our output; the exit code, or 1 where it could not start. */
function run(command: string, args: readonly string[]): number {
  console.log(`\n> ${[command, ...args].join(" ")}`);
  return spawnSync(command, args, { stdio: "inherit" }).status ?? 1;
}

function runTests(): { exitCode: number; report: VitestReport | undefined } {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-"));
  const file = join(folder, "report.json");
  try {
    const exitCode = run("vitest", [
      "run",
      ...projects.flatMap((project) => ["--project", project]),
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${file}`,
    ]);
    return { exitCode, report: JSON.parse(readFileSync(file, "utf8")) as VitestReport };
  } catch (error) {
    console.error("vitest left no report:", error);
    return { exitCode: 1, report: undefined };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const failedSteps = ["format:check", "lint", "types"].filter(
  (script) => run("npm", ["run", "--silent", script]) !== 0,
);
const { exitCode, report } = runTests();
const totals = tally({ report, exitCode, projects, failedSteps });

for (const problem of totals.problems) console.log(`FAILED: ${problem}`);
if (totals.skipped > 0) console.log(`${totals.skipped} skipped`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
