import { expect, test } from "vitest";
import { tally, type VitestReport } from "../../scripts/tally.ts";

const file = (name: string, ...statuses: string[]) => ({
  name,
  status: statuses.length > 0 && !statuses.includes("failed") ? "passed" : "failed",
  assertionResults: statuses.map((status) => ({ status })),
});

function reportOf(...testResults: VitestReport["testResults"]): VitestReport {
  const count = (status: string) =>
    testResults.flatMap((one) => one.assertionResults).filter((one) => one.status === status)
      .length;
  return {
    numPassedTests: count("passed"),
    numFailedTests: count("failed"),
    numPendingTests: count("pending"),
    numTodoTests: count("todo"),
    testResults,
  };
}

const core = file("/a/test/core/a.test.ts", "passed", "passed", "pending");
const run = { projects: ["core"], failedSteps: [], exitCode: 0 };

test("counts the tests of a good run", () => {
  const totals = tally({ ...run, report: reportOf(core) });
  expect(totals).toEqual({ passed: 2, failed: 0, skipped: 1, problems: [] });
});

test.each<[string, Partial<Parameters<typeof tally>[0]>, number]>([
  ["a failed test", { exitCode: 1, report: reportOf(core, file("/a/x.test.ts", "failed")) }, 1],
  ["a file that did not load", { exitCode: 1, report: reportOf(core, file("/a/x.test.ts")) }, 1],
  ["a failed step", { failedSteps: ["lint"], report: reportOf(core) }, 1],
  ["an unhandled error", { exitCode: 1, report: reportOf(core) }, 1],
  [
    "an unhandled error beside a failed step",
    { exitCode: 1, failedSteps: ["lint"], report: reportOf(core) },
    2,
  ],
  ["a project without tests", { projects: ["core", "node"], report: reportOf(core) }, 1],
  ["no report", { exitCode: 1, report: undefined }, 1],
])("%s is a failure", (_, change, failed) => {
  expect(tally({ ...run, report: undefined, ...change }).failed).toBe(failed);
});
