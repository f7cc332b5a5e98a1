// The simulator in CI: the same worlds every time, and some that nobody has seen. A failing seed is
// shown again by `npm run sim -- --seed N --trace` (docs/simulation.md).

import { expect, test } from "vitest";
import { argumentsOf } from "../../sim/arguments.ts";
import { Clock } from "../../sim/clock.ts";
import { simulate } from "../../sim/simulation.ts";
import { drawWorld } from "../../sim/world.ts";

const fixedSeeds = 120;
const freshSeeds = 300;

/** Milliseconds after which no fresh world is begun: a busy machine tries fewer. */
const freshTime = 10_000;

const failuresOf = (seeds: Iterable<number>): string[] =>
  [...seeds].flatMap((seed) => {
    const { failure } = simulate(seed);
    return failure === undefined ? [] : [`npm run sim -- --seed ${seed} --trace: ${failure}`];
  });

test(`worlds 1 to ${fixedSeeds} hold`, { timeout: 120_000 }, () => {
  expect(failuresOf(Array.from({ length: fixedSeeds }, (_, at) => at + 1))).toEqual([]);
});

test("fresh worlds hold", { timeout: 120_000 }, () => {
  const base = 1_000_000 + (Date.now() % 1_000_000_000);
  const end = performance.now() + freshTime;
  let tried = 0;
  function* seeds(): Generator<number> {
    while (tried < freshSeeds && performance.now() < end) yield base + tried++;
  }
  const failures = failuresOf(seeds());
  console.log(`npm run sim -- --from ${base} --seeds ${tried}`);
  expect(failures).toEqual([]);
});

// RestartStrategyITCase, SimpleRecoveryITCase and their kind: jobs that fail under each strategy, on each backend and store.
test(`worlds 1 to ${fixedSeeds} are of every configuration there is`, () => {
  const drawn = Array.from({ length: fixedSeeds }, (_, at) => drawWorld(at + 1).options);
  expect(new Set(drawn.map(({ restart }) => restart.strategy))).toEqual(
    new Set(["none", "fixed-delay", "failure-rate", "exponential-delay"]),
  );
  expect(new Set(drawn.map(({ state }) => state?.backend))).toEqual(new Set(["memory", "sqlite"]));
  const checkpointing = drawn.map((options) => options.checkpointing);
  expect(new Set(checkpointing.map(({ storage }) => storage))).toEqual(new Set(["r2", "inline"]));
  expect(new Set(checkpointing.map(({ mode, unaligned }) => `${mode} ${unaligned}`))).toEqual(
    new Set(["EXACTLY_ONCE false", "EXACTLY_ONCE true", "AT_LEAST_ONCE false"]),
  );
});

test("in some worlds jobs are stopped, forked and rescaled, and go on at sizes up to 8", () => {
  const moves = Array.from({ length: 1_000 }, (_, at) => drawWorld(at + 1).moves).flat();
  expect(new Set(moves.map(({ kind }) => kind))).toEqual(
    new Set(["savepoint", "rescale", "stop", "cancel", "retained", "branch", "fork", "drain"]),
  );
  const next = moves.flatMap((move) => ("next" in move ? [move.next.topology] : []));
  const sizes = next.flatMap(({ sources }) => sources.map(({ parallelism }) => parallelism));
  expect(new Set(sizes)).toEqual(new Set([1, 2, 3, 4, 7, 8]));
});

test("a job goes on from a savepoint as if there had been one job", { timeout: 120_000 }, () => {
  const moving = Array.from({ length: 1_000 }, (_, at) => at + 1).filter((seed) =>
    drawWorld(seed).moves.some((move) => "next" in move),
  );
  const worlds = moving.slice(0, 12).map((seed) => simulate(seed));
  expect(worlds.flatMap(({ seed, failure }) => (failure === undefined ? [] : [seed]))).toEqual([]);
  expect(worlds.reduce((sum, { jobs }) => sum + jobs, 0)).toBeGreaterThan(worlds.length);
});

test("a seed is a world: it happens in the same way again", () => {
  const traceOf = (seed: number): string[] => {
    const lines: string[] = [];
    simulate(seed, { log: (line) => lines.push(line) });
    return lines;
  };
  let lines = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const trace = traceOf(seed);
    lines += trace.length;
    expect(traceOf(seed)).toEqual(trace);
  }
  expect(lines).toBeGreaterThan(100);
});

test("events run in the order of their times, and of one time as they were asked for", () => {
  const clock = new Clock(1_000);
  const seen: string[] = [];
  for (const delay of [30, 10, 20, 10, 30, 0]) {
    clock.later(delay, () => {
      seen.push(`${clock.now - 1_000}#${seen.length}`);
      if (delay === 20) clock.later(10, () => seen.push("last of 30"));
    });
  }
  clock.run(25);
  expect(seen).toEqual(["0#0", "10#1", "10#2", "20#3"]);
  clock.run(5);
  expect(seen.slice(4)).toEqual(["30#4", "30#5", "last of 30"]);
});

test("who is woken again and again at one time is told of, and does not go on for ever", () => {
  const clock = new Clock(1_000);
  const spin = (): void => clock.later(0, spin);
  clock.later(5, spin);
  expect(() => clock.run(10)).toThrow("C3: time stands still at 1005");
});

test.each([
  [["--seed", "7", "--trace"], { from: 7, seeds: 1, isTraced: true }],
  [["--seeds=20", "--from", "100", "--json"], { from: 100, seeds: 20, isJson: true }],
  [["--small", "--first"], { isSmall: true, isFirstOnly: true, from: 1 }],
  [
    [],
    {
      from: 1,
      seeds: 1_000,
      isFirstOnly: false,
      isTraced: false,
      isJson: false,
      isSmall: false,
    },
  ],
])("reads the arguments %j", (given, expected) => {
  const outcome = argumentsOf(given);
  expect(outcome).toMatchObject({ kind: "run", arguments: expected });
});

test.each([
  ["--seeds", "0"],
  ["--seeds", "many"],
  ["--seed"],
  ["--seed", "-1"],
  ["--seed", "1", "--seeds", "2"],
  ["--sedes", "5"],
  ["7"],
])("refuses the arguments %s %s %s %s", (...given) => {
  expect(argumentsOf(given.filter((one) => one !== undefined)).kind).toBe("refused");
});

test("--help wins", () => {
  expect(argumentsOf(["--seeds", "3", "--help"]).kind).toBe("help");
});
