// A short run of chaos as a user runs it. Longer ones are for `npm run chaos`.

import { expect, test } from "vitest";

import { run as runScript } from "./run.ts";

const run = (...args: string[]) => runScript("test/chaos/chaos.ts", args);

test("what things go wrong in a quarter of a minute, every flight is counted once", async () => {
  const args = ["--minutes", "0.25", "--rows", "100000", "--seed", "7"];
  const { code, stdout, stderr } = await run(...args, "--json");
  expect(stderr).toMatch(/^seed 7\n/);
  expect(stderr).toContain("exactly once: yes");
  expect(stderr.trimEnd().split("\n").at(-1)).toBe(
    "npm run chaos -- --seed 7 --minutes 0.25 --rows 100000",
  );
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  const result = JSON.parse(lines[0]!) as { faults: Record<string, number> };
  expect(result).toEqual({
    exact: true,
    seed: 7,
    minutes: 0.25,
    rows: 100_000,
    seconds: expect.any(Number),
    state: "RUNNING",
    attempts: expect.any(Number),
    checkpointsCompleted: expect.any(Number),
    faults: {
      kill: expect.any(Number),
      abort: expect.any(Number),
      evict: expect.any(Number),
      cut: expect.any(Number),
      pause: expect.any(Number),
      repeat: expect.any(Number),
    },
    connectionsCut: expect.any(Number),
    duplicates: expect.any(Number),
    slowestRecoverySeconds: expect.any(Number),
    recoveredUnasked: expect.any(Boolean),
  });
});

test.each([
  [["--minutes", "soon"], /--minutes is "soon"; it must be a number from 0.05 to 600/],
  [["--minutes", "0"], /--minutes is "0"/],
  [["--seed", "x"], /--seed is "x"; it must be a whole number from 0 to 4294967295/],
  [["--rows", "10"], /--rows is "10"; it must be a whole number from 1000 to 3000000/],
  [["--kill", "1"], /'--kill'/],
  [["flights.csv"], /'flights.csv'/],
])("%j is refused with exit code 2", async (args, reason) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(reason);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("--help tells every option and starts nothing", async () => {
  const { code, stdout } = await run("--help");
  for (const option of ["--minutes", "--seed", "--rows", "--json"])
    expect(stdout).toContain(option);
  expect(code).toBe(0);
});
