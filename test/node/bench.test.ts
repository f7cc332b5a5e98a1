// The benchmarks as a user runs them: that they run, are right and say what they should. How fast anything
// is, is no matter of a test.

import { expect, test } from "vitest";

import { run as runScript } from "./run.ts";

const run = (...args: string[]) => runScript("bench/bench.ts", args);

const summary = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };
const contestants = [
  "limit",
  "rows",
  "columns",
  "rows-topic",
  "columns-topic",
  "sharded-sqlite",
  "sharded-log",
  "object-per-key",
  "d2ts",
  "rxjs",
];
const ratios = [
  "vsLimit",
  "columnsVsLimit",
  "rowsTopicVsLimit",
  "columnsTopicVsLimit",
  "vsShardedSqlite",
  "vsShardedLog",
  "vsObjectPerKey",
  "vsD2ts",
  "vsRxjs",
  "rowsVsShardedLog",
  "rowsVsRxjs",
];
const ofEach = (names: readonly string[], what: unknown): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, what]));

test("keyed-count comes to the same for every contestant, and says how fast each was", async () => {
  const { code, stdout, stderr } = await run("keyed-count", "--quick", "--rows", "20000", "--json");
  expect(stderr).toContain("warm-up: rxjs");
  expect(code).toBe(0);
  const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  expect(result).toMatchObject({
    benchmark: "keyed-count",
    quick: true,
    rows: 20_000,
    rounds: 1,
    figures: ofEach(contestants, { unit: "rows/s", ...summary }),
    machine: { cpu: expect.any(String), cores: expect.any(Number) },
    versions: { workerd: expect.any(String), rxjs: expect.any(String) },
  });
  expect(result["ratios"]).toEqual(ofEach(ratios, summary));
});

test.each([
  [["fast"], /There is no benchmark "fast"; there are limit, keyed-count/],
  [["limit", "--rows", "9"], /--rows is "9"; it must be a whole number from 1000/],
  [["--rounds", "0"], /--rounds is "0"/],
  [["--slow"], /'--slow'/],
])("%j is refused with exit code 2", async (args, reason) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(reason);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("--help tells every benchmark and every option, and starts nothing", async () => {
  const { code, stdout } = await run("--help");
  for (const named of [
    "limit",
    "keyed-count",
    "recovery",
    "--rows",
    "--rounds",
    "--quick",
    "--json",
  ])
    expect(stdout).toContain(named);
  expect(code).toBe(0);
});
