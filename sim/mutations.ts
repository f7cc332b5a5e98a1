// npm run sim:mutations: plants one mistake at a time into a copy of the tree and reports how many
// seeds the simulator needs to find it. Shows that the checks can fail.
//   M1. A mutation whose text is not in its file, exactly once, is an error: the code has moved on,
//       and the mutation must follow.
//   M2. A mutation that is not found within `seedsMax` fails the run.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mutation } from "./mutation.ts";
import { planted } from "./planted.ts";
import { plantedMoves } from "./planted-moves.ts";
import { plantedTime } from "./planted-time.ts";

const root = join(import.meta.dirname, "..");
const seedsMax = 5_000;

/** As `npm run sim` does: worlds are many small objects that die young. */
const nodeOptions = ["--max-semi-space-size=32", "--single-threaded-gc"];

function plant(mutation: Mutation, folder: string): void {
  for (const { file, from, to } of mutation.edits) {
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    const found = text.split(from).length - 1;
    if (found !== 1) {
      throw new Error(
        `"${mutation.name}": ${file} holds its text ${found} times, not once:\n${from}`,
      );
    }
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
}

interface Finding {
  readonly name: string;
  /** Worlds until the first that failed; undefined where none did. */
  readonly seeds: number | undefined;
  readonly cpuSeconds: number;
  readonly failure: string;
}

function find(mutation: Mutation): Finding {
  const folder = mkdtempSync(join(tmpdir(), "tidemark-mutation-"));
  try {
    const production = [
      "format",
      "stream",
      "operators",
      "connectors",
      "topic",
      "task",
      "coordinator",
    ];
    for (const name of [...production, "sim", "package.json"]) {
      cpSync(join(root, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    plant(mutation, folder);
    const run = spawnSync(
      process.execPath,
      [...nodeOptions, "sim/cli.ts", "--seeds", String(seedsMax), "--first", "--json"],
      { cwd: folder, encoding: "utf8", maxBuffer: 2 ** 28 },
    );
    const lines = run.stdout.trim().split("\n");
    const figures = JSON.parse(lines.at(-1) ?? "") as {
      seeds: number;
      failed: number;
      worldsPerCpuSecond: number;
    };
    const failure = lines.find((line) => line.includes("FAILED")) ?? "";
    return {
      name: mutation.name,
      seeds: figures.failed > 0 ? figures.seeds : undefined,
      cpuSeconds: figures.seeds / figures.worldsPerCpuSecond,
      failure: failure.replace(/^seed \d+ FAILED: /, "").slice(0, 160),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
let missed = 0;
for (const mutation of [...planted, ...plantedMoves, ...plantedTime]) {
  if (wanted.length > 0 && !wanted.some((part) => mutation.name.includes(part))) continue;
  const { name, seeds, cpuSeconds, failure } = find(mutation);
  if (seeds === undefined) missed++;
  const found = seeds === undefined ? `not within ${seedsMax} seeds` : `${seeds} seeds`;
  console.log(`${name}: ${found}, ${cpuSeconds.toFixed(1)} s of CPU; ${failure}`);
}
if (missed > 0) console.log(`${missed} mutations were not found.`);
process.exitCode = missed === 0 ? 0 : 1;
