// The second example as a user runs it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, onTestFinished, test } from "vitest";

import { comparisons, type Row } from "../../examples/02-airport-hours/comparison.ts";
import { readFlights } from "../../examples/flights/parquet.ts";
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

test("a cell that differs is noticed, and rows that are missing or there twice", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  // So early that none of them is late.
  const rows = 1_000;
  const hours = await hoursOf(rows);
  const compared = (table: readonly Row[]) =>
    comparisons(rows, directory, async (name) => (name === "airport-hours" ? table : []));

  const [same, ...others] = await compared(hours);
  expect(same).toMatchObject({ rows: hours.length, cells: hours.length * 4, differences: 0 });
  expect(same!.examples).toEqual([]);
  for (const { title, cells, differences, examples } of others.slice(0, 2)) {
    expect(differences).toBe(cells);
    expect(examples[0]).toContain(`${title}: nothing should be {`);
  }
  expect(others.at(-1)).toMatchObject({ title: "late flights", rows: 0, differences: 0 });

  const [first, ...rest] = hours;
  const worse = { ...first!, worst: Number(first!["worst"]) + 1 };
  expect((await compared([worse, ...rest]))[0]).toMatchObject({ differences: 1 });
  expect((await compared(rest))[0]).toMatchObject({ differences: 4 });
  const [twice] = await compared([first!, ...hours]);
  expect(twice).toMatchObject({ differences: 4 });
  expect(twice!.examples).toEqual(["hours of airports: 1 rows are there again"]);
});

/** The rows of `airport-hours` by a plain loop. */
async function hoursOf(rows: number): Promise<Row[]> {
  const windows = new Map<string, { at: number; key: string; delays: number[] }>();
  for await (const { date, delay, origin } of readFlights(rows, ["date", "delay", "origin"])) {
    for (let i = 0; i < date.length; i++) {
      const [at, key] = [date[i]! - (date[i]! % 3_600_000), origin[i]!];
      const window = windows.get(`${key} ${at}`) ?? { at, key, delays: [] };
      windows.set(`${key} ${at}`, window);
      window.delays.push(delay[i]!);
    }
  }
  return [...windows.values()].map(({ at, key, delays }) => ({
    key,
    windowStart: at,
    flights: delays.length,
    delayed: delays.filter((minutes) => minutes >= 15).length,
    meanDelay: delays.reduce((sum, minutes) => sum + minutes, 0) / delays.length,
    worst: Math.max(...delays),
  }));
}

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
