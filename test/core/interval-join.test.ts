// Pairs of rows that are near one another in time: which meet, what is kept and for how long, and that it
// is as if nothing had been lost. Mirrors IntervalJoinOperatorTest.

import { describe, expect, test } from "vitest";

import { createOperator } from "../../operators/create.ts";
import type { EventTimeOperator, RecordBatch } from "../../operators/operator.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import type { IntervalJoin } from "../../stream/joins.ts";
import { OperatorStates } from "../../task/operator-state.ts";
import { type DataStream, outputTag, rows } from "tidemark";
import { stateBackends } from "./state-backends.ts";
import { type Event, held, jobOf, madeBy, runThrough } from "./two-streams.ts";

type Pair = readonly [left: number, right: number];

/** The operator by hand: rows are their times, all of one key. */
class Joining {
  readonly made: Pair[] = [];
  readonly times: number[] = [];
  readonly late: string[] = [];
  readonly rejected: unknown[] = [];
  readonly #operator: EventTimeOperator;
  readonly #tables: ReadonlyMap<string, { readonly size: number; entries(): Iterable<unknown> }>;
  #watermark = -Infinity;

  constructor(join: Omit<IntervalJoin, "fn">, fn = (left: number, right: number) => [left, right]) {
    const backend = stateBackends[0]!.open({ maxParallelism: 16 });
    const key = (): string => "key";
    const spec = { kind: "intervalJoin", join: { ...join, fn }, rightKey: key } as const;
    const store = backend.store("op");
    this.#operator = createOperator(
      { uid: "op", spec, key },
      {
        uid: "op",
        state: store,
        operatorState: new OperatorStates([]).store("op"),
        subtask: { index: 0, parallelism: 1 },
        now: () => 0,
        watermark: () => this.#watermark,
        reject: ({ value }) => void this.rejected.push(value),
      },
    ) as EventTimeOperator;
    this.#tables = store.tables();
  }

  readonly #out = {
    emit: (batch: RecordBatch, tag?: string): void => {
      if (tag !== undefined) {
        for (const row of batch.rows()) this.late.push(`${tag} ${String(row)}`);
        return;
      }
      this.made.push(...(batch.rows() as Pair[]));
      this.times.push(...batch.timestamps!);
    },
  };

  left(...times: readonly number[]): this {
    return this.#push(times, 0);
  }

  right(...times: readonly number[]): this {
    return this.#push(times, 1);
  }

  /** A row of the left side that has no event time. */
  withoutTime(row: number): this {
    this.#operator.processBatch(new RowBatch([row]), this.#out, 0);
    return this;
  }

  watermark(time: number): this {
    while (!this.#operator.advance(time, this.#out));
    this.#watermark = time;
    return this;
  }

  /** Event times of the rows that are kept of one side. */
  kept(side: "left" | "right"): number[] {
    const entries = [...this.#tables.get(side)!.entries()] as [[string, number], unknown][];
    return entries.map(([[, time]]) => time).sort((a, b) => a - b);
  }

  get held(): number {
    return [...this.#tables.values()].reduce((sum, { size }) => sum + size, 0);
  }

  #push(times: readonly number[], input: number): this {
    const batch = new RowBatch(times, undefined, Float64Array.from(times));
    this.#operator.processBatch(batch, this.#out, input);
    return this;
  }
}

const pairs = (given: readonly Pair[]): Pair[] =>
  given.toSorted(([a, b], [c, d]) => a - c || b - d);

describe("an interval join", () => {
  const times = [1, 2, 3, 4];
  test.each([
    { lower: 0, upper: 0 },
    { lower: -2, upper: -1 },
    { lower: -1, upper: 1 },
    { lower: 1, upper: 2 },
    { lower: -10, upper: 10 },
  ])("pairs what is from $lower to $upper apart, whoever comes first", ({ lower, upper }) => {
    const expected = times.flatMap((left) =>
      times
        .filter((right) => right - left >= lower && right - left <= upper)
        .map((right) => [left, right]),
    );
    const leftFirst = new Joining({ lower, upper }).left(...times).right(...times);
    const rightFirst = new Joining({ lower, upper }).right(...times).left(...times);
    const inTurn = new Joining({ lower, upper });
    for (const time of times) inTurn.left(time).right(time).watermark(time);
    for (const joining of [leftFirst, rightFirst, inTurn]) {
      expect(pairs(joining.made)).toEqual(expected);
      expect(joining.times).toEqual(joining.made.map((pair) => Math.max(...pair)));
      expect(joining.watermark(100).held).toBe(0);
    }
  });

  test.each([
    {
      bounds: [-1, 0],
      kept: [
        [
          [2, 3, 4, 5],
          [1, 2, 3, 4, 5],
        ],
        [[5], [4, 5]],
      ],
    },
    {
      bounds: [0, 1],
      kept: [
        [
          [1, 2, 3, 4, 5],
          [2, 3, 4, 5],
        ],
        [[4, 5], [5]],
      ],
    },
  ] as const)("keeps rows between $bounds as long as others may meet them", ({ bounds, kept }) => {
    const [lower, upper] = bounds;
    const joining = new Joining({ lower, upper }).left(1, 2, 3, 4, 5).right(1, 2, 3, 4, 5);
    for (const [at, time] of [1, 4].entries()) {
      joining.watermark(time);
      expect([joining.kept("left"), joining.kept("right")]).toEqual(kept[at]);
    }
    expect(joining.watermark(6).held).toBe(0);
  });

  test("drops what is late, or puts it beside", () => {
    const bounds = { lower: -1, upper: 1 };
    const dropping = new Joining(bounds).left(1, 2, 3).right(1, 2, 3).watermark(3);
    const before = dropping.made.length;
    expect(dropping.left(1).right(2).made).toHaveLength(before);
    expect(dropping.late).toEqual([]);
    const keeping = new Joining({
      ...bounds,
      lateLeft: outputTag<number>("left"),
      lateRight: outputTag<number>("right"),
    });
    keeping.left(3).right(3).watermark(3).left(1).right(2).left(4);
    expect(keeping.late).toEqual(["left 1", "right 2"]);
    expect(pairs(keeping.made)).toEqual([
      [3, 3],
      [4, 3],
    ]);
    expect(keeping.watermark(100).held).toBe(0);
  });

  test("keeps two rows of one time", () => {
    const joining = new Joining({ lower: 0, upper: 0 }).left(1, 1).right(1, 1);
    expect(joining.made).toHaveLength(4);
    expect(joining.watermark(1).held).toBe(0);
  });

  test("leaves out a row without event time, or one whose pairs cannot be made, whole", () => {
    const joining = new Joining({ lower: -1, upper: 1 }, (left, right) => {
      if (left === 2 && right === 3) throw new Error("They do not go together.");
      return [left, right];
    });
    joining.withoutTime(7).left(1, 2).right(2, 3).right(2);
    expect(joining.rejected).toEqual([7, 3]);
    expect(joining.kept("right")).toEqual([2]);
    expect(pairs(joining.made)).toEqual([
      [1, 2],
      [1, 2],
      [2, 2],
      [2, 2],
    ]);
    expect(joining.watermark(100).held).toBe(0);
  });
});

describe("an interval join of whole streams", () => {
  const between = [-15, 30] as const;
  const joined = (left: DataStream<Event>, right: DataStream<Event>): DataStream<{ key: string }> =>
    left
      .keyBy("key")
      .intervalJoin(
        right.keyBy((row) => row.key),
        { between },
        (l, r) => ({ key: `${l.id} ${r.id}`, at: Math.max(l.at, r.at) }),
        { uid: "both" },
      )
      .keyBy("key")
      .process(
        {
          state: {},
          emits: rows<{ key: string }>(),
          process: (row: { key: string; at: number }, { timestamp, emit }) => {
            if (timestamp !== row.at) throw new Error(`The pair of ${row.at} has ${timestamp}.`);
            emit(row);
          },
        },
        { uid: "timed" },
      );

  test.each([false, true])(
    "is that of a plain loop, whatever is lost (unaligned: %s)",
    (unaligned) => {
      const definition = jobOf(joined, unaligned);
      for (let seed = 1; seed <= 12; seed++) {
        const { left, right, cluster } = runThrough(definition, { seed });
        const expected = left.flatMap((l) =>
          right
            .filter(({ key, at }) => key === l.key && at - l.at >= -15 && at - l.at <= 30)
            .map((r) => ({ key: `${l.id} ${r.id}`, at: Math.max(l.at, r.at) })),
        );
        expect(expected.length).toBeGreaterThan(50);
        expect(madeBy(cluster)).toEqual(expected.map((row) => JSON.stringify(row)).toSorted());
        expect(held(cluster)).toBe(0);
      }
    },
  );
});
