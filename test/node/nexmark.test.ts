// Nexmark as a user runs it.

import { expect, test } from "vitest";

import { run as runScript } from "./run.ts";

const run = (...args: string[]) => runScript("examples/nexmark/nexmark.ts", args);

test.each([
  ["q5", 46_000],
  ["q3", 50_000],
  // It writes files as well.
  ["q10", 46_000],
  // Of all windows together: they go by the clock.
  ["q12", 46_000],
])("%s over 50,000 events comes to what a plain loop does", async (query, rows) => {
  const options = ["--events", "50000", "--rate", "1000", "--parallelism", "2"];
  const { code, stdout, stderr } = await run(query, ...options, "--check", "--json");
  expect(stderr).toContain("equal: yes");
  expect(stderr).toMatch(/^state +[\d.]+ (bytes|KiB|MiB) at most$/mu);
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  const result = JSON.parse(lines[0]!) as Record<string, unknown>;
  expect(result).toEqual({
    query,
    events: 50_000,
    rowsPerSecond: expect.any(Number),
    checkpointsCompleted: expect.any(Number),
    stateBytes: expect.any(Number),
    equal: true,
    rows,
    seconds: expect.any(Number),
  });
  expect(result["checkpointsCompleted"]).toBeGreaterThanOrEqual(1);
  expect(result["rowsPerSecond"]).toBeGreaterThan(0);
});

test.each([
  [[], /No query is named. Allowed: q0, q1/],
  [["q99"], /There is no query "q99". Allowed: q0, q1/],
  [["q6"], /q6 is not there: in Flink's SQL/],
  [["q0", "q1"], /One query at a time: "q1" comes after "q0"/],
  [
    ["q0", "--events", "none"],
    /--events is "none"; it must be a whole number from 1 to 1000000000/,
  ],
  [["q0", "--parallelism", "0"], /--parallelism is "0"/],
  [["q0", "--check", "--events", "10000001"], /--check holds all events in memory/],
  [["q0", "--fast"], /'--fast'/],
])("%j is refused with exit code 2", async (args, reason) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(reason);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("--help tells every query and every option, and starts nothing", async () => {
  const { code, stdout } = await run("--help");
  for (const named of ["q0", "q23", "--events", "--parallelism", "--rate", "--check", "--json"])
    expect(stdout).toContain(named);
  expect(code).toBe(0);
});
