// The queries of Nexmark against plain loops over the same events: whatever the parallelism, and with a
// crash in the middle.

import { describe, expect, test } from "vitest";

import { queries } from "../../examples/nexmark/queries/queries.ts";
import { textOf } from "../../examples/nexmark/row-text.ts";
import type { JobDefinition } from "tidemark";
import { houseOf } from "../nexmark/oracles/house.ts";
import { oracles } from "../nexmark/oracles/oracles.ts";
import { Cluster, World } from "../../testing/cluster.ts";

const events = 100_000;
/** Events a second, by their times: so the run takes a thousand seconds of event time. */
const rate = 100;
const house = houseOf(events, rate);

/** The program with arguments, as a submission has it. */
function programOf(name: string, args: Readonly<Record<string, string | number>>): JobDefinition {
  const definition = queries.find((query) => query.name === name)!;
  const list = Object.entries(args).map(([key, value]) => `--${key}=${value}`);
  return { ...definition, graph: definition.built(list).graph };
}

/** Rows taken by the sources, of all there are. */
const progress = (cluster: Cluster): number =>
  Math.max(...[...cluster.tasks.values()].map(({ metrics }) => metrics.recordsIn));

/** How often there is each row in the end, after a crash in the middle. */
function resultOf(name: string, parallelism: number): Map<string, number> {
  const definition = programOf(name, { events, rate, results: "rows" });
  const world = new World();
  const cluster = new Cluster(world, { definition, parallelism, seed: parallelism });
  const half = (0.4 * events) / parallelism;
  while (progress(cluster) < half) cluster.run(20);
  const restore = cluster.checkpoint();
  // What comes now is lost.
  cluster.run(100);
  const again = new Cluster(world, { definition, parallelism, seed: 7, restore }).settle();
  return tallyOf(again.table("results") as object[]);
}

/** Of rows to which nothing is added there are texts with their numbers. */
function tallyOf(rows: readonly object[]): Map<string, number> {
  const tally = new Map<string, number>();
  for (const row of rows) {
    const { key, rows: often } = row as { key?: string; rows?: number };
    if (typeof key === "string" && key.startsWith("[[") && often !== undefined) {
      tally.set(key, often);
    } else tally.set(textOf(row), 1);
  }
  return tally;
}

function expected(name: string): Map<string, number> {
  const tally = new Map<string, number>();
  for (const row of oracles[name]!(house)) {
    const text = textOf(row);
    tally.set(text, (tally.get(text) ?? 0) + 1);
  }
  return tally;
}

/** A few rows that differ in how often they are there; vitest's own differences take minutes here. */
function differences(actual: Map<string, number>, wanted: Map<string, number>): string[] {
  const found: string[] = [];
  for (const text of new Set([...actual.keys(), ...wanted.keys()])) {
    const [is, should] = [actual.get(text) ?? 0, wanted.get(text) ?? 0];
    if (is !== should) found.push(`${is} instead of ${should} of ${text}`);
    if (found.length === 5) break;
  }
  return found;
}

describe.each(queries.map(({ name }) => name))("%s", (name) => {
  const wanted = expected(name);

  test.each([1, 4])("comes to what a plain loop does, at parallelism %i", (parallelism) => {
    expect(wanted.size).toBeGreaterThan(0);
    expect(differences(resultOf(name, parallelism), wanted)).toEqual([]);
  });
});
