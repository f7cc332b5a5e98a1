// The queries of Nexmark against plain loops over the same events: whatever the parallelism, and with a
// crash in the middle.

import { describe, expect, test } from "vitest";

import { queries } from "../../examples/nexmark/queries/queries.ts";
import { digestOf, type DigestPart, sumOf, textOf } from "../../examples/nexmark/row-text.ts";
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

/** Milliseconds that the last windows by the clock take to end. */
const clockWindow = 10_000;

/** Rows taken by the sources, of all there are. */
const progress = (cluster: Cluster): number =>
  Math.max(...[...cluster.tasks.values()].map(({ metrics }) => metrics.recordsIn));

/** The run in the end, after a crash in the middle. */
async function ranThrough(
  name: string,
  parallelism: number,
  results: "rows" | "digest" | "discard",
): Promise<Cluster> {
  const definition = programOf(name, { events, rate, results });
  const world = new World();
  const of = { definition, parallelism, state: { memoryBudget: 2 ** 30 } };
  const cluster = new Cluster(world, { ...of, seed: parallelism });
  const half = (0.4 * events) / parallelism;
  while (progress(cluster) < half) await cluster.ran(parallelism);
  const restore = await cluster.checkpointed();
  cluster.complete(restore);
  // What comes now is lost.
  await cluster.ran(10 * parallelism);
  cluster.stop();
  const again = await new Cluster(world, { ...of, seed: 7, restore }).settled(clockWindow);
  again.complete(await again.checkpointed());
  return again.settled();
}

/** Its table of results. */
async function resultOf(
  name: string,
  parallelism: number,
  results: "rows" | "digest",
): Promise<object[]> {
  return (await ranThrough(name, parallelism, results)).table("results") as object[];
}

/** How often there is each row. Of rows to which nothing is added the table has texts and numbers. */
function tallyOf(rows: readonly object[]): Map<string, number> {
  const tally = new Map<string, number>();
  for (const row of rows) {
    const { key, rows: often } = row as { key?: string; rows?: number };
    const isTally = typeof key === "string" && key.startsWith("[[") && often !== undefined;
    const text = isTally ? key : textOf(row);
    tally.set(text, (tally.get(text) ?? 0) + (isTally ? often : 1));
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

/** Where more rows come of a query, a digest is compared, and rows only if that is wrong. */
const comparedRowsMax = 50_000;

/** Those whose rows are the same in every run. */
const repeatable = queries.map(({ name }) => name).filter((name) => name !== "q12");

describe.each(repeatable)("%s comes to what a plain loop does", (name) => {
  const wanted = oracles[name]!(house);
  const wrongRows = async (parallelism: number): Promise<string[]> =>
    differences(tallyOf(await resultOf(name, parallelism, "rows")), tallyOf(wanted));
  const wrongDigest = async (parallelism: number): Promise<string[]> => {
    const parts = (await resultOf(name, parallelism, "digest")) as DigestPart[];
    const [is, should] = [sumOf(parts), digestOf(wanted)];
    if (is.rows === should.rows && is.hash === should.hash) return [];
    return [`${is.rows} rows instead of ${should.rows}`, ...(await wrongRows(parallelism))];
  };

  test("at parallelism 1", async () => {
    expect(wanted.length).toBeGreaterThan(0);
    const wrong = wanted.length > comparedRowsMax ? wrongDigest : wrongRows;
    expect(await wrong(1)).toEqual([]);
  });

  test("at parallelism 4", async () => {
    expect(await wrongDigest(4)).toEqual([]);
  });
});

test.each([1, 4])("q10 has each bid in one file, at parallelism %i", async (parallelism) => {
  const { world } = await ranThrough("q10", parallelism, "discard");
  const rows: object[] = [];
  for (const [path, bytes] of world.written) {
    for (const line of new TextDecoder().decode(bytes).trimEnd().split("\n")) {
      const row = JSON.parse(line) as { dt: string; hm: string };
      const folder = `/bids/dt=${row.dt}/hm=${row.hm.replace(":", "%3A")}/`;
      if (!path.includes(folder)) throw new Error(`${path} has a row of ${folder}`);
      rows.push(row);
    }
  }
  expect(differences(tallyOf(rows), tallyOf(oracles["q10"]!(house)))).toEqual([]);
});

test.each([1, 4])(
  "q12 counts each bid in one window by the clock, at parallelism %i",
  async (parallelism) => {
    const counted = new Map<number, number>();
    for (const { key, rows } of (await resultOf("q12", parallelism, "rows")) as Counted[]) {
      const row = Object.fromEntries(JSON.parse(key) as [string, number][]) as unknown as OfWindow;
      expect(row.endtime - row.starttime).toBe(clockWindow);
      expect(row.starttime % clockWindow).toBe(0);
      counted.set(row.bidder, (counted.get(row.bidder) ?? 0) + rows * row.bid_count);
    }
    const rows = Array.from(counted, ([bidder, bid_count]) => ({ bidder, bid_count }));
    expect(differences(tallyOf(rows), tallyOf(oracles["q12"]!(house)))).toEqual([]);
  },
);

interface Counted {
  readonly key: string;
  readonly rows: number;
}

interface OfWindow {
  readonly bidder: number;
  readonly bid_count: number;
  readonly starttime: number;
  readonly endtime: number;
}
