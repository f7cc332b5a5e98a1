// What process functions have in place of the clock and of chance, and what they do when all input has
// ended.

import { describe, expect, test } from "vitest";

import { createOperator } from "../../operators/create.ts";
import { RowBatch } from "../../operators/row-batch.ts";
import {
  boundedOutOfOrderness,
  defineJob,
  generate,
  type JobDefinition,
  listState,
  rows,
  table,
  topic,
} from "tidemark";
import { OperatorStates } from "../../task/operator-state.ts";
import { stateBackends } from "./state-backends.ts";
import { Cluster, World } from "../../testing/cluster.ts";

interface Item {
  readonly id: number;
  readonly isBad?: boolean;
}

interface Drawn {
  readonly key: number;
  readonly number: number;
}

const items = topic<Item>("items", { partitions: 1 });

const drawing = (keyed: boolean): JobDefinition =>
  defineJob("drawing", (env) => {
    const stream = env.from(items, { uid: "items", parallelism: 1 });
    const draw = (
      { id, isBad }: Item,
      ctx: { readonly emit: (row: Drawn) => void; readonly random: () => number },
    ): void => {
      ctx.emit({ key: id, number: ctx.random() });
      if (isBad) throw new Error("It is left out.");
    };
    const options = { uid: "draw", onError: "drop" } as const;
    const drawn = keyed
      ? stream.keyBy("id").process({ state: {}, emits: rows<Drawn>(), process: draw }, options)
      : stream.rebalance().process({ emits: rows<Drawn>(), process: draw }, options);
    drawn.to(table("drawn"), { uid: "out" });
  });

const append = (world: World, from: number, to: number): void => {
  for (let id = from; id < to; id++) world.append("items", 0, [{ id }]);
};

const numbersOf = (cluster: Cluster): Map<number, number> =>
  new Map((cluster.settle().table("drawn") as Drawn[]).map(({ key, number }) => [key, number]));

describe.each([true, false])("numbers drawn by a function (keyed: %s)", (keyed) => {
  const definition = drawing(keyed);

  test("come again after a failure", () => {
    const straight = new World();
    append(straight, 0, 60);
    const expected = numbersOf(new Cluster(straight, { definition, parallelism: 2 }));
    expect(new Set(expected.values()).size).toBe(60);

    const world = new World();
    append(world, 0, 30);
    const first = new Cluster(world, { definition, parallelism: 2, seed: 5 });
    first.run(40);
    const restore = first.checkpoint();
    append(world, 30, 60);
    first.settle(); // and is lost
    const second = new Cluster(world, { definition, parallelism: 2, restore, seed: 9 });
    expect(numbersOf(second)).toEqual(expected);
  });

  test("are others at another size, and never those of before", () => {
    const world = new World();
    append(world, 0, 40);
    const one = new Cluster(world, { definition, parallelism: 2 }).settle();
    append(world, 40, 80);
    const two = new Cluster(world, { definition, parallelism: 4, restore: one.checkpoint() });
    two.settle();
    append(world, 80, 120);
    const three = new Cluster(world, { definition, parallelism: 1, restore: two.checkpoint() });
    three.settle();
    append(world, 120, 160);
    const four = new Cluster(world, { definition, parallelism: 4, restore: three.checkpoint() });
    const all = [...numbersOf(four).values()];
    expect(all).toHaveLength(160);
    expect(new Set(all).size).toBe(160);
    expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...all)).toBeLessThan(1);
    const mean = all.reduce((sum, number) => sum + number, 0) / all.length;
    expect(mean).toBeGreaterThan(0.4);
    expect(mean).toBeLessThan(0.6);
  });

  test("are not used up by a row that is left out", () => {
    const numbers = (given: readonly Item[]): number[] => {
      const world = new World();
      world.append("items", 0, given);
      return [...numbersOf(new Cluster(world, { definition, parallelism: 1 })).values()];
    };
    expect(numbers([{ id: 1 }, { id: 2, isBad: true }, { id: 3 }])).toEqual(
      numbers([{ id: 1 }, { id: 3 }]),
    );
  });
});

test.each([true, false])("now is the processing time of the engine (keyed: %s)", (keyed) => {
  const seen: number[] = [];
  const fn = {
    state: {},
    process: (_: Item, { now }: { readonly now: () => number }) => void seen.push(now()),
  };
  const node = {
    uid: "op",
    spec: { kind: "process", fn: (keyed ? fn : { process: fn.process }) as never } as const,
    ...(keyed && { key: ({ id }: Item) => id }),
  };
  let now = 7;
  const operator = createOperator(node, {
    uid: "op",
    state: stateBackends[0]!.open({ maxParallelism: 16 }).store("op"),
    operatorState: new OperatorStates([]).store("op"),
    subtask: { index: 0, parallelism: 1 },
    now: () => now,
    watermark: () => -Infinity,
  });
  const out = { emit: () => {} };
  operator.processBatch(new RowBatch([{ id: 1 }, { id: 2 }]), out, 0);
  now = 11;
  operator.processBatch(new RowBatch([{ id: 3 }]), out, 0);
  expect(seen).toEqual([7, 7, 11]);
});

test("close is called once, after the last row, whatever is restored then", () => {
  const definition = defineJob("closing", (env) => {
    env
      .from(
        generate((index) => ({ id: index }), { rows: 10 }),
        { uid: "ids", watermarks: boundedOutOfOrderness(1, { timestamp: "id" }) },
      )
      .process(
        {
          operatorState: { buffer: listState<number>() },
          emits: rows<{ key: string; ids: readonly number[] }>(),
          process({ id }, { operatorState: { buffer }, emit }) {
            buffer.add(id);
            if (buffer.get().length < 4) return;
            emit({ key: `full ${id}`, ids: buffer.get() });
            buffer.clear();
          },
          close({ operatorState: { buffer }, emit }) {
            emit({ key: "left", ids: buffer.get() });
            buffer.add(-1);
          },
        },
        { uid: "fours" },
      )
      .to(table("fours"), { uid: "out" });
  });
  const world = new World();
  const options = { definition, parallelism: 1 };
  const ended = new Cluster(world, options).settle();
  const expected = [
    { key: "full 3", ids: [0, 1, 2, 3] },
    { key: "full 7", ids: [4, 5, 6, 7] },
    { key: "left", ids: [8, 9] },
  ];
  expect(new Set(ended.table("fours"))).toEqual(new Set(expected));
  const again = new Cluster(world, { ...options, restore: ended.checkpoint() }).settle();
  expect(new Set(again.table("fours"))).toEqual(new Set(expected));
});

describe("event time of a function without keys", () => {
  interface Seen {
    readonly id: number;
    readonly timestamp: number | undefined;
    readonly watermark: number;
  }
  const timed = defineJob("timed", (env) => {
    env
      .from(items, { uid: "items", watermarks: boundedOutOfOrderness(5, { timestamp: "id" }) })
      .rebalance()
      .process(
        {
          emits: rows<Seen>(),
          process: ({ id }, { timestamp, currentWatermark, emit }) =>
            emit({ id, timestamp, watermark: currentWatermark() }),
        },
        { uid: "seen" },
      )
      .to(table("seen", { key: ({ id }) => id }), { uid: "out" });
  });
  const last = (cluster: Cluster): unknown => cluster.settle().table("seen").at(-1);

  test("is that of the row, and of the rows before; after a failure no less", () => {
    const world = new World();
    const options = { definition: timed, parallelism: 1 };
    const first = new Cluster(world, options);
    world.append("items", 0, [{ id: 10 }]);
    expect(last(first)).toEqual({ id: 10, timestamp: 10, watermark: -Infinity });
    world.append("items", 0, [{ id: 20 }]);
    expect(last(first)).toEqual({ id: 20, timestamp: 20, watermark: 4 });
    world.append("items", 0, [{ id: 11 }]);
    expect(last(first)).toEqual({ id: 11, timestamp: 11, watermark: 14 });
    const restore = first.checkpoint();
    first.stop();
    world.append("items", 0, [{ id: 12 }]);
    const second = new Cluster(world, { ...options, parallelism: 2, restore });
    expect(last(second)).toEqual({ id: 12, timestamp: 12, watermark: 14 });
  });

  test("is none where rows have none", () => {
    const untimed = defineJob("untimed", (env) => {
      env
        .from(items, { uid: "items" })
        .process(
          {
            emits: rows<Seen>(),
            process: ({ id }, { timestamp, currentWatermark, emit }) =>
              emit({ id, timestamp, watermark: currentWatermark() }),
          },
          { uid: "seen" },
        )
        .to(table("seen", { key: ({ id }) => id }), { uid: "out" });
    });
    const world = new World();
    world.append("items", 0, [{ id: 1 }]);
    const cluster = new Cluster(world, { definition: untimed, parallelism: 1 });
    expect(last(cluster)).toEqual({ id: 1, timestamp: undefined, watermark: -Infinity });
  });
});
