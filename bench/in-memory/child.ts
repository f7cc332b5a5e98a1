// One library after another counts, as the parent asks.

import { countWithD2ts } from "./d2ts.ts";
import type { CountAnswer, CountRequest } from "./in-memory.ts";
import { countWithRxjs } from "./rxjs.ts";

const libraries = { d2ts: countWithD2ts, rxjs: countWithRxjs };

process.on("message", ({ library, rows }: CountRequest) => {
  const before = process.cpuUsage();
  const begunAt = performance.now();
  const tallies = libraries[library](rows);
  const seconds = (performance.now() - begunAt) / 1_000;
  const { user, system } = process.cpuUsage(before);
  const answer: CountAnswer = { seconds, cpuSeconds: (user + system) / 1e6, tallies: [...tallies] };
  process.send?.(answer);
});
process.on("disconnect", () => process.exit());
