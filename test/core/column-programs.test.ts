// Programs drawn from seeds, over rows that come in columns, in frames long and short, through several
// subtasks, checkpoints and changes of layout: in the end what they show is what a loop over the rows
// comes to. What is drawn is what decides which way rows are held: keys by name or by function, texts
// that repeat or do not, numbers of either width, batches of one row and of thousands in turn, rows
// that lack what others have.

import { describe, expect, test } from "vitest";

import { keyId, isKey, type Key, type KeyId } from "../../format/key.ts";
import type { Manifest } from "../../format/manifest.ts";
import { Prng } from "../../sim/prng.ts";
import {
  avg,
  count,
  type DataStream,
  defineJob,
  generate,
  generateColumns,
  type JobDefinition,
  max,
  min,
  sum,
  table,
  topic,
} from "tidemark";
import { exactly } from "./format-arbitraries.ts";
import { Cluster, World } from "../../testing/cluster.ts";

interface Row {
  readonly key: string;
  /** Any number that sums of are exact, in any order. */
  readonly n: number;
  /** Whole and not negative: its sums only grow. */
  readonly m: number;
}

interface Program {
  readonly source: "topic" | "columns" | "rows";
  readonly steps: readonly ("map" | "filter" | "flatMap" | "keep all" | "rebalance")[];
  /** Keys and aggregates by the names of fields, or by functions. */
  readonly keyByName: boolean;
  readonly foldByName: boolean;
  /** Whether rows are counted by two fields as well. */
  readonly hasPairs: boolean;
  readonly bufferTimeout: number;
  /** Of the topic: where there is one a batch comes as it was written, and not in parts. */
  readonly partitions: number;
}

// What the program does with a row, and the loop, too.
const mapped = (row: Row): Row => ({ ...row, n: row.n * 2, m: row.m + 1 });
const doubled = (row: Row): Row[] => (row.m % 3 === 0 ? [row, { ...row, m: row.m + 2 }] : [row]);
const passes = ({ m }: Row): boolean => m % 5 !== 0;

function definitionOf(program: Program, generated: readonly Row[]): JobDefinition {
  const { source, steps, keyByName, foldByName, bufferTimeout, partitions } = program;
  return defineJob(
    "columns",
    (env) => {
      const sourceOf = (): DataStream<Row> => {
        if (source === "topic") {
          return env.from(topic<Row>("rows", { partitions }), { uid: "in" });
        }
        const rows = generated.length;
        if (source === "rows") {
          return env.from(
            generate((at) => generated[at]!, { rows }),
            { uid: "in" },
          );
        }
        const texts = [...new Set(generated.map(({ key }) => key))];
        const codes = new Map(texts.map((text, code) => [text, code]));
        const made = generateColumns(
          { key: texts, n: "float64", m: "int32" },
          ({ key, n, m }, first) => {
            for (let at = 0; at < key.length; at++) {
              const row = generated[first + at]!;
              key[at] = codes.get(row.key)!;
              n[at] = row.n;
              m[at] = row.m;
            }
          },
          { rows },
        );
        return env.from(made, { uid: "in" });
      };
      const rows = steps.reduce((before: DataStream<Row>, kind, at) => {
        const options = { uid: `step-${at}` };
        if (kind === "map") return before.map(mapped, options);
        if (kind === "flatMap") return before.flatMap(doubled, options);
        if (kind === "filter") return before.filter(passes, options);
        if (kind === "keep all") return before.filter(() => true, options);
        return before.rebalance();
      }, sourceOf());
      const keyed = keyByName ? rows.keyBy("key") : rows.keyBy((row) => row.key);
      const folds = foldByName
        ? { rows: count(), total: sum("n"), mean: avg("n"), least: min("n"), most: max("n") }
        : {
            rows: count(),
            total: sum((row: Row) => row.n),
            mean: avg((row: Row) => row.n),
            least: min((row: Row) => row.n),
            most: max((row: Row) => row.n),
          };
      const grown = foldByName ? sum("m") : sum((row: Row) => row.m);
      const stats = keyed.aggregate({ ...folds, grown }, { uid: "stats" });
      stats.to(table("stats"), { uid: "stats-out" });
      // Whatever batches the results came in, the greatest came once and is there.
      (keyByName ? stats.keyBy("key") : stats.keyBy((stat) => stat.key))
        .aggregate(
          foldByName
            ? { rows: max("rows"), grown: max("grown") }
            : { rows: max((stat) => stat.rows), grown: max((stat) => stat.grown) },
          { uid: "greatest" },
        )
        .to(table("greatest"), { uid: "greatest-out" });
      if (program.hasPairs) {
        const pairs = keyByName ? rows.keyBy("key", "m") : rows.keyBy((row) => [row.key, row.m]);
        const total = foldByName ? sum("n") : sum((row: Row) => row.n);
        pairs
          .aggregate({ rows: count(), total }, { uid: "pairs" })
          .to(table("pairs"), { uid: "pairs-out" });
      }
      rows.to(table("last"), { uid: "last-out" });
    },
    { parallelism: 2, bufferTimeout, onError: "drop" },
  );
}

/** The same by a loop: what each table shows. */
function looped({ steps }: Program, given: readonly Row[]): Record<string, Map<KeyId, unknown>> {
  const stats = new Map<KeyId, { key: Key; n: number[]; grown: number }>();
  const pairs = new Map<KeyId, { key: Key; rows: number; total: number }>();
  const last = new Map<KeyId, unknown>();
  const stepped = (row: Row, kind: Program["steps"][number]): Row[] => {
    if (kind === "map") return [mapped(row)];
    if (kind === "flatMap") return doubled(row);
    return kind === "filter" && !passes(row) ? [] : [row];
  };
  const came = steps.reduce(
    (rows, kind) => rows.flatMap((row) => stepped(row, kind)),
    given.slice(),
  );
  for (const row of came) {
    if (!isKey(row.key)) continue;
    const id = keyId(row.key);
    last.set(id, row);
    if (typeof row.n !== "number" || typeof row.m !== "number") continue;
    const pair = keyId([row.key, row.m]);
    const of = pairs.get(pair) ?? { key: [row.key, row.m], rows: 0, total: 0 };
    pairs.set(pair, { key: of.key, rows: of.rows + 1, total: of.total + row.n });
    const { key, n, grown } = stats.get(id) ?? { key: row.key, n: [], grown: 0 };
    n.push(row.n);
    stats.set(id, { key, n, grown: grown + row.m });
  }
  const folded = [...stats].map(([id, { key, n, grown }]): [KeyId, Record<string, unknown>] => {
    const total = n.reduce((before, value) => before + value, 0);
    const rows = n.length;
    const least = n.reduce((before, value) => Math.min(before, value), Infinity);
    const most = n.reduce((before, value) => Math.max(before, value), -Infinity);
    return [id, { key, rows, total, mean: total / rows, least, most, grown }];
  });
  const greatest = folded.map(([id, { key, rows, grown }]) => [id, { key, rows, grown }] as const);
  return { stats: new Map(folded), greatest: new Map<KeyId, unknown>(greatest), pairs, last };
}

/** Draws rows: the keys of one kind, of which each batch has some, often or once. */
class Rows {
  readonly #prng: Prng;
  readonly #keys: readonly unknown[];
  readonly #numbers: readonly number[];
  readonly #isRagged: boolean;

  constructor(prng: Prng, isOfTexts: boolean) {
    this.#prng = prng;
    const many = prng.pick([2, 9, 60, 900]);
    const texts = Array.from({ length: many }, (_, at) => `the user with number ${at}`);
    const odd = [
      "",
      "\0",
      "\0sa",
      "\0t[]",
      "\ud800",
      "\udc00",
      "\ud83d\ude00",
      "é",
      "__proto__",
      "1",
    ];
    const others = [1, "1", true, 1n, "true", ["a", 1], ["a", "1"], NaN, 0.5, 2 ** 31, ...odd];
    const kinds = [odd, [...texts.keys()], [true, false], others];
    this.#keys = isOfTexts || prng.chance(0.6) ? texts : prng.pick(kinds);
    this.#isRagged = !isOfTexts && prng.chance(0.4);
    this.#numbers = prng.pick([
      [0, 1, 2, -3],
      [0.5, -0, 0, 4, 2 ** 31, -(2 ** 31)],
      [1, 2.5, NaN, Infinity, -Infinity],
    ]);
  }

  /** Long ones and short ones in turn. */
  batch(): Row[] {
    const prng = this.#prng;
    const length = prng.pick([1, 2, 16, 16, 17, 19, 24, 50, 300, 1_200]);
    const first = prng.below(this.#keys.length);
    const kinds = prng.pick([1, 3, 8, 8, 12, 40, this.#keys.length]);
    const numbers = prng.chance(0.5) ? [1, 2] : this.#numbers;
    const shape = this.#isRagged
      ? prng.pick(["own", "own", "ragged", "other", "wider", "turned"] as const)
      : "own";
    return Array.from({ length }, () => {
      const key = this.#keys[(first + prng.below(kinds)) % this.#keys.length];
      const row = { key, n: prng.pick(numbers), m: prng.below(100) };
      if (shape === "other") return { key, n: row.n, o: row.m } as unknown as Row;
      if (shape === "wider") return { key, n: row.n, m: row.m, o: 1 } as Row;
      if (shape === "turned") return { m: row.m, n: row.n, key } as Row;
      if (shape === "own" || prng.chance(0.8)) return row as Row;
      const lacking = [
        { key, m: row.m },
        { ...row, n: null },
        { ...row, key: undefined },
        { ...row, more: "text" },
        { m: row.m, n: row.n, key },
      ];
      return prng.pick<unknown>(lacking) as Row;
    });
  }
}

const nameOf = (id: KeyId): string => `${typeof id} ${String(id)}`;

const partitionOf = ({ key }: Row, partitions: number): number => {
  const text = String(key);
  let hash = text.length;
  for (let at = 0; at < text.length; at++) hash = (hash * 31 + text.charCodeAt(at)) >>> 0;
  return hash % partitions;
};

/** A program at work, and the rows that it was given. */
class Drawn {
  readonly program: Program;
  readonly world = new World();
  readonly given: Row[] = [];
  readonly #prng: Prng;
  readonly #rows: Rows;
  readonly #definition: JobDefinition;
  /** Tables that are what the loop says whatever the order of rows of one key in two places was. */
  readonly tables: readonly string[];

  constructor(seed: number) {
    const prng = new Prng(seed);
    this.#prng = prng;
    const source = prng.pick(["topic", "topic", "topic", "columns", "rows"] as const);
    const isTopic = source === "topic";
    this.program = {
      source,
      steps: Array.from({ length: prng.pick([0, 0, 0, 1, 1, 2, 3]) }, () =>
        prng.pick(["map", "filter", "filter", "flatMap", "keep all", "rebalance"] as const),
      ),
      keyByName: prng.chance(0.8),
      foldByName: prng.chance(0.8),
      bufferTimeout: prng.pick([0, 0, 5]),
      partitions: prng.pick([1, 1, 1, 3]),
      hasPairs: prng.chance(0.3),
    };
    this.#rows = new Rows(prng, !isTopic);
    if (!isTopic) for (let at = 0; at < 12; at++) this.given.push(...this.#rows.batch());
    this.#definition = definitionOf(this.program, this.given.slice());
    const isInOrder = isTopic && !this.program.steps.includes("rebalance");
    this.tables = [
      "stats",
      "greatest",
      ...(this.program.hasPairs ? ["pairs"] : []),
      ...(isInOrder ? ["last"] : []),
    ];
  }

  cluster(restore?: Manifest): Cluster {
    const prng = this.#prng;
    const unaligned = prng.chance(0.5);
    const backend = prng.pick(["memory", "memory", "sqlite"] as const);
    return new Cluster(this.world, {
      definition: this.#definition,
      parallelism: prng.pick([1, 2, 3, 5, 8]),
      seed: prng.below(1_000_000),
      checkpointing: { unaligned, inlineThreshold: prng.pick([0, 20_000]) },
      state: {
        backend,
        memoryBudget: backend === "memory" ? 2 ** 26 : prng.pick([5_000, 2 ** 26]),
      },
      ...(restore && { restore }),
    });
  }

  /** More rows, where they are not generated. */
  feed(): void {
    const { source, partitions } = this.program;
    if (source !== "topic") return;
    for (let batches = this.#prng.between(1, 8); batches > 0; batches--) {
      const rows = this.#rows.batch();
      for (const [partition, own] of Map.groupBy(rows, (row) => partitionOf(row, partitions))) {
        this.world.append("rows", partition, own);
      }
      this.given.push(...rows);
    }
  }

  run(): void {
    const prng = this.#prng;
    this.feed();
    let cluster = this.cluster();
    for (let stages = prng.between(1, 4); stages > 0; stages--) {
      this.feed();
      if (prng.chance(0.5)) {
        // With rows under way.
        const manifest = cluster.run(prng.below(60)).checkpoint({ ticks: prng.chance(0.5) });
        if (prng.chance(0.5)) cluster = this.cluster(manifest);
        else cluster.complete(manifest);
        continue;
      }
      cluster.settle();
      expectShown(this, cluster, "latest");
      const before = this.given.slice();
      cluster.complete(cluster.checkpoint());
      this.feed();
      cluster.settle();
      expectShown(this, cluster, "latest");
      expectShown(this, cluster, "committed", before);
      // Nobody says that this one is complete.
      const manifest = cluster.checkpoint();
      expectShown(this, cluster, "committed", before);
      if (prng.chance(0.6)) cluster = this.cluster(manifest);
    }
    cluster.settle();
    expectShown(this, cluster, "latest");
  }
}

/** What the tables show must be what the loop comes to over these rows. */
function expectShown(
  { program, tables, given: all }: Drawn,
  cluster: Cluster,
  read: "committed" | "latest",
  given: readonly Row[] = all,
): void {
  const wanted = looped(program, given);
  const sorted = (shown: readonly [KeyId, unknown][]): unknown[] =>
    shown.toSorted(([left], [right]) => (nameOf(left) < nameOf(right) ? -1 : 1));
  for (const name of tables) {
    const shown = (cluster.table(name, read) as Row[]).map((row): [KeyId, unknown] => [
      keyId(row.key),
      row,
    ]);
    expect(sorted(shown), `${name}, ${read}`).toSatisfy(exactly(sorted([...wanted[name]!])));
  }
}

describe("what tables show of rows in columns is what a loop over the rows comes to", () => {
  test.each(Array.from({ length: 20 }, (_, group) => group))("seeds %i and on, by 20", (group) => {
    for (let seed = group; seed < 100; seed += 20) {
      const drawn = new Drawn(seed);
      try {
        drawn.run();
      } catch (cause) {
        const program = JSON.stringify(drawn.program);
        throw new Error(`Seed ${seed}, ${program}: ${String(cause)}`, { cause });
      }
    }
  });
});
