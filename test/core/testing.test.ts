// `tidemark/testing`: a job and an operator in the tests of their author.

import { describe, expect, test } from "vitest";

import {
  boundedOutOfOrderness,
  count,
  type DataStream,
  defineJob,
  fromIterable,
  generate,
  type GenerateOptions,
  max,
  rows,
  sum,
  table,
  topic,
  valueState,
} from "tidemark";
import {
  checkpoint,
  crash,
  type JobRun,
  operatorHarness,
  rescale,
  runJob,
  type RunOptions,
  wait,
} from "tidemark/testing";

interface Flight {
  readonly origin: string;
  readonly delay: number;
}

const flights = topic<Flight>("flights", { key: ({ origin }) => origin });

const worst = defineJob("worst", (env) => {
  env
    .from(flights, { uid: "flights" })
    .keyBy("origin")
    .aggregate({ n: count(), worst: max("delay") }, { uid: "by-origin" })
    .to(table("by-origin"), { uid: "out" });
});

const origins = ["BOS", "JFK", "SFO"];
const many = Array.from({ length: 500 }, (_, n): Flight => ({
  origin: origins[n % 3]!,
  delay: (n * 37) % 101,
}));

describe("runJob", () => {
  test("counts each row once, whatever happens in between", async () => {
    const expected = origins.map((key) => {
      const own = many.filter(({ origin }) => origin === key);
      return { key, n: own.length, worst: Math.max(...own.map(({ delay }) => delay)) };
    });
    for (let seed = 1; seed <= 10; seed++) {
      const input = [
        ...many.slice(0, 100),
        crash(),
        ...many.slice(100, 200),
        checkpoint(),
        rescale(4),
        ...many.slice(200, 300),
        wait("1 min"),
        crash(),
        rescale(1),
        ...many.slice(300),
      ];
      const run = await runJob(worst, { flights: input }, { seed });
      expect(run.attempts).toBe(5);
      expect(run.checkpoints).toBeGreaterThan(2);
      expect(run.table("by-origin").toSorted(byKey)).toEqual(expected);
    }
  });

  test("is the same run for the same seed", async () => {
    const runs = [1, 1, 2].map((seed) => runJob(worst, { flights: many }, { seed }));
    const [first, again, other] = await Promise.all(runs);
    expect(again).toMatchObject({ tables: first!.tables, checkpoints: first!.checkpoints });
    expect(other!.checkpoints).not.toBe(first!.checkpoints);
  });

  test("lets processing time pass", async () => {
    const reminders = defineJob("reminders", (env) => {
      env
        .from(topic<{ key: string }>("tasks"), { uid: "tasks" })
        .keyBy("key")
        .process(
          {
            state: {},
            emits: rows<{ key: string }>(),
            process: (_, { timers }) =>
              timers.registerProcessingTime(timers.currentProcessingTime() + 60_000),
            onTimer: (_, { key, emit }) => emit({ key }),
          },
          { uid: "after-a-minute" },
        )
        .to(table("due"), { uid: "due" });
    });
    const early = await runJob(reminders, { tasks: [{ key: "a" }, wait("59 s")] });
    expect(early.tables).toEqual({ due: [] });
    const due = await runJob(reminders, {
      tasks: [{ key: "a" }, wait("59 s"), crash(), wait("2 min")],
    });
    expect(due.tables).toEqual({ due: [{ key: "a" }] });
  });

  test("refuses rows of a topic that the job does not read, and tables that it has not", async () => {
    await expect(runJob(worst, { flight: [] })).rejects.toThrow(
      'runJob was given rows of topic "flight", which job "worst" does not read. Its topics: "flights".',
    );
    const run = await runJob(worst, {});
    expect(() => run.table("by-orgin")).toThrow('has no table "by-orgin", but by-origin');
    expect(() => rescale(0)).toThrow("rescale was given the parallelism 0");
    expect(() => wait("soon" as never)).toThrow("wait was given");
  });

  test.each<[RunOptions, string]>([
    [{ parallelism: 0 }, "runJob was given the parallelism 0. Allowed: a whole number from 1"],
    [{ parallelism: 129 }, "the job's max parallelism, which is 128"],
    [{ parallelism: NaN }, "runJob was given the parallelism NaN"],
    [{ seed: NaN }, "runJob was given NaN as seed"],
    [{ now: NaN }, "runJob was given NaN as now"],
    [{ checkpointsPerRow: NaN }, "runJob was given NaN as checkpointsPerRow"],
    [{ drain: "no" as never }, 'runJob was given "no" as drain'],
  ])("refuses options that make no sense: %o", async (options, problem) => {
    await expect(runJob(worst, { flights: many }, options)).rejects.toThrow(problem);
  });

  test("refuses inputs that are no lists, and a parallelism that the job cannot have", async () => {
    await expect(runJob(worst, { flights: { a: 1 } as never })).rejects.toThrow(
      'runJob was given an object for "flights". Allowed: an array of rows and steps.',
    );
    await expect(runJob(worst, { flights: [rescale(129)] })).rejects.toThrow(
      "rescale was given the parallelism 129. Allowed: a whole number from 1 to the job's max",
    );
  });

  const counted = (options: GenerateOptions) =>
    defineJob("counted", (env) => {
      env
        .from(
          generate((index) => ({ key: index % 2 }), options),
          { uid: "made" },
        )
        .keyBy("key")
        .aggregate({ n: count() }, { uid: "count" })
        .to(table("counts"), { uid: "out" });
    });

  test("refuses a generator that would go on for ever", async () => {
    await expect(runJob(counted({}), {})).rejects.toThrow(
      'runJob cannot run job "counted" to its end: source "made" has no end and no pace.',
    );
  });

  test("lets a generator make all of its rows, or as many as its pace allows", async () => {
    for (const options of [{ rows: 500 }, { rows: 500, rowsPerSecond: 3 }]) {
      for (const drain of [true, false]) {
        const run = await runJob(counted(options), {}, { parallelism: 3, drain });
        const sizes = run.table<{ key: number; n: number }>("counts").toSorted(byKey);
        expect(sizes.map(({ n }) => n)).toEqual([250, 250]);
      }
    }
    const endless = await runJob(counted({ rowsPerSecond: 100 }), {});
    expect(endless.table("counts")).toHaveLength(2);
  });

  test("takes steps in the middle of a source that makes its rows itself", async () => {
    const words = Array.from({ length: 700 }, (_, n) => ({ key: n % 3, n: (n * 37) % 101 }));
    const expected = [0, 1, 2].map((key) => {
      const own = words.filter((word) => word.key === key);
      return { key, n: own.length, sum: own.reduce((total, { n }) => total + n, 0) };
    });
    const seen: number[] = [];
    for (let seed = 1; seed <= 10; seed++) {
      let calls = 0;
      const job = defineJob("words", (env) => {
        env
          .from(fromIterable(words), { uid: "words" })
          .map((word) => (calls++, word), { uid: "seen" })
          .keyBy("key")
          .aggregate({ n: count(), sum: sum("n") }, { uid: "count" })
          .to(table("counts"), { uid: "out" });
      });
      const steps = [crash(), checkpoint(), rescale(3), crash(), rescale(1)];
      const run = await runJob(job, { words: steps }, { seed, parallelism: 2 });
      expect(run.table("counts").toSorted(byKey)).toEqual(expected);
      expect(run.attempts).toBe(5);
      seen.push(calls);
    }
    // Some rows were lost, but nowhere near all of them each time.
    expect(Math.max(...seen)).toBeGreaterThan(words.length);
    expect(Math.max(...seen)).toBeLessThan(2 * words.length);
  });

  test("takes steps of a source with a pace of its own, and of one without an end", async () => {
    const bounded = counted({ rows: 500, rowsPerSecond: 3 });
    const run = await runJob(bounded, { made: [crash(), rescale(3)] });
    expect(run.table<{ n: number }>("counts").map(({ n }) => n)).toEqual([250, 250]);
    const endless = counted({ rowsPerSecond: 100 });
    const { tables } = await runJob(endless, {
      made: [wait("2s"), checkpoint(), crash(), wait("2s")],
    });
    const made = (tables["counts"] as { n: number }[]).reduce((total, { n }) => total + n, 0);
    expect(made).toBeGreaterThanOrEqual(400);
    expect(made).toBeLessThan(500);
  });

  test("refuses rows of a source that makes its own", async () => {
    const job = counted({ rows: 1 });
    await expect(runJob(job, { made: [crash(), { key: 1 }] })).rejects.toThrow(
      'given an object for source "made", which makes its rows itself. Allowed: steps',
    );
    await expect(runJob(job, { any: [crash()] })).rejects.toThrow(
      'Its topics: none. Its sources that make their rows themselves, and take steps alone: "made".',
    );
  });

  test("throws what the job fails with", async () => {
    const failing = defineJob("failing", (env) => {
      env
        .from(flights, { uid: "flights" })
        .map(
          (flight) => {
            if (flight.delay > 100) throw new RangeError("much too late");
            return { key: flight.origin };
          },
          { uid: "check" },
        )
        .to(table("all"), { uid: "out" });
    });
    await expect(runJob(failing, { flights: [{ origin: "BOS", delay: 101 }] })).rejects.toThrow(
      "much too late",
    );
  });
});

describe("an operator harness", () => {
  interface Reading {
    readonly sensor: string;
    readonly value: number;
  }

  const hourly = (readings: DataStream<Reading>) =>
    readings.keyBy("sensor").process(
      {
        state: { sum: valueState({ default: 0 }) },
        emits: rows<{ sensor: string; sum: number; at: number }>(),
        process({ value }, { state, timers, timestamp }) {
          state.sum.set(state.sum.get() + value);
          timers.registerEventTime(Math.ceil(timestamp! / 60) * 60);
        },
        onTimer(time, { key, state, emit }) {
          emit({ sensor: key, sum: state.sum.get(), at: time });
          state.sum.clear();
        },
      },
      { uid: "hourly" },
    );

  test("fires event-time timers when its watermark comes", () => {
    const harness = operatorHarness(hourly);
    harness.push({ sensor: "a", value: 1 }, 10).push({ sensor: "a", value: 2 }, 20);
    expect(harness.take()).toEqual([]);
    harness.watermark(59);
    expect(harness.take()).toEqual([]);
    harness.watermark(60);
    expect(harness.take()).toEqual([{ sensor: "a", sum: 3, at: 60 }]);
    expect(harness.take()).toEqual([]);
  });

  test("is restored to what it was, as often as one likes", () => {
    const harness = operatorHarness(hourly);
    harness.push({ sensor: "a", value: 1 }, 10);
    const snapshot = harness.snapshot();
    harness.push({ sensor: "a", value: 5 }, 20).watermark(60);
    expect(harness.take()).toEqual([{ sensor: "a", sum: 6, at: 60 }]);
    for (const value of [7, 8]) {
      const again = harness.restore(snapshot).push({ sensor: "a", value }, 30).watermark(60);
      expect(again.take()).toEqual([{ sensor: "a", sum: 1 + value, at: 60 }]);
    }
    const late = harness.restore(harness.snapshot()).push({ sensor: "a", value: 9 }, 30);
    expect(late.watermark(61).take()).toEqual([{ sensor: "a", sum: 9, at: 60 }]);
  });

  test("refuses times that are none, and goes on", () => {
    const harness = operatorHarness(hourly).push({ sensor: "a", value: 1 }, 10);
    expect(() => harness.watermark(NaN)).toThrow("watermark was given NaN. Allowed: milliseconds");
    expect(() => harness.push({ sensor: "a", value: 1 }, NaN)).toThrow("push was given NaN");
    expect(() => harness.wait(NaN)).toThrow("wait was given NaN");
    expect(harness.watermark(59).take()).toEqual([]);
    expect(harness.watermark(Infinity).take()).toEqual([{ sensor: "a", sum: 1, at: 60 }]);
  });

  test("has operators of any kind, and processing time", () => {
    const harness = operatorHarness((readings: DataStream<Reading>) =>
      readings
        .filter(({ value }) => value > 0, { uid: "positive" })
        .keyBy("sensor")
        .process(
          {
            state: {},
            emits: rows<string>(),
            process: (_, { timers }) =>
              timers.registerProcessingTime(timers.currentProcessingTime() + 1_000),
            onTimer: (_, { key, emit }) => emit(key),
          },
          { uid: "soon" },
        ),
    );
    harness.push({ sensor: "a", value: -1 }).push({ sensor: "b", value: 1 }).wait("1 s");
    expect(harness.take()).toEqual(["b"]);
  });
});

test("event time of a job's own source is that of its rows", async () => {
  interface Reading {
    readonly key: string;
    readonly at: number;
  }
  const job = defineJob("ends", (env) => {
    env
      .from(topic<Reading>("readings", { partitions: 1 }), {
        uid: "readings",
        watermarks: boundedOutOfOrderness(10, { timestamp: "at" }),
      })
      .keyBy("key")
      .process(
        {
          state: {},
          emits: rows<{ key: string; at: number }>(),
          process: ({ at }, { timers }) => timers.registerEventTime(at),
          onTimer: (at, { key, emit }) => emit({ key, at }),
        },
        { uid: "told" },
      )
      .to(table("told", { key: ({ key, at }) => [key, at] }), { uid: "out" });
  });
  const readings = [5, 20, 16, 31].map((at) => ({ key: "a", at }));
  const told = (run: JobRun): number[] =>
    run
      .table<Reading>("told")
      .map(({ at }) => at)
      .sort((a, b) => a - b);
  expect(told(await runJob(job, { readings }, { drain: false }))).toEqual([5, 16, 20]);
  // With the inputs event time ends, and nothing is waited for any more.
  expect(told(await runJob(job, { readings }))).toEqual([5, 16, 20, 31]);
});

const byKey = (left: unknown, right: unknown): number =>
  (left as { key: string }).key < (right as { key: string }).key ? -1 : 1;
