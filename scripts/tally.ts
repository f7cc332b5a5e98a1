// Counts what one run of the checks came to. Pure: reads vitest's report, runs nothing.
//   T1. Whatever vitest calls a failure is at least one failure here: a file that did not load, an
//       unhandled error, a project without tests, an exit code that no test explains.

export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed without being a test, one sentence each. */
  readonly problems: readonly string[];
}

export function tally(run: {
  /** Undefined: vitest wrote none. */
  readonly report: VitestReport | undefined;
  readonly exitCode: number;
  readonly projects: readonly string[];
  readonly failedSteps: readonly string[];
}): Totals {
  const problems = run.failedSteps.map((step) => `npm run ${step}`);
  const { report } = run;
  if (report === undefined) {
    return {
      passed: 0,
      failed: problems.length + 1,
      skipped: 0,
      problems: [...problems, "vitest"],
    };
  }

  const files = report.testResults;
  for (const file of files) {
    const explained = file.assertionResults.some((test) => test.status === "failed");
    if (file.status === "failed" && !explained) problems.push(`${file.name} did not run`);
  }
  for (const project of run.projects) {
    const folder = `/test/${project}/`;
    const ran = files.some(
      (file) => file.name.includes(folder) && file.assertionResults.length > 0,
    );
    if (!ran) problems.push(`the project "${project}" has no tests`);
  }

  if (run.exitCode !== 0 && report.numFailedTests + problems.length === run.failedSteps.length) {
    problems.push(`vitest ended with code ${run.exitCode}, though no test failed`);
  }
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + problems.length,
    skipped: report.numPendingTests + report.numTodoTests,
    problems,
  };
}
