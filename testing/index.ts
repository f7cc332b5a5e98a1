// What `import … from "tidemark/testing"` gives: jobs and operators in the tests of their author.

export { operatorHarness, type HarnessSnapshot, type OperatorHarness } from "./operator-harness.ts";
export { type Inputs, type RunOptions } from "./inputs.ts";
export { runJob, type JobRun } from "./run-job.ts";
export { checkpoint, crash, rescale, wait, type Step } from "./steps.ts";
