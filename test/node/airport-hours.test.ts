// The second example as a user runs it.

import { expect, test } from "vitest";

import { run as runScript } from "./run.ts";

const run = (...args: string[]) => runScript("examples/02-airport-hours/demo.ts", args);

test("60,000 flights come to DuckDB's windows, cell by cell, through a kill", async () => {
  const { code, stdout, stderr } = await run("--rows", "60000", "--parallelism", "2", "--json");
  expect(stderr).toContain("equal: yes");
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  const result = JSON.parse(lines[0]!) as Record<string, number>;
  expect(result).toEqual({
    equal: true,
    rows: 60_000,
    seconds: expect.any(Number),
    rowsPerSecond: expect.any(Number),
    checkpointsCompleted: expect.any(Number),
    recoverySeconds: expect.any(Number),
    late: 4,
    tables: {
      "airport-hours": 8_654,
      "worst-airports": 825,
      "delayed-sessions": 12_128,
      "late-flights": 4,
    },
    cells: 4 * 8_654 + 3 * 825 + 4 * 12_128 + 4 * 4,
    differences: 0,
  });
  // One before the kill, one after it.
  expect(result["checkpointsCompleted"]).toBeGreaterThanOrEqual(2);
  expect(result["recoverySeconds"]).toBeGreaterThan(0);
});

test.each([
  [["--rows", "999"], /--rows is "999"; it must be a whole number from 1000 to 3000000/],
  [["--rows", "5000", "--kill-after", "5000"], /--kill-after is "5000"; .* from 0 to 4999/],
  [["--parallelism", "0"], /--parallelism is "0"/],
  [["--speed", "9"], /'--speed'/],
])("%j is refused with exit code 2", async (args, reason) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(reason);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("--help tells every option and starts nothing", async () => {
  const { code, stdout } = await run("--help");
  for (const option of ["--rows", "--kill-after", "--parallelism", "--json"])
    expect(stdout).toContain(option);
  expect(code).toBe(0);
});
