// The demo as a user runs it.

import { expect, test } from "vitest";

import { run as runScript } from "./run.ts";

const run = (...args: string[]) => runScript("examples/01-flight-delays/demo.ts", args);

// TaskManagerProcessFailureStreamingRecoveryITCase
test("200,000 flights are counted exactly through three kills", async () => {
  const { code, stdout, stderr } = await run("--rows", "200000", "--kill", "3", "--json");
  expect(stderr).toContain("exactly once: yes");
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  const result = JSON.parse(lines[0]!) as Record<string, number>;
  expect(result).toEqual({
    exact: true,
    rows: 200_000,
    seconds: expect.any(Number),
    rowsPerSecond: expect.any(Number),
    checkpointsCompleted: expect.any(Number),
    kills: 3,
    recoverySeconds: expect.any(Number),
  });
  // Each kill waits for a checkpoint of its run, and the last run ends with one.
  expect(result["checkpointsCompleted"]).toBeGreaterThanOrEqual(4);
  expect(result["recoverySeconds"]).toBeGreaterThan(0);
  expect(result["seconds"]).toBeGreaterThan(3 * 0.5);
  expect(result["rowsPerSecond"]).toBeCloseTo(200_000 / result["seconds"]!, -1);
});

// RescalingITCase
test("60,000 flights are counted exactly by 4, then 2, then 6 subtasks", async () => {
  const { code, stdout, stderr } = await run(
    "--rows",
    "60000",
    "--kill",
    "1",
    "--rescale",
    "--json",
  );
  expect(stderr).toContain("exactly once: yes");
  expect(code).toBe(0);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  expect(result).toMatchObject({ exact: true, rows: 60_000, kills: 1, parallelisms: [2, 6] });
  expect(result["rescaleSeconds"]).toBeGreaterThan(0);
});

test.each([
  [["--rows", "many"], /--rows is "many"; it must be a whole number from 1 to 3000000/],
  [["--rows", "3000001"], /--rows is "3000001"/],
  [["--rows", "300", "--kill", "3"], /--kill 3 needs --rows 400 or more, got 300/],
  [["--rows", "300", "--rescale"], /--kill 1 --rescale needs --rows 400 or more, got 300/],
  [["--kill=-1"], /--kill is "-1"/],
  [["--speed", "9"], /'--speed'/],
  [["flights.csv"], /'flights.csv'/],
])("%j is refused with exit code 2", async (args, reason) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(reason);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("--help tells every option and starts nothing", async () => {
  const { code, stdout } = await run("--help");
  for (const option of ["--rows", "--kill", "--rescale", "--keep", "--json"])
    expect(stdout).toContain(option);
  expect(code).toBe(0);
});
