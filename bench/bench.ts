// `npm run bench`: the benchmarks that are named, or all, one after the other.

import { execute } from "../local/command-line.ts";
import type { Benchmark } from "./benchmark.ts";
import { checkpointOverhead } from "./checkpoint-overhead.ts";
import { ingest } from "./ingest.ts";
import { keyedCount } from "./keyed-count.ts";
import { latency } from "./latency.ts";
import { limit } from "./limit.ts";
import { machine, versions } from "./machine.ts";
import { commandOf, type Options, usageOf } from "./options.ts";
import { nexmark } from "./nexmark.ts";
import { recovery } from "./recovery.ts";
import { tableOf } from "./report.ts";
import { scale } from "./scale.ts";
import { stateSize } from "./state-size.ts";
import { slidingWindows } from "./windows.ts";

const benchmarks: readonly Benchmark[] = [
  limit,
  keyedCount,
  ingest,
  latency,
  checkpointOverhead,
  recovery,
  stateSize,
  scale,
  slidingWindows,
  nexmark,
];

async function bench(options: Options, interrupted: AbortSignal): Promise<boolean> {
  const { names, rows, rounds, warmUps, quick, large, svg, only, json } = options;
  // Nothing is worth an orderly end: runtimes whose parent is gone end themselves.
  interrupted.addEventListener("abort", () => process.exit(1));
  const print = json ? console.error : console.log;
  const say = (text: string): void => console.error(text);
  const results: Record<string, unknown> = {};
  for (const { name, run } of benchmarks.filter(({ name }) => names.includes(name))) {
    say(`${name}, ${rows.toLocaleString("en")} rows, ${rounds} rounds`);
    const result = await run({ rows, rounds, warmUps, quick, large, svg, only, say });
    print(tableOf(name, result));
    results[name] = result;
  }
  if (json) {
    const about = { quick, rows, rounds, machine: machine(), versions: versions() };
    const [only] = names;
    const what =
      names.length === 1
        ? { benchmark: only, ...(results[only!] as object) }
        : { benchmarks: results };
    console.log(JSON.stringify({ ...what, ...about }));
  }
  return true;
}

const usage = usageOf(benchmarks);
await execute(commandOf(process.argv.slice(2), benchmarks), { script: "bench", usage, run: bench });
