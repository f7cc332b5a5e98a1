// npm run sim: runs worlds by seed, says which failed, and ends with the command that shows it again.

import { type Arguments, argumentsOf, usage } from "./arguments.ts";
import { simulate, type WorldResult } from "./simulation.ts";

/** Failures shown in full; the others are counted. */
const shownMax = 10;

const outcome = argumentsOf(process.argv.slice(2));
switch (outcome.kind) {
  case "help":
    console.log(usage);
    break;
  case "refused":
    console.error(`${outcome.problem}\n\n${usage}`);
    process.exitCode = 2;
    break;
  case "run":
    process.exitCode = run(outcome.arguments);
    break;
  default:
    outcome satisfies never;
}

function run({ from, seeds, isFirstOnly, isTraced, isJson, isSmall }: Arguments): number {
  console.log(seeds === 1 ? `seed ${from}` : `seeds ${from} to ${from + seeds - 1}`);
  const begin = process.cpuUsage();
  const startedAt = performance.now();
  const failed: WorldResult[] = [];
  const faults = new Map<string, number>();
  let worlds = 0;
  let checkpoints = 0;
  let attempts = 0;
  let savepoints = 0;
  let rescales = 0;
  let jobs = 0;
  let rests = 0;
  let fallbacks = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    if (isTraced) console.log(`world ${seed}`);
    const result = simulate(seed, {
      ...(isTraced && { log: (line) => console.log(line) }),
      ...(isSmall && { size: "small" }),
    });
    worlds++;
    checkpoints += result.checkpoints;
    attempts += result.attempts;
    savepoints += result.savepoints.completed;
    jobs += result.jobs;
    rescales += result.rescales;
    rests += result.rests;
    fallbacks += result.fallbacks;
    for (const [fault, count] of result.faults) {
      faults.set(fault, (faults.get(fault) ?? 0) + count);
    }
    if (result.failure === undefined) continue;
    failed.push(result);
    if (failed.length <= shownMax) console.log(`seed ${seed} FAILED: ${result.failure}`);
    if (isFirstOnly) break;
  }

  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = process.cpuUsage(begin);
  const figures = {
    seeds: worlds,
    failed: failed.length,
    worldsPerSecond: round(worlds / seconds),
    // On a machine that does other things, too, this is the better figure.
    worldsPerCpuSecond: round((worlds * 1_000_000) / (cpu.user + cpu.system)),
    checkpoints,
    attempts,
    savepoints,
    rescales,
    jobs,
    rests,
    fallbacks,
    faults: Object.fromEntries(faults),
    failedSeeds: failed.map(({ seed }) => seed),
  };
  const met = [...faults].map(([fault, count]) => `${count} ${fault}`).join(", ");
  console.log(
    `${worlds} worlds, ${failed.length} failed, ${figures.worldsPerSecond} a second ` +
      `(${figures.worldsPerCpuSecond} a second of CPU), ${jobs} jobs, ` +
      `${checkpoints} checkpoints, ${savepoints} savepoints, ` +
      `${rescales} rescales, ${attempts} attempts; faults: ${met === "" ? "none" : met}`,
  );
  const [first] = failed;
  if (first !== undefined) {
    console.log(`npm run sim -- --seed ${first.seed}${isSmall ? " --small" : ""} --trace`);
  }
  if (isJson) console.log(JSON.stringify(figures));
  return failed.length === 0 ? 0 : 1;
}

function round(rate: number): number {
  return Math.round(rate * 10) / 10;
}
