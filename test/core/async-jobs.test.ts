// Jobs that make calls: what a full operator holds back, when such a job is idle or has ended, and how
// users test theirs.

import { expect, test } from "vitest";

import { checkpointId, millis } from "../../format/ids.ts";
import type { Manifest } from "../../format/manifest.ts";
import {
  type DataStream,
  deadLetter,
  type DeadLetter,
  defineJob,
  fromIterable,
  generate,
  type JobDefinition,
  table,
  topic,
} from "tidemark";
import { crash, operatorHarness, rescale, runJob } from "tidemark/testing";
import { Cluster, World } from "../../testing/cluster.ts";

interface Row {
  readonly n: number;
}

/** A service that answers when it is told to. */
class Service {
  readonly #waiting: (() => void)[] = [];
  isOpen = false;

  readonly ask = async ({ n }: Row): Promise<{ n: number; squared: number }> => {
    if (!this.isOpen) await new Promise<void>((done) => this.#waiting.push(done));
    return { n, squared: n * n };
  };

  get waiting(): number {
    return this.#waiting.length;
  }

  open(): void {
    this.isOpen = true;
    for (const done of this.#waiting.splice(0)) done();
  }
}

const numbers = topic<Row>("numbers", { partitions: 1 });
const options = {
  parallelism: 1,
  bufferTimeout: 5,
  checkpointing: { interval: 100, inlineThreshold: 1_000 },
} as const;

const squares = (service: Service, capacity: number): JobDefinition =>
  defineJob(
    "squares",
    (env) => {
      env
        .from(numbers, { uid: "numbers" })
        .rebalance()
        .asyncMap(service.ask, { uid: "ask", capacity, timeout: "1 d" })
        .to(table("squares", { key: ({ n }) => n }), { uid: "out" });
    },
    options,
  );

const inFlight = ({ tasks }: Manifest): number =>
  tasks
    .flatMap(({ state: { operator } }) => operator)
    .filter(({ state }) => state === "in-flight")
    .reduce((sum, { elements }) => sum + elements, 0);

test("a full operator takes no more rows, and a barrier waits for no answer", async () => {
  const world = new World();
  const service = new Service();
  const cluster = new Cluster(world, { definition: squares(service, 3), parallelism: 1 });
  for (let n = 0; n < 200; n++) {
    world.append("numbers", 0, [{ n }]);
    cluster.settle(20);
  }
  await cluster.settled();
  const [asking] = cluster.subtasksOf("ask");
  expect(service.waiting).toBe(3);
  // Frames of one row each: the fourth is not taken.
  expect(asking!.metrics.recordsIn).toBe(3);
  expect(asking!.position(0).waitsFor).toBe("calls");
  expect(asking!.activity.isIdle).toBe(false);
  // Nothing spins: there is nothing to do before the time of the calls is over.
  expect(asking!.wakeAt).toBeGreaterThan(world.now + 1_000_000);
  service.open();
  await cluster.settled();
  expect(cluster.table("squares")).toHaveLength(200);
  expect(asking!.activity.isIdle).toBe(true);
  const manifest = await cluster.checkpointed();
  expect(inFlight(manifest)).toBe(0);
  await cluster.complete(manifest).settled();
  expect(asking!.mayRest(manifest.checkpoint)).toBe(true);
});

test("a drained source does not spin for the rows it has left while a call is under way", async () => {
  const world = new World();
  const service = new Service();
  const definition = defineJob(
    "made",
    (env) => {
      env
        .from(
          generate((n) => ({ n }), { rows: 100, rowsPerSecond: 1_000 }),
          { uid: "made" },
        )
        .asyncMap(service.ask, { uid: "ask", timeout: "1 d" })
        .to(table("squares", { key: ({ n }) => n }), { uid: "out" });
    },
    options,
  );
  const cluster = new Cluster(world, { definition, parallelism: 1 });
  await cluster.passed(20);
  const [source] = cluster.subtasksOf("made");
  expect(service.waiting).toBeGreaterThan(0);
  const drained = { folder: "savepoints/s/", stops: true, drains: true } as const;
  source!.trigger(checkpointId(1), millis(world.now + 10), drained);
  expect(source!.wakeAt).toBeGreaterThan(world.now + 1_000_000);
});

test("rows in flight are in the snapshot, and each has one result at any parallelism", async () => {
  const world = new World();
  world.append(
    "numbers",
    0,
    Array.from({ length: 50 }, (_, n) => ({ n })),
  );
  let restore: Manifest | undefined;
  for (const parallelism of [1, 3, 2]) {
    const definition = squares(new Service(), 100);
    const cluster = new Cluster(world, { definition, parallelism, ...(restore && { restore }) });
    await cluster.settled();
    restore = await cluster.checkpointed();
    expect(inFlight(restore)).toBe(50);
    cluster.stop();
  }
  const service = new Service();
  service.open();
  const definition = squares(service, 100);
  const cluster = new Cluster(world, { definition, parallelism: 4, restore: restore! });
  await cluster.settled();
  const rows = cluster.table("squares") as { n: number; squared: number }[];
  expect(rows.toSorted((a, b) => a.n - b.n)).toEqual(
    Array.from({ length: 50 }, (_, n) => ({ n, squared: n * n })),
  );
  expect(inFlight(await cluster.checkpointed())).toBe(0);
});

test("a bounded job ends when all answers are there", async () => {
  const service = new Service();
  const definition = defineJob(
    "bounded",
    (env) => {
      env
        .from(fromIterable([{ n: 1 }, { n: 2 }, { n: 3 }]), { uid: "numbers" })
        .asyncMap(service.ask, { uid: "ask", timeout: "1 d" })
        .to(table("squares", { key: ({ n }) => n }), { uid: "out" });
    },
    options,
  );
  const cluster = new Cluster(new World(), { definition, parallelism: 1 });
  await cluster.settled();
  expect(cluster.ended.size).toBe(0);
  service.open();
  await cluster.settled();
  expect(cluster.ended.size).toBe(cluster.tasks.size);
  expect(cluster.table("squares")).toHaveLength(3);
  expect(inFlight(await cluster.checkpointed({ isFinal: true }))).toBe(0);
});

test("answers that come behind the barrier of a stop wait for what becomes of it", async () => {
  const world = new World();
  const service = new Service();
  world.append("numbers", 0, [{ n: 3 }]);
  const cluster = new Cluster(world, { definition: squares(service, 3), parallelism: 1 });
  await cluster.settled();
  const stopped = await cluster.checkpointed({ savepoint: { folder: "stop/", stops: true } });
  expect(inFlight(stopped)).toBe(1);
  service.open();
  await cluster.settled();
  expect(cluster.table("squares")).toEqual([]);
  for (const task of cluster.tasks.values()) {
    expect(task.notifyAborted(stopped.checkpoint, world.now as never)).toEqual([]);
  }
  await cluster.settled();
});

test("dead letters of rows that failed for good are there once each, whatever is lost", async () => {
  const dead = topic<DeadLetter<Row>>("numbers-dead");
  const job = defineJob("picky", (env) => {
    env
      .from(topic<Row>("numbers", { partitions: 2 }), { uid: "numbers" })
      .asyncMap(
        async ({ n }) => {
          if (n % 7 === 0) throw new RangeError(`${n} is refused`);
          return { n };
        },
        {
          uid: "ask",
          capacity: 4,
          retry: { attempts: 2, delay: "1s" },
          onError: deadLetter(dead),
        },
      )
      .to(table("taken", { key: ({ n }) => n }), { uid: "out" });
  });
  const rows = Array.from({ length: 60 }, (_, n): Row => ({ n }));
  for (let seed = 1; seed <= 5; seed++) {
    const given = [
      ...rows.slice(0, 30),
      crash(),
      ...rows.slice(30, 45),
      crash(),
      ...rows.slice(45),
    ];
    const run = await runJob(job, { numbers: given }, { seed, checkpointsPerRow: 0.2 });
    const taken = run.table<Row>("taken").map(({ n }) => n);
    expect(taken.toSorted((a, b) => a - b)).toEqual(
      rows.map(({ n }) => n).filter((n) => n % 7 !== 0),
    );
    const letters = run.topic<DeadLetter<Row>>("numbers-dead");
    expect(letters.map(({ value }) => value.n).toSorted((a, b) => a - b)).toEqual([
      0, 7, 14, 21, 28, 35, 42, 49, 56,
    ]);
    expect(letters.every(({ source }) => source?.topic === "numbers")).toBe(true);
  }
});

test("a lookup join in a job that is crashed and rescaled", async () => {
  const cities = new Map([
    ["BOS", "Boston"],
    ["SFO", "San Francisco"],
  ]);
  const job = defineJob("cities", (env) => {
    env
      .from(topic<{ id: number; airport: string }>("flights"), { uid: "flights" })
      .lookupJoin(
        {
          key: "airport",
          load: async (airport) => cities.get(airport),
          cache: { size: 10, ttl: "1 h" },
        },
        ({ id }, city) => ({ id, city }),
        { uid: "cities" },
      )
      .to(table("flights", { key: ({ id }) => id }), { uid: "out" });
  });
  const flight = (id: number) => ({ id, airport: ["BOS", "SFO", "XXX"][id % 3]! });
  const flights = [flight(0), flight(1), crash(), flight(2), flight(3), rescale(3), flight(4)];
  const run = await runJob(job, { flights });
  expect(run.table<{ id: number }>("flights").toSorted((a, b) => a.id - b.id)).toEqual([
    { id: 0, city: "Boston" },
    { id: 1, city: "San Francisco" },
    { id: 3, city: "Boston" },
    { id: 4, city: "San Francisco" },
  ]);
});

test("functions that answer later under a harness", async () => {
  const service = new Service();
  const harness = operatorHarness((rows: DataStream<Row>) =>
    rows.asyncMap(service.ask, {
      uid: "ask",
      timeout: "1 min",
      onTimeout: ({ n }) => ({ n, squared: -1 }),
    }),
  );
  await harness.push({ n: 2 }).answered();
  expect(harness.take()).toEqual([]);
  const again = harness.restore(harness.snapshot());
  expect(harness.wait("1 min").take()).toEqual([{ n: 2, squared: -1 }]);
  service.open();
  await again.answered();
  expect(again.take()).toEqual([{ n: 2, squared: 4 }]);
});

test("on a keyed stream each key is asked for by one subtask", async () => {
  const loaded: number[] = [];
  const definition = defineJob(
    "keyed",
    (env) => {
      env
        .from(numbers, { uid: "numbers" })
        .keyBy(({ n }) => n % 10)
        .lookupJoin(
          { key: ({ n }) => n % 10, load: (key) => (loaded.push(key), key), cache: { size: 100 } },
          ({ n }, ones) => ({ n, ones }),
          { uid: "looked-up", parallelism: 4 },
        )
        .keyBy("ones")
        .asyncMap(async ({ n, ones }) => ({ n, ones }), { uid: "asked", parallelism: 3 })
        .to(table("rows", { key: ({ n }) => n }), { uid: "out" });
    },
    options,
  );
  const world = new World();
  const expected = Array.from({ length: 200 }, (_, n) => ({ n, ones: n % 10 }));
  for (const { n } of expected) world.append("numbers", 0, [{ n }]);
  const cluster = new Cluster(world, { definition, parallelism: 1 });
  await cluster.settled();
  const rows = cluster.table("rows") as { n: number }[];
  expect(rows.toSorted((a, b) => a.n - b.n)).toEqual(expected);
  expect(loaded.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const shares = cluster.subtasksOf("looked-up").map(({ metrics }) => metrics.recordsIn);
  expect(shares.filter((share) => share > 0).length).toBeGreaterThan(1);
});
