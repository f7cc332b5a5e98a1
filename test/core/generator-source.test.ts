// Generated rows: each exactly once, whatever the parallelism and however often it changes, at the
// rate that was asked for.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type GeneratorProgress, GeneratorReader } from "../../connectors/generator-source.ts";
import { planOf } from "../../coordinator/plan.ts";
import { attempt, checkpointId, jobIdFrom, millis, seq } from "../../format/ids.ts";
import { sourceTurnRows } from "../../format/limits.ts";
import { fingerprintOf, shapeOf } from "../../stream/fingerprint.ts";
import {
  count,
  defineJob,
  generate,
  generateColumns,
  GraphError,
  table,
  topic,
  type GenerateOptions,
  type GeneratorSource,
} from "../../stream/index.ts";
import { Task } from "../../task/task.ts";
import type { TaskEffect } from "../../task/task-effect.ts";

const users = Array.from({ length: 7 }, (_, user) => `user-${user}`);
const rowOf = (index: number) => ({
  user: users[index % users.length]!,
  amount: index / 4,
  n: index % 1_000,
});

const asRows = (options?: GenerateOptions) => generate(rowOf, options);
const asColumns = (options?: GenerateOptions) =>
  generateColumns(
    { user: users, amount: "float64", n: "int32" },
    ({ user, amount, n }, first) => {
      for (let i = 0; i < user.length; i++) {
        const index = first + i;
        user[i] = index % users.length;
        amount[i] = index / 4;
        n[i] = index % 1_000;
      }
    },
    options,
  );

const readersOf = (
  source: GeneratorSource<unknown>,
  parallelism: number,
  restored: GeneratorProgress = [],
): GeneratorReader[] =>
  Array.from(
    { length: parallelism },
    (_, index) => new GeneratorReader("in", source, { index, parallelism, restored }),
  );

/** Everything that is left, in the order in which it is made. */
function drain(reader: GeneratorReader): unknown[] {
  const rows: unknown[] = [];
  for (let batch = reader.take(0); batch !== undefined; batch = reader.take(0)) {
    rows.push(...batch.rows());
  }
  return rows;
}

const indices = (rows: readonly unknown[]): number[] =>
  rows.map((row) => 4 * (row as { amount: number }).amount).sort((a, b) => a - b);

describe("a generator", () => {
  test("makes every row exactly once, across restores at any parallelism", () => {
    const steps = fc.array(
      fc.record({
        parallelism: fc.integer({ min: 1, max: 200 }),
        takes: fc.array(fc.nat(300), { maxLength: 20 }),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(steps, fc.nat(60_000), fc.boolean(), (attempts, total, columns) => {
        const source = (columns ? asColumns : asRows)({ rows: total });
        let restored: GeneratorProgress = [];
        const made: unknown[] = [];
        for (const { parallelism, takes } of attempts) {
          const readers = readersOf(source, parallelism, restored);
          for (const take of takes) {
            made.push(...(readers[take % parallelism]!.take(0)?.rows() ?? []));
          }
          restored = readers.flatMap((reader) => reader.snapshot());
        }
        for (const reader of readersOf(source, 3, restored)) made.push(...drain(reader));
        expect(indices(made)).toEqual(Array.from({ length: total }, (_, index) => index));
      }),
      { numRuns: 60 },
    );
  });

  test("makes the same rows from columns as from objects", () => {
    const options = { rows: 1_234 };
    const of = (source: GeneratorSource<unknown>) =>
      readersOf(source, 3).map((reader) => drain(reader));
    expect(of(asColumns(options))).toEqual(of(asRows(options)));
  });

  test("gives one subtask its rows in order, and is at its end after the last", () => {
    const [reader] = readersOf(asRows({ rows: 30_000 }), 1);
    expect(reader!.isAtEnd).toBe(false);
    const rows = drain(reader!);
    expect(rows).toEqual(Array.from({ length: 30_000 }, (_, index) => rowOf(index)));
    expect(reader!.isAtEnd).toBe(true);
    expect(reader!.readyAt(0)).toBeUndefined();
    expect(readersOf(asRows({ rows: 0 }), 1)[0]!.isAtEnd).toBe(true);
  });

  test("keeps its rate, and makes up for a second of delay at most", () => {
    const [reader] = readersOf(asRows({ rowsPerSecond: 3_000 }), 3);
    const take = (now: number): number => reader!.take(now)?.length ?? 0;
    expect(take(10_000)).toBe(0);
    let rows = 0;
    for (let now = 10_000; now <= 12_000; now = Math.max(now + 1, reader!.readyAt(now)!)) {
      rows += take(now);
    }
    expect(rows).toBeGreaterThan(1_980);
    expect(rows).toBeLessThanOrEqual(2_000);
    rows = 0;
    for (let i = 0; i < 10; i++) rows += take(60_000);
    expect(rows).toBeGreaterThan(990);
    expect(rows).toBeLessThanOrEqual(1_000);
  });

  test("makes up for a delay in as many batches as it is asked for", () => {
    const [reader] = readersOf(asRows({ rowsPerSecond: 3_000 }), 3);
    expect(reader!.take(10_000, 300)).toBeUndefined();
    const batches = Array.from({ length: 5 }, () => reader!.take(60_000, 300)?.length);
    expect(batches).toEqual([300, 300, 300, 100, undefined]);
  });

  test("of a rate below one row a moment says when the next is due", () => {
    const [reader] = readersOf(asRows({ rowsPerSecond: 2 }), 1);
    expect(reader!.readyAt(1_000)).toBe(1_500);
    expect(reader!.take(1_499)).toBeUndefined();
    expect(reader!.take(1_500)?.rows()).toEqual([rowOf(0)]);
    expect(reader!.readyAt(1_500)).toBe(2_000);
  });

  test("whose function throws, or writes what its field has not, says so", () => {
    const throwing = generate((index) => {
      throw new Error(`no row ${index}`);
    });
    expect(() => readersOf(throwing, 1)[0]!.take(0)).toThrow(
      'Operator "in" (generate) failed: Error: no row 0',
    );
    const wild = generateColumns({ user: users }, ({ user }) => user.fill(7));
    expect(() => readersOf(wild, 1)[0]!.take(0)).toThrow(
      'fill wrote 7 to field "user", which has 7 texts: write positions from 0 to 6',
    );
  });

  test.each([
    [() => generate("rows" as never), "generate was given"],
    [() => generate((async () => 1) as never as () => number), "an async function"],
    [() => generateColumns({}, () => {}), "has no field"],
    [() => generateColumns({ n: "int64" as never }, () => {}), 'has "int64" as field "n"'],
    [() => generateColumns({ n: ["a", "a"] }, () => {}), 'has an array as field "n"'],
    [() => asRows({ rows: -1 }), "has -1 rows"],
    [() => asRows({ rowsPerSecond: 0 }), "has the rowsPerSecond 0"],
  ])("refuses what it cannot be made of (%#)", (make, message) => {
    expect(make).toThrow(GraphError);
    expect(make).toThrow(message);
  });
});

describe("a job that reads a generator", () => {
  const jobOf = (source: GeneratorSource<{ user: string }>) =>
    defineJob("generated", (env) => {
      env
        .from(source, { uid: "in" })
        .keyBy(({ user }) => user)
        .aggregate({ n: count() }, { uid: "sums" })
        .to(table("sums"), { uid: "out" });
    });

  function taskOf(source: GeneratorSource<{ user: string }>): Task {
    const { graph } = jobOf(source);
    const plan = planOf(graph);
    const task = { vertex: plan.vertices[0]!.id, index: 0 };
    const { config } = graph;
    const job = jobIdFrom(new Uint8Array(16));
    return new Task({ job, attempt: attempt(1), task, plan, config }, graph, undefined, millis(0));
  }

  test("is planned like any other, and known from one that reads a topic", () => {
    const { graph } = jobOf(asColumns());
    const [vertex] = planOf(graph).vertices;
    expect(vertex).toMatchObject({ name: "Source: in", operators: ["in"] });
    expect(vertex?.source).toBeUndefined();
    expect(shapeOf(graph.nodes[0]!)).toBe("a generator");
    const other = defineJob("generated", (env) => {
      env
        .from(topic<{ user: string }>("in"), { uid: "in" })
        .keyBy(({ user }) => user)
        .aggregate({ n: count() }, { uid: "sums" })
        .to(table("sums"), { uid: "out" });
    });
    expect(fingerprintOf(other.graph)).not.toBe(fingerprintOf(graph));
  });

  /** What is sent is taken at once, so that nothing but its turn holds the source back. */
  function perform(task: Task, effects: readonly TaskEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "push") continue;
      perform(task, task.settled(effect.channel, effect.seq, millis(0)));
    }
  }

  function started(task: Task): void {
    perform(task, task.start(millis(0)));
    for (const channel of task.outputs.keys()) {
      perform(task, task.reopened(channel, seq(0), millis(0)));
    }
  }

  test("lets others have their turn, and idles once it is at its end", () => {
    const rows = 3 * sourceTurnRows + 5;
    const task = taskOf(asRows({ rows }));
    let most = 0;
    started(task);
    for (let now = 0; task.wakeAt !== undefined; now += 1_000) {
      const before = task.metrics.recordsIn;
      perform(task, task.tick(millis(now)));
      most = Math.max(most, task.metrics.recordsIn - before);
    }
    expect(most).toBe(sourceTurnRows);
    expect(task.metrics.recordsIn).toBe(rows);
    expect(task.activity.isIdle).toBe(true);
  });

  test("goes on when a checkpoint is complete, though nobody hears its timer (R1)", () => {
    const task = taskOf(asRows({ rows: 3 * sourceTurnRows }));
    started(task);
    const taken = [task.metrics.recordsIn];
    for (let n = 1; n < 3; n++) {
      perform(task, task.trigger(checkpointId(n), millis(n)));
      taken.push(task.metrics.recordsIn);
      perform(task, task.notifyComplete(checkpointId(n), millis(n)));
      taken.push(task.metrics.recordsIn);
    }
    const turns = taken.map((rows) => rows / sourceTurnRows);
    expect(turns).toEqual([1, 1, 2, 2, 3]);
  });
});
